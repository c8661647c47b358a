import type { ContainerId, PoolId } from "../ids.ts";
import type { Tier } from "../runtime/port.ts";
import type { Admission, Standing } from "./types.ts";

/**
 * Whose turn a start is. Who was refused keeps a place by asking again in time; it is in memory only, and who is forgotten
 * by an eviction comes back to a new one. Claims go before refills; among either, pools take turns (the first of each
 * pool, then the second of each), and within a pool who came first. Pure; times in ms since 1970.
 */

export interface Ask {
  containerId: ContainerId;
  poolId: PoolId;
  tier: Tier;
  standing: Standing;
}

export interface Waiter extends Ask {
  /** Which of its pool's turns it is: the lowest goes first. */
  turn: number;
  /** Who has not asked again by then has given up. */
  askAgainBy: number;
  reason: "cap" | "rate" | "rebuilding";
}

export interface Queue {
  /** In the order in which they came. */
  waiters: readonly Waiter[];
  /** Whose turn it was last, of claims and of refills. */
  turns: Readonly<Record<Rank, number>>;
}
type Rank = "claim" | "refill";

export const NOBODY: Queue = { waiters: [], turns: { claim: 0, refill: 0 } };

/** More wait for nothing: they are refused like everybody, and have no place to lose. */
export const MOST_WAITING = 1_000;
/** How much later than told somebody may ask again. */
const GRACE_MS = 3_000;

const rankOf = ({ standing }: Ask): Rank => (standing === "refill" ? "refill" : "claim");

/** Without those who gave up. */
export function present({ waiters, turns }: Queue, now: number): Queue {
  const there = waiters.filter((waiter) => waiter.askAgainBy >= now);
  return there.length === 0 ? NOBODY : { waiters: there, turns };
}

/** The place that somebody has, or would get: the turn after the last one of its pool. */
export function placeOf({ waiters, turns }: Queue, ask: Ask): { index: number; turn: number } {
  const rank = rankOf(ask);
  const index = waiters.findIndex((waiter) => waiter.containerId === ask.containerId);
  const known = waiters[index];
  if (known && rankOf(known) === rank) return { index, turn: known.turn };
  const same = waiters.filter((waiter) => waiter.poolId === ask.poolId && rankOf(waiter) === rank);
  return { index, turn: same.reduce((last, waiter) => Math.max(last, waiter.turn), turns[rank]) + 1 };
}

/** Those whose turn comes before that of somebody at this place. */
export function waitersAhead({ waiters }: Queue, ask: Ask, { index, turn }: { index: number; turn: number }): Waiter[] {
  const rank = rankOf(ask);
  const mine = index < 0 ? waiters.length : index;
  return waiters.filter((waiter, at) => {
    if (at === index) return false;
    if (rankOf(waiter) !== rank) return rank === "refill";
    return waiter.turn < turn || (waiter.turn === turn && at < mine);
  });
}

/** The queue with somebody who was refused, where they were or behind everybody. */
export function queued(
  queue: Queue,
  ask: Ask,
  { index, turn }: { index: number; turn: number },
  { retryAfterMs, reason }: Extract<Admission, { admitted: false }>,
  now: number,
): Queue {
  const { waiters, turns } = queue;
  const waiter = { ...ask, turn, askAgainBy: now + retryAfterMs + GRACE_MS, reason };
  if (index >= 0) return { waiters: waiters.with(index, waiter), turns };
  return waiters.length >= MOST_WAITING ? queue : { waiters: [...waiters, waiter], turns };
}

/** The queue without somebody, whose turn it was (`served`) or who gave up. */
export function left({ waiters, turns }: Queue, containerId: ContainerId, why: "served" | "gone"): Queue {
  const there = waiters.filter((waiter) => waiter.containerId !== containerId);
  const known = waiters.find((waiter) => waiter.containerId === containerId);
  if (there.length === 0) return NOBODY;
  if (!known || why === "gone") return { waiters: there, turns };
  const rank = rankOf(known);
  return { waiters: there, turns: { ...turns, [rank]: Math.max(turns[rank], known.turn) } };
}
