import type { SpecProgress } from "../instance/types.ts";
import type { SyncFailure } from "../tenant/syncs.ts";
import type { TenantStatus, TenantSyncState } from "../tenant/views.ts";
import type { Size } from "../vault/types.ts";

/** What one tenant says of a spec. Times in ms since 1970. */
export interface TenantSync {
  tenantId: string;
  /** Of the sync that is under way. */
  startedAt: number | null;
  progress: SpecProgress | null;
  lastSync: number | null;
  pending: boolean;
  /** The newest first. */
  errors: SyncFailure[];
  size: Size;
  durationMs: number | null;
}

export interface SyncStatus {
  state: "idle" | "syncing" | "error";
  lastSync: number | null;
  pending: boolean;
  errors: ({ tenantId: string } & SyncFailure)[];
  bytes: number;
  files: number;
  /** Of the run that takes longest of those that are under way; else of the longest of the latest ones. */
  durationMs: number | null;
  progress: ({ syncing: number; tenants: number } & Omit<SpecProgress, "runId">) | null;
}

const MAX_ERRORS = 10;

/** Of a spec of the state volume: its syncs are the tenant's saves. `head`: the latest generation, null before the first. */
export function ofState(
  status: Pick<TenantStatus, "tenantId" | "operation" | "syncStatus">,
  head: Size | null,
): TenantSync {
  const { operation, syncStatus } = status;
  const runs = operation?.kind === "sync" && operation.status === "running";
  return {
    tenantId: status.tenantId,
    startedAt: runs ? operation.startedAt : null,
    progress: null,
    lastSync: syncStatus.lastSync,
    pending: syncStatus.pending,
    errors: syncStatus.errors,
    size: head ?? { files: 0, bytes: 0 },
    durationMs: null,
  };
}

/** Of a spec with a place of its own: what its latest run transferred. */
export function ofSpec({ tenantId, state, pending, running }: TenantSyncState): TenantSync {
  return {
    tenantId,
    startedAt: running?.startedAt ?? null,
    progress: running?.progress ?? null,
    lastSync: state.lastSync,
    pending,
    errors: state.errors,
    size: state.last ?? { files: 0, bytes: 0 },
    durationMs: state.last?.durationMs ?? null,
  };
}

/** What the tenants of a spec come to together. An error counts until a sync of the same tenant ended well. Pure. */
export function statusOf(tenants: readonly TenantSync[], now: number): SyncStatus {
  const running = tenants.filter(({ startedAt }) => startedAt !== null);
  const errors = tenants
    .flatMap(({ tenantId, errors, lastSync }) =>
      errors.filter(({ at }) => at > (lastSync ?? 0)).map((error) => ({ tenantId, ...error })),
    )
    .sort((a, b) => b.at - a.at);
  const durations =
    running.length > 0
      ? running.map(({ startedAt }) => now - (startedAt ?? now))
      : tenants.flatMap(({ durationMs }) => durationMs ?? []);
  return {
    state: running.length > 0 ? "syncing" : errors.length > 0 ? "error" : "idle",
    lastSync: tenants.reduce<number | null>((last, { lastSync }) => later(last, lastSync), null),
    pending: tenants.some(({ pending }) => pending),
    errors: errors.slice(0, MAX_ERRORS),
    bytes: total(tenants, ({ size }) => size.bytes),
    files: total(tenants, ({ size }) => size.files),
    durationMs: durations.length === 0 ? null : Math.max(...durations),
    progress: running.length === 0 ? null : progressOf(running, tenants.length),
  };
}

function progressOf(running: readonly TenantSync[], tenants: number): NonNullable<SyncStatus["progress"]> {
  const sum = (field: keyof Omit<SpecProgress, "runId">) => total(running, ({ progress }) => progress?.[field] ?? 0);
  return {
    syncing: running.length,
    tenants,
    files: sum("files"),
    bytes: sum("bytes"),
    totalFiles: sum("totalFiles"),
    totalBytes: sum("totalBytes"),
  };
}

const total = <T>(items: readonly T[], of: (item: T) => number): number =>
  items.reduce((sum, item) => sum + of(item), 0);
const later = (a: number | null, b: number | null): number | null => (a === null ? b : b === null ? a : Math.max(a, b));
