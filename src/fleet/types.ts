import type { ContainerId, PoolId } from "../ids.ts";
import type { Tier } from "../runtime/port.ts";

/** The one Fleet object's name. */
export const FLEET = "fleet";

/** Who asks for a start. What a tenant waits for goes before a refill; of those only a claim with a `?wait=` queues for the cap. */
export type Standing = "claim" | "waiting-claim" | "refill";

export type Admission =
  | { admitted: true }
  /** `rebuilding`: this object does not know yet what runs. */
  | { admitted: false; retryAfterMs: number; reason: "cap" | "rate" | "rebuilding" };

/** A container that a pool has, or may have. */
export interface Counted {
  containerId: ContainerId;
  tier: Tier;
}

export interface FleetFigures {
  /** Containers that run or start, by tier. */
  counts: Record<string, number>;
  /** Starts that wait for their turn, by tier. */
  waiting: Record<string, number>;
}

/** One container that is counted, since it was admitted (ms since 1970). */
export interface FleetLease {
  containerId: ContainerId;
  poolId: PoolId;
  at: number;
}

/** What the RPC surface of the Fleet object looks like to pools and operators. */
export interface FleetApi {
  /** Admits one start, or says when to ask again; the same container again is admitted again. */
  admit(containerId: ContainerId, poolId: PoolId, tier: Tier, standing?: Standing): Promise<Admission>;
  /**
   * Everything that a pool has or may have: renews the leases of those, and counts what was not known, also above the
   * cap. Answers what is counted as this pool's and was not named: the pool ends it, or it counts for good.
   */
  renew(poolId: PoolId, held: readonly Counted[]): Promise<{ strangers: ContainerId[] }>;
  /** The container is confirmed gone, or will never be started; legal for unknown ones. */
  release(containerId: ContainerId): Promise<void>;
  /** Containers that run or start, by tier. */
  counts(): Promise<Record<string, number>>;
  /** What is counted, by container, after `after`. Reads only. */
  leases(after: string, limit: number): Promise<FleetLease[]>;
  figures(): Promise<FleetFigures>;
}
