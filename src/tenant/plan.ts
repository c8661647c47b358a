import type { Fresh, Limits, Plan, Step, StepResult, TenantEvent } from "./events.ts";
import { act } from "./plan-act.ts";

import { ended, erased, eraseFailed, eraseKept, removalSteps, removed } from "./plan-destroy.ts";
import { noteFiles } from "./plan-files.ts";
import { beginImport, conclude, concludeSteps, imported } from "./plan-import.ts";

import { promoted, promoteStep, release } from "./plan-release.ts";
import { restarted, restartStep, startStep } from "./plan-restart.ts";
import { restored, restoreStep } from "./plan-restore.ts";
import { beginSleep, drain, quiesced, quiesceStep, retrySave, saved, saveFailed, saveStep } from "./plan-save.ts";
import { change } from "./plan-settings.ts";
import { assigned, claim, leased, leaseStep, lossOf, lost, resumed, startFailed, wake } from "./plan-start.ts";
import { beginInterval, cancelSync, dropped, intervalStep, nextStep, synced } from "./plan-sync.ts";
import { end, letGo, move, nothing, refuse } from "./planning.ts";
import { type Held, idleTimeoutOf, type Operation, type TenantRecord } from "./record.ts";
import { wakeAtOf } from "./schedule.ts";
import { nextDue, type Syncs, takenUp } from "./syncs.ts";

/** What an event means for a tenant. Pure: the same arguments give the same plan. Times in ms since 1970. */
export function plan(record: TenantRecord, event: TenantEvent, fresh: Fresh, limits: Limits, now: number): Plan {
  const planned = decide(record, event, fresh, limits, now);
  if (planned.kind !== "go") return planned;
  if (isGiven(event) && isTooMuch(record, planned.record)) {
    return refuse(
      "payload_too_large",
      "Config and secrets of a tenant are together larger than 1.8 MB as they are stored.",
    );
  }
  const settled = withoutLeft(planned, fresh, now);
  const wakeAt = wakeAtOf(settled.record, now);
  return wakeAt === settled.record.wakeAt ? settled : { ...settled, record: { ...settled.record, wakeAt } };
}

type Going = Extract<Plan, { kind: "go" }>;

/** A sync that the interval brought ends with the time that its container serves. */
function withoutLeft(planned: Going, fresh: Fresh, now: number): Going {
  const { state, held, syncs } = planned.record;
  const running = syncs?.running;
  if (!running || (state === "active" && held?.containerId === running.containerId)) return planned;
  const ended = dropped(planned.record, "left", fresh, now);
  if (ended.kind !== "go") return planned;
  return { ...planned, record: ended.record, synced: [...(planned.synced ?? []), ...(ended.synced ?? [])] };
}

/** A record is one row, which holds 2 MB (platform limit); what a tenant was given is all of it that can be large. */
const MAX_GIVEN_BYTES = 1_800_000;

/** Not so a key that is wrapped anew: nobody gave anything, and a rotation ends. */
const isGiven = (event: TenantEvent): boolean =>
  event.type === "claim" || (event.type === "change" && event.change.kind !== "rewrap");

function isTooMuch(before: TenantRecord, { delivery, secrets }: TenantRecord): boolean {
  if (delivery === before.delivery && secrets === before.secrets) return false;
  return new TextEncoder().encode(JSON.stringify([delivery, secrets])).length > MAX_GIVEN_BYTES;
}

function decide(record: TenantRecord, event: TenantEvent, fresh: Fresh, limits: Limits, now: number): Plan {
  switch (event.type) {
    case "claim":
      return claim(record, event, fresh, limits, now);
    case "release":
      return release(record, event.request, fresh, limits, now);
    case "act":
      return act(record, event.action, event.by, fresh, limits, now);
    case "change":
      return change(record, event.change, event.ifMatch);
    case "import":
      return beginImport(record, event, fresh, limits, now);
    case "noted":
      return { kind: "go", record, steps: [], journal: [event.entry] };
    case "files":
      return noteFiles(record, event.note, now);
    case "wake":
      return wake(record, fresh, limits, now);
    case "drain":
      return drain(record, event.containerId, fresh, limits, now);
    case "lost":
      return lost(record, event, fresh, limits, now);
    case "tick":
      return tick(record, event, fresh, limits, now);
    case "observed":
      return observed(record, event, fresh, limits, now);
    case "synced":
      return synced(record, event, fresh, limits, now);
    case "cancel_sync":
      return cancelSync(record, event.specId);
    case "retired":
      return retired(record, event.containerId, now);
    case "erased":
      return erased(record, event.proof, now);
    case "erase_failed":
      return eraseFailed(record, event.failure, now);
    case "settled":
      return ended(record, now);
  }
  // The result of a step counts only for the operation that took it: a late reply changes nothing (P-FENCE).
  const operation = record.operation;
  if (operation === null || operation.id !== event.operationId) return unwanted(record, event);
  switch (event.type) {
    case "leased":
      return leased(record, operation, event);
    case "assigned":
      return assigned(record, operation, event, now);
    case "start_failed":
      return startFailed(record, operation, event, now);
    case "resumed":
      return resumed(record, operation, event, now);
    case "restarted":
      return restarted(record, operation, event, now);
    case "quiesced":
      return quiesced(record, operation, event, limits, now);
    case "saved":
      if (!event.outcome.ok) return saveFailed(record, operation, event.outcome.failure, limits, now);
      return saved(record, operation, event.outcome.value, limits, now);
    case "promoted":
      return promoted(record, operation, event, now);
    case "restored":
      return restored(record, operation, event, limits, now);
    case "imported":
      return imported(record, operation, event, now);
  }
}

/** Late: the record stays as it is. A container that was to come with it is given back, with all that it was given. */
function unwanted(record: TenantRecord, event: StepResult): Plan {
  const lease = "lease" in event ? event.lease : null;
  if (!lease || !record.poolId || lease.containerId === record.held?.containerId) return nothing(record);
  const step: Step = { do: "retire", containerId: lease.containerId, poolId: record.poolId, reason: "came too late" };
  return { kind: "go", record, steps: [step], journal: [] };
}

/** The alarm: what is overdue, what was interrupted, and otherwise a look at the container. */
function tick(
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

function observed(
  before: TenantRecord,
  event: Extract<TenantEvent, { type: "observed" }>,
  fresh: Fresh,
  limits: Limits,
  now: number,
): Plan {
  const { held } = before;
  if (!held || held.containerId !== event.containerId || before.operation) return nothing(before);
  const syncs = event.specs && takenUp(before.syncs, event.specs, now);
  const record = syncs === before.syncs || !syncs ? before : { ...before, syncs };
  const { observation } = event;
  if (!observation.alive) {
    return lost(
      record,
      { type: "lost", containerId: held.containerId, epoch: held.epoch, detail: observation.detail ?? "not running" },
      fresh,
      limits,
      now,
    );
  }
  if (record.state !== "active") return nothing(record);
  const lastActivityAt = Math.max(record.lastActivityAt ?? held.since, observation.lastActivityAt);
  const seen = lastActivityAt === record.lastActivityAt ? record : { ...record, lastActivityAt };
  const idleTimeoutMs = idleTimeoutOf(record, held);
  if (idleTimeoutMs !== null && observation.openRequests === 0 && now - lastActivityAt >= idleTimeoutMs) {
    return beginSleep(seen, lastActivityAt, fresh, limits, now);
  }
  return { kind: "go", record: seen, steps: [], journal: [] };
}

function retired(record: TenantRecord, containerId: string, now: number): Plan {
  const retiring = record.retiring.filter((slot) => slot.containerId !== containerId);
  return retiring.length === record.retiring.length ? nothing(record) : ended({ ...record, retiring }, now);
}

/** How often an active tenant's container is looked at, and an operation's performer checked; before jitter. */
const ACTIVE_MS = 60_000;
const TRANSITIONAL_MS = 10_000;
const SWEEP_MS = 5_000;

/**
 * When this tenant wants to be looked at next, strictly in the future; null when nothing is due.
 * `jitter` in [0, 1) spreads the cadence by up to a fifth.
 */
export function nextAlarm(record: TenantRecord, now: number, jitter: number): number | null {
  const due: number[] = [];
  if (record.operation) due.push(Math.min(record.operation.deadlineAt, now + TRANSITIONAL_MS));
  else if (record.state === "active" && record.syncs) due.push(syncAt(record.syncs, now));
  if (record.retiring.length > 0) due.push(now + SWEEP_MS);
  if (record.hold) due.push(record.hold.kind === "retry" ? record.hold.at : record.hold.until);
  if (record.wakeAt !== null) due.push(record.wakeAt);
  if (record.state === "destroyed" && record.destruction?.dataUntil) due.push(record.destruction.dataUntil);
  if (record.state === "destroyed" && record.destruction?.data === "delete") due.push(now + ACTIVE_MS);
  const { held } = record;
  // Looking at a container that is kept is also what keeps it (its dead-man switch is shorter than a guard's hold).
  if (record.state === "release_failed" && held) due.push(now + ACTIVE_MS * (1 + jitter / 5));
  if (record.state === "active" && held) {
    due.push(now + ACTIVE_MS * (1 + jitter / 5));
    const idleTimeoutMs = idleTimeoutOf(record, held);
    if (idleTimeoutMs !== null) {
      const idleAt = (record.lastActivityAt ?? held.since) + idleTimeoutMs;
      // Idle but with something open (a long WebSocket): look again, the less often the longer it may be idle.
      due.push(idleAt > now ? idleAt : now + Math.max(1_000, idleTimeoutMs / 4));
    }
  }
  const next = Math.ceil(Math.min(...due, Infinity));
  return next === Infinity ? null : Math.max(next, now + 1);
}

/** When a sync is due, or the one under way is to be looked after. */
const syncAt = (syncs: Syncs, now: number): number =>
  syncs.running ? Math.min(syncs.running.deadlineAt, now + TRANSITIONAL_MS) : nextDue(syncs);
