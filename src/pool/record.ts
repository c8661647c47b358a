import type { ContainerId, Epoch, PoolId, TenantId } from "../ids.ts";
import type { PoolSpec, Workload } from "../registry/specs.ts";
import type { Tier } from "../runtime/port.ts";
import type { SlotState } from "./types.ts";

/** What a pool stores about itself, beside its slots. Times are ms since 1970. */
export interface PoolRecord {
  version: 1;
  id: PoolId;
  spec: PoolSpec;
  workload: Workload;
  /** No refill and no shrinking while true; claims go on. */
  paused: boolean;
  claims: number;
  hits: number;
  /** Starts that failed one after the other; they slow the refill down. */
  failures: { count: number; at: number; detail: string } | null;
}

/** One place in the pool. A slot serves at most one tenant and is never used again (P-ONE). */
export interface Slot {
  containerId: ContainerId;
  state: Exclude<SlotState, "gone">;
  tier: Tier;
  /** Since when it is in this state. */
  since: number;
  lease: SlotLease | null;
}

export interface SlotLease {
  tenantId: TenantId;
  epoch: Epoch;
  launch: "warm" | "cold";
  reason?: string;
  /** A provisional lease is asked about at this time; null once the tenant was seen to own it. */
  confirmBy: number | null;
}

export const tierOf = (record: PoolRecord): Tier => record.workload.resources?.tier ?? record.spec.tier ?? "lite";
