import type { ContainerId, PoolId } from "../ids.ts";
import { done, failed, type Outcome } from "../outcome.ts";
import { beingDeleted } from "./administer.ts";
import type { Containers } from "./containers.ts";
import { type Effects, LONGEST_WAIT_MS } from "./effects.ts";
import { type Answer, Line } from "./line.ts";
import { keptVersion } from "./pinned.ts";
import { CONFIRM_MS, heldBy, type LeasePlan, leaseSlot, planLease, STARTS_PER_TENANT } from "./plan-lease.ts";
import { isDeleted, knowsVersion, type PoolRecord, type Slot, withVersion, workloadOf } from "./record.ts";
import { withClaim } from "./statistics.ts";
import type { PoolStore } from "./store.ts";
import type { Lease, LeaseRequest } from "./types.ts";

/** Claims that may wait for room at a time; more are refused at once. */
const MOST_WAITING = 200;
/** What a caller is told to whom the pool has nothing to give (F47). */
const RETRY_MS = 30_000;
/** Pools that a lease may have come through. */
const MOST_FALLBACKS = 3;

interface Hooks {
  background(work: Promise<unknown>): void;
  /** A slot was taken: another may have to be started. */
  onTaken(): void;
  newContainerId(): ContainerId;
}

type Taken = Outcome<Slot>;
type Granted = Extract<LeasePlan, { kind: "again" | "warm" | "reserve" | "start" }>;

/** Who gets which slot: at once, after a wait where the claim asked for one, from the fallback pool, or not. */
export class Leases {
  readonly #store: PoolStore;
  readonly #effects: Effects;
  readonly #containers: Containers;
  readonly #hooks: Hooks;
  readonly #line = new Line<Taken>(MOST_WAITING, (request, isThere) => this.#find(request, isThere));

  constructor(store: PoolStore, effects: Effects, containers: Containers, hooks: Hooks) {
    this.#store = store;
    this.#effects = effects;
    this.#containers = containers;
    this.#hooks = hooks;
  }

  /** Claims that wait. */
  get waiting(): number {
    return this.#line.length;
  }

  /** Those of them that the next free place is for. */
  get waitingForRoom(): number {
    return this.#line.forRoom;
  }

  /** Something may have become free: those who wait come before anything else. */
  serve(): void {
    if (this.#line.length > 0) this.#hooks.background(this.#line.serve());
  }

  async lease(request: LeaseRequest): Promise<Outcome<Lease>> {
    const waitMs = Math.max(0, Math.min(request.waitMs ?? 0, LONGEST_WAIT_MS));
    const began = Date.now();
    const diverted = this.#store.diversion(request.tenantId);
    if (diverted && diverted.epoch > request.epoch) return stale();
    if (diverted?.epoch === request.epoch) {
      const again = await this.#divert(request, diverted.poolId);
      if (again.ok || !isNotThere(again)) return again;
    }
    const fallback = this.#fallbackOf(request);
    const first = await this.#attempt(request, fallback ? 0 : waitMs);
    if (first.ok || !fallback || !isFull(first)) return first;
    // What of the tenant's files its pool's sync specs name, another pool's containers do not reach.
    const elsewhere = (await this.#isSynchronised()) ? first : await this.#divert(request, fallback);
    if (elsewhere.ok || waitMs === 0) return elsewhere.ok ? elsewhere : first;
    return this.#attempt(request, waitMs - Math.max(0, Date.now() - began));
  }

  /** From this pool, waiting at most so long for room, and for a tier that is full. */
  async #attempt(request: LeaseRequest, waitMs: number): Promise<Outcome<Lease>> {
    const began = Date.now();
    const taken = await this.#takeOrWait(request, waitMs);
    if (!taken.ok) return taken;
    return this.#leaseOf(taken.value, Math.max(0, waitMs - Math.max(0, Date.now() - began)));
  }

  async #takeOrWait(request: LeaseRequest, waitMs: number): Promise<Taken> {
    // Who comes while others wait goes behind them, but for what is their own already, or takes the place of that.
    const isNext = this.#line.length === 0 || heldBy(this.#store.slots, request).length > 0;
    const first = isNext ? await this.#find(request, () => true) : null;
    if (first !== null && (typeof first !== "string" || waitMs <= 0)) return this.#takenOf(first);
    const waited = this.#line.wait(request, waitMs);
    this.serve();
    return this.#takenOf(await waited);
  }

  /** What there is for a request. */
  async #find(request: LeaseRequest, isThere: () => boolean): Promise<Answer<Taken>> {
    for (;;) {
      const known = this.#store.record;
      if (known && runsAnother(known, request)) return { found: noPool() };
      const missing = known ? await this.#effects.missingVersion(known, request) : done(null);
      if (!missing.ok) return { found: missing };
      const record = this.#store.record;
      if (!record || isDeleted(record)) return { found: noPool() };
      if (missing.value) {
        this.#store.save({ record: withVersion(record, missing.value) });
        continue;
      }
      const { plan, superseded } = planLease(record, this.#store.slots, request);
      for (const slot of superseded) this.#hooks.background(this.#containers.retire(slot.containerId, "superseded"));
      switch (plan.kind) {
        case "stale":
          return { found: stale() };
        case "forgotten":
          this.#hooks.background(this.#containers.retire(plan.slot.containerId, "of an unknown version"));
          return { found: forgotten(plan.slot) };
        case "draining":
          return { found: beingDeleted(record) };
        case "full":
          return plan.of === "pool" ? "full" : "not-it";
      }
      if (plan.kind !== "start" && !(await this.#containers.isUsable(plan.slot))) {
        this.#hooks.background(this.#containers.retire(plan.slot.containerId, "not running"));
        continue;
      }
      if (!isThere()) return "not-it";
      const slot = this.#take(plan, request);
      // Null: another claim was faster while this one looked, or the pool is another by now.
      if (slot) return { found: done(slot) };
    }
  }

  /** Records the lease; null when the slot is no longer what the plan saw. */
  #take(plan: Granted, request: LeaseRequest): Slot | null {
    const { record, statistics } = this.#store;
    if (plan.kind === "again") {
      const slot = this.#store.slot(plan.slot.containerId);
      return slot?.state === "draining" ? null : slot;
    }
    if (!record || record.drain || !knowsVersion(record, keptVersion(record, request) ?? record.workloadVersion))
      return null;
    if (plan.kind !== "start" && this.#store.slot(plan.slot.containerId) !== plan.slot) return null;
    const now = Date.now();
    const slot = leaseSlot(record, plan, request, this.#hooks.newContainerId(), now);
    this.#store.save({
      statistics: withClaim(statistics, plan.kind === "warm" ? plan.slot : null, now),
      put: [slot],
      tenants: [request.tenantId],
      alarm: now + CONFIRM_MS,
    });
    this.#hooks.onTaken();
    return slot;
  }

  async #leaseOf(slot: Slot, waitMs: number): Promise<Outcome<Lease>> {
    if (slot.state === "starting") {
      const started = await this.#containers.start(slot, { waitMs });
      if (!started.ok) return started;
    }
    const { record } = this.#store;
    if (!slot.lease || !record) return failed("internal", "The slot has no lease.");
    const { launch, reason } = slot.lease;
    return done({
      containerId: slot.containerId,
      poolId: record.id,
      launch,
      ...(reason ? { reason } : {}),
      tier: slot.tier,
      workload: workloadOf(record, slot),
      workloadVersion: slot.workloadVersion,
      idleTimeoutMs: record.spec.idleTimeoutMs,
    });
  }

  /** Where to ask instead; null where nobody else may be asked. */
  #fallbackOf({ via = [] }: LeaseRequest): PoolId | null {
    const { record } = this.#store;
    const poolId = record?.spec.fallbackPoolId as PoolId | undefined;
    if (!record || record.drain || poolId === undefined) return null;
    return via.includes(poolId) || via.length >= MOST_FALLBACKS ? null : poolId;
  }

  async #isSynchronised(): Promise<boolean> {
    const { record } = this.#store;
    return record === null || (await this.#effects.isSynchronised(record.id));
  }

  /** The same request to another pool, which is remembered first: asked again for this epoch, this pool asks there again. */
  async #divert(request: LeaseRequest, poolId: PoolId): Promise<Outcome<Lease>> {
    const { record } = this.#store;
    if (!record) return noPool();
    const { tenantId, epoch, via = [] } = request;
    this.#store.divert(tenantId, { epoch, poolId });
    const leased = await this.#effects.leaseFrom(poolId, {
      ...request,
      waitMs: 0,
      via: [...via, record.id],
      workloadId: record.spec.workloadId,
    });
    if (leased.ok) return done({ ...leased.value, reason: "fallback_pool" });
    // Whether it has the tenant is not known after an answer that got lost: it is asked there again.
    if (leased.failure.code !== "operation_interrupted") this.#store.divert(tenantId, null);
    return leased;
  }

  #takenOf(answer: Answer<Taken>): Taken {
    if (typeof answer !== "string") return answer.found;
    const { record } = this.#store;
    const [limit, detail] =
      answer === "full"
        ? ["pool", `Pool ${record?.id} holds ${record?.spec.maxSize} containers, its maxSize.`]
        : ["tenant", `${STARTS_PER_TENANT} containers of this tenant are starting or ending.`];
    return failed("capacity_exhausted", detail, { retryAfterMs: RETRY_MS, extra: { limit } });
  }
}

/** Of the pool or its tier; what a tenant has too much of itself, it gets nowhere. */
const isFull = (outcome: Outcome<unknown>): boolean =>
  !outcome.ok && outcome.failure.code === "capacity_exhausted" && outcome.failure.extra?.limit !== "tenant";

/** A tenant's state and secrets are never given to another workload, by whatever name somebody sent it here. */
const runsAnother = ({ spec }: PoolRecord, { workloadId = spec.workloadId }: LeaseRequest): boolean =>
  workloadId !== spec.workloadId;

/** That pool was deleted meanwhile: it has nothing of this tenant, and never will. */
const isNotThere = (outcome: Outcome<unknown>): boolean => !outcome.ok && outcome.failure.extra?.refused !== undefined;

export const noPool = () => failed("not_found", "There is no such pool.", { extra: { refused: "no_pool" } });
const forgotten = ({ workloadVersion }: Slot) =>
  failed("start_failed", `What version ${workloadVersion} of the workload said is not known any more.`);
const stale = () => failed("stale_epoch", "The tenant holds a lease of a later epoch.");
