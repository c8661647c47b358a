import { DurableObject } from "cloudflare:workers";
import { messageOf, sleep } from "../durable/deadline.ts";
import { type ContainerId, containerId, type Epoch, type TenantId } from "../ids.ts";
import { log } from "../log.ts";
import { done, type Failure, failed, type Outcome } from "../outcome.ts";
import type { PoolSpec, Workload } from "../registry/specs.ts";
import { Effects } from "./effects.ts";
import { CONFIRM_MS, describe, type LeasePlan, leaseSlot, planLease, planRefill, planShrink, retryAt } from "./plan.ts";
import { type PoolRecord, type Slot, tierOf } from "./record.ts";
import { PoolStore } from "./store.ts";
import type { Lease, LeaseRequest, PoolApi, PoolDescription } from "./types.ts";

const OBSERVE_EVERY_MS = 60_000;
const RETRY_RETIRE_MS = 5_000;
/** Refill waits a moment, so that a burst of claims goes first. */
const REFILL_DELAY_MS = 50;
const JITTER_MS = 150;

/** One pool's slots: the only writer of who holds which container. Containers are started and destroyed from here only. */
export class Pool extends DurableObject<Env> implements PoolApi {
  readonly #store = new PoolStore(this.ctx.storage);
  readonly #effects = new Effects(this.env);
  /** Slots that were seen alive since this object is in memory; a stored `warm` alone proves nothing after a restart. */
  readonly #live = new Set<ContainerId>();
  readonly #starts = new Map<ContainerId, Promise<Outcome<null>>>();
  readonly #retirements = new Map<ContainerId, Promise<Outcome<null>>>();
  #refilling = false;
  #looked = false;

  async configure(spec: PoolSpec, workload: Workload): Promise<Outcome<PoolDescription>> {
    const before = this.#store.record;
    const record: PoolRecord = {
      version: 1,
      id: spec.id as PoolRecord["id"],
      spec,
      workload,
      paused: before?.paused ?? false,
      claims: before?.claims ?? 0,
      hits: before?.hits ?? 0,
      failures: null,
    };
    this.#store.save({ record, alarm: Date.now() + OBSERVE_EVERY_MS });
    this.#refillSoon(0);
    return this.describe();
  }

  async describe(): Promise<Outcome<PoolDescription>> {
    const record = this.#store.record;
    if (!record) return failed("not_found", "There is no such pool.");
    this.#lookAfterRestart();
    return done(describe(record, this.#store.slots, (id) => this.#live.has(id)));
  }

  /** Stops or resumes refill and shrinking; claims are not affected. */
  async pause(paused: "paused" | "running"): Promise<Outcome<PoolDescription>> {
    const record = this.#store.record;
    if (!record) return failed("not_found", "There is no such pool.");
    this.#store.save({ record: { ...record, paused: paused === "paused" } });
    this.#refillSoon(0);
    return this.describe();
  }

  async lease(request: LeaseRequest): Promise<Outcome<Lease>> {
    this.#lookAfterRestart();
    for (;;) {
      const record = this.#store.record;
      if (!record) return failed("not_found", "There is no such pool.");
      const { plan, superseded } = planLease(record, this.#store.slots, request);
      for (const slot of superseded) this.#background(this.retire(slot.containerId, "superseded"));
      if (plan.kind === "stale") return failed("stale_epoch", `The tenant holds a lease of a later epoch.`);
      if (plan.kind === "full") {
        return failed("capacity_exhausted", `Pool ${record.id} holds ${record.spec.maxSize} containers, its maxSize.`, {
          retryAfterMs: 5_000,
        });
      }
      if (plan.kind !== "start" && !(await this.#isUsable(plan.slot))) {
        this.#background(this.retire(plan.slot.containerId, "not running"));
        continue;
      }
      const slot = this.#take(this.#store.record ?? record, plan, request);
      if (!slot) continue; // another claim was faster while this one looked
      return this.#leaseOf(record, slot);
    }
  }

  async holder(containerId: ContainerId): Promise<{ tenantId: TenantId; epoch: Epoch } | null> {
    const slot = this.#store.slot(containerId);
    if (!slot?.lease || slot.state === "draining") return null;
    return { tenantId: slot.lease.tenantId, epoch: slot.lease.epoch };
  }

  retire(id: ContainerId, reason: string): Promise<Outcome<null>> {
    const running = this.#retirements.get(id);
    if (running) return running;
    const retirement = this.#retire(id, reason).finally(() => this.#retirements.delete(id));
    this.#retirements.set(id, retirement);
    return retirement;
  }

  override async alarm(): Promise<void> {
    this.#store.alarm.rang();
    await this.#reconcile();
  }

  /** Records the lease; null when the slot is no longer what the plan saw. */
  #take(record: PoolRecord, plan: Granted, request: LeaseRequest): Slot | null {
    if (plan.kind === "again") {
      const slot = this.#store.slot(plan.slot.containerId);
      return slot?.state === "draining" ? null : slot;
    }
    if (plan.kind !== "start" && this.#store.slot(plan.slot.containerId) !== plan.slot) return null;
    const now = Date.now();
    const slot = leaseSlot(record, plan, request, newContainerId(), now);
    const counted = { ...record, claims: record.claims + 1, hits: record.hits + (plan.kind === "warm" ? 1 : 0) };
    this.#store.save({ record: counted, put: [slot], alarm: now + CONFIRM_MS });
    if (plan.kind === "start") this.#start(slot, 0);
    this.#refillSoon(REFILL_DELAY_MS);
    return slot;
  }

  async #leaseOf(record: PoolRecord, slot: Slot): Promise<Outcome<Lease>> {
    if (slot.state === "starting") {
      const started = await (this.#starts.get(slot.containerId) ?? this.#start(slot, 0));
      if (!started.ok) return started;
    }
    if (!slot.lease) return failed("internal", "The slot has no lease.");
    const { launch, reason } = slot.lease;
    return done({
      containerId: slot.containerId,
      launch,
      ...(reason ? { reason } : {}),
      tier: slot.tier,
      workload: record.workload,
      idleTimeoutMs: record.spec.idleTimeoutMs,
    });
  }

  /** Starts a slot's container; every caller gets the same promise. A failed start retires the slot. */
  #start(slot: Slot, delayMs: number): Promise<Outcome<null>> {
    const start = this.#boot(slot, delayMs).finally(() => {
      this.#starts.delete(slot.containerId);
      this.#refillSoon(0);
    });
    this.#starts.set(slot.containerId, start);
    this.#background(start);
    return start;
  }

  async #boot(slot: Slot, delayMs: number): Promise<Outcome<null>> {
    await sleep(delayMs);
    const record = this.#store.record;
    if (!record) return failed("internal", "The pool is gone.");
    if (this.#store.slot(slot.containerId)?.state !== "starting") return this.#started(slot.containerId);
    const outcome = await this.#effects.start(record, slot);
    this.#starts.delete(slot.containerId);
    return outcome.ok ? this.#started(slot.containerId) : this.#startFailed(slot.containerId, outcome.failure);
  }

  #started(id: ContainerId): Outcome<null> {
    const { record } = this.#store;
    const slot = this.#store.slot(id);
    if (!record || slot?.state !== "starting") {
      // Retired meanwhile. What the start made after that (an admission, a container) goes as well.
      const before = this.#retirements.get(id) ?? Promise.resolve();
      this.#background(before.then(() => this.retire(id, "retired while it started")));
      return failed("start_failed", "The container was retired while it started.");
    }
    this.#live.add(id);
    const healthy = record.failures === null ? {} : { record: { ...record, failures: null } };
    this.#store.save({ ...healthy, put: [{ ...slot, state: slot.lease ? "assigned" : "warm", since: Date.now() }] });
    return done(null);
  }

  #startFailed(id: ContainerId, failure: Failure): Outcome<null> {
    const { record } = this.#store;
    const now = Date.now();
    if (record) {
      const failures = { count: (record.failures?.count ?? 0) + 1, at: now, detail: failure.detail };
      this.#store.save({ record: { ...record, failures }, alarm: retryAt({ ...record, failures }) });
    }
    this.#background(this.retire(id, failure.code));
    return { ok: false, failure };
  }

  async #retire(id: ContainerId, reason: string): Promise<Outcome<null>> {
    this.#live.delete(id);
    // A start that is under way may yet make a container: the slot stays until its end, or the alarm, asked again.
    const startsYet = this.#starts.has(id);
    const slot = this.#store.slot(id);
    if (slot && slot.state !== "draining") {
      this.#store.save({
        put: [{ ...slot, state: "draining", since: Date.now() }],
        alarm: Date.now() + RETRY_RETIRE_MS,
      });
      this.#refillSoon(REFILL_DELAY_MS);
    }
    const gone = await this.#effects.retire(id, reason);
    if (!gone.ok) return gone; // stays draining; the alarm asks again
    if (this.#store.slot(id) && !startsYet) this.#store.save({ remove: [id] });
    return done(null);
  }

  /** Brings what is stored and what is there together: what died, what was given up, what is missing, what is too much. */
  async #reconcile(): Promise<void> {
    const now = Date.now();
    const { record } = this.#store;
    if (!record) return;
    this.#looked = true;
    const slots = this.#store.slots;
    await Promise.all([
      ...slots.filter((slot) => slot.state === "draining").map((slot) => this.retire(slot.containerId, "swept")),
      ...slots.filter((slot) => slot.state === "warm").map((slot) => this.#checkWarm(slot)),
      ...slots
        .filter((slot) => slot.state === "starting" && !this.#starts.has(slot.containerId))
        .map((slot) => this.#resumeStart(slot)),
      ...slots
        .filter((slot) => slot.lease?.confirmBy && slot.lease.confirmBy <= now)
        .map((slot) => this.#confirm(slot)),
      ...planShrink(record, slots, now).map((id) => this.retire(id, "surplus")),
    ]);
    this.#refill();
    this.#store.alarm.arm(this.#nextAlarm(Date.now()));
  }

  #nextAlarm(now: number): number {
    const draining = this.#store.slots.some((slot) => slot.state === "draining");
    const retry = this.#store.record ? retryAt(this.#store.record) : 0;
    const due = [now + OBSERVE_EVERY_MS * (1 + Math.random() / 5)];
    if (draining) due.push(now + RETRY_RETIRE_MS);
    if (retry > now) due.push(retry);
    return Math.max(now + 1, Math.ceil(Math.min(...due)));
  }

  async #checkWarm(slot: Slot): Promise<void> {
    if (!(await this.#isAlive(slot)) && this.#store.slot(slot.containerId)?.state === "warm")
      await this.retire(slot.containerId, "not running");
  }

  /** A start whose promise died with an earlier life of this object goes on (booting is idempotent) where its container is still there. */
  async #resumeStart(slot: Slot): Promise<void> {
    const alive = await this.#isAlive(slot);
    const current = this.#store.slot(slot.containerId);
    if (current?.state !== "starting" || this.#starts.has(slot.containerId)) return;
    if (alive) this.#start(current, 0);
    else await this.retire(slot.containerId, "start interrupted");
  }

  /** Whether a slot may be given out: of what an earlier life of this object stored, only what still runs. */
  async #isUsable(slot: Slot): Promise<boolean> {
    if (slot.state === "warm") return this.#live.has(slot.containerId) || (await this.#isAlive(slot));
    if (slot.state === "starting") return this.#starts.has(slot.containerId) || (await this.#isAlive(slot));
    return true; // leased already: its tenant finds out, and asks again under a new epoch
  }

  async #isAlive(slot: Slot): Promise<boolean> {
    const alive = await this.#effects.isAlive(slot.containerId);
    if (alive) this.#live.add(slot.containerId);
    return alive;
  }

  /** A lease that was never confirmed: its tenant says whether it has the container. No answer → asked again, never reused. */
  async #confirm(slot: Slot): Promise<void> {
    if (!slot.lease) return;
    const owned = await this.#effects.isOwned(slot.containerId, slot.lease);
    if (owned === null) return this.#store.alarm.arm(Date.now() + RETRY_RETIRE_MS);
    const current = this.#store.slot(slot.containerId);
    if (!current?.lease || current.state === "draining") return;
    if (owned) this.#store.save({ put: [{ ...current, lease: { ...current.lease, confirmBy: null } }] });
    else await this.retire(slot.containerId, "not claimed");
  }

  #refill(): void {
    const { record } = this.#store;
    if (!record) return;
    const now = Date.now();
    const own = this.#store.slots.filter((slot) => this.#starts.has(slot.containerId) && slot.lease === null).length;
    const missing = planRefill(record, this.#store.slots, own, now);
    const fresh = Array.from(
      { length: missing },
      (): Slot => ({ containerId: newContainerId(), state: "starting", tier: tierOf(record), since: now, lease: null }),
    );
    if (fresh.length === 0) return;
    this.#store.save({ put: fresh, alarm: now + OBSERVE_EVERY_MS });
    fresh.forEach((slot, index) => {
      this.#start(slot, index === 0 ? 0 : Math.random() * JITTER_MS);
    });
  }

  #refillSoon(delayMs: number): void {
    if (this.#refilling) return;
    this.#refilling = true;
    this.#background(
      sleep(delayMs).then(() => {
        this.#refilling = false;
        this.#refill();
      }),
    );
  }

  /** The first call after this object was constructed looks at what it has, before it says or gives anything. */
  #lookAfterRestart(): void {
    if (this.#looked) return;
    this.#looked = true;
    if (this.#store.slots.length > 0) this.#background(this.#reconcile());
  }

  #background(work: Promise<unknown>): void {
    this.ctx.waitUntil(
      work.catch((error) => log.error("pool: work in the background failed", { error: messageOf(error) })),
    );
  }
}

type Granted = Exclude<LeasePlan, { kind: "full" } | { kind: "stale" }>;

const newContainerId = (): ContainerId => containerId(crypto.getRandomValues(new Uint8Array(20)));
