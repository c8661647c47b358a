import { SYSTEM } from "../auth/principal.ts";
import { atMost } from "../durable/at-most.ts";
import { sleep } from "../durable/deadline.ts";
import type { Counted } from "../fleet/types.ts";
import type { ContainerId } from "../ids.ts";
import { done, type Failure, failed, type Outcome } from "../outcome.ts";
import { came, entry, went } from "./administer.ts";
import * as alerts from "./alerts.ts";
import { afterSuccess, refillFrom } from "./breaker.ts";
import type { Effects } from "./effects.ts";
import { afterFailedStart } from "./failed-start.ts";
import { afterTry } from "./plan-ending.ts";
import { LOOK_SLACK_MS } from "./plan-reconcile.ts";
import { isCurrent, type Slot } from "./record.ts";
import { withStart } from "./statistics.ts";
import type { PoolStore } from "./store.ts";

const RETRY_RETIRE_MS = 5_000;
const ENDS_AT_ONCE = 25;
/** A warm slot that was seen alive is looked at again after this, and up to so much more, so that looks spread. */
const LOOK_MS = 45_000;
const LOOK_SPREAD_MS = 12_000;

interface Hooks {
  background(work: Promise<unknown>): void;
  /** A start ended, or a slot was given up. */
  onRoom(when: "now" | "soon"): void;
  /** A slot is gone. */
  onGone(): void;
}

/**
 * The containers behind a pool's slots: each is started, looked at and ended by at most one call at a time, and what
 * comes of that is written into its slot.
 */
export class Containers {
  readonly #store: PoolStore;
  readonly #effects: Effects;
  readonly #hooks: Hooks;
  /** When slots are looked at again that were seen alive since this object is in memory; a stored `warm` alone proves nothing after a restart. */
  readonly #live = new Map<ContainerId, number>();
  /** Those whose start waits for its admission: they are counted nowhere yet. */
  readonly #unadmitted = new Set<ContainerId>();
  readonly #starts = new Map<ContainerId, Promise<Outcome<null>>>();
  /** How long those wait for a full tier that somebody wants who said so, in ms. */
  readonly #patience = new Map<ContainerId, number>();
  readonly #retirements = new Map<ContainerId, Promise<Outcome<null>>>();
  /** Those whose turn to be ended comes. */
  readonly #toEnd = new Set<ContainerId>();

  constructor(store: PoolStore, effects: Effects, hooks: Hooks) {
    this.#store = store;
    this.#effects = effects;
    this.#hooks = hooks;
  }

  isLive = (id: ContainerId): boolean => this.#live.has(id);
  /** What this life of the object knows beside what is stored. */
  readonly memory = {
    isStarting: (id: ContainerId): boolean => this.#starts.has(id),
    isEnding: (id: ContainerId): boolean => this.#retirements.has(id) || this.#toEnd.has(id),
    lookAt: (id: ContainerId): number | null => this.#live.get(id) ?? null,
  };

  /**
   * What the fleet has to count: every slot but those that it has not admitted, and those that are being ended: one may
   * have been given back already, and would count again.
   */
  counted(): Counted[] {
    return this.#store.slots
      .filter(({ containerId: id }) => !this.#unadmitted.has(id) && !this.#retirements.has(id))
      .map(({ containerId, tier }) => ({ containerId, tier }));
  }

  /** The earlier of `at` and the next look at a warm slot; looks that are close together are made together. */
  nextLook(at: number | null, now: number): number | null {
    const warm = this.#store.slots.filter((slot) => slot.state === "warm");
    const due = warm.map((slot) => Math.max(this.#live.get(slot.containerId) ?? now, now + LOOK_SLACK_MS));
    return at === null ? null : Math.min(at, ...due);
  }

  /**
   * The start of a slot's container, begun by whoever asks first. A failed start retires the slot. `waitMs`: how long it
   * waits where its tier is full; `resumed`: it was begun before, and counts.
   */
  start(slot: Slot, how: { delayMs?: number; waitMs?: number; resumed?: true } = {}): Promise<Outcome<null>> {
    const waitMs = Math.max(how.waitMs ?? 0, this.#patience.get(slot.containerId) ?? 0);
    const running = this.#starts.get(slot.containerId);
    if (waitMs > 0) this.#patience.set(slot.containerId, waitMs);
    if (running) return running;
    if (!how.resumed) this.#unadmitted.add(slot.containerId);
    const start = this.#boot(slot, how.delayMs ?? 0).finally(() => {
      this.#starts.delete(slot.containerId);
      this.#patience.delete(slot.containerId);
      this.#unadmitted.delete(slot.containerId);
      this.#hooks.onRoom("now");
    });
    this.#starts.set(slot.containerId, start);
    this.#hooks.background(start);
    return start;
  }

  /** Destroys a container; a slot that is not draining yet becomes so first. A failure means: asked again by the alarm. */
  retire(id: ContainerId, reason: string): Promise<Outcome<null>> {
    const running = this.#retirements.get(id);
    if (running) return running;
    const retirement = this.#retire(id, reason).finally(() => this.#retirements.delete(id));
    this.#retirements.set(id, retirement);
    return retirement;
  }

  /** Ends many, a few at a time. None of them can be given out from the call on, however long its turn takes to come. */
  async retireAll(ends: readonly { containerId: ContainerId; reason: string }[]): Promise<void> {
    const ids = ends.map(({ containerId }) => containerId);
    this.#giveUp(ids);
    for (const id of ids) this.#toEnd.add(id);
    try {
      await atMost(ENDS_AT_ONCE, ends, async ({ containerId, reason }) => {
        await this.retire(containerId, reason);
        this.#toEnd.delete(containerId);
      });
    } finally {
      for (const id of ids) this.#toEnd.delete(id);
    }
  }

  /** Whether a slot may be given out: of what an earlier life of this object stored, only what still runs. */
  async isUsable(slot: Slot): Promise<boolean> {
    if (slot.state === "warm") return this.#live.has(slot.containerId) || (await this.#isAlive(slot));
    if (slot.state === "starting") return this.#starts.has(slot.containerId) || (await this.#isAlive(slot));
    return true; // leased already: its tenant finds out, and asks again under a new epoch
  }

  async checkWarm(slot: Slot): Promise<void> {
    if (!(await this.#isAlive(slot)) && this.#store.slot(slot.containerId)?.state === "warm")
      await this.retire(slot.containerId, "not running");
  }

  /** A start whose promise died with an earlier life of this object goes on (booting is idempotent) where its container is still there. */
  async resumeStart(slot: Slot): Promise<void> {
    const alive = await this.#isAlive(slot);
    const current = this.#store.slot(slot.containerId);
    if (current?.state !== "starting" || this.#starts.has(slot.containerId)) return;
    if (alive) this.start(current, { resumed: true });
    else await this.retire(slot.containerId, "start interrupted");
  }

  /** A lease that was never confirmed: its tenant says whether it has the container. No answer → asked again, never reused. */
  async confirm(slot: Slot): Promise<void> {
    if (!slot.lease) return;
    const owned = await this.#effects.isOwned(slot.containerId, slot.lease);
    if (owned === null) return this.#store.alarm.arm(Date.now() + RETRY_RETIRE_MS);
    const current = this.#store.slot(slot.containerId);
    if (!current?.lease || current.state === "draining") return;
    if (owned) this.#store.save({ put: [{ ...current, lease: { ...current.lease, confirmBy: null } }] });
    else await this.retire(slot.containerId, "not claimed");
  }

  async #boot(slot: Slot, delayMs: number): Promise<Outcome<null>> {
    if (delayMs > 0) await sleep(delayMs);
    const record = this.#store.record;
    if (!record) return failed("internal", "The pool is gone.");
    const isWanted = () => this.#store.slot(slot.containerId)?.state === "starting";
    if (!isWanted()) return this.#started(slot.containerId);
    const outcome = await this.#effects.start(record, slot, {
      standing: () => (this.#store.slot(slot.containerId)?.lease ? "claim" : "refill"),
      waitMs: () => this.#patience.get(slot.containerId) ?? 0,
      isWanted,
      onAdmitted: () => this.#admitted(slot),
    });
    this.#starts.delete(slot.containerId);
    // What was given up meanwhile is no fault of what was started.
    if (!outcome.ok && isWanted()) return this.#startFailed(slot.containerId, outcome.failure);
    return this.#started(slot.containerId);
  }

  #admitted({ containerId, tier }: Slot): void {
    this.#unadmitted.delete(containerId);
    const { record } = this.#store;
    if (!record) return;
    const room = alerts.tierAdmitted(record, tier, Date.now());
    if (room.record !== record) this.#store.save(room);
  }

  #started(id: ContainerId): Outcome<null> {
    const { record, statistics } = this.#store;
    const slot = this.#store.slot(id);
    if (!record || slot?.state !== "starting") {
      // Retired meanwhile. What the start made after that (an admission, a container) goes as well.
      const before = this.#retirements.get(id) ?? Promise.resolve();
      this.#hooks.background(before.then(() => this.retire(id, "retired while it started")));
      return failed("start_failed", "The container was retired while it started.");
    }
    const now = Date.now();
    const startMs = Math.max(0, now - slot.startedAt); // also of a start that an earlier life of this object began
    this.#saw(id);
    // What another tier, version or network comes to says nothing of what the refill starts.
    const { record: healthy, closed } = isCurrent(record, slot) ? afterSuccess(record, now) : { record, closed: false };
    this.#store.save({
      ...(healthy === record ? {} : { record: healthy }),
      statistics: withStart(statistics, startMs),
      put: [{ ...slot, state: slot.lease ? "assigned" : "warm", since: now, startMs }],
      entries: [
        came(record, slot, now),
        ...(closed
          ? [entry("pool.breaker_closed", record, healthy, SYSTEM, now), alerts.breakerCleared(healthy, now)]
          : []),
      ],
    });
    return done(null);
  }

  #startFailed(id: ContainerId, failure: Failure): Outcome<null> {
    const { record } = this.#store;
    const slot = this.#store.slot(id);
    const now = Date.now();
    const after = record && slot && afterFailedStart(record, slot, failure, now);
    if (after && after.record !== record) {
      this.#store.save({ ...after, alarm: Math.max(now + 1, refillFrom(after.record)) });
    }
    this.#hooks.background(this.retire(id, failure.code));
    return { ok: false, failure };
  }

  /** Written before anything is ended: what is being ended is nobody's any more. */
  #giveUp(ids: readonly ContainerId[]): void {
    for (const id of ids) this.#live.delete(id);
    const now = Date.now();
    const slots = ids.flatMap((id) => this.#store.slot(id) ?? []).filter(({ state }) => state !== "draining");
    if (slots.length === 0) return;
    const put = slots.map((slot): Slot => ({ ...slot, state: "draining", since: now }));
    this.#store.save({ put, alarm: now + RETRY_RETIRE_MS });
    this.#hooks.onRoom("soon");
  }

  async #retire(id: ContainerId, reason: string): Promise<Outcome<null>> {
    // A start that is under way may yet make a container: the slot stays until its end, or the alarm, asked again.
    const startsYet = this.#starts.has(id);
    this.#giveUp([id]);
    const gone = await this.#effects.retire(id, reason);
    const { record } = this.#store;
    const ending = this.#store.slot(id);
    if (!ending || !record) return gone;
    const now = Date.now();
    if (!gone.ok) {
      // It stays draining, and is asked again.
      const { slot: tried, abandoned } = afterTry(ending, now, Math.random());
      const entries = abandoned ? [alerts.abandoned(record, tried, now)] : [];
      this.#store.save({ put: [tried], entries, alarm: tried.ending?.nextAt ?? null });
      return gone;
    }
    if (startsYet) return done(null);
    const found = ending.ending?.abandonedAt != null ? [alerts.foundGone(record, id, now)] : [];
    this.#store.save({ remove: [id], entries: [went(record, ending, reason, now), ...found] });
    this.#hooks.onGone();
    return done(null);
  }

  #saw(id: ContainerId): void {
    this.#live.set(id, Math.ceil(Date.now() + LOOK_MS + Math.random() * LOOK_SPREAD_MS));
  }

  async #isAlive(slot: Slot): Promise<boolean> {
    const alive = await this.#effects.isAlive(slot.containerId);
    if (alive) this.#saw(slot.containerId);
    return alive;
  }
}
