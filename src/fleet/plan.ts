import { type Ask, left, placeOf, present, type Queue, queued, waitersAhead } from "./queue.ts";
import type { Admission } from "./types.ts";

/** Decisions of admission: how many containers of a tier may run or start, and how fast starts may follow each other. Pure. */

export interface StartBucket {
  tokens: number;
  /** When `tokens` was true, ms since 1970. */
  at: number;
}

/** At most this many starts at once, refilled at this rate: mass starts fail on the platform (platform.md, P17). */
export const START_BURST = 50;
export const STARTS_PER_SECOND = 10;

/** What a start that nobody waits for is told when its tier is full (F47), before the jitter. */
const FULL_MS = 30_000;
/** How often a claim that waits for capacity asks. */
const WAITING_MS = 1_000;
/** Refusals are spread by so much, so that they do not come back together. */
const JITTER = 0.25;

export const fullBucket = (now: number): StartBucket => ({ tokens: START_BURST, at: now });

/** The bucket as it is now. A clock that went back gives nothing. */
export function refilled(bucket: StartBucket, now: number): StartBucket {
  const tokens = Math.min(START_BURST, bucket.tokens + (Math.max(0, now - bucket.at) * STARTS_PER_SECOND) / 1_000);
  return { tokens, at: now };
}

export interface Situation {
  /** Containers of the tier that run or start. */
  running: number;
  cap: number;
  bucket: StartBucket;
  queue: Queue;
}

/** What is answered, and the bucket and the queue after it. `random`: 0 to 1. */
export function admit(
  ask: Ask,
  { running, cap, bucket: before, queue: all }: Situation,
  now: number,
  random: number,
): { admission: Admission; bucket: StartBucket; queue: Queue } {
  const queue = present(all, now);
  const place = placeOf(queue, ask);
  const ahead = waitersAhead(queue, ask, place);
  const bucket = refilled(before, now);
  const refused = (reason: "cap" | "rate", pauseMs: number, waits: boolean) => {
    const retryAfterMs = Math.ceil(pauseMs * (1 + random * JITTER));
    const admission = { admitted: false, retryAfterMs, reason } as const;
    const after = waits ? queued(queue, ask, place, admission, now) : left(queue, ask.containerId, "gone");
    return { admission, bucket, queue: after };
  };
  if (ahead.filter((waiter) => waiter.tier === ask.tier).length >= cap - running) {
    const waits = ask.standing === "waiting-claim";
    return refused("cap", waits ? WAITING_MS : FULL_MS, waits);
  }
  const turn = ahead.filter((waiter) => waiter.reason === "rate").length + 1;
  if (bucket.tokens < turn) return refused("rate", ((turn - bucket.tokens) / STARTS_PER_SECOND) * 1_000, true);
  const admission = { admitted: true } as const;
  return { admission, bucket: { ...bucket, tokens: bucket.tokens - 1 }, queue: left(queue, ask.containerId, "served") };
}
