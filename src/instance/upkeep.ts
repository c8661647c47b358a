import { messageOf, within } from "../durable/deadline.ts";
import { fleetOf, poolOf, tenantOf } from "../durable/stubs.ts";
import { log } from "../log.ts";
import type { Life } from "./life.ts";
import type { BootRecord } from "./record.ts";
import type { ContainerEnd } from "./types.ts";

/**
 * What rings for a container that somebody may have forgotten. Tenant and Pool look at their containers every minute;
 * this finds what nobody looks at any more.
 */

/** Between two alarms; up to a fifth more. */
const RING_MS = 55_000;
/** A container is its pool's from before its start; nobody is asked about a young one. */
const YOUNG_MS = 150_000;
/** Between two questions to the pool. */
const ASK_MS = 200_000;
const CALL_MS = 10_000;

/** Whatever is due, no alarm follows another sooner. */
const LEAST_MS = 200;
/** An alarm that should have rung so long ago is lost. */
const LATE_MS = 30_000;

/** When an Instance's alarm rings next, strictly in the future; earlier where something is due. @param random 0 to 1 */
export const nextRing = (now: number, dueAt: number | null, random: number): number =>
  Math.max(now + LEAST_MS, Math.ceil(Math.min(dueAt ?? Infinity, now + RING_MS * (1 + random / 5))));

export class Upkeep {
  readonly #storage: DurableObjectStorage;
  readonly #env: Env;
  readonly #life: Life;
  #askAt = 0;
  /** When the pool first said that it does not know the container. */
  #disownedAt: number | null = null;

  constructor(storage: DurableObjectStorage, env: Env, life: Life) {
    this.#storage = storage;
    this.#env = env;
    this.#life = life;
  }

  /** An alarm exists while there is a container. Inside a commit it is part of that. */
  arm(now: number, dueAt: number | null): void {
    this.#storage.setAlarm(nextRing(now, dueAt, Math.random()));
  }

  /** A lost alarm is armed again by whoever looks, and when the object comes to memory. */
  async rearm(): Promise<void> {
    const at = await this.#storage.getAlarm();
    if (this.#life.boot && (at === null || at < Date.now() - LATE_MS)) this.arm(Date.now(), null);
  }

  /** Tells whoever has the container; they look for themselves. What gets lost here is told with the next alarm. */
  async tell(end: ContainerEnd): Promise<void> {
    const { boot, holder, leasedTo } = this.#life;
    if (!boot) return;
    const { containerId, poolId } = boot.plan;
    const pool = poolOf(this.#env, poolId);
    try {
      const whom = holder ?? leasedTo ?? (await within(CALL_MS, "holder", pool.holder(containerId)));
      const told = whom
        ? tenantOf(this.#env, whom.tenantId).ended(containerId, whom.epoch, end)
        : pool.ended(containerId, end);
      await within(CALL_MS, "ended", told);
    } catch (error) {
      log.warn("the end of a container could not be told yet", { containerId, error: messageOf(error) });
    }
  }

  /** Whether nobody has the container any more: neither its pool, asked twice, nor a tenant. No answer means that somebody may. */
  async isOrphan(): Promise<boolean> {
    const { boot } = this.#life;
    const now = Date.now();
    if (!boot || now - boot.startedAt < YOUNG_MS || now < this.#askAt) return false;
    this.#askAt = now + ASK_MS;
    if (await this.#isKnown(boot)) {
      this.#disownedAt = null;
      return false;
    }
    this.#disownedAt ??= now;
    return this.#disownedAt < now;
  }

  async #isKnown({ plan }: BootRecord): Promise<boolean> {
    const { containerId, poolId } = plan;
    try {
      if (await within(CALL_MS, "has", poolOf(this.#env, poolId).has(containerId))) return true;
      const { holder } = this.#life;
      const tenant = holder && tenantOf(this.#env, holder.tenantId);
      return tenant !== null && (await within(CALL_MS, "servedBy", tenant.servedBy(containerId))) !== null;
    } catch (error) {
      log.warn("whose a container is could not be learnt", { containerId, error: messageOf(error) });
      return true;
    }
  }

  /** An orphan is gone: what it was admitted for is free again. */
  async free({ plan }: BootRecord): Promise<void> {
    const { containerId } = plan;
    log.warn("a container that nobody had was ended", { containerId, pool: plan.poolId });
    await within(CALL_MS, "release", fleetOf(this.#env).release(containerId)).catch((error) => {
      log.warn("an ended container's admission could not be given back", { containerId, error: messageOf(error) });
    });
  }
}
