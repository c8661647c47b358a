import { type Epoch, epoch } from "../ids.ts";
import type { Failure } from "../outcome.ts";
import { actionAnswer } from "./answers.ts";
import type { Fresh, Limits, Plan, PlannedAction, Step, StepResult } from "./events.ts";
import { forcing, waitingFor } from "./plan-restart.ts";
import { beginSave } from "./plan-save.ts";
import { leaseStep } from "./plan-start.ts";
import { end, inProgress, move, nothing, operationOf, refuse, withError } from "./planning.ts";
import type { Made, Operation, TenantRecord } from "./record.ts";
import { ROOM_MS, startingAt } from "./room.ts";

/**
 * Decisions about going back to an earlier generation. The history stays linear: its tree becomes a new generation, so
 * that what was current before can be restored in the same way.
 */

/** A call that broke off is made again, by the same name, so that it cannot happen twice. */
const ATTEMPTS = 3;

type Restore = Extract<PlannedAction, { kind: "restore" }>;
type Result<T extends StepResult["type"]> = Extract<StepResult, { type: T }>;

/** What runs is saved first; where nothing runs, nothing is started. */
export function restore(record: TenantRecord, action: Restore, fresh: Fresh, limits: Limits, now: number): Plan {
  const { generation } = action;
  switch (record.state) {
    case "active":
    case "release_failed":
      return beginSave(record, "restore", forcing(action), fresh, limits, now, {
        restore: { generation },
        ...waitingFor(action, now),
      });
    case "idle":
    case "asleep":
    case "suspended":
    case "error":
      return inPlace(record, action, fresh, limits, now);
    case "destroyed":
      return refuse("invalid_transition", "The tenant is destroyed; a claim brings back what is kept of it.", {
        state: record.state,
      });
    default:
      return inProgress(record);
  }
}

/** A new epoch shuts out whatever still acts for an older one. */
function inPlace(record: TenantRecord, { generation }: Restore, fresh: Fresh, limits: Limits, now: number): Plan {
  const operation: Operation = {
    ...operationOf(record, "restore", fresh, limits.saveMs, now),
    restore: { generation },
  };
  const next = epoch(record.epoch + 1);
  return {
    kind: "go",
    record: { ...record, epoch: next, operation },
    steps: [restoreStep(operation, next)],
    journal: [{ type: "tenant.restore", detail: { operation: operation.id, generation, epoch: next } }],
  };
}

export function restoreStep(operation: Operation, at: Epoch): Step {
  if (!operation.restore) throw new Error("a restore of nothing");
  return { do: "restore", operationId: operation.id, epoch: at, generation: operation.restore.generation };
}

export function restored(
  record: TenantRecord,
  operation: Operation,
  { outcome }: Result<"restored">,
  limits: Limits,
  now: number,
): Plan {
  const { restore: wanted } = operation;
  if (!wanted) return nothing(record);
  if (!outcome.ok) return failedRestore(record, operation, outcome.failure, now);
  const made = outcome.value;
  const { generation } = made.committed;
  const { missing: _, ...rest } = record;
  const current: TenantRecord = { ...rest, generation, lastSaveAt: now };
  if (record.state !== "waking" || record.poolId === null) return ended(current, operation, made, now);
  // The epoch of the restore is the vault's for ever: the container that restores its result needs one of its own.
  const next = epoch(record.epoch + 1);
  const restoring = { ...operation, restore: { ...wanted, made }, attempts: 1 };
  const goingOn = startingAt(restoring, now, ROOM_MS.replace, limits);
  return {
    kind: "go",
    record: { ...current, epoch: next, operation: goingOn },
    steps: [leaseStep(goingOn, record.poolId, next)],
    journal: [{ type: "tenant.restored", detail: { generation, restoredFrom: made.from.generation, epoch: next } }],
  };
}

/** Where nothing runs. What a failure had left in `error` sleeps now, so that the next request starts it on what was restored. */
function ended(record: TenantRecord, operation: Operation, made: Made, now: number): Plan {
  const next: TenantRecord = { ...record, operation: null };
  const detail = { generation: made.committed.generation, restoredFrom: made.from.generation };
  const timings = { total: now - operation.startedAt };
  const state = record.state === "error" ? ("asleep" as const) : record.state;
  const result = actionAnswer({ ...next, state }, null, timings, made);
  const view = end(record, operation, now, { result });
  if (record.state === "error") return move(next, "restored", { desired: "asleep" }, { ended: view, detail });
  const journal = [{ type: "tenant.restored", detail: { ...detail, epoch: record.epoch } }];
  return { kind: "go", record: next, steps: [], ended: view, journal };
}

/** What was saved before is there, and current: a tenant that ran sleeps on it until the next request. */
function failedRestore(record: TenantRecord, operation: Operation, failure: Failure, now: number): Plan {
  const errors = withError(record, failure, now);
  if (failure.code === "operation_interrupted" && operation.attempts < ATTEMPTS && now < operation.deadlineAt) {
    const again = { ...operation, attempts: operation.attempts + 1 };
    return {
      kind: "go",
      record: { ...record, errors, operation: again },
      steps: [restoreStep(again, record.epoch)],
      journal: [],
    };
  }
  const view = end(record, operation, now, { error: failure });
  if (record.state === "waking") {
    const stopped = { operation: null, errors, desired: "asleep" as const, stoppedReason: "failure" as const };
    return move(record, "refused", stopped, { ended: view, detail: { code: failure.code } });
  }
  return {
    kind: "go",
    record: { ...record, operation: null, errors },
    steps: [],
    ended: view,
    journal: [{ type: "tenant.restore_failed", detail: { code: failure.code } }],
  };
}
