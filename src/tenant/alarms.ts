import { idleTimeoutOf, type TenantRecord } from "./record.ts";
import { nextDue, type Syncs } from "./syncs.ts";

/** How often an active tenant's container is looked at, and an operation's performer checked; before jitter. */
const ACTIVE_MS = 60_000;
export const TRANSITIONAL_MS = 10_000;
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
