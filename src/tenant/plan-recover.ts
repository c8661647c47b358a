import { type ContainerId, epoch } from "../ids.ts";
import type { ContainerEnd } from "../instance/types.ts";
import type { Failure } from "../outcome.ts";
import type { Lease } from "../pool/types.ts";
import { BREAKER_CRASHES, backoffMs, crashesOf, hasEnd, restartDelay, withEnd } from "./ends.ts";
import type { Fresh, JournalEntry, Limits, Plan, Step, TenantEvent } from "./events.ts";
import { begin } from "./plan-start.ts";
import { droppedBy, end, letGo, move, nothing, withError } from "./planning.ts";
import type { Held, Loss, Operation, TenantRecord } from "./record.ts";
import { ROOM_MS, startingAt } from "./room.ts";

/**
 * Decisions about a container that ended by itself, or hangs: whether another one takes its place, and when. What cannot
 * change by trying again ends in `error`, and so does what crashes again and again.
 */

/** So long a recovery is tried that finds no capacity, or nothing that starts. */
export const RECOVERY_MS = 1_800_000;

/** What another container, or another moment, may do better. */
const TRANSIENT: readonly Failure["code"][] = [
  "capacity_exhausted",
  "container_unavailable",
  "operation_interrupted",
  "start_failed",
  "deadline_exceeded",
  "storage_unavailable",
  "database_unavailable",
  "rate_limited",
  "starting",
];
/** R2 may have been away; what is saved that cannot be restored stays so. */
const RESTORE_ATTEMPTS = 3;

/** Of those: nothing was started. */
const NOTHING_STARTED: readonly Failure["code"][] = ["capacity_exhausted", "database_unavailable", "rate_limited"];

export const isTransient = ({ code, extra }: Failure): boolean => TRANSIENT.includes(code) && extra?.permanent !== true;

type Lost = Extract<TenantEvent, { type: "lost" }>;

/**
 * The container of `event` is gone, or as good as that: what was unsaved in it is lost and said so, and what follows is
 * what the tenant is to be: a fresh container takes its place, or none does.
 */
export function lost(before: TenantRecord, event: Lost, fresh: Fresh, limits: Limits, now: number): Plan {
  const { held } = before;
  if (held?.containerId !== event.containerId || held.epoch !== event.epoch) return nothing(before);
  const came = event.end ?? { at: now, cause: "lost" as const, exitCode: null, detail: event.detail };
  const noted = noteEnd(before, held.containerId, came);
  const planned = withoutContainer(noted.record, held, event, fresh, limits, now);
  if (planned.kind !== "go") return planned;
  return { ...planned, journal: [...noted.journal, ...planned.journal] };
}

/** An end that is known for the first time; out of memory is an event of its own. */
export function noteEnd(
  record: TenantRecord,
  containerId: ContainerId,
  came: ContainerEnd,
): { record: TenantRecord; journal: JournalEntry[] } {
  if (hasEnd(record, containerId)) return { record, journal: [] };
  const { cause, exitCode, detail } = came;
  const journal = cause === "oom" ? [{ type: "container.oom", detail: { containerId, exitCode, reason: detail } }] : [];
  return { record: withEnd(record, containerId, came), journal };
}

function withoutContainer(
  record: TenantRecord,
  held: Held,
  event: Lost,
  fresh: Fresh,
  limits: Limits,
  now: number,
): Plan {
  const detail = { cause: event.end?.cause ?? "lost", exitCode: event.end?.exitCode ?? null, reason: event.detail };
  if (record.state === "active") {
    const lastLoss = lossOf(record, held.containerId, event.detail, now);
    const { retiring, steps } = letGo(record, "lost");
    return replaced(
      { ...record, held: null, lastLoss, retiring },
      record,
      held,
      event,
      { steps, detail },
      fresh,
      limits,
      now,
    );
  }
  // An operation in flight will meet it.
  if (record.state !== "release_failed" || record.operation) return nothing(record);
  return keptNoMore(record, { reason: "lost", loss: event.detail, idle: "lost", detail }, fresh, limits, now);
}

/**
 * A container that was kept after a failed save goes, and the tenant becomes what it was to be. What a guard refused is
 * mostly in the vault, aside; where it is not, what the container held is lost, and `loss` says why.
 */
export function keptNoMore(
  record: TenantRecord,
  why: { reason: string; loss: string; idle: "lost" | "released"; detail?: Record<string, unknown> },
  fresh: Fresh,
  limits: Limits,
  now: number,
): Plan {
  const { held, hold, desired } = record;
  const isAside = hold?.kind === "guard" && hold.generation !== undefined;
  const lastLoss = held && !isAside ? lossOf(record, held.containerId, why.loss, now) : record.lastLoss;
  const { retiring, steps } = letGo(record, why.reason);
  const more = { steps, ...(why.detail ? { detail: why.detail } : {}) };
  const bare = { ...record, held: null, retiring, lastLoss, hold: null };
  const settled = { ...bare, unsavedSince: null };
  if (record.suspension) return move(settled, "suspended", { desired: "asleep" }, more);
  if (desired === "active") return recover(isAside ? settled : bare, more, fresh, limits, now);
  return desired === "asleep" ? move(settled, "slept", {}, more) : move(settled, why.idle, { desired: "idle" }, more);
}

interface More {
  steps: Step[];
  detail?: Record<string, unknown>;
  notBefore?: number;
}

/** Another container takes its place. What cannot be started is an error that says why: nothing else would ever tell. */
function recover(bare: TenantRecord, more: More, fresh: Fresh, limits: Limits, now: number): Plan {
  const planned = begin(bare, "recover", "never", fresh, limits, now, { ...more, capacityWaitMs: ROOM_MS.replace });
  if (planned.kind !== "refuse") return planned;
  const errors = withError(bare, planned.failure, now);
  const detail = { ...more.detail, code: planned.failure.code };
  return move(bare, "broken", { errors, stoppedReason: "failure" }, { steps: more.steps, detail });
}

function replaced(
  bare: TenantRecord,
  before: TenantRecord,
  held: Held,
  event: Lost,
  more: { steps: Step[]; detail: Record<string, unknown> },
  fresh: Fresh,
  limits: Limits,
  now: number,
): Plan {
  const { operation } = before; // a save or a restart of the running workload ends with its container
  const ended = operation
    ? {
        ended: end(before, operation, now, {
          error: {
            code: "container_unavailable" as const,
            detail: `The container was lost during the ${operation.kind}: ${event.detail}`,
          },
        }),
      }
    : {};
  const crashes = crashesOf(before, now);
  const counted = { ...bare, operation: null, crashes };
  if (crashes.length >= BREAKER_CRASHES) {
    const planned = broken(counted, event.detail, now, more);
    return planned.kind === "go" ? { ...planned, ...ended } : planned;
  }
  const notBefore = now + restartDelay(crashes, now - held.since);
  const planned = recover(counted, { ...more, notBefore }, fresh, limits, now);
  return planned.kind === "go" ? { ...planned, ...ended } : planned;
}

/** It crashes again and again: nothing is started until somebody asks for it. */
function broken(
  record: TenantRecord,
  reason: string,
  now: number,
  more: { steps: Step[]; detail: Record<string, unknown> },
): Plan {
  const detail = `${BREAKER_CRASHES} containers of the tenant ended within ten minutes, the last one: ${reason}`;
  const errors = withError(record, { code: "container_unavailable", detail }, now);
  return move(record, "broken", { operation: null, errors, stoppedReason: "breaker" }, more);
}

/**
 * No container came to serve. Tried again later by the same operation, so that whoever waits goes on waiting; not for ever:
 * without capacity the tenant then sleeps, and its next request (or its lifecycle) wakes it.
 */
export function recoveryFailed(
  before: TenantRecord,
  operation: Operation,
  { failure, lease }: { failure: Failure; lease: Lease | null },
  limits: Limits,
  now: number,
): Plan {
  const { retiring, steps } = droppedBy(before, lease, failure.code);
  const errors = withError(before, failure, now);
  const crashes = NOTHING_STARTED.includes(failure.code) ? before.crashes : crashesOf(before, now);
  const record: TenantRecord = { ...before, retiring, errors, ...(crashes ? { crashes } : {}) };
  const ended = end(before, operation, now, { error: failure });
  const detail = { code: failure.code, attempts: operation.attempts };
  const isRetried =
    isTransient(failure) || (failure.code === "restore_failed" && operation.attempts < RESTORE_ATTEMPTS);
  if (!isRetried) {
    const stopped = { operation: null, stoppedReason: "failure" as const };
    return move(record, "failed", stopped, { steps, ended, detail });
  }
  if (crashes && crashes.length >= BREAKER_CRASHES) {
    const planned = broken(record, failure.detail, now, { steps, detail });
    return planned.kind === "go" ? { ...planned, ended } : planned;
  }
  const notBefore = now + Math.max(backoffMs(operation.attempts), Math.min(failure.retryAfterMs ?? 0, LONGEST_WAIT_MS));
  if (notBefore - operation.startedAt > RECOVERY_MS) {
    const capacity = NOTHING_STARTED.includes(failure.code);
    const over = capacity
      ? { operation: null, desired: "asleep" as const, stoppedReason: "capacity" as const }
      : { operation: null, stoppedReason: "failure" as const };
    return move(record, capacity ? "refused" : "failed", over, { steps, ended, detail });
  }
  const next = epoch(record.epoch + 1);
  const later = { ...operation, attempts: operation.attempts + 1, notBefore };
  const again = startingAt(later, notBefore, ROOM_MS.replace, limits);
  return {
    kind: "go",
    record: { ...record, epoch: next, operation: again },
    steps,
    journal: [{ type: "tenant.start_retried", detail: { epoch: next, code: failure.code, retryAt: notBefore } }],
  };
}

/** However long somebody says that it is to be waited. */
const LONGEST_WAIT_MS = 60_000;

export function lossOf(record: TenantRecord, containerId: ContainerId, detail: string, now: number): Loss | null {
  if (record.unsavedSince === null) return record.lastLoss;
  return { containerId, at: now, unsavedSince: record.unsavedSince, generation: record.generation, detail };
}
