import { SYSTEM } from "../auth/principal.ts";
import { atMost } from "../durable/at-most.ts";
import { deleted } from "./administer.ts";
import type { Containers } from "./containers.ts";
import type { Effects } from "./effects.ts";
import { endingDue } from "./plan-ending.ts";
import { leased } from "./plan-lease.ts";
import { type Drain, isDeleted, type PoolRecord, type Slot } from "./record.ts";
import { rolloutEntries } from "./rollouts.ts";
import type { PoolStore } from "./store.ts";
import type { DeletionView } from "./types.ts";

/** Tenants that are released at a time. */
const RELEASES_AT_ONCE = 8;

/** How a deletion goes; null for a pool of which nobody asked for one. Pure. */
export function deletionView(record: PoolRecord, slots: readonly Slot[]): DeletionView | null {
  const { drain } = record;
  if (!drain) return null;
  return {
    operationId: drain.operationId,
    poolId: record.id,
    status: drain.endedAt !== null ? "succeeded" : isStuck(drain, slots) ? "failed" : "running",
    startedAt: drain.startedAt,
    endedAt: drain.endedAt,
    left: slots.length,
    failed: drain.failed,
  };
}

/** Whether all that is left are tenants whose release failed. */
function isStuck(drain: Drain, slots: readonly Slot[]): boolean {
  const failed = new Set(drain.failed.map((one) => one.tenantId));
  return slots.length > 0 && slots.every((slot) => slot.lease !== null && failed.has(slot.lease.tenantId));
}

/**
 * Empties a pool that is being deleted: releases its tenants where that was asked for, ends every other container, and
 * takes the pool out of the registry when nothing is left. Every part may be done again; the alarm goes on with it.
 */
export class Deletion {
  readonly #store: PoolStore;
  readonly #effects: Effects;
  readonly #containers: Containers;
  #pass: Promise<void> | null = null;
  #again = false;
  /** What an earlier life of the object put off is tried at once. */
  #isEager = true;
  readonly #waiting = new Set<() => void>();

  constructor(store: PoolStore, effects: Effects, containers: Containers) {
    this.#store = store;
    this.#effects = effects;
    this.#containers = containers;
  }

  /** Resolves when the deletion ended, or cannot go on by itself. */
  ended(): Promise<void> {
    return new Promise((resolve) => this.#waiting.add(resolve));
  }

  /** Goes on with it, where there is one; once more for whoever asks while it goes on. `now`: also with ends that failed and were put off. */
  proceed(when: "now" | "later" = "later"): Promise<void> {
    if (when === "now") this.#isEager = true;
    if (this.#pass) this.#again = true;
    this.#pass ??= this.#proceed().finally(() => {
      this.#pass = null;
    });
    return this.#pass;
  }

  async #proceed(): Promise<void> {
    do {
      this.#again = false;
      await this.#empty();
      await this.#finish();
    } while (this.#again);
    const { record, slots } = this.#store;
    const view = record && deletionView(record, slots);
    if (view?.status === "running") return;
    for (const resolve of this.#waiting) resolve();
    this.#waiting.clear();
  }

  async #empty(): Promise<void> {
    const drain = this.#underWay();
    if (!drain) return;
    const { slots } = this.#store;
    const [now, isEager] = [Date.now(), this.#isEager];
    this.#isEager = false;
    const isDue = (slot: Slot) => slot.state !== "draining" || isEager || endingDue(slot) <= now;
    const idle = slots.filter((slot) => (slot.lease === null || slot.state === "draining") && isDue(slot));
    await Promise.all([
      this.#containers.retireAll(idle.map(({ containerId }) => ({ containerId, reason: "pool deleted" }))),
      drain.releases ? this.#releaseAll() : null,
    ]);
  }

  async #releaseAll(): Promise<void> {
    const asked = new Set(this.#underWay()?.failed.map((one) => one.tenantId));
    const left = leased(this.#store.slots).filter((slot) => slot.lease && !asked.has(slot.lease.tenantId));
    await atMost(RELEASES_AT_ONCE, left, (slot) => this.#release(slot));
  }

  async #release({ lease, containerId }: Slot): Promise<void> {
    const drain = this.#underWay();
    if (!lease || !drain) return;
    const released = await this.#effects.release(lease.tenantId, drain.by);
    const { record } = this.#store;
    if (!released.ok && record?.drain && this.#store.slot(containerId)?.lease) {
      const { code, detail } = released.failure;
      const failed = [...record.drain.failed, { tenantId: lease.tenantId, code, detail }];
      this.#store.save({ record: { ...record, drain: { ...record.drain, failed } } });
      return;
    }
    // Its container is ended by its tenant, or is nobody's by now: asked for here too, so that nothing waits for an alarm.
    if (released.ok && released.value === "released") await this.#containers.retire(containerId, "pool deleted");
  }

  /** The registry forgets the pool before the pool forgets itself: in between, its name cannot be used. */
  async #finish(): Promise<void> {
    const drain = this.#underWay();
    if (!drain || this.#store.slots.length > 0) return;
    const { record } = this.#store;
    if (!record || !(await this.#effects.unregister(record.id))) return;
    const now = Date.now();
    const current = this.#store.record ?? record;
    const { record: rest, entries } = deleted({ ...current, rollout: null }, drain, now);
    this.#store.save({ record: rest, entries: [...rolloutEntries(current, null, SYSTEM, now), ...entries] });
  }

  #underWay(): Drain | null {
    const { record } = this.#store;
    return record?.drain && !isDeleted(record) ? record.drain : null;
  }
}
