/**
 * A token bucket: it holds a minute's requests and is refilled at their rate, so that nobody ever gets more than
 * `capacity + rate × time` through. Tokens are fractions; times are ms since 1970, and one that goes back counts as none.
 */
export interface Bucket {
  tokens: number;
  /** When `tokens` was true. */
  at: number;
}

export interface Taken {
  bucket: Bucket;
  /** 0 when a token was there, else in how many ms there is one. */
  waitMs: number;
  /** Whole tokens that are left. */
  remaining: number;
  /** Until it is full again. */
  fullInMs: number;
}

const MINUTE_MS = 60_000;

export const fullBucket = (perMinute: number, now: number): Bucket => ({ tokens: perMinute, at: now });

/** The bucket as it is now. Also brings one of another rate to this one's capacity. Pure. */
export function refilled(bucket: Bucket, perMinute: number, now: number): Bucket {
  const elapsed = Math.max(0, now - bucket.at);
  const tokens = Math.min(perMinute, bucket.tokens + (elapsed * perMinute) / MINUTE_MS);
  return { tokens, at: Math.max(now, bucket.at) };
}

/** Takes one token if there is one. Pure. */
export function take(before: Bucket, perMinute: number, now: number): Taken {
  const bucket = refilled(before, perMinute, now);
  const taken = bucket.tokens >= 1 ? { ...bucket, tokens: bucket.tokens - 1 } : bucket;
  const msFor = (tokens: number) => Math.ceil((tokens * MINUTE_MS) / perMinute);
  return {
    bucket: taken,
    waitMs: taken === bucket ? Math.max(1, msFor(1 - bucket.tokens)) : 0,
    remaining: Math.floor(taken.tokens),
    fullInMs: msFor(perMinute - taken.tokens),
  };
}

/**
 * How many tokens the stored copy may be ahead of the one in memory: a write for every request would cost more than the
 * request. Whoever reads the stored copy takes them off, so that a lost memory gives nobody more.
 */
export const slackOf = (perMinute: number): number => Math.floor(perMinute / 50);

/** Whether the stored copy has to be written again. Pure. */
export const isBehind = (stored: Bucket, bucket: Bucket, perMinute: number): boolean =>
  refilled(stored, perMinute, bucket.at).tokens - bucket.tokens > slackOf(perMinute);

/** What may be believed of a stored copy. Pure. */
export function recovered(stored: Bucket, perMinute: number, now: number): Bucket {
  const bucket = refilled(stored, perMinute, now);
  return { ...bucket, tokens: Math.max(0, bucket.tokens - slackOf(perMinute)) };
}
