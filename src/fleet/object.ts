import { DurableObject } from "cloudflare:workers";
import { configOf } from "../config.ts";
import type { ContainerId, PoolId } from "../ids.ts";
import type { Tier } from "../runtime/port.ts";
import { admit, fullBucket, takeStart } from "./plan.ts";
import { FleetStore } from "./store.ts";
import type { Admission, FleetApi, FleetLease } from "./types.ts";

/** Counts what runs and starts, by tier, over all pools (P-CAP). A container counts from its admission until it is confirmed gone. */
export class Fleet extends DurableObject<Env> implements FleetApi {
  readonly #store = new FleetStore(this.ctx.storage);
  #bucket = fullBucket(Date.now());

  async admit(containerId: ContainerId, poolId: PoolId, tier: Tier): Promise<Admission> {
    if (this.#store.has(containerId)) return { admitted: true };
    const decision = admit(this.#store.count(tier), configOf(this.env).tierCaps, tier);
    if (!decision.admitted) return decision;
    const { bucket, waitMs } = takeStart(this.#bucket, Date.now());
    this.#bucket = bucket;
    if (waitMs > 0) return { admitted: false, retryAfterMs: waitMs, reason: "rate" };
    this.#store.add(containerId, poolId, tier, Date.now());
    return { admitted: true };
  }

  async release(containerId: ContainerId): Promise<void> {
    if (this.#store.has(containerId)) this.#store.remove(containerId);
  }

  async leases(after: string, limit: number): Promise<FleetLease[]> {
    return this.#store.leases(after, limit);
  }

  async counts(): Promise<Record<string, number>> {
    return this.#store.counts();
  }
}
