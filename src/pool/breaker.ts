import type { Failure } from "../outcome.ts";
import type { Failures, PoolRecord } from "./record.ts";

/**
 * What starts that fail do to a pool: the refill waits longer after each, and after five, or one that no other try
 * mends, the breaker opens: nothing is refilled until somebody resets it, or one start that is tried after a pause
 * succeeds. Claims go on. A lack of capacity is no fault of the pool's. Pure; times in ms.
 */

const FAULTS_TO_OPEN = 5;
const WINDOW_MS = 10 * 60_000;
const BACKOFF_MS = 1_000;
const BACKOFF_MAX_MS = 60_000;
const PAUSE_MS = 60_000;
const PAUSE_MAX_MS = 15 * 60_000;
/** What a lack of capacity that says nothing else is waited out for. */
const CAPACITY_MS = 5_000;

export type BreakerState = "closed" | "open" | "half-open";

export function breakerState({ breaker }: PoolRecord, now: number): BreakerState {
  if (!breaker) return "closed";
  return now < breaker.retryAt ? "open" : "half-open";
}

/** When the refill may start something again; in the past when at once. */
export const refillFrom = ({ breaker, failures }: PoolRecord): number =>
  Math.max(breaker?.retryAt ?? 0, failures?.notBefore ?? 0);

/** Faults that trying again does not mend: an image that is not there, a configuration that the platform refuses. */
const PERMANENT_CODES: readonly Failure["code"][] = ["invalid", "unsupported"];
export const isPermanentFault = ({ code, extra }: Failure): boolean =>
  PERMANENT_CODES.includes(code) || extra?.permanent === true;

/** The record after a start that failed, and whether the breaker opened by it. */
export function afterFailure(
  record: PoolRecord,
  failure: Failure,
  now: number,
): { record: PoolRecord; opened: boolean } {
  const failures = withFailure(record.failures, failure, now);
  const permanent = isPermanentFault(failure);
  const again = breakerState(record, now) === "half-open" && failure.code !== "capacity_exhausted";
  const trip = permanent ? record.breaker?.reason !== "permanent" : record.breaker === null && trips(failures);
  if (!again && !trip) return { record: { ...record, failures }, opened: false };
  const opened = (record.breaker?.opened ?? 0) + 1;
  const pause = permanent ? PAUSE_MAX_MS : Math.min(PAUSE_MAX_MS, PAUSE_MS * 2 ** (opened - 1));
  const openedAt = record.breaker?.openedAt ?? now;
  const reason = permanent ? { reason: "permanent" as const } : {};
  const breaker = { openedAt, retryAt: now + pause, opened, ...reason };
  return { record: { ...record, failures, breaker }, opened: true };
}

/** The record after a start that succeeded, and whether that closed the breaker; the same record when there is nothing to forget. */
export function afterSuccess(record: PoolRecord, now: number): { record: PoolRecord; closed: boolean } {
  const { failures, breaker } = record;
  if (breaker) return { record: { ...record, failures: null, breaker: null }, closed: true };
  if (!failures) return { record, closed: false };
  const recent = within(failures.recent, now);
  const left =
    recent.length === 0 ? null : { ...failures, count: 0, recent, successes: failures.successes + 1, notBefore: 0 };
  return { record: { ...record, failures: left }, closed: false };
}

function withFailure(before: Failures | null, { code, detail, retryAfterMs }: Failure, now: number): Failures {
  const recent = within(before?.recent ?? [], now);
  const successes = recent.length === 0 ? 0 : (before?.successes ?? 0);
  const count = before?.count ?? 0;
  if (code === "capacity_exhausted") {
    return { count, recent, successes, detail, notBefore: now + (retryAfterMs ?? CAPACITY_MS) };
  }
  const notBefore = now + Math.min(BACKOFF_MAX_MS, BACKOFF_MS * 2 ** count);
  return { count: count + 1, recent: [...recent, now].slice(-FAULTS_TO_OPEN), successes, detail, notBefore };
}

/** Five in a row, or five within ten minutes among no more successes. */
const trips = ({ count, recent, successes }: Failures): boolean =>
  count >= FAULTS_TO_OPEN || (recent.length >= FAULTS_TO_OPEN && successes <= recent.length);

const within = (times: readonly number[], now: number): number[] => times.filter((at) => now - at < WINDOW_MS);
