import type { TenantStatus } from "../tenant/types.ts";
import type { Size } from "../vault/types.ts";

/** What one tenant of a pool says of its state. */
export interface TenantSync {
  status: Pick<TenantStatus, "tenantId" | "operation" | "syncStatus">;
  /** Of the latest generation; null before the first. */
  head: Size | null;
}

export interface SyncError {
  tenantId: string;
  at: number;
  code: string;
  detail: string;
}

export interface SyncStatus {
  state: "idle" | "syncing" | "error";
  /** ms since 1970. */
  lastSync: number | null;
  pending: boolean;
  errors: SyncError[];
  bytes: number;
  files: number;
  /** Of the run that takes longest of those that are under way. */
  durationMs: number | null;
  progress: { syncing: number; tenants: number } | null;
}

const MAX_ERRORS = 10;

/** What the tenants of a spec come to together. An error counts until a sync of the same tenant ended well. Pure. */
export function statusOf(tenants: readonly TenantSync[], now: number): SyncStatus {
  const running = tenants.flatMap(({ status: { operation } }) =>
    operation?.kind === "sync" && operation.status === "running" ? [operation] : [],
  );
  const errors = tenants
    .flatMap(({ status: { tenantId, syncStatus } }) =>
      syncStatus.errors
        .filter(({ at }) => at > (syncStatus.lastSync ?? 0))
        .map(({ at, code, detail }) => ({ tenantId, at, code, detail })),
    )
    .sort((a, b) => b.at - a.at);
  const syncs = tenants.flatMap(({ status }) => status.syncStatus.lastSync ?? []);
  return {
    state: running.length > 0 ? "syncing" : errors.length > 0 ? "error" : "idle",
    lastSync: syncs.length === 0 ? null : Math.max(...syncs),
    pending: tenants.some(({ status }) => status.syncStatus.pending),
    errors: errors.slice(0, MAX_ERRORS),
    bytes: tenants.reduce((sum, { head }) => sum + (head?.bytes ?? 0), 0),
    files: tenants.reduce((sum, { head }) => sum + (head?.files ?? 0), 0),
    durationMs: running.length === 0 ? null : Math.max(...running.map(({ startedAt }) => now - startedAt)),
    progress: running.length === 0 ? null : { syncing: running.length, tenants: tenants.length },
  };
}
