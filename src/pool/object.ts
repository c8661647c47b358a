import { DurableObject } from "cloudflare:workers";
import type { OwnHead } from "../audit/verify.ts";
import type { By } from "../auth/principal.ts";
import type { AlarmStanding } from "../durable/alarm.ts";
import { DeadlineError, messageOf, within } from "../durable/deadline.ts";
import { Outbox } from "../durable/outbox.ts";
import type { ContainerId, Epoch, PoolId, TenantId } from "../ids.ts";
import type { ContainerEnd } from "../instance/types.ts";
import { log } from "../log.ts";
import { done, failed, type Outcome } from "../outcome.ts";
import type { PoolSpec, Workload } from "../registry/specs.ts";
import * as administer from "./administer.ts";
import { Containers } from "./containers.ts";
import { Deletion, deletionView } from "./deletion.ts";
import { describe, slotView } from "./describe.ts";
import { Effects } from "./effects.ts";
import { deletionId } from "./operation-id.ts";
import { keptVersion, missingVersion } from "./pinned.ts";
import { CONFIRM_MS, type LeasePlan, leaseSlot, planLease } from "./plan-lease.ts";
import { nextAlarm } from "./plan-size.ts";
import { Projection } from "./projection.ts";
import { isDeleted, knowsVersion, type PoolRecord, type Slot, withVersion, workloadOf } from "./record.ts";
import { Rollouts, steered } from "./rollouts.ts";
import { withClaim } from "./statistics.ts";
import { PoolStore } from "./store.ts";
import type { DeletionView, ExecNote, Lease, LeaseRequest, PoolApi, PoolDescription, SlotView } from "./types.ts";
import { newContainerId, Upkeep } from "./upkeep.ts";

/** One pool's slots: the only writer of who holds which container. Containers are started and destroyed from here only. */
export class Pool extends DurableObject<Env> implements PoolApi {
  readonly #outbox = new Outbox(
    (work) => this.#background(work),
    () => this.#projection.deliver(),
  );
  readonly #store = new PoolStore(this.ctx.storage, () => this.#outbox.soon());
  readonly #projection = new Projection(this.env.DB, this.#store);
  readonly #effects = new Effects(this.env);
  readonly #containers = new Containers(this.#store, this.#effects, {
    background: (work) => this.#background(work),
    onRoom: (when) => {
      this.#upkeep.refillSoon(when);
      this.#rollouts.proceed(); // what started may be what it waits for
    },
    onGone: () => this.#background(this.#deletion.proceed()),
  });
  readonly #deletion: Deletion = new Deletion(this.#store, this.#effects, this.#containers);
  readonly #rollouts: Rollouts = new Rollouts(this.env, this.#store, (work) => this.#background(work));
  readonly #upkeep: Upkeep = new Upkeep(this.#store, this.#effects, this.#containers, {
    background: (work) => this.#background(work),
    onReconciled: () => {
      if (this.#store.hasUnsent) this.#outbox.soon();
      this.#background(this.#deletion.proceed());
      this.#rollouts.proceed();
    },
  });

  async configure(
    spec: PoolSpec,
    workload: Workload,
    workloadVersion: number,
    by: By,
  ): Promise<Outcome<PoolDescription>> {
    const { record, slots } = this.#store;
    return this.#decide(administer.configured(record, slots, { spec, workload, workloadVersion }, by, Date.now()));
  }

  async upgrade(workload: Workload, workloadVersion: number, by: By): Promise<Outcome<PoolDescription>> {
    return this.#change((record) => {
      const given = { spec: record.spec, workload, workloadVersion };
      return administer.configured(record, this.#store.slots, given, by, Date.now());
    });
  }

  async describe(): Promise<Outcome<PoolDescription>> {
    const { record, slots, statistics } = this.#store;
    if (!record || isDeleted(record)) return noSuchPool();
    this.#upkeep.lookAfterRestart();
    return done(describe(record, slots, statistics, this.#containers.isLive, Date.now()));
  }

  async containers(): Promise<Outcome<SlotView[]>> {
    const { record, slots } = this.#store;
    if (!record || isDeleted(record)) return noSuchPool();
    this.#upkeep.lookAfterRestart();
    return done(slots.map((slot) => slotView(record, slot)));
  }

  async pause(refill: "paused" | "running", by: By): Promise<Outcome<PoolDescription>> {
    return this.#change((record) => done(administer.paused(record, refill, by, Date.now())));
  }

  async scale(target: number, by: By): Promise<Outcome<PoolDescription>> {
    return this.#change((record) => administer.scaled(record, this.#store.slots, target, by, Date.now()));
  }

  async resetBreaker(by: By): Promise<Outcome<PoolDescription>> {
    return this.#change((record) => done(administer.breakerReset(record, by, Date.now())));
  }

  async rollout(action: "halt" | "resume", by: By): Promise<Outcome<PoolDescription>> {
    return this.#change((record) => steered(record, action, by, Date.now()));
  }

  async drain(claimed: "refuse" | "release", waitMs: number, by: By): Promise<Outcome<DeletionView>> {
    const operationId = deletionId(crypto.randomUUID().replaceAll("-", ""), this.#store.record?.id ?? ("" as PoolId));
    const decided = await this.#change((record) =>
      administer.drained(record, this.#store.slots, claimed, operationId, by, Date.now()),
    );
    if (!decided.ok) return decided;
    const ended = this.#deletion.ended();
    this.#background(this.#deletion.proceed());
    if (waitMs > 0) {
      await within(waitMs, "drain", ended).catch((error) => {
        if (!(error instanceof DeadlineError)) throw error;
      });
    }
    return this.#deletionView(() => true);
  }

  async deletion(operationId: string): Promise<Outcome<DeletionView>> {
    return this.#deletionView((view) => view.operationId === operationId);
  }

  async lease(request: LeaseRequest): Promise<Outcome<Lease>> {
    this.#upkeep.lookAfterRestart();
    if ((request.minWorkloadVersion ?? 0) > (this.#store.record?.workloadVersion ?? 0)) await this.#upkeep.adopt();
    for (;;) {
      const known = this.#store.record;
      const missing = known ? await missingVersion(this.env.DB, known, request) : done(null);
      if (!missing.ok) return missing;
      const record = this.#store.record;
      if (!record || isDeleted(record)) return noSuchPool();
      if (missing.value) {
        this.#store.save({ record: withVersion(record, missing.value) });
        continue;
      }
      const { plan, superseded } = planLease(record, this.#store.slots, request);
      for (const slot of superseded) this.#background(this.retire(slot.containerId, "superseded"));
      switch (plan.kind) {
        case "stale":
          return failed("stale_epoch", "The tenant holds a lease of a later epoch.");
        case "draining":
          return administer.beingDeleted(record);
        case "full":
          return failed(
            "capacity_exhausted",
            `Pool ${record.id} holds ${record.spec.maxSize} containers, its maxSize.`,
            {
              retryAfterMs: 5_000,
            },
          );
      }
      if (plan.kind !== "start" && !(await this.#containers.isUsable(plan.slot))) {
        this.#background(this.retire(plan.slot.containerId, "not running"));
        continue;
      }
      const slot = this.#take(plan, request);
      if (!slot) continue; // another claim was faster while this one looked, or the pool is another by now
      return this.#leaseOf(slot);
    }
  }

  async chain(): Promise<OwnHead> {
    return this.#store.journal.head();
  }

  async holder(containerId: ContainerId): Promise<{ tenantId: TenantId; epoch: Epoch } | null> {
    const slot = this.#store.slot(containerId);
    if (!slot?.lease || slot.state === "draining") return null;
    return { tenantId: slot.lease.tenantId, epoch: slot.lease.epoch };
  }

  async has(containerId: ContainerId): Promise<boolean> {
    return this.#store.slot(containerId) !== null;
  }

  async ended(containerId: ContainerId, _end: ContainerEnd): Promise<void> {
    const slot = this.#store.slot(containerId);
    if (slot?.state === "warm") await this.#containers.checkWarm(slot);
  }

  async retire(id: ContainerId, reason: string): Promise<Outcome<null>> {
    return this.#containers.retire(id, reason);
  }

  async remove(id: ContainerId, claimed: "refuse" | "give-up", by: By): Promise<Outcome<{ gone: boolean }>> {
    const { record } = this.#store;
    const slot = this.#store.slot(id);
    if (!record || !slot) return failed("not_found", `There is no container ${id}.`);
    const removed = administer.removed(record, slot, claimed, by, Date.now());
    if (!removed.ok) return removed;
    this.#store.save({ put: removed.value.slots, entries: removed.value.entries, alarm: Date.now() + CONFIRM_MS });
    this.#upkeep.refillSoon("soon");
    const gone = await this.#containers.retire(id, `removed by ${by.actor}`);
    return done({ gone: gone.ok });
  }

  async noteExec(note: ExecNote, by: By): Promise<Outcome<null>> {
    const { record } = this.#store;
    const slot = this.#store.slot(note.containerId);
    if (!record || !slot) return failed("not_found", `There is no container ${note.containerId}.`);
    this.#store.save({ entries: [administer.executed(record, slot, note, by, Date.now())] });
    return done(null);
  }

  async tenants(after: string, limit: number): Promise<TenantId[]> {
    return this.#store.tenants(after, limit);
  }

  async forget(tenantId: TenantId): Promise<void> {
    this.#store.forget(tenantId);
  }

  async touch(mode: "look" | "mend"): Promise<AlarmStanding> {
    const { record, slots, alarm } = this.#store;
    const due = record && nextAlarm(record, slots, Date.now(), Math.random());
    const standing = await alarm.standing(due);
    if (standing === "lost" && mode === "mend") {
      alarm.rang();
      alarm.arm(due);
    }
    return standing;
  }

  async project(): Promise<Outcome<null>> {
    if (!this.#store.record) return noSuchPool();
    this.#store.resendEverything();
    try {
      while ((await this.#projection.deliver()) === "more");
      return done(null);
    } catch (error) {
      return failed("operation_interrupted", messageOf(error));
    }
  }

  override async alarm(): Promise<void> {
    this.#store.alarm.rang();
    await Promise.all([this.#upkeep.adoptNowAndThen(), this.#upkeep.reconcile()]);
  }

  async #change(decide: (record: PoolRecord) => Outcome<administer.Decision>): Promise<Outcome<PoolDescription>> {
    const { record } = this.#store;
    return !record || isDeleted(record) ? noSuchPool() : this.#decide(decide(record));
  }

  /** Stores what was decided, and lets the pool follow at once. */
  async #decide(decided: Outcome<administer.Decision>): Promise<Outcome<PoolDescription>> {
    if (!decided.ok) return decided;
    const { record, entries } = decided.value;
    if (record !== this.#store.record || entries.length > 0) {
      this.#store.save({ record, entries, alarm: nextAlarm(record, this.#store.slots, Date.now(), Math.random()) });
      this.#upkeep.refillSoon("now");
      this.#rollouts.proceed();
    }
    return this.describe();
  }

  #deletionView(fits: (view: DeletionView) => boolean): Outcome<DeletionView> {
    const { record, slots } = this.#store;
    const view = record && deletionView(record, slots);
    return view && fits(view) ? done(view) : failed("not_found", "There is no such operation.");
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
    const slot = leaseSlot(record, plan, request, newContainerId(), now);
    this.#store.save({
      statistics: withClaim(statistics, plan.kind === "warm" ? plan.slot : null, now),
      put: [slot],
      tenant: request.tenantId,
      alarm: now + CONFIRM_MS,
    });
    if (plan.kind === "start") this.#containers.start(slot);
    this.#upkeep.refillSoon("soon");
    return slot;
  }

  async #leaseOf(slot: Slot): Promise<Outcome<Lease>> {
    if (slot.state === "starting") {
      const started = await this.#containers.start(slot);
      if (!started.ok) return started;
    }
    const { record } = this.#store;
    if (!slot.lease || !record) return failed("internal", "The slot has no lease.");
    const { launch, reason } = slot.lease;
    return done({
      containerId: slot.containerId,
      launch,
      ...(reason ? { reason } : {}),
      tier: slot.tier,
      workload: workloadOf(record, slot.workloadVersion),
      workloadVersion: slot.workloadVersion,
      idleTimeoutMs: record.spec.idleTimeoutMs,
    });
  }

  #background(work: Promise<unknown>): void {
    this.ctx.waitUntil(
      work.catch((error) => log.error("pool: work in the background failed", { error: messageOf(error) })),
    );
  }
}

type Granted = Extract<LeasePlan, { kind: "again" | "warm" | "reserve" | "start" }>;

const noSuchPool = () => failed("not_found", "There is no such pool.");
