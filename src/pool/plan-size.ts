import type { ContainerId } from "../ids.ts";
import { tiersQuietAt } from "./alerts.ts";
import { breakerState, refillFrom } from "./breaker.ts";
import { endingDue } from "./plan-ending.ts";
import { occupied } from "./plan-lease.ts";
import { isCurrent, isDeleted, type PoolRecord, type Slot, targetOf } from "./record.ts";
import { sparesOf } from "./rollout.ts";
import { nextEdge } from "./schedule.ts";

/** How many containers a pool starts, and which it gives up. Pure; times in ms since 1970. */

/** Containers of one pool that may be starting on its own account (mass starts fail: platform.md, P17). */
export const FILL_CONCURRENCY = 2;

/** How many containers to start now so that the target is warm or on the way, of the present version and tier. */
export function planRefill(record: PoolRecord, slots: readonly Slot[], starting: number, now: number): number {
  if (record.paused || record.drain || now < refillFrom(record)) return 0;
  const wanted = warmWanted(record, slots, now) - free(slots).filter((slot) => isCurrent(record, slot)).length;
  const room = record.spec.maxSize - occupied(slots);
  const atOnce = breakerState(record, now) === "half-open" ? 1 : FILL_CONCURRENCY;
  return Math.max(0, Math.min(wanted, room, atOnce - starting));
}

/** Warm slots beyond the target that nobody wanted for idleTimeoutMs, the oldest first. */
export function planShrink(record: PoolRecord, slots: readonly Slot[], now: number): ContainerId[] {
  return surplus(record, slots, now)
    .filter((slot) => now - slot.since >= record.spec.idleTimeoutMs)
    .map((slot) => slot.containerId);
}

const OBSERVE_EVERY_MS = 60_000;
const RETRY_RETIRE_MS = 5_000;

/** When the pool looks again: at most 72 s ahead, earlier for what is due. Null for a deleted pool. `random`: 0 to 1. */
export function nextAlarm(record: PoolRecord, slots: readonly Slot[], now: number, random: number): number | null {
  if (isDeleted(record)) return null;
  const due = [now + OBSERVE_EVERY_MS * (1 + random / 5)];
  // What goes on: a deletion, and ends that are being asked for. What failed before has its own time.
  for (const slot of slots) {
    if (slot.state === "draining") due.push(Math.max(endingDue(slot), now + RETRY_RETIRE_MS));
    else if (slot.lease?.confirmBy != null) due.push(Math.max(slot.lease.confirmBy, now + RETRY_RETIRE_MS));
  }
  if (record.drain) due.push(now + RETRY_RETIRE_MS);
  const edge = nextEdge(record.spec.schedule, now);
  if (edge !== null) due.push(edge);
  if (record.targetUntil !== undefined && record.targetUntil > now) due.push(record.targetUntil);
  const refill = refillFrom(record);
  if (refill > now) due.push(refill);
  const quiet = tiersQuietAt(record);
  if (quiet !== null) due.push(quiet);
  const shrink = shrinkAt(record, slots, now);
  if (shrink !== null) due.push(shrink);
  return Math.max(now + 1, Math.ceil(Math.min(...due)));
}

/** When the next surplus slot is given up; null without one. */
function shrinkAt(record: PoolRecord, slots: readonly Slot[], now: number): number | null {
  const due = surplus(record, slots, now).map((slot) => slot.since + record.spec.idleTimeoutMs);
  return due.length === 0 ? null : Math.min(...due);
}

/**
 * Warm slots of an older version or another tier that are replaced by now: one for each present one that came to be warm
 * beyond the target. Where maxSize leaves no room for the next of those, one goes to make it.
 */
export function planReplace(record: PoolRecord, slots: readonly Slot[], now: number): ContainerId[] {
  if (record.paused || record.drain) return [];
  const outdated = warmOf(slots).filter((slot) => !isCurrent(record, slot));
  const current = free(slots).filter((slot) => isCurrent(record, slot));
  const ready = current.filter((slot) => slot.state === "warm").length;
  const wanted = warmWanted(record, slots, now);
  const surplus = ready > 0 || wanted === 0 ? outdated.length + ready - wanted : 0;
  const stuck = ready === current.length && ready < wanted && occupied(slots) >= record.spec.maxSize;
  return outdated.slice(0, Math.max(0, surplus, stuck ? 1 : 0)).map((slot) => slot.containerId);
}

function surplus(record: PoolRecord, slots: readonly Slot[], now: number): Slot[] {
  if (record.paused || record.drain) return [];
  const warm = warmOf(slots);
  return warm.slice(0, Math.max(0, warm.length - warmWanted(record, slots, now)));
}

/** With what a rollout moves tenants onto. */
const warmWanted = (record: PoolRecord, slots: readonly Slot[], now: number): number =>
  targetOf(record, now) + sparesOf(record, slots);

/** Warm or on the way, and nobody's. */
const free = (slots: readonly Slot[]): Slot[] =>
  slots.filter((slot) => slot.state === "warm" || (slot.state === "starting" && slot.lease === null));

const warmOf = (slots: readonly Slot[]): Slot[] =>
  slots.filter((slot) => slot.state === "warm").sort((a, b) => a.since - b.since);
