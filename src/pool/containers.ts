import { SYSTEM } from "../auth/principal.ts";
import { sleep } from "../durable/deadline.ts";
import type { ContainerId } from "../ids.ts";
import { done, type Failure, failed, type Outcome } from "../outcome.ts";
import { came, entry, went } from "./administer.ts";
import { afterFailure, afterSuccess, refillFrom } from "./breaker.ts";
import type { Effects } from "./effects.ts";
import type { Slot } from "./record.ts";
import { withStart } from "./statistics.ts";
import type { PoolStore } from "./store.ts";

const RETRY_RETIRE_MS = 5_000;

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
  /** Slots that were seen alive since this object is in memory; a stored `warm` alone proves nothing after a restart. */
  readonly #live = new Set<ContainerId>();
  readonly #starts = new Map<ContainerId, Promise<Outcome<null>>>();
  readonly #retirements = new Map<ContainerId, Promise<Outcome<null>>>();

  constructor(store: PoolStore, effects: Effects, hooks: Hooks) {
    this.#store = store;
    this.#effects = effects;
    this.#hooks = hooks;
  }

  isLive = (id: ContainerId): boolean => this.#live.has(id);
  isStarting = (id: ContainerId): boolean => this.#starts.has(id);

  /** The start of a slot's container, begun by whoever asks first. A failed start retires the slot. */
  start(slot: Slot, delayMs = 0): Promise<Outcome<null>> {
    const running = this.#starts.get(slot.containerId);
    if (running) return running;
    const start = this.#boot(slot, delayMs).finally(() => {
      this.#starts.delete(slot.containerId);
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
    if (alive) this.start(current);
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
    if (this.#store.slot(slot.containerId)?.state !== "starting") return this.#started(slot.containerId);
    const outcome = await this.#effects.start(record, slot);
    this.#starts.delete(slot.containerId);
    if (!outcome.ok) return this.#startFailed(slot.containerId, outcome.failure);
    return this.#started(slot.containerId);
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
    this.#live.add(id);
    const { record: healthy, closed } = afterSuccess(record, now);
    this.#store.save({
      ...(healthy === record ? {} : { record: healthy }),
      statistics: withStart(statistics, startMs),
      put: [{ ...slot, state: slot.lease ? "assigned" : "warm", since: now, startMs }],
      entries: [
        came(record, slot, now),
        ...(closed ? [entry("pool.breaker_closed", record, healthy, SYSTEM, now)] : []),
      ],
    });
    return done(null);
  }

  #startFailed(id: ContainerId, failure: Failure): Outcome<null> {
    const { record: before } = this.#store;
    const now = Date.now();
    if (before) {
      const { record, opened } = afterFailure(before, failure, now);
      const detail = { failures: record.failures?.count ?? 0, lastError: failure.detail };
      const entries = opened ? [entry("pool.breaker_opened", before, record, SYSTEM, now, detail)] : [];
      this.#store.save({ record, entries, alarm: Math.max(now + 1, refillFrom(record)) });
    }
    this.#hooks.background(this.retire(id, failure.code));
    return { ok: false, failure };
  }

  async #retire(id: ContainerId, reason: string): Promise<Outcome<null>> {
    this.#live.delete(id);
    // A start that is under way may yet make a container: the slot stays until its end, or the alarm, asked again.
    const startsYet = this.#starts.has(id);
    const slot = this.#store.slot(id);
    if (slot && slot.state !== "draining") {
      const now = Date.now();
      this.#store.save({ put: [{ ...slot, state: "draining", since: now }], alarm: now + RETRY_RETIRE_MS });
      this.#hooks.onRoom("soon");
    }
    const gone = await this.#effects.retire(id, reason);
    if (!gone.ok) return gone; // stays draining; the alarm asks again
    const { record } = this.#store;
    const ending = this.#store.slot(id);
    if (ending && !startsYet) {
      this.#store.save({ remove: [id], entries: record ? [went(record, ending, reason, Date.now())] : [] });
      this.#hooks.onGone();
    }
    return done(null);
  }

  async #isAlive(slot: Slot): Promise<boolean> {
    const alive = await this.#effects.isAlive(slot.containerId);
    if (alive) this.#live.add(slot.containerId);
    return alive;
  }
}
