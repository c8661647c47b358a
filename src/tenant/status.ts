import { outOfMemory } from "./ends.ts";
import { needsOf } from "./plan-start.ts";
import { view } from "./planning.ts";
import { driftOf, type TenantRecord } from "./record.ts";
import { viewsOf } from "./secrets.ts";
import { type Syncs, summaryOf } from "./syncs.ts";
import type { TenantStanding } from "./types.ts";
import type { ConfigVersion, Settings, TenantStatus } from "./views.ts";

const PENDING = new Set(["claiming", "waking", "recovering"]);
const SUSPENDED = new Set(["suspended", "release_failed"]);
const RELEASING = new Set(["releasing", "sleeping", "saving", "destroying"]);

/** What a status answer says of a record. Pure. */
export function statusOf(record: TenantRecord, now: number): TenantStatus {
  const { held } = record;
  const [latest] = record.errors;
  const [lastExit] = record.ends ?? [];
  const drift = driftOf(record);
  const oom = outOfMemory(record, now);
  return {
    tenantId: record.tenantId,
    assigned: record.state === "active",
    health: healthOf(record),
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
    ...(held || record.operation || !record.stoppedReason ? {} : { stoppedReason: record.stoppedReason }),
    epoch: record.epoch,
    tier: held?.tier ?? record.tier,
    ...(held && record.tier !== null && record.tier !== held.tier ? { pendingTier: record.tier } : {}),
    ...(held?.workloadVersion === undefined ? {} : { version: held.workloadVersion }),
    ...(drift.length > 0 ? { pendingRestart: true as const, drift } : {}),
    ...(lastExit ? { lastExit } : {}),
    restarts: record.restarts ?? 0,
    ...(oom ? { oom } : {}),
    ...(record.missing ? { missing: record.missing } : {}),
    ...(record.rebuilt ? { rebuilt: { at: record.rebuilt.at, needs: needsOf(record) } } : {}),
    // Also while the save of a suspension has failed, and is tried again or held.
    ...(SUSPENDED.has(record.state) && record.suspension ? { suspended: record.suspension } : {}),
    ...(record.operation ? { operation: view(record, record.operation) } : {}),
    ...(latest ? { lastError: latest } : {}),
    ...(record.lastLoss ? { lastLoss: record.lastLoss } : {}),
    generation: record.generation,
    unsavedSince: record.unsavedSince,
    lastActivityAt: record.lastActivityAt,
    syncStatus: withSpecs(savesOf(record), record.syncs),
  };
}

/** How a tenant stands, for a sweep. Pure. */
export const standsAs = ({ state, operation, destruction }: TenantRecord): Omit<TenantStanding, "alarm"> => ({
  state,
  operation: operation !== null,
  keepsData: destruction?.data === "keep" && destruction.dataUntil !== null,
});

/** What the saves of the state volume came to. */
export const savesOf = ({ lastSaveAt, unsavedSince, errors }: TenantRecord): TenantStatus["syncStatus"] => ({
  lastSync: lastSaveAt,
  pending: unsavedSince !== null,
  errors: errors.map(({ at, code, detail }) => ({ at, code, detail })),
});

const SHOWN_ERRORS = 10;

/** And with them those of the pool's sync specs. */
function withSpecs(saves: TenantStatus["syncStatus"], syncs: Syncs | undefined): TenantStatus["syncStatus"] {
  const specs = summaryOf(syncs);
  const errors = [...saves.errors, ...specs.errors.map(({ at, code, detail }) => ({ at, code, detail }))];
  return {
    lastSync: specs.lastSync === null ? saves.lastSync : Math.max(saves.lastSync ?? 0, specs.lastSync),
    pending: saves.pending,
    errors: errors.sort((a, b) => b.at - a.at).slice(0, SHOWN_ERRORS),
  };
}

/** As far as this object knows without asking anybody: the container was seen alive at its last look. */
function healthOf(record: TenantRecord): TenantStatus["health"] {
  if (record.state === "active") return record.held?.health ?? "healthy";
  if (record.state === "error" || record.state === "release_failed") return "unhealthy";
  return PENDING.has(record.state) ? "starting" : "stopped";
}

/** What is set about a tenant. Pure. */
export function settingsOf(record: TenantRecord, config: ConfigVersion | null): Settings {
  return {
    tenantId: record.tenantId,
    ...(record.poolId ? { poolId: record.poolId } : {}),
    tier: record.tier,
    lifecycle: record.lifecycle,
    tokenVersion: record.tokenVersion,
    config,
    secrets: viewsOf(record.secrets),
    secretsVersion: record.secrets?.version ?? 0,
    pendingRestart: driftOf(record).length > 0,
  };
}
