import { TRANSITIONAL_MS } from "./alarms.ts";
import type { Fresh, Going, Limits, Plan, Step } from "./events.ts";
import { wake } from "./plan-claim.ts";
import { eraseKept, removalSteps, removed } from "./plan-destroy.ts";
import { conclude, concludeSteps } from "./plan-import.ts";
import { lossOf } from "./plan-recover.ts";
import { promoteStep } from "./plan-release.ts";
import { restartStep, startStep } from "./plan-restart.ts";
import { restoreStep } from "./plan-restore.ts";
import { quiesceStep, retrySave, saveFailed, saveStep } from "./plan-save.ts";
import { leaseStep, startFailed } from "./plan-start.ts";
import { beginInterval, dropped, intervalStep, nextStep } from "./plan-sync.ts";
import { end, letGo, move } from "./planning.ts";
import { type Held, idleTimeoutOf, type Operation, type TenantRecord } from "./record.ts";

/** The alarm: what is overdue, what was interrupted, and otherwise a look at the container. */
export function tick(
  record: TenantRecord,
  { running, syncing = false }: { running: boolean; syncing?: boolean },
  fresh: Fresh,
  limits: Limits,
  now: number,
): Plan {
  const again: Step[] = record.retiring.map((slot) => ({ do: "retire", ...slot, reason: "swept" }));
  if (record.state === "destroyed" && !record.operation) {
    const { destruction } = record;
    if (destruction?.data === "delete") return { kind: "go", record, steps: removalSteps(record), journal: [] };
    if (destruction?.dataUntil && now >= destruction.dataUntil) return eraseKept(record);
  }
  if (record.state === "asleep" && !record.operation && record.wakeAt !== null && now >= record.wakeAt) {
    return wake({ ...record, wakeAt: null }, fresh, limits, now);
  }
  const operation = record.operation;
  if (operation) {
    if (now >= operation.deadlineAt) return overdue(record, operation, limits, now);
    return { kind: "go", record, steps: running ? [] : [...again, ...firstSteps(record, operation)], journal: [] };
  }
  if (record.state === "release_failed" && record.hold) {
    if (record.hold.kind === "retry" && now >= record.hold.at)
      return retrySave(record, record.hold, fresh, limits, now);
    if (record.hold.kind === "guard" && now >= record.hold.until) {
      // What was sent is mostly in the vault, aside; where it is not, what the container held is lost, and said so.
      const { retiring, steps } = letGo(record, "guard hold is over");
      const lost = record.hold.generation === undefined ? record.held : null;
      const lastLoss = lost ? lossOf(record, lost.containerId, "its save was refused", now) : record.lastLoss;
      const [way, desired] = record.suspension ? (["suspended", "asleep"] as const) : (["released", "idle"] as const);
      return move(record, way, { held: null, retiring, hold: null, desired, lastLoss, unsavedSince: null }, { steps });
    }
  }
  const look: Step[] =
    record.held && isLookDue(record, record.held, now) ? [{ do: "observe", containerId: record.held.containerId }] : [];
  const planned: Going = { kind: "go", record, steps: [...again, ...look], journal: [] };
  const sync = tickSync(record, syncing, fresh, limits, now);
  return sync ? { ...sync, steps: [...planned.steps, ...sync.steps] } : planned;
}

/** The sync of an interval: begun when it is due, gone on with when its performer is gone, ended when its time is over. */
function tickSync(record: TenantRecord, syncing: boolean, fresh: Fresh, limits: Limits, now: number): Going | null {
  const running = record.syncs?.running;
  if (!running) {
    const begun = beginInterval(record, fresh, limits, now);
    return begun?.kind === "go" ? begun : null;
  }
  if (now < running.deadlineAt) {
    return syncing ? null : { kind: "go", record, steps: intervalStep(record), journal: [] };
  }
  const ended = dropped(record, "overdue", fresh, now);
  if (ended.kind !== "go") return null;
  return { ...ended, steps: [{ do: "cancel", runId: running.runId, containerId: running.containerId }] };
}

/** The alarm of a claim rings soon after it (store.ts); its container was just seen, and is looked at only if it is idle already. */
function isLookDue(record: TenantRecord, held: Held, now: number): boolean {
  const idleFor = now - (record.lastActivityAt ?? held.since);
  return now - held.since >= 2 * TRANSITIONAL_MS || idleFor >= (idleTimeoutOf(record, held) ?? Infinity);
}

/** An operation whose performer is gone (the object left memory) starts over: every step is idempotent. */
function firstSteps(record: TenantRecord, operation: Operation): Step[] {
  switch (operation.kind) {
    case "claim":
    case "wake":
    case "recover":
      if (operation.from === "release_failed" && record.held) {
        const { containerId, epoch } = record.held;
        return [{ do: "resume", operationId: operation.id, containerId, epoch }];
      }
      return record.poolId ? [leaseStep(operation, record.poolId, record.epoch)] : [];
    case "release":
    case "sleep":
    case "suspend":
      if (!record.held || record.state === "release_failed" || record.state === "idle") {
        return [promoteStep(record, operation)];
      }
      return [quiesceStep(record, operation)];
    case "restart":
      if (operation.restart?.scope === "process") return record.held ? [restartStep(record, operation)] : [];
      if (record.state === "saving") return [quiesceStep(record, operation)];
      return record.poolId ? [leaseStep(operation, record.poolId, record.epoch)] : [];
    case "sync": {
      const step = operation.saveId === undefined || operation.saved !== undefined ? nextStep(record, operation) : null;
      if (step) return [step];
      return record.held && operation.saveId !== undefined ? [saveStep(record, operation)] : [];
    }
    case "restore":
      if (record.state === "saving") return [quiesceStep(record, operation)];
      if (record.state !== "waking") return [restoreStep(operation, record.epoch)];
      return record.poolId ? [startStep(operation, record.poolId, record.epoch)] : [];
    case "import":
      return concludeSteps(record, operation);
    case "destroy":
      return operation.saveId !== undefined && record.held ? [quiesceStep(record, operation)] : removalSteps(record);
  }
}

/** Every transitional state ends (P-EXIT). */
function overdue(record: TenantRecord, operation: Operation, limits: Limits, now: number): Plan {
  if (operation.kind === "import") return conclude(record, operation, limits, now);
  const failure = { code: "deadline_exceeded" as const, detail: `${operation.kind} took longer than its deadline.` };
  if (record.state === "releasing" || record.state === "sleeping" || record.state === "saving") {
    return saveFailed(record, operation, failure, limits, now);
  }
  if (record.state === "destroying") {
    // What could not be saved by now is not waited for any longer; what could not be deleted is tried again.
    const later = { ...operation, deadlineAt: now + limits.saveMs, attempts: operation.attempts + 1 };
    return operation.saveId === undefined
      ? { kind: "go", record: { ...record, operation: later }, steps: removalSteps(record), journal: [] }
      : removed(record, later);
  }
  if (record.state === "claiming" || record.state === "waking" || record.state === "recovering") {
    return startFailed(record, operation, { type: "start_failed", failure, lease: null }, now);
  }
  return {
    kind: "go",
    record: { ...record, operation: null },
    steps: [],
    ended: end(record, operation, now, { error: failure }),
    journal: [{ type: "tenant.operation_overdue", detail: { operation: operation.id } }],
  };
}
