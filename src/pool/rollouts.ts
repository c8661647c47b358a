import type { AuditEntry } from "../audit/entry.ts";
import { type By, SYSTEM } from "../auth/principal.ts";
import { messageOf, sleep, within } from "../durable/deadline.ts";
import { instanceOf, tenantOf } from "../durable/stubs.ts";
import type { TenantId } from "../ids.ts";
import { log } from "../log.ts";
import { done, failed, type Outcome } from "../outcome.ts";
import type { TenantStatus } from "../tenant/views.ts";
import type { TenantState } from "../tenant/vocabulary.ts";
import { beingDeleted, type Decision, entry } from "./administer.ts";
import type { PoolRecord } from "./record.ts";
import {
  afterStep,
  halted,
  planRollout,
  type Rollout,
  type RolloutEvent,
  type RolloutStep,
  resumed,
} from "./rollout.ts";
import type { PoolStore } from "./store.ts";

const CALL_MS = 5_000;
/** How often whoever is on the way is asked about; should this object leave memory, its alarm goes on with it. */
const POLL_MS = 1_000;
const BUSY_MS = 15_000;

/** Brings a pool's tenants to its workload's present version: one pass at a time, each planned from what is stored. */
export class Rollouts {
  readonly #env: Env;
  readonly #store: PoolStore;
  readonly #background: (work: Promise<unknown>) => void;
  /** Until when a tenant that was busy is not asked again; known to this life of the object only. */
  readonly #notBefore = new Map<TenantId, number>();
  #pass: Promise<void> | null = null;

  constructor(env: Env, store: PoolStore, background: (work: Promise<unknown>) => void) {
    this.#env = env;
    this.#store = store;
    this.#background = background;
  }

  /** Goes on with it, where there is one. */
  proceed(): void {
    if (this.#pass) return;
    this.#pass = this.#proceed().finally(() => {
      this.#pass = null;
    });
    this.#background(this.#pass);
  }

  async #proceed(): Promise<void> {
    for (;;) {
      const { record, slots } = this.#store;
      if (!record) return;
      const { rollout, steps } = planRollout(record, slots, this.#notBefore, Date.now());
      this.#keep(rollout);
      if (!rollout || steps.length === 0) return;
      await Promise.all(steps.map((step) => this.#take(step, rollout)));
      if (this.#store.record?.rollout === rollout) await sleep(POLL_MS);
    }
  }

  async #take(step: RolloutStep, planned: Rollout): Promise<void> {
    const event = await this.#perform(step);
    const { record } = this.#store;
    // Another version came meanwhile: what is left to do is read from the slots.
    if (!record?.rollout || record.rollout.to !== planned.to) return;
    this.#keep(afterStep(record.rollout, record, event, Date.now()));
  }

  #keep(rollout: Rollout | null): void {
    const { record } = this.#store;
    if (!record || rollout === record.rollout) return;
    this.#store.save({ record: { ...record, rollout }, entries: rolloutEntries(record, rollout, SYSTEM, Date.now()) });
  }

  async #perform(step: RolloutStep): Promise<RolloutEvent> {
    const { tenantId } = step;
    try {
      switch (step.do) {
        case "ask":
          return { tenantId, ...(await this.#ask(tenantId, step.to)) };
        case "follow":
          return { tenantId, ...(await this.#follow(tenantId, step.operationId)) };
        case "watch":
          return { tenantId, ...(await this.#watch(tenantId, step.to)) };
      }
    } catch (error) {
      log.warn("pool: a tenant that is upgraded did not answer", { tenantId, error: messageOf(error) });
      return { tenantId, type: "nothing" };
    }
  }

  async #ask(tenantId: TenantId, to: number): Promise<Found> {
    const answer = await within(CALL_MS, "upgrade", tenantOf(this.#env, tenantId).upgrade(to));
    switch (answer.kind) {
      case "current":
        return { type: "ready" };
      case "begun":
        return { type: "begun", operationId: answer.operationId };
      case "later":
        return this.#later(tenantId);
    }
  }

  /** It comes by itself, or is asked again. */
  #later(tenantId: TenantId): Found {
    this.#notBefore.set(tenantId, Date.now() + BUSY_MS);
    return { type: "left" };
  }

  async #follow(tenantId: TenantId, operationId: string): Promise<Found> {
    const found = await within(CALL_MS, "operation", tenantOf(this.#env, tenantId).operation(operationId));
    // The tenant keeps the latest few; what is older was long enough ago to show.
    if (!found.ok) return { type: "ready" };
    const { status, error } = found.value;
    switch (status) {
      case "running":
        return { type: "nothing" };
      case "succeeded":
        return { type: "ready" };
      case "cancelled":
        return this.#later(tenantId);
      case "failed":
        // Its state is saved, and nothing is wrong with the version: it comes with its next start.
        if (error?.code === "capacity_exhausted") return this.#later(tenantId);
        return { type: "failed", code: error?.code ?? "start_failed", detail: error?.detail ?? "Its restart failed." };
    }
  }

  async #watch(tenantId: TenantId, to: number): Promise<Found> {
    const found = await within(CALL_MS, "status", tenantOf(this.#env, tenantId).status(tenantId));
    if (!found.ok) return { type: "left" };
    const { state, containerId } = found.value;
    if (state !== "active" || containerId === undefined) return ofState(found.value);
    if ((found.value.version ?? to) < to) return { type: "left" };
    const { alive, health, detail } = await within(CALL_MS, "observe", instanceOf(this.#env, containerId).observe());
    if (alive && health.status !== "unhealthy") return { type: "ready" };
    const what = alive ? "is unhealthy" : "ended";
    return { type: "failed", code: "container_unavailable", detail: `Its container ${what}. ${detail ?? ""}`.trim() };
  }
}

type Found = RolloutEvent extends infer E ? (E extends { tenantId: TenantId } ? Omit<E, "tenantId"> : never) : never;

const ON_ITS_WAY: readonly TenantState[] = ["claiming", "waking", "saving"];
const UNWELL: readonly TenantState[] = ["recovering", "error"];

function ofState({ state, lastError }: TenantStatus): Found {
  if (ON_ITS_WAY.includes(state)) return { type: "nothing" };
  if (!UNWELL.includes(state)) return { type: "left" };
  const { code = "container_unavailable", detail = `It is ${state}.` } = lastError ?? {};
  return { type: "failed", code, detail };
}

/** A halt or a resumption that somebody asks for. Pure. */
export function steered(record: PoolRecord, action: "halt" | "resume", by: By, now: number): Outcome<Decision> {
  const { rollout } = record;
  if (record.drain) return beingDeleted(record);
  if (!rollout) return failed("invalid_transition", `No tenants of pool ${record.id} are being upgraded.`);
  const next = action === "halt" ? halted(rollout, by.actor, `Halted by ${by.actor}.`, now) : resumed(rollout);
  return done({ record: { ...record, rollout: next }, entries: rolloutEntries(record, next, by, now) });
}

/** What is recorded of a change of a rollout: its beginning, halts and end; each tenant's restart is in the tenant's own record. Pure. */
export function rolloutEntries(before: PoolRecord, rollout: Rollout | null, by: By, now: number): AuditEntry[] {
  const after = { ...before, rollout };
  const was = before.rollout;
  const same = was !== null && was.to === rollout?.to ? was : null;
  const of = (action: string, who: By, detail: AuditEntry["detail"]) => entry(action, before, after, who, now, detail);
  const entries: AuditEntry[] = [];
  if (rollout && !same) entries.push(of("pool.rollout_started", by, { to: rollout.to }));
  if (was?.halted && !rollout?.halted) {
    if (same) entries.push(of("pool.rollout_resumed", by, { to: same.to }));
    if (was.halted.actor === SYSTEM.actor) entries.push(of("alert.cleared", SYSTEM, { alert: ALERT }));
  }
  if (rollout?.halted && !same?.halted) {
    const { reason, actor } = rollout.halted;
    entries.push(of("pool.rollout_halted", by, { to: rollout.to, reason }));
    if (actor === SYSTEM.actor) entries.push(of("alert.raised", SYSTEM, { alert: ALERT, to: rollout.to, reason }));
  }
  if (rollout && rollout.endedAt !== null && (same?.endedAt ?? null) === null) {
    const failed = rollout.failed.map(({ tenantId }) => tenantId);
    entries.push(of("pool.rollout_ended", by, { to: rollout.to, upgraded: rollout.upgraded, failed }));
  }
  return entries;
}

const ALERT = "rollout_halted";
