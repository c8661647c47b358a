import type { Tier } from "../runtime/port.ts";
import type { Admission } from "./types.ts";

/** Decisions of admission: how many containers of a tier may run or start, and how fast starts may follow each other. */

export interface StartBucket {
  tokens: number;
  /** When `tokens` was true, ms since 1970. */
  at: number;
}

/** At most this many starts at once, refilled at this rate: mass starts fail on the platform (platform.md, P17). */
export const START_BURST = 50;
export const STARTS_PER_SECOND = 10;

export const fullBucket = (now: number): StartBucket => ({ tokens: START_BURST, at: now });

/** Takes one start out of the bucket, or says in how many ms there will be one. Pure. */
export function takeStart(bucket: StartBucket, now: number): { bucket: StartBucket; waitMs: number } {
  const tokens = Math.min(START_BURST, bucket.tokens + (Math.max(0, now - bucket.at) * STARTS_PER_SECOND) / 1_000);
  if (tokens >= 1) return { bucket: { tokens: tokens - 1, at: now }, waitMs: 0 };
  return { bucket: { tokens, at: now }, waitMs: Math.ceil(((1 - tokens) / STARTS_PER_SECOND) * 1_000) };
}

/** Whether one more container of a tier may start (P-CAP). Pure. */
export function admit(running: number, caps: Readonly<Record<Tier, number>>, tier: Tier): Admission {
  return running < caps[tier] ? { admitted: true } : { admitted: false, retryAfterMs: 30_000, reason: "cap" };
}
