import { CADENCE, COOLDOWN, spread } from "../durable/cadence.ts";
import { erasureDue } from "./destruction.ts";
import { staleAt } from "./plan-stale.ts";
import { idleTimeoutOf, isWaiting, type Operation, type Retiring, type TenantRecord } from "./record.ts";
import { isStranded } from "./stranded.ts";
import { nextDue, type Syncs } from "./syncs.ts";

/**
 * When this tenant wants to be looked at next, strictly in the future; null when nothing is due. A tenant that is idle or
 * asleep, of which nothing is left to be done, is not looked at: there is nothing that could have changed without it.
 * `jitter` in [0, 1) spreads the cadence by up to a fifth.
 */
export function nextAlarm(record: TenantRecord, now: number, jitter: number): number | null {
  const { operation, retiring } = record;
  const due = operation ? [operationDue(record, operation, now, jitter)] : restDue(record, now, jitter);
  due.push(...heldDue(record, now, jitter));
  if (retiring.length > 0) due.push(now + Math.min(...retiring.map((slot) => retireDelay(slot, now))));
  const next = Math.ceil(Math.min(...due));
  return next === Infinity ? null : Math.max(next, now + 1);
}

function operationDue(record: TenantRecord, operation: Operation, now: number, jitter: number): number {
  if (isWaiting(operation, now)) return operation.notBefore ?? now;
  // What is deleted already is gone; what failed is tried again at its deadline.
  if (record.state === "destroying" && operation.saveId === undefined) return operation.deadlineAt;
  return Math.min(operation.deadlineAt, now + spread(CADENCE.transitional, jitter));
}

/** What an operation in flight puts off, whatever time it was for: until that has ended, its time would come again and again. */
function restDue(record: TenantRecord, now: number, jitter: number): number[] {
  const { state, hold, syncs, destruction } = record;
  const due = [record.wakeAt, erasureDue(record), staleAt(record)].map((at) => at ?? Infinity);
  if (hold) due.push(hold.kind === "retry" ? hold.at : hold.until);
  if (state === "active" && syncs) due.push(syncAt(syncs, now));
  if (state === "destroyed" && destruction?.dataUntil) due.push(destruction.dataUntil);
  if (isStranded(record)) due.push(now + spread(CADENCE.transitional, jitter));
  return due;
}

function heldDue(record: TenantRecord, now: number, jitter: number): number[] {
  const { held, state } = record;
  if (!held || (state !== "active" && state !== "release_failed")) return [];
  const look = now + spread(CADENCE.active, jitter);
  // Looking at a container that is kept is also what keeps it (its dead-man switch is shorter than a guard's hold).
  if (state === "release_failed") return [look];
  const idleTimeoutMs = idleTimeoutOf(record, held);
  if (idleTimeoutMs === null) return [look];
  const idleAt = (record.lastActivityAt ?? held.since) + idleTimeoutMs;
  // Idle but with something open (a long WebSocket): look again, the less often the longer it may be idle.
  return [look, idleAt > now ? idleAt : now + Math.max(1_000, idleTimeoutMs / 4)];
}

/** The longer a container does not go, the less often it is told to. */
const retireDelay = ({ since }: Retiring, now: number): number =>
  Math.min(COOLDOWN.retireLast, Math.max(COOLDOWN.retire, (now - (since ?? now)) / 2));

/** How long after the `attempts`-th attempt at a destruction the next one is made: 60 s, growing to 10 min. */
export const destroyDelay = (attempts: number): number =>
  Math.min(CADENCE.destroyingLast, CADENCE.destroying * 2 ** Math.min(attempts - 1, 10));

/** When a sync is due, or the one under way is to be looked after. */
const syncAt = (syncs: Syncs, now: number): number =>
  syncs.running ? Math.min(syncs.running.deadlineAt, now + CADENCE.transitional) : nextDue(syncs);
