import type { ContainerId, PoolId } from "../ids.ts";
import type { Tier } from "../runtime/port.ts";

/** The one Fleet object's name. */
export const FLEET = "fleet";

export type Admission = { admitted: true } | { admitted: false; retryAfterMs: number; reason: "cap" | "rate" };

/** What the RPC surface of the Fleet object looks like to pools and operators. */
export interface FleetApi {
  /** Admits one start; the same container again is admitted again. */
  admit(containerId: ContainerId, poolId: PoolId, tier: Tier): Promise<Admission>;
  /** The container is confirmed gone; legal for unknown ones. */
  release(containerId: ContainerId): Promise<void>;
  /** Containers that run or start, by tier. */
  counts(): Promise<Record<string, number>>;
}
