import type { TenantRecord } from "./record.ts";
import type { UpgradeAnswer } from "./types.ts";

/** Whoever is released begins anew, on whatever version the pool starts then. Pure. */
export function withoutVersion(record: TenantRecord): TenantRecord {
  if (record.ran === undefined || (record.state !== "idle" && record.state !== "destroyed")) return record;
  const { ran: _, ...rest } = record;
  return rest;
}

/** What a tenant is to an upgrade; null: it may begin. Pure. */
export function standingOf(record: TenantRecord | null, toVersion: number): UpgradeAnswer | null {
  if (!record) return { kind: "later", state: null };
  const { held, operation, state } = record;
  if (operation) {
    const { restart } = operation;
    const leads = restart?.scope === "image" && restart.minWorkloadVersion >= toVersion;
    return leads ? { kind: "begun", operationId: operation.id } : { kind: "later", state };
  }
  if (state !== "active" || !held) return { kind: "later", state };
  // Another pool's container serves it, which no rollout moves; the tenant's next start asks its own pool again.
  if (held.poolId !== record.poolId) return { kind: "later", state };
  // A container of before versions were known is as old as can be.
  return (held.workloadVersion ?? 0) >= toVersion ? { kind: "current" } : null;
}
