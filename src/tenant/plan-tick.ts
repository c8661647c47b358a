import { CADENCE } from "../durable/cadence.ts";
import type { Fresh, Going, Limits, Plan, Step } from "./events.ts";
import { wake } from "./plan-claim.ts";
import { tickDestroyed, tickDestroying } from "./plan-destroy.ts";
import { conclude, concludeSteps } from "./plan-import.ts";
import { keptNoMore } from "./plan-recover.ts";
import { promoteStep } from "./plan-release.ts";
import { restartStep, startStep } from "./plan-restart.ts";
import { restoreStep } from "./plan-restore.ts";
import { quiesceStep, retrySave, saveFailed, saveStep } from "./plan-save.ts";
import { expire, staleAt } from "./plan-stale.ts";
import { leaseStep, startFailed } from "./plan-start.ts";
import { beginInterval, dropped, intervalStep, nextStep } from "./plan-sync.ts";
import { end, retireStep } from "./planning.ts";
import { type Held, idleTimeoutOf, isWaiting, type Operation, type TenantRecord } from "./record.ts";
import { stranded } from "./stranded.ts";

const GUARD_IS_OVER = { reason: "guard hold is over", loss: "its save was refused", idle: "released" } as const;

/** The alarm: what is overdue, what was interrupted, and otherwise a look at the container. */
export function tick(
  record: TenantRecord,
  { running, syncing = false }: { running: boolean; syncing?: boolean },
  fresh: Fresh,
  limits: Limits,
  now: number,
): Plan {
  // Destroying only deletes, whatever else the record may say.
  if (record.state === "destroying") return tickDestroying(record, running, fresh, limits, now);
  const { operation, state, hold } = record;
  const again: Step[] = record.retiring.map((slot) => retireStep(slot, "swept"));
  if (operation) {
    if (isWaiting(operation, now)) return { kind: "go", record, steps: again, journal: [] };
    if (now >= operation.deadlineAt) return overdue(record, operation, limits, now);
    return { kind: "go", record, steps: running ? [] : [...again, ...firstSteps(record, operation)], journal: [] };
  }
  const due = stranded(record, limits, now) ?? dueNow(record, fresh, limits, now);
  if (due) return due;
  if (state === "release_failed" && hold?.kind === "retry" && now >= hold.at) {
    return retrySave(record, hold, fresh, limits, now);
  }
  if (state === "release_failed" && hold?.kind === "guard" && now >= hold.until) {
    return keptNoMore(record, GUARD_IS_OVER, fresh, limits, now);
  }
  const look: Step[] =
    record.held && isLookDue(record, record.held, now) ? [{ do: "observe", containerId: record.held.containerId }] : [];
  const planned: Going = { kind: "go", record, steps: [...again, ...look], journal: [] };
  const sync = tickSync(record, syncing, fresh, limits, now);
  return sync ? { ...sync, steps: [...planned.steps, ...sync.steps] } : planned;
}

/** What time alone brings, where nothing runs; null when nothing is due. */
function dueNow(record: TenantRecord, fresh: Fresh, limits: Limits, now: number): Plan | null {
  if (record.state === "destroyed") return tickDestroyed(record, now);
  if (record.state === "asleep" && record.wakeAt !== null && now >= record.wakeAt) {
    return wake({ ...record, wakeAt: null }, fresh, limits, now, { byLifecycle: true });
  }
  return now >= (staleAt(record) ?? Infinity) ? expire(record, fresh, limits, now) : null;
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
  return now - held.since >= 2 * CADENCE.transitional || idleFor >= (idleTimeoutOf(record, held) ?? Infinity);
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
      return []; // tickDestroying
  }
}

/** Every transitional state ends (P-EXIT). */
function overdue(record: TenantRecord, operation: Operation, limits: Limits, now: number): Plan {
  if (operation.kind === "import") return conclude(record, operation, limits, now);
  const failure = { code: "deadline_exceeded" as const, detail: `${operation.kind} took longer than its deadline.` };
  if (record.state === "releasing" || record.state === "sleeping" || record.state === "saving") {
    return saveFailed(record, operation, failure, limits, now);
  }
  if (record.state === "claiming" || record.state === "waking" || record.state === "recovering") {
    return startFailed(record, operation, { type: "start_failed", failure, lease: null }, limits, now);
  }
  return {
    kind: "go",
    record: { ...record, operation: null },
    steps: [],
    ended: end(record, operation, now, { error: failure }),
    journal: [{ type: "tenant.operation_overdue", detail: { operation: operation.id } }],
  };
}
