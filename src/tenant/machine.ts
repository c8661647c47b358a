import type { ChainedEntry } from "../audit/entry.ts";
import { type By, SYSTEM } from "../auth/principal.ts";
import { configOf } from "../config.ts";
import { COOLDOWN } from "../durable/cadence.ts";
import { DeadlineError, sleep, within } from "../durable/deadline.ts";
import type { TenantId } from "../ids.ts";
import { done, failed, type Outcome } from "../outcome.ts";
import { nextAlarm } from "./alarms.ts";
import { Effects } from "./effects.ts";
import type { Fresh, JournalEntry, Limits, Plan, Step, TenantEvent } from "./events.ts";
import { operationId } from "./operation-id.ts";
import { plan } from "./plan.ts";
import { leadsTo } from "./plan-act.ts";
import { view } from "./planning.ts";
import { newTenant, type TenantRecord } from "./record.ts";
import type { TenantStore } from "./store.ts";
import type { Awaited } from "./types.ts";
import type { OperationView } from "./views.ts";
import type { OperationKind } from "./vocabulary.ts";

/** How soon whoever waits for an operation that nobody performs looks whether it ended. */
const LOOK_AGAIN_MS = 250;

/** What happened to an event: its plan, the names that were drawn for it, and the end of what it set going. */
interface Taken {
  planned: Plan;
  fresh: Fresh | null;
  finished: Promise<void> | null;
}

/** load → plan → commit → perform. The only place where a tenant is written or anything is called for it. */
export class Machine {
  readonly #ctx: DurableObjectState;
  readonly #env: Env;
  readonly #store: TenantStore;
  readonly #effects: Effects;
  readonly #onChange: () => void;
  /** Operations that this object is performing, by id; each resolves when the operation ended. */
  readonly #running = new Map<string, Promise<void>>();
  /** Runs of sync specs that this object is performing. */
  readonly #syncing = new Set<string>();

  /** `onChange` is called after every commit that left something to deliver. */
  constructor(ctx: DurableObjectState, env: Env, store: TenantStore, onChange: () => void) {
    this.#ctx = ctx;
    this.#env = env;
    this.#store = store;
    this.#effects = new Effects(env);
    this.#onChange = onChange;
  }

  /**
   * Plans `event`, joins or starts the operation that it asks for, and waits for its end, at most `waitMs`.
   * `existing` is the answer when there was nothing to do.
   */
  async ask<T extends object>(
    tenantId: TenantId,
    event: TenantEvent,
    by: By,
    waitMs: number,
    existing: (record: TenantRecord) => T | null,
  ): Promise<Outcome<Awaited<T>>> {
    const deadline = Date.now() + waitMs;
    for (;;) {
      const { planned, fresh, finished } = this.take(event, tenantId, by);
      if (planned.kind === "refuse") return { ok: false, failure: planned.failure };
      const record = this.#store.load() ?? newTenant(tenantId, Date.now());
      const id = planned.kind === "wait" ? planned.operationId : begun(planned, fresh);
      if (id === null) {
        const value = existing(record);
        return value ? done({ kind: "done", value, fresh: false }) : failed("internal", "There is no answer.");
      }
      // Looked at again: it may end between the end of the wait and here.
      const ended = (await this.#waitFor(id, finished, deadline - Date.now())) ?? this.#store.operation(id);
      if (!ended) {
        const running = this.#store.load();
        if (!running?.operation) return failed("internal", "The operation is gone.");
        const operation = view(running, running.operation);
        const isOwn = planned.kind === "go" && operation.id === id; // whatever kind it took
        if (isOwn || isAnswer(event, operation.kind)) return done({ kind: "pending", operation });
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

  /** `finished` resolves when everything that the event set going has ended. Null `tenantId`: only for a tenant that is known. */
  take(event: TenantEvent, tenantId: TenantId | null, by: By): Taken {
    const now = Date.now();
    const known = this.#store.load();
    const before = known ?? (tenantId === null ? null : newTenant(tenantId, now));
    if (!before) return { planned: { kind: "wait", operationId: "", again: false }, fresh: null, finished: null };
    const fresh = drawn(before.tenantId);
    const planned = plan(before, event, fresh, this.#limits(), now);
    const stores = planned.kind === "go" && (planned.record !== before || planned.journal.length > 0 || planned.synced);
    // A commit arms the alarm. Whoever comes and changes nothing may be the first since it got lost.
    if (!stores && known) this.#rearm(known);
    if (planned.kind !== "go") return { planned, fresh, finished: null };
    const { record, steps, ended, also, journal, newConfig, synced } = planned;
    if (stores) {
      const alarm = this.due(record, now, journal.length > 0 ? "something new" : "no more");
      const more = {
        ...(ended ? { ended } : {}),
        ...(also ? { also } : {}),
        ...(newConfig ? { newConfig } : {}),
        ...(synced ? { synced } : {}),
      };
      this.#store.save({ record, now, by, journal, alarm, ...more });
      if (journal.length > 0) this.#onChange();
    }
    if (steps.length === 0) return { planned, fresh, finished: null };
    const finished = this.#perform(steps);
    const id = record.operation?.id;
    if (id !== undefined && !this.#running.has(id)) {
      this.#running.set(
        id,
        finished.finally(() => this.#running.delete(id)),
      );
    }
    this.#ctx.waitUntil(finished);
    return { planned, fresh, finished };
  }

  /** A record that was made anew, with what is recorded of that. What is due begins at once. */
  begin(record: TenantRecord, last: ChainedEntry, journal: JournalEntry[]): void {
    const now = Date.now();
    this.#store.adopt(last);
    this.#store.save({ record, now, by: SYSTEM, journal, alarm: this.due(record, now, "something new") });
    this.#onChange();
    this.tick();
  }

  /** The alarm, or whoever needs an operation of this object's earlier life to go on. */
  tick(): void {
    const { operation, syncs } = this.#store.load() ?? {};
    const running = operation != null && this.#running.has(operation.id);
    const syncing = syncs?.running != null && this.#syncing.has(syncs.running.runId);
    // Not waited for: the deadline of what this sets going is kept by the next alarm.
    this.take({ type: "tick", running, syncing }, null, SYSTEM);
    const record = this.#store.load();
    if (record) this.#store.alarm.arm(this.due(record));
  }

  /** What is due next: of the record, and of what D1 was not told. */
  due(record: TenantRecord, now = Date.now(), tells: "something new" | "no more" = "no more"): number | null {
    const alarm = nextAlarm(record, now, Math.random());
    const { seq, delivered } = this.#store.journal.head();
    return tells === "something new" || seq !== delivered
      ? Math.min(alarm ?? Infinity, now + COOLDOWN.delivery)
      : alarm;
  }

  /** Looks at the container that the tenant holds; a recovery that this starts is not waited for. */
  async look(): Promise<void> {
    const record = this.#store.load();
    if (!record?.held) return;
    const seen = await this.#effects.perform({ do: "observe", containerId: record.held.containerId }, record);
    if (seen) this.take(seen, null, SYSTEM);
  }

  /** Null for a tenant that never was. Whoever asks also finds out whether the alarm got lost. */
  record(): TenantRecord | null {
    const record = this.#store.load();
    if (record) this.#rearm(record);
    return record;
  }

  #rearm(record: TenantRecord): void {
    this.#ctx.waitUntil(this.#store.alarm.rearm(() => this.due(record)));
  }

  async #waitFor(id: string, finished: Promise<void> | null, ms: number): Promise<OperationView | null> {
    // An operation that this object's earlier life began is gone on with by whoever asks first.
    if (!finished && !this.#running.has(id)) {
      this.take({ type: "tick", running: false, syncing: true }, null, SYSTEM);
    }
    const deadline = Date.now() + ms;
    for (;;) {
      const left = deadline - Date.now();
      if (left <= 0 || this.#store.load()?.operation?.id !== id) return this.#store.operation(id);
      const promise = this.#running.get(id);
      if (!promise) {
        // Nobody performs it now, and it has not ended: what it waits for is asked for again by the alarm.
        await sleep(Math.min(left, LOOK_AGAIN_MS));
        continue;
      }
      try {
        await within(left, "operation", promise);
      } catch (error) {
        if (!(error instanceof DeadlineError)) throw error;
      }
    }
  }

  /** Performs steps one after the other, each followed by what its result brings. Retiring never holds up the rest. */
  async #perform(steps: readonly Step[]): Promise<void> {
    const aside: Promise<void>[] = [];
    for (const step of steps) {
      const record = this.#store.load();
      if (!record) return;
      if (step.do === "sync" && this.#syncing.has(step.runId)) continue; // asked for again; once is enough
      const event = this.#effects.perform(step, record);
      if (step.do === "sync") {
        this.#syncing.add(step.runId);
        event.finally(() => this.#syncing.delete(step.runId));
      }
      if (step.do === "retire") {
        aside.push(event.then((result) => (result ? this.#follow(result) : undefined)));
        continue;
      }
      const result = await event;
      if (result) await this.#follow(result);
    }
    const retired = Promise.all(aside);
    this.#ctx.waitUntil(retired);
    // Only a destruction ends with its containers.
    if (this.#store.load()?.state === "destroying") await retired;
  }

  async #follow(event: TenantEvent): Promise<void> {
    await this.take(event, null, SYSTEM).finished;
  }

  #limits(): Limits {
    const { deadlines, guardHoldMs } = configOf(this.#env);
    const { startMs, restoreMs, saveMs, syncMs, importMs } = deadlines;
    return { startMs: startMs + restoreMs, saveMs, syncMs, guardHoldMs, importMs };
  }
}

/** The operation that a plan began or ended at once; null when there was nothing to do. */
export function begun(planned: Extract<Plan, { kind: "go" }>, fresh: Fresh | null): string | null {
  const { operation } = planned.record;
  if (operation && operation.id === fresh?.operationId) return operation.id;
  return planned.ended && planned.ended.id === fresh?.operationId ? planned.ended.id : null;
}

/** Whether an operation brings about what was asked for, so that to wait for it is an answer. */
export function isAnswer(asked: TenantEvent, kind: OperationKind): boolean {
  if (asked.type === "wake") return true;
  if (asked.type === "act") return leadsTo(asked.action.kind, kind);
  if (kind === "restore" || kind === "import") return false;
  return kind === "release" || kind === "sleep" ? asked.type === kind : asked.type === "claim";
}

function drawn(tenantId: TenantId): Fresh {
  const random = crypto.randomUUID().replaceAll("-", "");
  return { operationId: operationId(tenantId, random), saveId: `save-${random}` };
}
