import { type Generation, generation } from "../ids.ts";
import type { Failure } from "../outcome.ts";
import type { Committed } from "../vault/types.ts";
import type { Fresh, Limits, Plan, Step, StepResult } from "./events.ts";
import { inProgress, lossOf } from "./plan-start.ts";
import { end, letGo, move, nothing, refuse, withError } from "./planning.ts";
import type { Hold, Operation, TenantRecord } from "./record.ts";
import type { ReleaseAnswer, ReleaseRequest } from "./types.ts";

/** Decisions on the way out of a container: release and sleep, and what a save came to. */

/** After a save that failed for a passing reason: 1 s, 4 s, 16 s, then every 5 min (design §3). */
const SAVE_RETRY_MS = [1_000, 4_000, 16_000];
const SAVE_RETRY_LAST_MS = 300_000;

type Result<T extends StepResult["type"]> = Extract<StepResult, { type: T }>;
type Retry = Extract<Hold, { kind: "retry" }>;

export function release(
  record: TenantRecord,
  request: ReleaseRequest,
  fresh: Fresh,
  limits: Limits,
  now: number,
): Plan {
  switch (record.state) {
    case "idle":
      // A quarantined generation can be accepted later, without a container.
      return request.force ? promote(record, request, fresh, limits, now) : nothing(record);
    case "asleep":
    case "error":
      return endAssignment(record, request, fresh, now);
    case "active":
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
    case "claiming":
    case "waking":
    case "recovering":
    case "saving":
      return inProgress(record);
    case "suspended":
    case "destroying":
    case "destroyed":
      return refuse("invalid_transition", `A tenant that is ${record.state} cannot be released.`, {
        state: record.state,
      });
  }
}

export function beginSleep(record: TenantRecord, idleSince: number, fresh: Fresh, limits: Limits, now: number): Plan {
  return beginSave(record, "sleep", {}, fresh, limits, now, idleSince);
}

/** What failed is done again: a sleep is still a sleep, whose tenant the next request wakes. */
export function retrySave(record: TenantRecord, hold: Retry, fresh: Fresh, limits: Limits, now: number): Plan {
  if (hold.of === "sleep") return beginSave(record, "sleep", hold.release, fresh, limits, now);
  return release(record, hold.release, fresh, limits, now);
}

function beginSave(
  record: TenantRecord,
  kind: "release" | "sleep",
  request: ReleaseRequest,
  fresh: Fresh,
  limits: Limits,
  now: number,
  idleSince?: number,
): Plan {
  if (!record.held) return refuse("invalid_transition", "There is no container.", { state: record.state });
  // A save whose reply was lost is asked for again by its own name, so that it cannot happen twice.
  const saveId = record.hold?.kind === "retry" ? record.hold.saveId : fresh.saveId;
  const operation: Operation = {
    id: fresh.operationId,
    kind,
    startedAt: now,
    deadlineAt: now + limits.saveMs,
    attempts: record.hold?.kind === "retry" ? record.hold.attempts + 1 : 1,
    from: record.state,
    fresh: "never",
    release: request,
    saveId,
    ...(idleSince === undefined ? {} : { idleSince }),
  };
  return move(
    record,
    kind,
    { operation, hold: null, desired: kind === "release" ? "idle" : "asleep" },
    {
      steps: [quiesceStep(record, operation)],
      detail: { operation: operation.id },
    },
  );
}

export function quiesceStep(record: TenantRecord, operation: Operation): Step {
  const { held } = record;
  const { idleSince } = operation;
  if (!held) throw new Error("a save without a container");
  return {
    do: "quiesce",
    operationId: operation.id,
    containerId: held.containerId,
    epoch: held.epoch,
    ...(idleSince === undefined ? {} : { idleSince }),
  };
}

export function quiesced(record: TenantRecord, operation: Operation, event: Result<"quiesced">, now: number): Plan {
  if (!record.held || !operation.saveId) return nothing(record);
  const keeps = record.held.hasState && operation.release?.sync !== false;
  // An end that keeps nothing needs nobody's answer: the container goes, whatever it says.
  if (event.failure && (keeps || operation.kind === "sleep")) return saveFailed(record, operation, event.failure, now);
  if (event.busy) {
    return move(
      record,
      "called_off",
      { operation: null, desired: "active", lastActivityAt: now },
      {
        ended: end(record, operation, now, { cancelled: "activity" }),
      },
    );
  }
  if (!keeps) return saved(record, operation, { type: "saved", outcome: { ok: true, value: null } }, now);
  const step: Step = {
    do: "save",
    operationId: operation.id,
    containerId: record.held.containerId,
    epoch: record.held.epoch,
    saveId: operation.saveId,
    force: operation.release?.force === true,
  };
  return { kind: "go", record, steps: [step], journal: [] };
}

export function saved(record: TenantRecord, operation: Operation, event: Result<"saved">, now: number): Plan {
  if (!event.outcome.ok) return saveFailed(record, operation, event.outcome.failure, now);
  const committed = event.outcome.value;
  const timings = { ...committed?.timings, total: now - operation.startedAt };
  const { retiring, steps } = letGo(record, operation.kind);
  const asleep = record.state === "sleeping";
  const next: TenantRecord = {
    ...afterSave(record, committed, now),
    operation: null,
    held: null,
    retiring,
    // Given up on purpose (sync: false) is no loss, but it was not saved either.
    lastLoss:
      committed || !record.held?.hasState
        ? record.lastLoss
        : lossOf(record, record.held.containerId, "released without a save", now),
    unsavedSince: null,
  };
  return move(
    next,
    asleep ? "slept" : "released",
    {},
    {
      steps,
      ended: end(record, operation, now, {
        result: releaseAnswer({ ...next, state: asleep ? "asleep" : "idle" }, committed, timings),
      }),
      detail: { generation: next.generation, changed: committed?.changed ?? null },
    },
  );
}

const afterSave = (record: TenantRecord, committed: Committed | null, now: number): TenantRecord =>
  committed ? { ...record, generation: committed.generation, lastSaveAt: now } : record;

/** Refusals that trying again cannot change: what was sent is kept in the vault, and the container for a while. */
const FINAL: readonly Failure["code"][] = ["guard_blocked", "conflict", "forbidden"];

export function saveFailed(
  record: TenantRecord,
  operation: Operation,
  failure: Failure,
  now: number,
  guardHoldMs = 3_600_000,
): Plan {
  const errors = withError(record, failure, now);
  if (failure.code === "container_unavailable" && record.held) {
    const { retiring, steps } = letGo(record, "lost");
    const detail = `The container was lost before its state was saved; generation ${record.generation} is kept.`;
    const lastLoss = lossOf(record, record.held.containerId, failure.detail, now);
    const bare = { ...record, operation: null, held: null, retiring, errors, lastLoss, unsavedSince: null };
    // Asleep on the last generation is where a sleep wanted to be; a release ends idle. Both say what was lost.
    return move(
      bare,
      record.state === "sleeping" ? "slept" : "lost",
      {},
      {
        steps,
        ended: end(record, operation, now, {
          error: { code: "save_failed", detail, extra: { reason: failure.detail } },
        }),
        detail: { reason: failure.detail },
      },
    );
  }
  const attempts = operation.attempts;
  const hold = FINAL.includes(failure.code)
    ? { kind: "guard" as const, until: now + guardHoldMs, ...keptAside(failure) }
    : {
        kind: "retry" as const,
        at: now + (SAVE_RETRY_MS[attempts - 1] ?? SAVE_RETRY_LAST_MS),
        attempts,
        saveId: operation.saveId ?? operation.id,
        release: operation.release ?? {},
        of: operation.kind === "sleep" ? ("sleep" as const) : ("release" as const),
      };
  return move(
    record,
    "save_failed",
    { operation: null, errors, hold },
    {
      ended: end(record, operation, now, { error: failure }),
      detail: { code: failure.code },
    },
  );
}

/** The generation that a refusal says was kept, not as the head. */
function keptAside({ extra }: Failure): { generation?: Generation } {
  return typeof extra?.generation === "number" ? { generation: generation(extra.generation) } : {};
}

/** Accepts what a guard refused: the quarantined generation becomes the head. */
function promote(record: TenantRecord, request: ReleaseRequest, fresh: Fresh, limits: Limits, now: number): Plan {
  const operation: Operation = {
    id: fresh.operationId,
    kind: "release",
    startedAt: now,
    deadlineAt: now + limits.saveMs,
    attempts: 1,
    from: record.state,
    fresh: "never",
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
  const next = { ...promotedRecord, operation: null, held: null, retiring, hold: null, unsavedSince: null };
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
    id: fresh.operationId,
    kind: "release",
    startedAt: now,
    deadlineAt: now,
    attempts: 1,
    from: record.state,
    fresh: "never",
    release: request,
  };
  const { retiring, steps } = letGo(record, "release");
  const next: TenantRecord = {
    ...record,
    state: "idle",
    desired: "idle",
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

export function releaseAnswer(
  record: TenantRecord,
  committed: Committed | null,
  timings: Record<string, number> = {},
): ReleaseAnswer {
  const { tenantId, state } = record;
  if (!committed) return { tenantId, state, saved: null, timings };
  const { generation, files, bytes, changed } = committed;
  return { tenantId, state, saved: { generation, files, bytes, changed }, timings };
}
