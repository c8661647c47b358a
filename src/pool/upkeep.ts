import { SYSTEM } from "../auth/principal.ts";
import { sleep } from "../durable/deadline.ts";
import { type ContainerId, containerId } from "../ids.ts";
import { configured } from "./administer.ts";
import type { Containers } from "./containers.ts";
import type { Effects } from "./effects.ts";
import { newSlot } from "./plan-lease.ts";
import { nextAlarm, planRefill, planReplace, planShrink } from "./plan-size.ts";
import type { Slot } from "./record.ts";
import type { PoolStore } from "./store.ts";

/** Refill waits a moment, so that a burst of claims goes first. */
const REFILL_DELAY_MS = 50;
const JITTER_MS = 150;
const ADOPT_EVERY_MS = 30_000;

interface Hooks {
  background(work: Promise<unknown>): void;
  onReconciled(): void;
}

/** Keeps a pool at what it should be: looks at what it has, and starts and ends containers until that fits its plan. */
export class Upkeep {
  readonly #store: PoolStore;
  readonly #effects: Effects;
  readonly #containers: Containers;
  readonly #hooks: Hooks;
  #refilling = false;
  #looked = false;
  #adoptedAt = 0;

  constructor(store: PoolStore, effects: Effects, containers: Containers, hooks: Hooks) {
    this.#store = store;
    this.#effects = effects;
    this.#containers = containers;
    this.#hooks = hooks;
  }

  /** Takes over what the registry says, which is what counts: whoever changed it may have ended before this pool heard of it. */
  async adopt(): Promise<void> {
    const before = this.#store.record;
    if (!before || before.drain) return;
    this.#adoptedAt = Date.now();
    const registered = await this.#effects.registered(before.id);
    if (!registered || this.#store.record?.drain) return;
    const adopted = configured(this.#store.record, this.#store.slots, registered, SYSTEM, Date.now());
    if (!adopted.ok || adopted.value.entries.length === 0) return;
    this.#store.save(adopted.value);
    this.refillSoon("now");
  }

  /** The same for an alarm, which may ring more often than the registry is worth reading. */
  async adoptNowAndThen(): Promise<void> {
    if (Date.now() - this.#adoptedAt >= ADOPT_EVERY_MS) await this.adopt();
  }

  /** Brings what is stored and what is there together: what died, what was given up, what is missing, what is too much. */
  async reconcile(): Promise<void> {
    const now = Date.now();
    const { record, slots } = this.#store;
    if (!record) return;
    this.#looked = true;
    const containers = this.#containers;
    const begun = (slot: Slot) => containers.isStarting(slot.containerId);
    const overdue = (slot: Slot) => slot.lease?.confirmBy != null && slot.lease.confirmBy <= now;
    await Promise.all([
      ...slots.filter((slot) => slot.state === "draining").map((slot) => containers.retire(slot.containerId, "swept")),
      ...slots.filter((slot) => slot.state === "warm").map((slot) => containers.checkWarm(slot)),
      ...slots.filter((slot) => slot.state === "starting" && !begun(slot)).map((slot) => containers.resumeStart(slot)),
      ...slots.filter(overdue).map((slot) => containers.confirm(slot)),
      ...planShrink(record, slots, now).map((id) => containers.retire(id, "surplus")),
    ]);
    this.#refill();
    this.#hooks.onReconciled();
    const after = this.#store.record ?? record;
    this.#store.alarm.arm(nextAlarm(after, this.#store.slots, Date.now(), Math.random()));
  }

  /** Replaces what is outdated and starts what is missing. */
  #refill(): void {
    const { record, slots } = this.#store;
    if (!record) return;
    for (const id of planReplace(record, slots)) this.#hooks.background(this.#containers.retire(id, "replaced"));
    const now = Date.now();
    const own = slots.filter((slot) => this.#containers.isStarting(slot.containerId) && slot.lease === null).length;
    const missing = planRefill(record, slots, own, now);
    const fresh = Array.from({ length: missing }, () => newSlot(record, newContainerId(), now));
    if (fresh.length === 0) return;
    this.#store.save({ put: fresh, alarm: nextAlarm(record, fresh, now, Math.random()) });
    fresh.forEach((slot, index) => {
      this.#containers.start(slot, index === 0 ? 0 : Math.random() * JITTER_MS);
    });
  }

  refillSoon(when: "now" | "soon"): void {
    if (this.#refilling) return;
    this.#refilling = true;
    this.#hooks.background(
      sleep(when === "now" ? 0 : REFILL_DELAY_MS).then(() => {
        this.#refilling = false;
        this.#refill();
      }),
    );
  }

  /** The first call after this object was constructed looks at what it has, before it says or gives anything. */
  lookAfterRestart(): void {
    if (this.#looked) return;
    this.#looked = true;
    if (this.#store.slots.length > 0) this.#hooks.background(this.reconcile());
  }
}

export const newContainerId = (): ContainerId => containerId(crypto.getRandomValues(new Uint8Array(20)));
