/** What a pool has seen, in little room: enough to say how many warm slots it needs. Pure; times in ms. */
export interface PoolStatistics {
  version: 1;
  /** Leases that got a container. */
  claims: number;
  hits: number;
  /** What the warm slots' own starts took, which their claims did not wait for. */
  savedMs: number;
  /** Claims as an exponentially fading count: `weight` as of `at`. Counting began at `since`; null before the first. */
  arrivals: { weight: number; at: number; since: number } | null;
  /** The latest starts, the newest last. */
  starts: number[];
}

/** How long a claim is remembered, more or less. */
const FADE_MS = 10 * 60_000;
/** A pool that has just begun to count does not conclude from its first second. */
const LEAST_WINDOW_MS = 60_000;
const STARTS_KEPT = 50;

export const NO_STATISTICS: PoolStatistics = {
  version: 1,
  claims: 0,
  hits: 0,
  savedMs: 0,
  arrivals: null,
  starts: [],
};

/** `startMs`: what the start of the slot took that was warm; null for a claim that found none. */
export function withClaim(before: PoolStatistics, hit: { startMs: number | null } | null, now: number): PoolStatistics {
  const { arrivals } = before;
  return {
    ...before,
    claims: before.claims + 1,
    hits: before.hits + (hit ? 1 : 0),
    savedMs: before.savedMs + (hit?.startMs ?? 0),
    arrivals: { weight: faded(arrivals, now) + 1, at: now, since: arrivals?.since ?? now },
  };
}

export const withStart = (before: PoolStatistics, startMs: number): PoolStatistics => ({
  ...before,
  starts: [...before.starts, startMs].slice(-STARTS_KEPT),
});

/** Claims a minute, of late. */
export function claimsPerMinute({ arrivals }: PoolStatistics, now: number): number {
  if (!arrivals) return 0;
  const age = Math.max(LEAST_WINDOW_MS, now - arrivals.since);
  const window = FADE_MS * (1 - Math.exp(-age / FADE_MS));
  return (faded(arrivals, now) / window) * 60_000;
}

/** The 95th percentile of the latest starts; null before the first. */
export function startP95({ starts }: PoolStatistics): number | null {
  const sorted = [...starts].sort((a, b) => a - b);
  return sorted[Math.ceil(sorted.length * 0.95) - 1] ?? null;
}

const faded = (arrivals: PoolStatistics["arrivals"], now: number): number =>
  arrivals ? arrivals.weight * Math.exp(-Math.max(0, now - arrivals.at) / FADE_MS) : 0;
