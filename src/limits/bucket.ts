/**
 * A token bucket: it holds a minute's requests and is refilled at their rate, so that nobody ever gets more than
 * `capacity + rate × time` through. Whole numbers only: a request costs 60,000, and every millisecond brings `perMinute`.
 * Times are ms since 1970; one that goes back counts as none.
 */
export interface Bucket {
  level: number;
  /** When `level` was true. */
  at: number;
}

export interface Taken {
  bucket: Bucket;
  /** 0 when there was enough, else in how many ms there is. */
  waitMs: number;
  /** How many more requests there is enough for. */
  remaining: number;
  /** Until it is full again. */
  fullInMs: number;
}

const REQUEST = 60_000;

const capacityOf = (perMinute: number): number => perMinute * REQUEST;
export const fullBucket = (perMinute: number, now: number): Bucket => ({ level: capacityOf(perMinute), at: now });
export const isFull = (bucket: Bucket, perMinute: number): boolean => bucket.level >= capacityOf(perMinute);

/** The bucket as it is now. Also brings one of another rate to this one's capacity. Pure. */
export function refilled(bucket: Bucket, perMinute: number, now: number): Bucket {
  const elapsed = Math.max(0, now - bucket.at);
  const level = Math.min(capacityOf(perMinute), bucket.level + elapsed * perMinute);
  return { level, at: Math.max(now, bucket.at) };
}

/** Takes one request out if there is enough for it. Pure. */
export function take(before: Bucket, perMinute: number, now: number): Taken {
  const bucket = refilled(before, perMinute, now);
  const passes = bucket.level >= REQUEST;
  const after = passes ? { ...bucket, level: bucket.level - REQUEST } : bucket;
  return {
    bucket: after,
    waitMs: passes ? 0 : Math.ceil((REQUEST - bucket.level) / perMinute),
    remaining: Math.floor(after.level / REQUEST),
    fullInMs: Math.ceil((capacityOf(perMinute) - after.level) / perMinute),
  };
}

/**
 * How many requests the stored copy may be ahead of the one in memory: a write for every request would cost more than
 * the request. Whoever reads the stored copy takes them off, so that a lost memory gives nobody more.
 */
export const slackOf = (perMinute: number): number => Math.floor(perMinute / 50);

/** Whether the stored copy has to be written again. Pure. */
export const isBehind = (stored: Bucket, bucket: Bucket, perMinute: number): boolean =>
  refilled(stored, perMinute, bucket.at).level - bucket.level > slackOf(perMinute) * REQUEST;

/** What may be believed of a stored copy. Pure. */
export function recovered(stored: Bucket, perMinute: number, now: number): Bucket {
  const bucket = refilled(stored, perMinute, now);
  return { ...bucket, level: Math.max(0, bucket.level - slackOf(perMinute) * REQUEST) };
}
