import { SYSTEM } from "../auth/principal.ts";
import { atMost } from "../durable/at-most.ts";
import { sleep } from "../durable/deadline.ts";
import type { ContainerId } from "../ids.ts";
import { configured } from "./administer.ts";
import { DRY_MS, exhaustion, tiersQuiet } from "./alerts.ts";
import { newContainerId } from "./container-id.ts";
import type { Containers } from "./containers.ts";
import type { Effects } from "./effects.ts";
import { newSlot } from "./plan-lease.ts";
import { type PoolStep, planReconcile } from "./plan-reconcile.ts";
import { nextAlarm } from "./plan-size.ts";
import { isDeleted } from "./record.ts";
import type { PoolStore } from "./store.ts";

/** Refill waits a moment, so that a burst of claims goes first. */
const REFILL_DELAY_MS = 50;
const JITTER_MS = 150;
const ADOPT_EVERY_MS = 30_000;
/** Leases with the fleet are renewed at least every minute; the alarm is at most 72 s away. */
const RENEW_EVERY_MS = 45_000;
/** Containers that are looked at or asked about at a time. */
const AT_ONCE = 25;

interface Hooks {
  background(work: Promise<unknown>): void;
  onReconciled(): void;
  /** Claims that the next free place is for. */
  waiting(): number;
  /** The longest that a start may take, in ms. */
  startCeilingMs(): number;
}

const endsOf = (steps: readonly PoolStep[]) => steps.filter((step) => step.do === "retire");

/** Keeps a pool at what it should be: looks at what it has, and starts and ends containers until that fits its plan. */
export class Upkeep {
  readonly #store: PoolStore;
  readonly #effects: Effects;
  readonly #containers: Containers;
  readonly #hooks: Hooks;
  #refilling = false;
  #looked = false;
  #adoptedAt = 0;
  #renewedAt = 0;
  #drySince: number | null = null;

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
    if (!adopted.ok || adopted.value.record === this.#store.record) return;
    this.#store.save(adopted.value);
    if (adopted.value.entries.length > 0) this.refillSoon("now");
  }

  /** The same for an alarm, which may ring more often than the registry is worth reading. */
  async adoptNowAndThen(): Promise<void> {
    if (Math.abs(Date.now() - this.#adoptedAt) >= ADOPT_EVERY_MS) await this.adopt();
  }

  /** Brings what is stored and what is there together: what died, what was given up, what is missing, what is too much. */
  async reconcile(): Promise<void> {
    const { record } = this.#store;
    if (!record) return;
    const steps = this.#plan(this.#looked ? "later" : "first");
    this.#looked = true;
    await Promise.all([
      this.#containers.retireAll(endsOf(steps)),
      atMost(AT_ONCE, steps, (step) => this.#ask(step)),
      this.#renewNowAndThen(),
    ]);
    this.#refill();
    this.#hooks.onReconciled();
    const after = this.#store.record ?? record;
    const [now, random] = [Date.now(), Math.random()];
    this.#store.alarm.arm(this.#containers.nextLook(nextAlarm(after, this.#store.slots, now, random), now));
  }

  /** Starts what is missing, and ends what is not wanted any more. */
  #refill(): void {
    const { record } = this.#store;
    if (!record) return;
    const steps = this.#plan("later");
    // In this order: what is started has the room of what goes.
    this.#hooks.background(this.#containers.retireAll(endsOf(steps)));
    for (const step of steps) if (step.do === "start") this.#start(step.count);
    this.#notice();
  }

  #plan(look: "first" | "later"): PoolStep[] {
    const { record, slots } = this.#store;
    if (!record || isDeleted(record)) return [];
    const memory = { ...this.#containers.memory, waiting: this.#hooks.waiting(), isFirstLook: look === "first" };
    return planReconcile(record, slots, memory, this.#hooks.startCeilingMs(), Date.now());
  }

  /** Performs those steps that ask about a slot, which may be another by the time its turn comes. */
  async #ask(step: PoolStep): Promise<void> {
    const containers = this.#containers;
    if (step.do === "start" || step.do === "retire") return;
    const slot = this.#store.slot(step.containerId);
    if (!slot) return;
    if (step.do === "look") return containers.checkWarm(slot);
    return step.do === "resume" ? containers.resumeStart(slot) : containers.confirm(slot);
  }

  #start(count: number): void {
    const { record } = this.#store;
    if (!record) return;
    const now = Date.now();
    const fresh = Array.from({ length: count }, () => newSlot(record, newContainerId(), now));
    this.#store.save({ put: fresh, alarm: nextAlarm(record, fresh, now, Math.random()) });
    fresh.forEach((slot, index) => {
      this.#containers.start(slot, { delayMs: index === 0 ? 0 : Math.random() * JITTER_MS });
    });
  }

  /** Raises and clears the alert that nothing is warm, and clears those of tiers that were full. */
  #notice(): void {
    const { record, slots } = this.#store;
    if (!record || isDeleted(record)) return;
    const now = Date.now();
    const { drySince, change } = exhaustion(record, slots, this.#drySince, now);
    this.#drySince = drySince;
    if (change) this.#store.save(change);
    else if (drySince !== null && record.exhaustedAt == null) this.#store.alarm.arm(drySince + DRY_MS + 1);
    const noted = change?.record ?? record;
    const quiet = tiersQuiet(noted, now);
    if (quiet.record !== noted) this.#store.save(quiet);
  }

  /** Tells the fleet what there is, and ends what it counts beyond that. */
  async #renewNowAndThen(): Promise<void> {
    if (Math.abs(Date.now() - this.#renewedAt) < RENEW_EVERY_MS) return;
    const { record } = this.#store;
    const held = this.#containers.counted();
    if (!record || (held.length === 0 && this.#renewedAt > 0)) return;
    const strangers = await this.#effects.renew(record.id, held);
    if (strangers === null) return;
    this.#renewedAt = Date.now();
    await this.endStrangers(strangers);
  }

  /** Ends containers that are no slot's: the fleet counts them until they are gone. */
  async endStrangers(ids: readonly ContainerId[]): Promise<void> {
    const unknown = ids.filter((id) => !this.#store.slot(id));
    await atMost(AT_ONCE, unknown, async (id) => void (await this.#containers.retire(id, "unknown to its pool")));
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

  /** Whatever is asked of the pool also sets an alarm again that the platform lost. */
  rearm(): void {
    const due = () => {
      const { record, slots } = this.#store;
      return record && nextAlarm(record, slots, Date.now(), Math.random());
    };
    this.#hooks.background(this.#store.alarm.rearm(due));
  }

  /** The first call after this object was constructed looks at what it has, before it says or gives anything. */
  lookAfterRestart(): void {
    this.rearm();
    if (this.#looked) return;
    if (this.#store.slots.length > 0) this.#hooks.background(this.reconcile());
    this.#looked = true;
  }
}
