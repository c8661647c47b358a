import { DurableObject } from "cloudflare:workers";
import { configOf } from "../config.ts";
import { DeadlineError, within } from "../durable/deadline.ts";
import type { ContainerId, Epoch, TenantId } from "../ids.ts";
import { done, type Failure, failed, type Outcome } from "../outcome.ts";
import type { Given } from "./delivery.ts";
import { Effects } from "./effects.ts";
import type { Fresh, Limits, Plan, Step, TenantEvent } from "./events.ts";
import { operationId } from "./operation-id.ts";
import { nextAlarm, plan } from "./plan.ts";
import { releaseAnswer } from "./plan-save.ts";
import { claimAnswer } from "./plan-start.ts";
import { view } from "./planning.ts";
import { newTenant, type TenantRecord } from "./record.ts";
import { fingerprint, seal } from "./seal.ts";
import { statusOf } from "./status.ts";
import { TenantStore } from "./store.ts";
import type {
  Awaited,
  ClaimAnswer,
  ClaimRequest,
  OperationKind,
  OperationView,
  ReleaseAnswer,
  ReleaseRequest,
  Route,
  Served,
  TenantApi,
  TenantStatus,
} from "./types.ts";

/** One tenant's lifecycle. Single writer of everything in `store.ts`; every effect carries the epoch that it acts for. */
export class Tenant extends DurableObject<Env> implements TenantApi {
  readonly #store = new TenantStore(this.ctx.storage);
  readonly #effects = new Effects(this.env);
  /** Operations that this object is performing, by id; each resolves when the operation ended. */
  readonly #running = new Map<string, Promise<void>>();

  async claim(request: ClaimRequest, waitMs: number): Promise<Outcome<Awaited<ClaimAnswer>>> {
    const given = request.config !== undefined || request.secrets !== undefined || request.publicUrl !== undefined;
    const delivery = given ? await this.#given(request) : null;
    await this.#look(); // an existing claim is an answer about a container that is there
    const event: TenantEvent = {
      type: "claim",
      poolId: request.poolId ?? null,
      delivery,
      allowFresh: request.allowFresh === true,
    };
    return this.#ask(request.tenantId, event, waitMs, (record) =>
      record.held ? claimAnswer(record, record.held, "existing") : null,
    );
  }

  async release(tenantId: TenantId, request: ReleaseRequest, waitMs: number): Promise<Outcome<Awaited<ReleaseAnswer>>> {
    if (!this.#store.load()) return neverSeen(tenantId);
    return this.#ask(tenantId, { type: "release", request }, waitMs, (record) => releaseAnswer(record, null));
  }

  async status(tenantId: TenantId): Promise<Outcome<TenantStatus>> {
    const record = this.#store.load();
    if (!record) return neverSeen(tenantId);
    this.#rearm(record);
    return done(statusOf(record));
  }

  async operation(id: string): Promise<Outcome<OperationView>> {
    const record = this.#store.load();
    if (record?.operation?.id === id) return done(view(record, record.operation));
    const ended = this.#store.operation(id);
    return ended
      ? done(ended)
      : failed("not_found", `There is no operation ${id}; ended ones are kept for a while only.`);
  }

  async route(
    tenantId: TenantId,
    stale: { containerId: ContainerId; epoch: Epoch } | null,
    waitMs: number,
  ): Promise<Route> {
    const record = this.#store.load();
    if (!record) return { kind: "failed", failure: neverSeen(tenantId).failure };
    if (stale?.containerId === record.held?.containerId && stale?.epoch === record.held?.epoch) await this.#look();
    const deadline = Date.now() + waitMs;
    for (;;) {
      const route = routeOf(this.#store.load() ?? record);
      if (route !== "pending") return route;
      const left = deadline - Date.now();
      const answer = left > 0 ? await this.#ask(tenantId, { type: "wake" }, left, () => ({})) : null;
      if (answer && !answer.ok) return { kind: "failed", failure: answer.failure };
      if (answer?.value.kind !== "done") return this.#starting();
    }
  }

  async owns(containerId: ContainerId, epoch: Epoch): Promise<boolean | null> {
    const record = this.#store.load();
    if (!record) return false;
    if (record.held) return record.held.containerId === containerId;
    return record.operation !== null && record.epoch === epoch ? null : false;
  }

  /* STUBS-BEGIN: replaced by the session that commits this */
  async act(): Promise<never> {
    throw new Error("soon");
  }
  async change(): Promise<never> {
    throw new Error("soon");
  }
  async settings(): Promise<never> {
    throw new Error("soon");
  }
  async configs(): Promise<never> {
    throw new Error("soon");
  }
  async access(): Promise<never> {
    throw new Error("soon");
  }
  async admit(): Promise<never> {
    throw new Error("soon");
  }
  async redeem(): Promise<never> {
    throw new Error("soon");
  }
  async project(): Promise<never> {
    throw new Error("soon");
  }
  async rewrap(): Promise<never> {
    throw new Error("soon");
  }
  /* STUBS-END */

  async servedBy(containerId: ContainerId): Promise<Served | null> {
    const record = this.#store.load();
    if (record?.held?.containerId !== containerId) return null;
    return { epoch: record.held.epoch, admission: record.state === "active" ? "open" : "closed" };
  }

  override async alarm(): Promise<void> {
    this.#store.alarm.rang();
    const operation = this.#store.load()?.operation;
    // Not waited for: the deadline of what this sets going is kept by the next alarm.
    this.#commit({ type: "tick", running: operation != null && this.#running.has(operation.id) }, null);
  }

  /**
   * Plans `event`, joins or starts the operation that it asks for, and waits for its end, at most `waitMs`.
   * `existing` is the answer when there was nothing to do.
   */
  async #ask<T extends object>(
    tenantId: TenantId,
    event: TenantEvent,
    waitMs: number,
    existing: (record: TenantRecord) => T | null,
  ): Promise<Outcome<Awaited<T>>> {
    const deadline = Date.now() + waitMs;
    for (;;) {
      const { planned, finished } = this.#commit(event, tenantId);
      if (planned.kind === "refuse") return { ok: false, failure: planned.failure };
      const record = this.#store.load() ?? newTenant(tenantId);
      const id = planned.kind === "wait" ? planned.operationId : (record.operation?.id ?? planned.ended?.id);
      if (id === undefined) {
        const value = existing(record);
        return value ? done({ kind: "done", value, fresh: false }) : failed("internal", "There is no answer.");
      }
      const ended = await this.#waitFor(id, finished, deadline - Date.now());
      if (!ended) {
        const running = this.#store.load();
        if (!running?.operation) return failed("internal", "The operation is gone.");
        const operation = view(running, running.operation);
        if (leadsTo(event.type, operation.kind)) return done({ kind: "pending", operation });
        // Nothing goes on with this request after the operation that it waited for, so nobody may think so.
        const detail = `The tenant is ${running.state}; this was not begun.`;
        return failed("operation_in_progress", detail, { retryAfterMs: 1_000, extra: { operation: operation.id } });
      }
      if (planned.kind === "wait" && planned.again) continue;
      if (ended.status === "succeeded") {
        const value = ended.result as T;
        return done({ kind: "done", value, fresh: !("launch" in value) || value.launch !== "existing" });
      }
      return {
        ok: false,
        failure: ended.error ?? { code: "operation_interrupted", detail: `The ${ended.kind} was called off.` },
      };
    }
  }

  async #waitFor(id: string, finished: Promise<void> | null, ms: number): Promise<OperationView | null> {
    // An operation that this object's earlier life began is gone on with by whoever asks first.
    if (!finished && !this.#running.has(id)) this.#commit({ type: "tick", running: false }, null);
    const promise = finished ?? this.#running.get(id);
    if (promise && ms > 0) {
      try {
        await within(ms, "operation", promise);
      } catch (error) {
        if (!(error instanceof DeadlineError)) throw error;
      }
    }
    return this.#store.operation(id);
  }

  /** load → plan → commit → perform; the only place where this object writes or calls out. */
  async #transition(event: TenantEvent): Promise<void> {
    const { finished } = this.#commit(event, null);
    await finished;
  }

  /** `finished` resolves when everything that the event set going has ended. */
  #commit(event: TenantEvent, tenantId: TenantId | null): { planned: Plan; finished: Promise<void> | null } {
    const before = this.#store.load() ?? (tenantId === null ? null : newTenant(tenantId));
    if (!before) return { planned: { kind: "wait", operationId: "", again: false }, finished: null };
    const now = Date.now();
    const planned = plan(before, event, this.#fresh(before.tenantId), this.#limits(), now);
    if (planned.kind !== "go") return { planned, finished: null };
    const { record, steps, ended, journal } = planned;
    const alarm = nextAlarm(record, now, Math.random());
    if (record !== before) this.#store.save(record, now, journal, ended, alarm);
    else if (event.type === "tick") this.#store.alarm.arm(alarm);
    if (steps.length === 0) return { planned, finished: null };
    const finished = this.#perform(steps);
    const id = record.operation?.id;
    if (id !== undefined && !this.#running.has(id)) {
      this.#running.set(
        id,
        finished.finally(() => this.#running.delete(id)),
      );
    }
    this.ctx.waitUntil(finished);
    return { planned, finished };
  }

  /** Performs steps one after the other, each followed by what its result brings. Retiring never holds up the rest. */
  async #perform(steps: readonly Step[]): Promise<void> {
    for (const step of steps) {
      const record = this.#store.load();
      if (!record) return;
      const event = this.#effects.perform(step, record);
      if (step.do === "retire") {
        this.ctx.waitUntil(event.then((result) => (result ? this.#transition(result) : undefined)));
        continue;
      }
      const result = await event;
      if (result) await this.#transition(result);
    }
  }

  /** Looks at the container of an active tenant; a recovery that this starts is not waited for. */
  async #look(): Promise<void> {
    const record = this.#store.load();
    if (record?.state !== "active" || !record.held) return;
    const seen = await this.#effects.perform({ do: "observe", containerId: record.held.containerId }, record);
    if (seen) this.#commit(seen, null);
  }

  /** A lost alarm is armed again by any request. */
  #rearm(record: TenantRecord): void {
    const due = nextAlarm(record, Date.now(), Math.random());
    if (due === null) return;
    this.ctx.waitUntil(
      this.ctx.storage.getAlarm().then((armed) => (armed === null ? this.#store.alarm.arm(due) : undefined)),
    );
  }

  /** @throws when there are secrets and no key to keep them under. */
  async #given({ tenantId, config, secrets, publicUrl }: ClaimRequest): Promise<Given> {
    const key = configOf(this.env).secretsKey;
    if (secrets && !key) throw new Error("SECRETS_KEY is not set");
    const url = publicUrl === undefined ? {} : { publicUrl };
    if (config === undefined && secrets === undefined) return url;
    const content: Given["content"] = {
      ...(config === undefined ? {} : { config }),
      ...(secrets && key ? { sealedSecrets: await seal(key, tenantId, secrets) } : {}),
      fingerprint: await fingerprint(config, secrets),
    };
    return { ...url, content };
  }

  #fresh(tenantId: TenantId): Fresh {
    const random = crypto.randomUUID().replaceAll("-", "");
    return { operationId: operationId(tenantId, random), saveId: `save-${random}` };
  }

  #limits(): Limits {
    const { deadlines, guardHoldMs } = configOf(this.env);
    return { startMs: deadlines.startMs + deadlines.restoreMs, saveMs: deadlines.saveMs, guardHoldMs };
  }

  #starting(): Route {
    const record = this.#store.load();
    if (record?.operation) return { kind: "starting", operation: view(record, record.operation) };
    return {
      kind: "failed",
      failure: { code: "starting", detail: "The container is being prepared.", retryAfterMs: 1_000 },
    };
  }
}

/** Whether an operation brings about what was asked for, so that to wait for it is an answer. */
const leadsTo = (asked: TenantEvent["type"], kind: OperationKind): boolean =>
  asked === "wake" || (kind === "release" || kind === "sleep" ? asked === kind : asked === "claim");

const neverSeen = (tenantId: TenantId): { ok: false; failure: Failure } =>
  failed("not_found", `There is no tenant ${tenantId}.`);

/** Where a request goes in this state; `pending` when an operation has to end (or a wake to begin) first. Pure. */
function routeOf(record: TenantRecord): Route | "pending" {
  switch (record.state) {
    case "active":
      if (record.held) {
        const { containerId, epoch, port } = record.held;
        return { kind: "ready", containerId, epoch, port };
      }
      return "pending";
    case "asleep":
    case "claiming":
    case "waking":
    case "recovering":
    case "saving":
    case "sleeping":
      return "pending";
    case "idle":
    case "releasing":
    case "destroying":
    case "destroyed":
      return {
        kind: "failed",
        failure: { code: "not_found", detail: `The tenant is ${record.state}; claim it first.` },
      };
    case "suspended":
      return { kind: "failed", failure: { code: "forbidden", detail: "The tenant is suspended." } };
    case "release_failed":
    case "error": {
      const [latest] = record.errors;
      const failure: Failure = {
        code: "container_unavailable",
        detail: `The tenant is in state ${record.state}: ${latest?.detail ?? "no detail"}`,
      };
      return { kind: "failed", failure };
    }
  }
}
