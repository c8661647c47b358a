import { claimsPerMinute, type PoolStatistics, startP95 } from "./statistics.ts";

export interface RecommendedSize {
  warm: number;
  /** The sum in words, for a person. */
  because: string;
}

/** Standard deviations of a Poisson process above its mean: about 98 claims in 100 find a warm slot. */
const SAFETY = 2;
/** Fewer claims than one in two hours do not pay for a slot that waits for them. */
const RARE_PER_MINUTE = 1 / 120;

/**
 * How many slots to keep warm: the claims that come while a container starts (Little's law), and a safety on top.
 * `maxSize` is never exceeded. Pure.
 */
export function recommendedSize(statistics: PoolStatistics, maxSize: number, now: number): RecommendedSize {
  const startMs = startP95(statistics);
  if (statistics.claims === 0 || startMs === null) return { warm: 0, because: "No claim and start was seen yet." };
  const perMinute = claimsPerMinute(statistics, now);
  const rate = `${round(perMinute)} claims a minute of late`;
  if (perMinute < RARE_PER_MINUTE) return { warm: 0, because: `${rate}: too few to keep a container waiting.` };
  const meanwhile = (perMinute / 60_000) * startMs;
  const wanted = Math.ceil(meanwhile + SAFETY * Math.sqrt(meanwhile));
  const sum = `${rate}, and a start takes ${round(startMs / 1000)} s (p95): ${round(meanwhile)} come meanwhile`;
  if (wanted > maxSize)
    return { warm: maxSize, because: `${sum}; ${wanted} with a safety, of which maxSize allows ${maxSize}.` };
  return { warm: wanted, because: `${sum}; ${wanted} with a safety of two standard deviations.` };
}

const round = (value: number): number => Number(value.toPrecision(2));
