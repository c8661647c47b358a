import { type Epoch, epoch, type PoolId } from "../ids.ts";
import type { SavedView } from "../instance/types.ts";
import type { Failure } from "../outcome.ts";
import type { Way } from "../sync/run.ts";
import { actionAnswer } from "./answers.ts";
import type { Fresh, Limits, Plan, PlannedAction, Step, StepResult } from "./events.ts";
import { restoreStep } from "./plan-restore.ts";
import { beginSave, saveStep } from "./plan-save.ts";
import { contentDetail, leaseStep } from "./plan-start.ts";
import { toDo } from "./plan-sync.ts";
import { end, letGo, move, nothing, operationOf, refuse, withError } from "./planning.ts";
import type { Operation, TenantRecord } from "./record.ts";
import type { ReleaseRequest } from "./requests.ts";
import { ROOM_MS, startingAt } from "./room.ts";

/** Decisions about a running workload that goes on running: restarts, and saves in between. */

type Restart = Extract<PlannedAction, { kind: "restart" }>;
type Result<T extends StepResult["type"]> = Extract<StepResult, { type: T }>;

/** Of a tenant that holds a container. */
export function restart(record: TenantRecord, action: Restart, fresh: Fresh, limits: Limits, now: number): Plan {
  const { scope, minWorkloadVersion = 0 } = action;
  if (scope === "process") return restartProcess(record, fresh, limits, now);
  const more = { restart: scope === "image" ? { scope, minWorkloadVersion } : { scope }, ...waitingFor(action, now) };
  return beginSave(record, "restart", forcing(action), fresh, limits, now, more);
}

/** Until when what follows its save waits for room, where that was said. */
export const waitingFor = ({ capacityWaitMs }: { capacityWaitMs?: number }, now: number) =>
  capacityWaitMs === undefined ? {} : { capacityUntil: now + capacityWaitMs };

export const forcing = ({ force }: { force?: boolean }): ReleaseRequest => (force ? { force } : {});

/** The workload alone: the tenant stays active, and so does what its container holds. */
function restartProcess(record: TenantRecord, fresh: Fresh, limits: Limits, now: number): Plan {
  const { held } = record;
  if (record.state !== "active" || !held) {
    return refuse("invalid_transition", `A tenant that is ${record.state} has no running workload.`, {
      state: record.state,
    });
  }
  const operation: Operation = {
    ...operationOf(record, "restart", fresh, limits.startMs, now),
    restart: { scope: "process" },
  };
  return {
    kind: "go",
    record: { ...record, operation },
    steps: [restartStep(record, operation)],
    journal: [{ type: "tenant.restart", detail: { operation: operation.id, scope: "process", epoch: record.epoch } }],
  };
}

export function restartStep(record: TenantRecord, operation: Operation): Step {
  if (!record.held) throw new Error("a restart without a container");
  return { do: "restart", operationId: operation.id, containerId: record.held.containerId, epoch: record.held.epoch };
}

export function restarted(record: TenantRecord, operation: Operation, event: Result<"restarted">, now: number): Plan {
  const timings = { total: now - operation.startedAt };
  if (!event.failure) {
    const next = { ...record, operation: null, lastActivityAt: now };
    return {
      kind: "go",
      record: next,
      steps: [],
      ended: end(record, operation, now, { result: actionAnswer(next, null, timings) }),
      journal: [{ type: "tenant.restarted", detail: { scope: "process", epoch: record.epoch } }],
    };
  }
  return {
    kind: "go",
    record: { ...record, operation: null, errors: withError(record, event.failure, now) },
    steps: record.held ? [{ do: "observe", containerId: record.held.containerId }] : [],
    ended: end(record, operation, now, { error: event.failure }),
    journal: [{ type: "tenant.restart_failed", detail: { code: event.failure.code } }],
  };
}

/**
 * The second half of a restart: what there was is saved (or given up), and a fresh container restores it under a new
 * epoch. Of a restore, the generation that was asked for is made current before.
 */
export function restartedFrom(
  record: TenantRecord,
  operation: Operation,
  committed: SavedView | null,
  limits: Limits,
  now: number,
): Plan {
  if (record.poolId === null) return nothing(record);
  const { retiring, steps } = letGo(record, operation.kind);
  const next = epoch(record.epoch + 1);
  const leftFrom: Operation = { ...operation, saved: committed, attempts: 1, from: "asleep" };
  const goingOn = startingAt(leftFrom, now, ROOM_MS.replace, limits);
  const bare = { ...record, operation: goingOn, held: null, retiring, epoch: next, hold: null };
  return move(
    bare,
    "saved",
    {},
    {
      steps: [...steps, startStep(goingOn, record.poolId, next)],
      detail: { operation: operation.id, generation: record.generation, ...contentDetail(record) },
    },
  );
}

/** What comes first after the save, or comes next when whoever did it is gone. */
export const startStep = (operation: Operation, poolId: PoolId, at: Epoch): Step =>
  operation.restore && !operation.restore.made ? restoreStep(operation, at) : leaseStep(operation, poolId, at);

/** A save while the workload runs on, and after it the syncs of specs. */
export function sync(
  record: TenantRecord,
  also: { specs: string[]; way: Way; spec?: string },
  fresh: Fresh,
  limits: Limits,
  now: number,
): Plan {
  const plain = operationOf(record, "sync", fresh, limits.saveMs, now);
  const operation: Operation = {
    ...plain,
    saveId: fresh.saveId,
    ...(also.spec === undefined ? {} : { spec: { id: also.spec } }),
    ...(also.specs.length === 0 ? {} : { syncs: toDo(plain.id, also.specs, "manual", also.way, now) }),
  };
  return {
    kind: "go",
    record: { ...record, operation },
    steps: [saveStep(record, operation)],
    journal: [{ type: "tenant.sync", detail: { operation: operation.id, epoch: record.epoch } }],
  };
}

/** How it ended. What changed since it began is unsaved still. */
export function synced(
  record: TenantRecord,
  operation: Operation,
  outcome: SavedView | Failure | null,
  now: number,
): Plan {
  if (outcome !== null && "code" in outcome) {
    return {
      kind: "go",
      record: { ...record, operation: null },
      steps: [],
      ended: end(record, operation, now, { error: outcome }),
      journal: [{ type: "tenant.sync_failed", detail: { code: outcome.code } }],
    };
  }
  const next = { ...record, operation: null, unsavedSince: record.unsavedSince === null ? null : operation.startedAt };
  const timings = { total: now - operation.startedAt };
  return {
    kind: "go",
    record: next,
    steps: [],
    ended: end(record, operation, now, { result: actionAnswer(next, outcome, timings) }),
    journal: [{ type: "tenant.synced", detail: { generation: next.generation, changed: outcome?.changed ?? null } }],
  };
}
