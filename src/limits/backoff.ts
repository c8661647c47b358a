/**
 * How long whoever keeps failing has to wait: the first failures of a minute cost nothing, each one after that doubles
 * the wait, and a quiet time forgets it all. Times are ms since 1970.
 */
export interface Failures {
  /** Since `windowAt`, before the first strike. */
  count: number;
  windowAt: number;
  /** Failures beyond what a minute allows. */
  strikes: number;
  /** Until when everything is refused; 0 without strikes. */
  until: number;
}

export const FIRST_WAIT_MS = 1_000;
export const LONGEST_WAIT_MS = 300_000;
/** Longer than the longest wait, so that waiting it out alone does not make it short again. */
export const FORGOTTEN_AFTER_MS = 2 * LONGEST_WAIT_MS;
const WINDOW_MS = 60_000;

export const noFailures: Failures = { count: 0, windowAt: 0, strikes: 0, until: 0 };

/** What remains of a wait. Pure. */
export const waitOf = (failures: Failures, now: number): number => Math.max(0, failures.until - now);

/** One more failure. One during a wait does not count: it was not looked at. Pure. */
export function failed(before: Failures, allowedPerMinute: number, now: number): Failures {
  if (waitOf(before, now) > 0) return before;
  if (before.strikes > 0 && !isForgotten(before, now)) return struck(before, now);
  const fresh = before.strikes > 0 || now - before.windowAt >= WINDOW_MS;
  const window = fresh ? { ...noFailures, windowAt: now } : before;
  const counted = { ...window, count: window.count + 1 };
  return counted.count > allowedPerMinute ? struck(counted, now) : counted;
}

/** Whether it makes no difference any more. Pure. */
export const isForgotten = ({ strikes, until, windowAt }: Failures, now: number): boolean =>
  strikes > 0 ? now - until >= FORGOTTEN_AFTER_MS : now - windowAt >= WINDOW_MS;

function struck(before: Failures, now: number): Failures {
  const waitMs = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** Math.min(before.strikes, 20));
  return { ...before, strikes: before.strikes + 1, until: now + waitMs };
}
