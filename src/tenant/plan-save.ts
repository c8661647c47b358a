import { type Generation, generation } from "../ids.ts";
import type { Saved } from "../instance/types.ts";
import type { Failure } from "../outcome.ts";
import type { Committed } from "../vault/types.ts";
import { releaseAnswer } from "./answers.ts";
import type { Fresh, Limits, Plan, Step, StepResult } from "./events.ts";
import type { TenantTransition } from "./lifecycle.ts";
import { removed } from "./plan-destroy.ts";
import { lossOf } from "./plan-recover.ts";
import { restartedFrom, synced } from "./plan-restart.ts";
import { lacking } from "./plan-start.ts";
import { beforeLeaving, goOn } from "./plan-sync.ts";
import { end, letGo, move, nothing, refuse, savedView, withError } from "./planning.ts";
import { type Hold, isLossy, type Leaving, type LeavingKind, type Operation, type TenantRecord } from "./record.ts";
import type { ReleaseRequest } from "./requests.ts";
import { takenUp } from "./syncs.ts";
import type { Desired, StoppedReason } from "./vocabulary.ts";

/** Decisions on the way out of a container, whatever it is left for, and what a save came to. */

/** After a save that failed for a passing reason: 1 s, 4 s, 16 s, then every 5 min (design §3). */
const SAVE_RETRY_MS = [1_000, 4_000, 16_000];
const SAVE_RETRY_LAST_MS = 300_000;

type Result<T extends StepResult["type"]> = Extract<StepResult, { type: T }>;
type Retry = Extract<Hold, { kind: "retry" }>;

export function beginSleep(record: TenantRecord, idleSince: number, fresh: Fresh, limits: Limits, now: number): Plan {
  return beginSave(record, "sleep", {}, fresh, limits, now, { idleSince });
}

/** A sleep that nobody asked for, and no activity calls off: whatever serves the tenant next is another container. */
export function drain(record: TenantRecord, containerId: string, fresh: Fresh, limits: Limits, now: number): Plan {
  if (record.operation) return { kind: "wait", operationId: record.operation.id, again: true };
  if (record.held?.containerId !== containerId || record.state !== "active") return nothing(record);
  return beginSave(record, "sleep", {}, fresh, limits, now, { deploy: true });
}

/** What failed is done again, for the reason that it had: a sleep is still a sleep, whose tenant the next request wakes. */
export function retrySave(record: TenantRecord, hold: Retry, fresh: Fresh, limits: Limits, now: number): Plan {
  const planned = beginSave(record, hold.of, hold.release, fresh, limits, now, hold.more);
  if (planned.kind !== "go") return planned;
  return { ...planned, record: { ...planned.record, stoppedReason: record.stoppedReason } };
}

/** What each of them wants the tenant to be in the end, and which way of the lifecycle it takes. */
const LEADS: Record<LeavingKind, { transition: TenantTransition; desired: Desired }> = {
  release: { transition: "release", desired: "idle" },
  sleep: { transition: "sleep", desired: "asleep" },
  suspend: { transition: "sleep", desired: "asleep" },
  restart: { transition: "restart", desired: "active" },
  restore: { transition: "restore", desired: "active" },
};

export function beginSave(
  record: TenantRecord,
  kind: LeavingKind,
  request: ReleaseRequest,
  fresh: Fresh,
  limits: Limits,
  now: number,
  more: Leaving = {},
): Plan {
  if (!record.held) return refuse("invalid_transition", "There is no container.", { state: record.state });
  const { transition, desired } = LEADS[kind];
  const lacks = desired === "active" ? lacking(record) : null;
  if (lacks) return lacks;
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
    ...more,
  };
  return move(
    record,
    transition,
    {
      operation,
      hold: null,
      desired,
      stoppedReason: desired === "active" ? null : reasonOf(kind, more),
      // One whose save failed is called off by whatever else is asked for then.
      suspension: kind === "suspend" ? record.suspension : null,
    },
    {
      steps: [quiesceStep(record, operation)],
      detail: { operation: operation.id, kind, ...more.restore },
    },
  );
}

function reasonOf(kind: LeavingKind, { idleSince, deploy }: Leaving): StoppedReason {
  if (kind === "suspend") return "policy";
  if (deploy) return "deploy";
  return idleSince === undefined ? "user" : "idle";
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

export function quiesced(
  before: TenantRecord,
  begun: Operation,
  event: Result<"quiesced">,
  limits: Limits,
  now: number,
): Plan {
  if (!before.held || !begun.saveId) return nothing(before);
  const syncs = event.specs && takenUp(before.syncs, event.specs, now);
  const known = syncs ? { ...before, syncs } : before;
  const operation = event.busy ? begun : beforeLeaving(known, begun, now);
  const record = operation === begun ? known : { ...known, operation };
  if (!record.held) return nothing(before);
  const keeps = record.held.hasState && operation.release?.sync !== false;
  // An end that keeps nothing needs nobody's answer: the container goes, whatever it says.
  const leaves = operation.syncs !== undefined && operation.syncs.todo.length > 0;
  if (event.failure && (keeps || leaves || operation.kind !== "release")) {
    return saveFailed(record, operation, event.failure, limits, now);
  }
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
  if (!keeps) return saved(record, operation, null, limits, now);
  return { kind: "go", record, steps: [saveStep(record, operation)], journal: [] };
}

export function saveStep(record: TenantRecord, operation: Operation): Step {
  if (!record.held || !operation.saveId) throw new Error("a save without a container");
  return {
    do: "save",
    operationId: operation.id,
    containerId: record.held.containerId,
    epoch: record.held.epoch,
    saveId: operation.saveId,
    force: operation.release?.force === true,
    ...(operation.kind === "sync" ? { live: true as const } : {}),
  };
}

/** The save ended well; `committed` is null where nothing was to be kept. */
export function saved(
  record: TenantRecord,
  operation: Operation,
  committed: Saved | null,
  limits: Limits,
  now: number,
): Plan {
  const after = afterSave(record, committed, now);
  const more = goOn(after, { ...operation, saved: savedView(committed) }, limits, now);
  if (more) return more;
  if (operation.kind === "sync") return synced(after, operation, committed, now);
  if (operation.kind === "restart" || operation.kind === "restore")
    return restartedFrom(left(after, committed, now), operation, committed, limits, now);
  if (operation.kind === "destroy") {
    return removed(left(after, committed, now), { ...operation, saved: savedView(committed) }, now);
  }
  const timings = { ...committed?.timings, total: now - operation.startedAt };
  const { retiring, steps } = letGo(record, operation.kind);
  const { transition, state } =
    operation.kind === "suspend"
      ? ({ transition: "suspended", state: "suspended" } as const)
      : record.state === "sleeping"
        ? ({ transition: "slept", state: "asleep" } as const)
        : ({ transition: "released", state: "idle" } as const);
  const next: TenantRecord = { ...left(after, committed, now), operation: null, held: null, retiring };
  const result = releaseAnswer({ ...next, state }, committed, timings);
  return move(
    next,
    transition,
    {},
    {
      steps,
      ended: end(record, operation, now, { result }),
      detail: { generation: next.generation, changed: committed?.changed ?? null },
    },
  );
}

export const afterSave = (record: TenantRecord, committed: Committed | null, now: number): TenantRecord =>
  committed ? { ...record, generation: committed.generation, lastSaveAt: now } : record;

/** Nothing of the container is unsaved any more; given up on purpose is no loss, but it was not saved either. */
function left(record: TenantRecord, committed: Committed | null, now: number): TenantRecord {
  const { held } = record;
  const lastLoss =
    committed || !held?.hasState ? record.lastLoss : lossOf(record, held.containerId, "left without a save", now);
  return { ...record, lastLoss, unsavedSince: null };
}

/** Refusals that trying again cannot change: what was sent is kept in the vault, and the container for a while. */
const FINAL: readonly Failure["code"][] = ["guard_blocked", "conflict", "forbidden"];

export function saveFailed(
  record: TenantRecord,
  operation: Operation,
  failure: Failure,
  limits: Limits,
  now: number,
): Plan {
  const errors = withError(record, failure, now);
  const noted = { ...record, errors };
  if (operation.kind === "sync") return synced(noted, operation, failure, now);
  // What may be lost, and what is to be gone anyway, does not wait for a save.
  if (operation.kind === "destroy" || isLossy(operation)) {
    const planned = saved(noted, { ...operation, notSaved: failure }, operation.saved ?? null, limits, now);
    if (planned.kind !== "go") return planned;
    const entry = { type: "tenant.unsaved", detail: { operation: operation.id, code: failure.code } };
    return { ...planned, journal: [entry, ...planned.journal] };
  }
  if (failure.code === "container_unavailable" && record.held)
    return lostUnsaved(noted, operation, failure, limits, now);
  const { attempts } = operation;
  const more = moreOf(operation);
  const hold = FINAL.includes(failure.code)
    ? { kind: "guard" as const, until: now + limits.guardHoldMs, ...keptAside(failure) }
    : {
        kind: "retry" as const,
        at: now + (SAVE_RETRY_MS[attempts - 1] ?? SAVE_RETRY_LAST_MS),
        attempts,
        saveId: operation.saveId ?? operation.id,
        release: operation.release ?? {},
        of: leavingKind(operation),
        ...(more ? { more } : {}),
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

/** The container died before its state was saved. Where the operation leads is reached all the same; what was lost is said. */
function lostUnsaved(record: TenantRecord, operation: Operation, failure: Failure, limits: Limits, now: number): Plan {
  if (!record.held) return nothing(record);
  const lastLoss = lossOf(record, record.held.containerId, failure.detail, now);
  const bare = { ...record, lastLoss, unsavedSince: null };
  if (operation.kind === "restart" || operation.kind === "restore")
    return restartedFrom(bare, operation, null, limits, now);
  const { retiring, steps } = letGo(record, "lost");
  const detail = `The container was lost before its state was saved; generation ${record.generation} is kept.`;
  const transition = operation.kind === "suspend" ? "suspended" : record.state === "sleeping" ? "slept" : "lost";
  return move(
    { ...bare, operation: null, held: null, retiring },
    transition,
    {},
    {
      steps,
      ended: end(record, operation, now, { error: { code: "save_failed", detail, extra: { reason: failure.detail } } }),
      detail: { reason: failure.detail },
    },
  );
}

/** A restore whose safety save failed is over: what is tried again is the save, and then the tenant runs as it did. */
const leavingKind = ({ kind }: Operation): LeavingKind => {
  if (kind === "restore") return "restart";
  return kind === "sleep" || kind === "restart" || kind === "suspend" ? kind : "release";
};

const moreOf = ({ kind, restart, deploy }: Operation): Leaving | undefined => {
  if (kind === "restore") return { restart: { scope: "container" } };
  return restart ? { restart } : deploy && { deploy };
};

/** The generation that a refusal says was kept, not as the head. */
function keptAside({ extra }: Failure): { generation?: Generation } {
  return typeof extra?.generation === "number" ? { generation: generation(extra.generation) } : {};
}
