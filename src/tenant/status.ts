import { view } from "./planning.ts";
import type { TenantRecord } from "./record.ts";
import type { TenantStatus } from "./types.ts";

const PENDING = new Set(["claiming", "waking", "recovering"]);
const RELEASING = new Set(["releasing", "sleeping"]);

/** What a status answer says of a record. Pure. */
export function statusOf(record: TenantRecord): TenantStatus {
  const { held } = record;
  const [latest] = record.errors;
  return {
    tenantId: record.tenantId,
    assigned: record.state === "active",
    assignment: PENDING.has(record.state)
      ? "pending"
      : RELEASING.has(record.state)
        ? "releasing"
        : held
          ? "assigned"
          : null,
    state: record.state,
    desired: record.desired,
    ...(held ? { containerId: held.containerId } : {}),
    ...(record.poolId ? { poolId: record.poolId } : {}),
    epoch: record.epoch,
    tier: held?.tier ?? null,
    ...(record.operation ? { operation: view(record, record.operation) } : {}),
    ...(latest ? { lastError: latest } : {}),
    ...(record.lastLoss ? { lastLoss: record.lastLoss } : {}),
    generation: record.generation,
    unsavedSince: record.unsavedSince,
    lastActivityAt: record.lastActivityAt,
    syncStatus: {
      lastSync: record.lastSaveAt,
      pending: record.unsavedSince !== null,
      errors: record.errors.map(({ at, code, detail }) => ({ at, code, detail })),
    },
  };
}
