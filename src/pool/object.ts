import { DurableObject } from "cloudflare:workers";
import type { OwnHead } from "../audit/verify.ts";
import type { By } from "../auth/principal.ts";
import type { AlarmStanding } from "../durable/alarm.ts";
import { DeadlineError, messageOf, within } from "../durable/deadline.ts";
import { Outbox } from "../durable/outbox.ts";
import type { Counted } from "../fleet/types.ts";
import type { ContainerId, Epoch, PoolId, TenantId } from "../ids.ts";
import type { ContainerEnd } from "../instance/types.ts";
import { log } from "../log.ts";
import { done, failed, type Outcome } from "../outcome.ts";
import type { PoolSpec, Workload } from "../registry/specs.ts";
import * as administer from "./administer.ts";
import { newContainerId } from "./container-id.ts";
import { Containers } from "./containers.ts";
import { Deletion, deletionView } from "./deletion.ts";
import { describe, slotView } from "./describe.ts";
import { Effects } from "./effects.ts";
import { Leases, noPool } from "./leases.ts";
import { deletionId } from "./operation-id.ts";
import { CONFIRM_MS } from "./plan-lease.ts";
import { nextAlarm } from "./plan-size.ts";
import { Projection } from "./projection.ts";
import { isDeleted, type PoolRecord, type Registration } from "./record.ts";
import { Recovery } from "./recovery.ts";
import { Rollouts, steered } from "./rollouts.ts";
import { PoolStore } from "./store.ts";
import type { DeletionView, ExecNote, Lease, LeaseRequest, PoolApi, PoolDescription, SlotView } from "./types.ts";
import { Upkeep } from "./upkeep.ts";

const unknown = () => failed("database_unavailable", "The pool does not know yet what it has.");

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
      this.#leases.serve();
      this.#upkeep.refillSoon(when);
      this.#rollouts.proceed(); // what started may be what it waits for
    },
    onGone: () => {
      this.#leases.serve();
      this.#background(this.#deletion.proceed());
    },
  });
  readonly #leases: Leases = new Leases(this.#store, this.#effects, this.#containers, {
    background: (work) => this.#background(work),
    onTaken: () => this.#upkeep.refillSoon("soon"),
    newContainerId,
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
    waiting: () => this.#leases.waitingForRoom,
    startCeilingMs: () => this.#effects.startCeilingMs(),
  });
  readonly #recovery: Recovery = new Recovery(this.#store, this.#effects, this.ctx.id.name ?? null);

  async configure(
    spec: PoolSpec,
    workload: Workload,
    workloadVersion: number,
    by: By,
    registered?: Registration,
  ): Promise<Outcome<PoolDescription>> {
    if (!(await this.#remembered(spec.id as PoolId))) return unknown();
    const { record, slots } = this.#store;
    const given = { spec, workload, workloadVersion, ...(registered ? { registered } : {}) };
    return this.#decide(administer.configured(record, slots, given, by, Date.now()));
  }

  async upgrade(workload: Workload, workloadVersion: number, by: By): Promise<Outcome<PoolDescription>> {
    return this.#change((record) => {
      const given = { spec: record.spec, workload, workloadVersion };
      return administer.configured(record, this.#store.slots, given, by, Date.now());
    });
  }

  async describe(): Promise<Outcome<PoolDescription>> {
    await this.#remembered();
    const { record, slots, statistics } = this.#store;
    if (!record || isDeleted(record)) return noPool();
    this.#upkeep.lookAfterRestart();
    const seen = { isLive: this.#containers.isLive, waiting: this.#leases.waiting };
    return done(describe(record, slots, statistics, seen, Date.now()));
  }

  async containers(): Promise<Outcome<SlotView[]>> {
    await this.#remembered();
    const { record, slots } = this.#store;
    if (!record || isDeleted(record)) return noPool();
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
    if (!(await this.#remembered())) return unknown();
    const operationId = deletionId(crypto.randomUUID().replaceAll("-", ""), this.#store.record?.id ?? ("" as PoolId));
    const decided = await this.#change((record) =>
      administer.drained(record, this.#store.slots, claimed, operationId, by, Date.now()),
    );
    if (!decided.ok) return decided;
    const ended = this.#deletion.ended();
    this.#background(this.#deletion.proceed("now"));
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
    await this.#known();
    this.#upkeep.lookAfterRestart();
    if ((request.minWorkloadVersion ?? 0) > (this.#store.record?.workloadVersion ?? 0)) await this.#upkeep.adopt();
    return this.#leases.lease(request);
  }

  async counted(): Promise<Counted[] | null> {
    return this.#store.record ? this.#containers.counted() : null;
  }

  async recount(poolId: PoolId, ids: readonly ContainerId[]): Promise<void> {
    if (this.#store.record?.id !== poolId) {
      if (!(await this.#recovery.recover(ids, poolId))) return; // it is not known whether there is such a pool
    }
    await Promise.all([this.#upkeep.reconcile(), this.#upkeep.endStrangers(ids)]);
  }

  async chain(): Promise<OwnHead> {
    return this.#store.journal.head();
  }

  async holder(containerId: ContainerId): Promise<{ tenantId: TenantId; epoch: Epoch } | null> {
    await this.#known();
    const slot = this.#store.slot(containerId);
    if (!slot?.lease || slot.state === "draining") return null;
    return { tenantId: slot.lease.tenantId, epoch: slot.lease.epoch };
  }

  async has(containerId: ContainerId): Promise<boolean> {
    await this.#known();
    return this.#store.slot(containerId) !== null;
  }

  async ended(containerId: ContainerId, _end: ContainerEnd): Promise<void> {
    this.#upkeep.rearm();
    const slot = this.#store.slot(containerId);
    // What serves somebody is its tenant's to replace, and a start ends by itself.
    if (slot?.state === "warm") await this.#containers.checkWarm(slot);
  }

  async retire(id: ContainerId, reason: string): Promise<Outcome<null>> {
    this.#upkeep.rearm();
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
    if (mode === "mend") await this.#remembered();
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
    if (!this.#store.record) return noPool();
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

  /** A pool that lost its storage is made anew before it says of a container that it is not its. @throws when it is not known whether it did */
  async #known(): Promise<void> {
    this.#upkeep.rearm();
    if (this.#store.record || (await this.#recovery.recover([]))) return;
    throw new Error("The pool does not know yet what it has.");
  }

  /** The same for a pool that may never have been: nothing is made up of a registration whose object heard of nothing yet. */
  async #remembered(id?: PoolId): Promise<boolean> {
    return this.#store.record !== null || this.#recovery.recover([], id, "lived");
  }

  async #change(decide: (record: PoolRecord) => Outcome<administer.Decision>): Promise<Outcome<PoolDescription>> {
    if (!(await this.#remembered())) return unknown();
    const { record } = this.#store;
    return !record || isDeleted(record) ? noPool() : this.#decide(decide(record));
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

  #background(work: Promise<unknown>): void {
    this.ctx.waitUntil(
      work.catch((error) => log.error("pool: work in the background failed", { error: messageOf(error) })),
    );
  }
}
