import { releaseAnswer } from "./answers.ts";
import type { Fresh, Limits, Plan, Step, StepResult } from "./events.ts";
import { afterSave, beginSave, quiesceStep } from "./plan-save.ts";
import { callingOff, end, inProgress, letGo, move, nothing, operationOf, refuse, withError } from "./planning.ts";
import type { Operation, TenantRecord } from "./record.ts";
import type { ReleaseRequest } from "./requests.ts";

/** Decisions about the end of an assignment, and about what a guard kept aside. */

type Result<T extends StepResult["type"]> = Extract<StepResult, { type: T }>;

export function release(
  record: TenantRecord,
  request: ReleaseRequest,
  fresh: Fresh,
  limits: Limits,
  now: number,
): Plan {
  // A restore or an import where nothing runs ends first.
  if (record.operation && isWithoutContainer(record)) {
    return { kind: "wait", operationId: record.operation.id, again: true };
  }
  switch (record.state) {
    // A quarantined generation can be accepted later, without a container.
    case "idle":
      return request.force ? promote(record, request, fresh, limits, now) : nothing(record);
    case "asleep":
      if (request.force) return promote(record, request, fresh, limits, now);
      return endAssignment(record, request, fresh, now);
    case "error":
      return endAssignment(record, request, fresh, now);
    case "active":
      // A save or restart of the running workload ends first.
      if (record.operation) return { kind: "wait", operationId: record.operation.id, again: true };
      return beginSave(record, "release", request, fresh, limits, now);
    case "release_failed":
      if (record.operation) return { kind: "wait", operationId: record.operation.id, again: true };
      if (record.hold?.kind === "guard" && record.hold.generation !== undefined && request.force)
        return promote(record, request, fresh, limits, now);
      return beginSave(record, "release", request, fresh, limits, now);
    case "releasing":
      return record.operation ? { kind: "wait", operationId: record.operation.id, again: false } : nothing(record);
    case "sleeping":
      return record.operation ? { kind: "wait", operationId: record.operation.id, again: true } : nothing(record);
    case "recovering":
      // Between two attempts of a recovery nothing is under way.
      return callingOff(record, now, (bare) => endAssignment(bare, request, fresh, now)) ?? inProgress(record);
    case "claiming":
    case "waking":
    case "saving":
      return inProgress(record);
    case "suspended":
    case "destroyed":
      return nothing(record);
    case "destroying":
      return refuse("invalid_transition", `A tenant that is ${record.state} cannot be released.`, {
        state: record.state,
      });
  }
}

const isWithoutContainer = ({ state }: TenantRecord): boolean =>
  state === "idle" || state === "asleep" || state === "error";

/** Accepts what a guard refused: the quarantined generation becomes the head. */
function promote(record: TenantRecord, request: ReleaseRequest, fresh: Fresh, limits: Limits, now: number): Plan {
  const operation: Operation = {
    ...operationOf(record, "release", fresh, limits.saveMs, now),
    release: request,
    saveId: fresh.saveId,
  };
  return {
    kind: "go",
    record: { ...record, operation },
    steps: [promoteStep(record, operation)],
    journal: [{ type: "tenant.promoting", detail: { operation: operation.id } }],
  };
}

export function promoteStep(record: TenantRecord, operation: Operation): Step {
  const kept = record.hold?.kind === "guard" ? record.hold.generation : undefined;
  const which = kept === undefined ? {} : { generation: kept };
  return { do: "promote", operationId: operation.id, epoch: record.epoch, ...which };
}

export function promoted(record: TenantRecord, operation: Operation, event: Result<"promoted">, now: number): Plan {
  if (event.failure) {
    return {
      kind: "go",
      record: { ...record, operation: null, errors: withError(record, event.failure, now) },
      steps: [],
      ended: end(record, operation, now, { error: event.failure }),
      journal: [{ type: "tenant.promote_failed", detail: { code: event.failure.code } }],
    };
  }
  if (!event.committed && record.state === "release_failed") {
    // Nothing is kept that could be accepted, or it has been already: what the container holds is saved by force.
    const steps = [quiesceStep(record, operation)];
    return move(record, "release", { hold: null, desired: "idle" }, { steps, detail: { operation: operation.id } });
  }
  const { retiring, steps } = letGo(record, "release");
  const promotedRecord = afterSave(record, event.committed, now);
  const none = { operation: null, held: null, hold: null, unsavedSince: null, suspension: null };
  const next = { ...promotedRecord, ...none, retiring };
  const ended = end(record, operation, now, { result: releaseAnswer({ ...next, state: "idle" }, event.committed) });
  if (record.state === "idle") {
    return {
      kind: "go",
      record: next,
      steps,
      ended,
      journal: [{ type: "tenant.promoted", detail: { generation: next.generation } }],
    };
  }
  return move(next, "released", { desired: "idle" }, { steps, ended, detail: { generation: next.generation } });
}

/** Without a container there is nothing to save: the assignment just ends. */
function endAssignment(record: TenantRecord, request: ReleaseRequest, fresh: Fresh, now: number): Plan {
  const operation: Operation = {
    ...operationOf(record, "release", fresh, 0, now),
    release: request,
  };
  const { retiring, steps } = letGo(record, "release");
  const next: TenantRecord = {
    ...record,
    state: "idle",
    desired: "idle",
    stoppedReason: "user",
    operation: null,
    held: null,
    retiring,
    hold: null,
  };
  return {
    kind: "go",
    record: next,
    steps,
    ended: end(record, operation, now, { result: releaseAnswer(next, null) }),
    journal: [{ type: "tenant.released", detail: { from: record.state, to: "idle", epoch: record.epoch } }],
  };
}
