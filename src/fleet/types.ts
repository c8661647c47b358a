import type { ContainerId, PoolId } from "../ids.ts";
import type { Tier } from "../runtime/port.ts";

/** The one Fleet object's name. */
export const FLEET = "fleet";

export type Admission = { admitted: true } | { admitted: false; retryAfterMs: number; reason: "cap" | "rate" };

/** One container that is counted, since it was admitted (ms since 1970). */
export interface FleetLease {
  containerId: ContainerId;
  poolId: PoolId;
  at: number;
}

/** What the RPC surface of the Fleet object looks like to pools and operators. */
export interface FleetApi {
  /** Admits one start; the same container again is admitted again. */
  admit(containerId: ContainerId, poolId: PoolId, tier: Tier): Promise<Admission>;
  /** The container is confirmed gone; legal for unknown ones. */
  release(containerId: ContainerId): Promise<void>;
  /** Containers that run or start, by tier. */
  counts(): Promise<Record<string, number>>;
  /** What is counted, by container, after `after`. Reads only. */
  leases(after: string, limit: number): Promise<FleetLease[]>;
}
