import { SYSTEM } from "../auth/principal.ts";
import type { Fresh, Limits, Plan } from "./events.ts";
import { destroy } from "./plan-destroy.ts";
import type { TenantRecord } from "./record.ts";

/** A tenant that was asked for, never started and never saved anything is nobody's after so long. */
const STALE_MS = 8 * 3_600_000;

/** When that is; null for a tenant that has lived, or is being worked on. Pure. */
export function staleAt(record: TenantRecord): number | null {
  const { state, operation, held, generation, lastActivityAt, syncs, errors, createdAt } = record;
  if (state !== "idle" && state !== "error") return null;
  if (operation || held || generation > 0 || lastActivityAt !== null || record.missing || record.rebuilt) return null;
  if ((syncs?.used.length ?? 0) > 0 || record.epoch === 0) return null;
  return Math.max(createdAt, errors[0]?.at ?? 0) + STALE_MS;
}

export function expire(record: TenantRecord, fresh: Fresh, limits: Limits, now: number): Plan {
  const planned = destroy(record, { kind: "destroy", deleteData: true }, SYSTEM, fresh, limits, now);
  if (planned.kind !== "go") return planned;
  return { ...planned, journal: [{ type: "tenant.provision_expired", detail: {} }, ...planned.journal] };
}
