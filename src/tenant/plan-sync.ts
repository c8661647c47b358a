import type { SpecRan } from "../instance/types.ts";
import { done, type Failure, type Outcome } from "../outcome.ts";
import type { Way, Why } from "../sync/run.ts";
import { actionAnswer } from "./answers.ts";
import type { Fresh, Limits, Plan, PlannedAction, Step, TenantEvent } from "./events.ts";
import { saved, saveFailed } from "./plan-save.ts";

import { end, nothing, operationOf, refuse, withError } from "./planning.ts";
import type { Operation, TenantRecord } from "./record.ts";
import {
  dueSpec,
  failureOf,
  NO_SYNCS,
  recorded,
  type SpecBrief,
  type SyncRun,
  type SyncsToDo,
  stateOf,
} from "./syncs.ts";

/** Decisions about syncs of the pool's specs: by interval, before a container is left, and when somebody asks. */

type Synced = Extract<TenantEvent, { type: "synced" }>;

/** Stands for itself in the plan of a sync. */
interface Asked {
  runId: string;
  specId: string;
  why: Why;
  way: Way;
  startedAt: number;
}

/** The alarm found an interval over. One at a time; null when nothing is to begin. */
export function beginInterval(record: TenantRecord, fresh: Fresh, limits: Limits, now: number): Plan | null {
  const { syncs, held } = record;
  if (!syncs || syncs.running || record.operation || record.state !== "active" || !held) return null;
  const spec = dueSpec(syncs, now);
  if (!spec) return null;
  const { containerId, epoch } = held;
  const running = {
    runId: fresh.saveId,
    specId: spec.id,
    startedAt: now,
    deadlineAt: now + limits.syncMs,
    containerId,
    epoch,
  };
  const next = { ...record, syncs: { ...syncs, running } };
  return { kind: "go", record: next, steps: [intervalStep(next)].flat(), journal: [] };
}

/** One whose performer left memory goes on, by the same name. */
export function intervalStep({ syncs, held }: TenantRecord): Step[] {
  if (!syncs?.running || !held) return [];
  const { runId, specId, startedAt } = syncs.running;
  const spec = syncs.specs.find(({ id }) => id === specId);
  if (!spec) return [];
  const { fingerprint } = stateOf(syncs, specId);
  const unless = fingerprint?.containerId === held.containerId ? { unless: fingerprint.of } : {};
  return [syncStep(held, spec, { runId, specId, why: "interval", way: "up", startedAt }, unless)];
}

function syncStep(
  held: NonNullable<TenantRecord["held"]>,
  spec: SpecBrief,
  { runId, why, way, startedAt }: Asked,
  more: { unless?: string; force?: true } = {},
): Step {
  const { containerId, poolId, epoch } = held;
  return { do: "sync", runId, spec, containerId, poolId, epoch, why, way, startedAt, ...more };
}

/** What is synchronised before a container is left, in order. The state volume is saved anyway. */
export function beforeLeaving(record: TenantRecord, operation: Operation, now: number): Operation {
  if (operation.syncs || operation.release?.sync === false || !record.syncs) return operation;
  const todo = record.syncs.specs.filter((spec) => spec.onRelease && spec.outward && spec.kind !== "state");
  if (todo.length === 0) return operation;
  const ids = todo.map(({ id }) => id);
  return { ...operation, syncs: toDo(operation.id, ids, "release", "up", now) };
}

export const toDo = (operationId: string, todo: string[], why: SyncsToDo["why"], way: Way, now: number): SyncsToDo => ({
  todo,
  why,
  way,
  runId: `${operationId}.${todo.length}`,
  startedAt: now,
  ran: [],
});

/** The next of an operation's syncs; null when there is none left. */
export function nextStep(record: TenantRecord, operation: Operation): Step | null {
  const { syncs } = operation;
  const spec = record.syncs?.specs.find(({ id }) => id === syncs?.todo[0]);
  if (!syncs || !spec || !record.held) return null;
  const force = operation.release?.force ? { force: true as const } : {};
  return syncStep(record.held, spec, { ...syncs, specId: spec.id }, force);
}

/** Goes on with an operation's syncs, each with the time of one. */
export function goOn(record: TenantRecord, operation: Operation, limits: Limits, now: number): Plan | null {
  const step = nextStep(record, operation);
  if (!step || !operation.syncs) return null;
  const begun = { ...operation, deadlineAt: now + limits.syncMs, syncs: { ...operation.syncs, startedAt: now } };
  return {
    kind: "go",
    record: { ...record, operation: begun },
    steps: [{ ...step, startedAt: now } as Step],
    journal: [],
  };
}

/** Somebody asked for specs to be synchronised now, of a tenant that is active. */
export function beginManual(
  record: TenantRecord,
  wanted: { specs: readonly SpecBrief[]; way: Way; spec?: string },
  fresh: Fresh,
  limits: Limits,
  now: number,
): Plan {
  if (record.syncs?.running) {
    return refuse("operation_in_progress", "A sync of this tenant is under way.", {
      sync: record.syncs.running.specId,
    });
  }
  const ids = wanted.specs.map(({ id }) => id);
  const plain = operationOf(record, "sync", fresh, limits.syncMs, now);
  const operation: Operation = {
    ...plain,
    ...(wanted.spec === undefined ? {} : { spec: { id: wanted.spec } }),
    syncs: toDo(plain.id, ids, "manual", wanted.way, now),
  };
  const step = nextStep(record, operation);
  if (!step) return nothing(record);
  return {
    kind: "go",
    record: { ...record, operation },
    steps: [step],
    journal: [{ type: "tenant.sync", detail: { operation: operation.id, specs: ids, way: wanted.way } }],
  };
}

/** What a sync came to: of the interval, or of the operation in flight. Anything else is late and changes nothing. */
export function synced(record: TenantRecord, event: Synced, fresh: Fresh, limits: Limits, now: number): Plan {
  const { runId } = event;
  if (record.syncs?.running?.runId === runId) return intervalSynced(record, event, fresh, now);
  const { operation } = record;
  if (!operation?.syncs || operation.syncs.runId !== runId) return nothing(record);
  const { syncs } = operation;
  const run = runOf({ ...syncs, specId: event.specId }, event.outcome, now);
  const after = withRun(record, run, event, fresh);
  const log = { synced: [run] };
  if (!event.outcome.ok) {
    const { failure } = event.outcome;
    return { ...failed(after, operation, failure, limits, now), ...log } as Plan;
  }
  const { files, bytes, deleted } = event.outcome.value;
  const todo = syncs.todo.slice(1);
  const ran = [...syncs.ran, { specId: event.specId, files, bytes, deleted }];
  const next: Operation = { ...operation, syncs: { ...syncs, todo, ran, runId: `${operation.id}.${todo.length}` } };
  const more = goOn(after, next, limits, now);
  if (more) return { ...more, ...log } as Plan;
  return { ...finished(after, next, limits, now), ...log } as Plan;
}

function failed(record: TenantRecord, operation: Operation, failure: Failure, limits: Limits, now: number): Plan {
  // Whatever comes of it, nothing of these is begun again by itself: the operation is over, or is planned anew.
  const { syncs: _, ...bare } = operation;
  if (operation.kind !== "sync") {
    const noted = { ...record, operation: bare };
    // Its state was saved before; of a container that is gone nothing more can be had.
    if (failure.code === "container_unavailable" && bare.saved) {
      return saved({ ...noted, errors: withError(record, failure, now) }, bare, bare.saved, limits, now);
    }
    return saveFailed(noted, bare, failure, limits, now);
  }
  const cancelled = failure.extra?.cancelled === true;
  return {
    kind: "go",
    record: { ...record, operation: null },
    steps: [],
    ended: end(record, operation, now, cancelled ? { cancelled: "cancelled" } : { error: failure }),
    journal: [{ type: "tenant.sync_failed", detail: { code: failure.code, operation: operation.id } }],
  };
}

function finished(record: TenantRecord, operation: Operation, limits: Limits, now: number): Plan {
  if (operation.kind !== "sync") return saved(record, operation, operation.saved ?? null, limits, now);
  const isSaved = operation.saved !== undefined && record.unsavedSince !== null;
  const next = { ...record, operation: null, unsavedSince: isSaved ? operation.startedAt : record.unsavedSince };
  const timings = { total: now - operation.startedAt };
  const result = { ...actionAnswer(next, operation.saved ?? null, timings), synced: operation.syncs?.ran ?? [] };
  return {
    kind: "go",
    record: next,
    steps: [],
    ended: end(record, operation, now, { result }),
    journal: [
      { type: "tenant.synced", detail: { operation: operation.id, specs: result.synced.map(({ specId }) => specId) } },
    ],
  };
}

function intervalSynced(record: TenantRecord, event: Synced, fresh: Fresh, now: number): Plan {
  const { syncs = NO_SYNCS } = record;
  const { running } = syncs;
  if (!running) return nothing(record);
  const run = runOf({ ...running, why: "interval", way: "up" }, event.outcome, now);
  const bare = { ...record, syncs: { ...syncs, running: null } };
  const after = withRun(withGeneration(bare, event, running.startedAt), run, event, fresh);
  const detail = { spec: run.specId, ...(run.error ? { code: run.error.code } : run.totals) };
  const journal =
    run.result === "failed"
      ? [{ type: "tenant.sync_failed", detail }]
      : run.result === "succeeded"
        ? [{ type: "tenant.synced", detail }]
        : [];
  // What did nothing is in the status; the history is of what did.
  const log = run.result === "unchanged" ? {} : { synced: [run] };
  return { kind: "go", record: after, steps: [], journal, ...log };
}

/** Of a spec of the state volume: it was saved while the workload ran, which may have written since. */
function withGeneration(record: TenantRecord, { outcome, isState }: Synced, startedAt: number): TenantRecord {
  if (!isState || !outcome.ok) return record;
  const { generation } = outcome.value;
  return {
    ...record,
    ...(generation === undefined ? {} : { generation, lastSaveAt: startedAt }),
    unsavedSince: record.unsavedSince === null ? null : startedAt,
  };
}

/** An interval's sync whose time is over, or whose container is left: its end is not waited for. */
export function dropped(record: TenantRecord, why: "overdue" | "left", fresh: Fresh, now: number): Plan {
  const { syncs } = record;
  if (!syncs?.running) return nothing(record);
  const late: Failure =
    why === "overdue"
      ? { code: "deadline_exceeded", detail: "The sync did not end in time.", extra: { problem: "timeout" } }
      : { code: "operation_interrupted", detail: "The container was left.", extra: { cancelled: true } };
  const { runId, specId } = syncs.running;
  const event: Synced = { type: "synced", runId, specId, isState: false, outcome: { ok: false, failure: late } };
  return intervalSynced(record, event, fresh, now);
}

function runOf(asked: Asked, outcome: Outcome<SpecRan>, now: number): SyncRun {
  const { runId, specId, why, way, startedAt } = asked;
  const common = { runId, specId, why, way, startedAt, endedAt: now };
  if (!outcome.ok) {
    if (outcome.failure.extra?.cancelled === true) return { ...common, result: "cancelled", totals: null };
    return { ...common, result: "failed", totals: null, error: failureOf(outcome.failure, now) };
  }
  const { files, bytes, deleted, unchanged } = outcome.value;
  const totals = { files, bytes, deleted, durationMs: now - startedAt };
  return { ...common, result: unchanged ? "unchanged" : "succeeded", totals };
}

function withRun(record: TenantRecord, run: SyncRun, { outcome }: Synced, fresh: Fresh): TenantRecord {
  if (!record.syncs) return record;
  const of = outcome.ok ? outcome.value.fingerprint : null;
  const containerId = record.held?.containerId;
  const fingerprint = of !== null && containerId ? { of, containerId } : null;
  return { ...record, syncs: recorded(record.syncs, run, { fingerprint, jitter: jitterOf(fresh) }) };
}

/** In [0, 1), out of what the shell drew. */
const jitterOf = ({ saveId }: Fresh): number => (Number.parseInt(saveId.slice(-4), 16) || 0) / 0x10000;

/** Ends what is under way of a spec, where it is not a part of something else. */
export function cancelSync(record: TenantRecord, specId: string): Plan {
  const { syncs, operation, held } = record;
  const ofInterval = syncs?.running?.specId === specId ? syncs.running.runId : null;
  const ofOperation = operation?.syncs?.todo[0] === specId ? operation.syncs : null;
  if (ofOperation && operation?.kind !== "sync") {
    return refuse("operation_in_progress", `The sync is a part of the tenant's ${operation?.kind}.`, {
      operation: operation?.id,
    });
  }
  const runId = ofInterval ?? ofOperation?.runId;
  if (runId === undefined || !held) return refuse("not_found", `No sync of ${specId} is under way.`);
  return {
    kind: "go",
    record,
    steps: [{ do: "cancel", runId, containerId: held.containerId }],
    journal: [{ type: "tenant.sync_cancelled", detail: { spec: specId } }],
  };
}

/** The specs that an action is about; a failure when it names one that is not there. */
export function specsOf(action: Extract<PlannedAction, { kind: "sync" }>): Outcome<SpecBrief[]> {
  const specs = action.specs ?? [];
  if (action.spec === undefined) return done(specs.filter(({ manual, kind }) => manual && kind !== "state"));
  const spec = specs.find(({ id }) => id === action.spec);
  if (!spec) return { ok: false, failure: { code: "not_found", detail: `There is no sync spec ${action.spec}.` } };
  return done([spec]);
}
