import { DurableObject } from "cloudflare:workers";
import { configOf } from "../config.ts";
import { messageOf } from "../durable/deadline.ts";
import type { ContainerId, PoolId } from "../ids.ts";
import { log } from "../log.ts";
import type { Tier } from "../runtime/port.ts";
import { census, recount } from "./census.ts";
import { nextRecount, overdue, strangersOf } from "./leases.ts";
import { admit, fullBucket, type StartBucket } from "./plan.ts";
import { left, NOBODY, present, type Queue } from "./queue.ts";
import { FleetStore } from "./store.ts";
import type { Admission, Counted, FleetApi, FleetFigures, FleetLease, Standing } from "./types.ts";

const REBUILDING = { admitted: false, retryAfterMs: 1_000, reason: "rebuilding" } as const;

/**
 * Counts what runs and starts, by tier, over all pools (P-CAP). A container counts from its admission until it is
 * confirmed gone: nothing is freed because time passed, only because its pool ended it.
 */
export class Fleet extends DurableObject<Env> implements FleetApi {
  readonly #store = new FleetStore(this.ctx.storage);
  #bucket: StartBucket = this.#store.bucket ?? fullBucket(Date.now());
  #queue: Queue = NOBODY;
  /** When each pool last said what it has, since this object is in memory. */
  readonly #renewed = new Map<PoolId, number>();
  #rebuild: Promise<boolean> | null = null;

  async admit(containerId: ContainerId, poolId: PoolId, tier: Tier, standing: Standing = "claim"): Promise<Admission> {
    if (!(await this.#ready())) return REBUILDING;
    const now = Date.now();
    if (this.#store.has(containerId)) return { admitted: true };
    const decided = admit(
      { containerId, poolId, tier, standing },
      {
        running: this.#store.count(tier),
        cap: configOf(this.env).tierCaps[tier],
        bucket: this.#bucket,
        queue: this.#queue,
      },
      now,
      Math.random(),
    );
    if (decided.admission.admitted) {
      this.#store.add([{ containerId, poolId, tier, at: now }], decided.bucket, nextRecount(now, Math.random()));
    }
    this.#bucket = decided.bucket;
    this.#queue = decided.queue;
    return decided.admission;
  }

  async renew(poolId: PoolId, held: readonly Counted[]): Promise<{ strangers: ContainerId[] }> {
    if (!(await this.#ready())) return { strangers: [] };
    const now = Date.now();
    this.#renewed.set(poolId, now);
    const counted = this.#store.ofPool(poolId);
    const known = new Set(counted.map((row) => row.containerId));
    const found = held.filter((one) => !known.has(one.containerId)).map((one) => ({ ...one, poolId, at: now }));
    const recountAt = nextRecount(now, Math.random());
    if (found.length > 0) this.#store.add(found, this.#bucket, recountAt);
    else if (counted.length > 0) this.#store.alarm.arm(recountAt); // one that got lost
    return { strangers: strangersOf(counted, held, now) };
  }

  async release(containerId: ContainerId): Promise<void> {
    this.#queue = left(this.#queue, containerId, "gone");
    if (this.#store.has(containerId)) this.#store.remove(containerId);
  }

  async leases(after: string, limit: number): Promise<FleetLease[]> {
    return this.#store.leases(after, limit);
  }

  async counts(): Promise<Record<string, number>> {
    return this.#store.counts();
  }

  async figures(): Promise<FleetFigures> {
    const waiting: Record<string, number> = {};
    for (const { tier } of present(this.#queue, Date.now()).waiters) waiting[tier] = (waiting[tier] ?? 0) + 1;
    return { counts: this.#store.counts(), waiting };
  }

  /** Pools that did not say lately what they have are asked; what none of them has any more, they end. */
  override async alarm(): Promise<void> {
    this.#store.alarm.rang();
    const pools = this.#store.pools();
    if (pools.length === 0) return;
    this.#store.alarm.arm(nextRecount(Date.now(), Math.random()));
    await recount(
      this.env,
      overdue(pools, this.#renewed, Date.now()).map((poolId) => ({
        poolId,
        counted: this.#store.ofPool(poolId).map((row) => row.containerId),
      })),
    );
  }

  /** False while it is not known what runs: this object is new, or lost its storage, and has to ask first. */
  async #ready(): Promise<boolean> {
    if (this.#store.exists) return true;
    this.#rebuild ??= this.#rebuildFrom().finally(() => {
      this.#rebuild = null;
    });
    return this.#rebuild;
  }

  async #rebuildFrom(): Promise<boolean> {
    try {
      const found = await census(this.env);
      const now = Date.now();
      if (this.#store.exists) return true;
      this.#store.add(
        found.map((one) => ({ ...one, at: now })),
        this.#bucket,
        nextRecount(now, Math.random()),
      );
      return true;
    } catch (error) {
      log.warn("the fleet could not learn what runs; nothing is started", { error: messageOf(error) });
      return false;
    }
  }
}
