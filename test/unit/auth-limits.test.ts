import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  FIRST_WAIT_MS,
  FORGOTTEN_AFTER_MS,
  failed,
  isForgotten,
  LONGEST_WAIT_MS,
  noFailures,
  waitOf,
} from "../../src/limits/backoff.ts";
import { type Bucket, fullBucket, isBehind, recovered, refilled, slackOf, take } from "../../src/limits/bucket.ts";
import { rateLimitHeaders } from "../../src/limits/headers.ts";
import { COARSE_PER_MINUTE } from "../../src/limits/limit.ts";

const T0 = 1_800_000_000_000;

describe("a token bucket", () => {
  test("gives a full minute's requests at once, then says how long the next one takes", () => {
    let bucket = fullBucket(60, T0);
    for (let n = 59; n >= 0; n -= 1) {
      const taken = take(bucket, 60, T0);
      expect(taken).toMatchObject({ waitMs: 0, remaining: n });
      bucket = taken.bucket;
    }
    expect(take(bucket, 60, T0)).toMatchObject({ waitMs: 1_000, remaining: 0, fullInMs: 60_000 });
    expect(take(bucket, 60, T0 + 999).waitMs).toBe(1);
    expect(take(bucket, 60, T0 + 1_000)).toMatchObject({ waitMs: 0, remaining: 0 });
  });

  test("a wait that was kept is enough", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1_000_000 }), fc.nat(59_999), (rate, level) => {
        const { waitMs, bucket } = take({ level, at: T0 }, rate, T0);
        expect(waitMs).toBeGreaterThan(0);
        expect(take(bucket, rate, T0 + waitMs).waitMs).toBe(0);
      }),
    );
  });

  test("a clock that goes back gives nothing", () => {
    const { bucket } = take({ level: 60_000, at: T0 }, 60, T0);
    expect(take(bucket, 60, T0 - 60_000).waitMs).toBeGreaterThan(0);
  });

  /** What the Limiter does, with its memory lost wherever the run says so. */
  const run = (perMinute: number, events: readonly { afterMs: number; lost: boolean }[]) => {
    let now = T0;
    let memory: Bucket | null = null;
    let stored: Bucket | null = null;
    const passed: number[] = [];
    for (const { afterMs, lost } of events) {
      now += afterMs;
      if (lost) memory = null;
      const before: Bucket = memory ?? (stored ? recovered(stored, perMinute, now) : fullBucket(perMinute, now));
      const taken = take(before, perMinute, now);
      memory = taken.bucket;
      if (!stored || isBehind(stored, memory, perMinute)) stored = memory;
      if (taken.waitMs === 0) passed.push(now);
    }
    return passed;
  };
  /** By how much the worst span is above `capacity + rate × time`. */
  const excess = (passed: readonly number[], perMinute: number) => {
    let worst = Number.NEGATIVE_INFINITY;
    for (const [first, from] of passed.entries()) {
      for (const [more, to] of passed.slice(first).entries()) {
        worst = Math.max(worst, more + 1 - perMinute - ((to - from) * perMinute) / 60_000);
      }
    }
    return worst;
  };
  const someEvents = fc.array(
    fc.record({
      afterMs: fc.oneof({ weight: 9, arbitrary: fc.nat(20) }, { weight: 1, arbitrary: fc.nat(20_000) }),
      lost: fc.boolean(),
    }),
    { minLength: 150, maxLength: 400 },
  );

  test("never lets more than capacity + rate × time through, in any span, whatever memory is lost", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 120 }), someEvents, (perMinute, events) => {
        expect(excess(run(perMinute, events), perMinute)).toBeLessThanOrEqual(0);
      }),
    );
  });

  test("a lost memory costs at most the slack", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 10_000 }), fc.nat(10_000), (perMinute, requests) => {
        let bucket = fullBucket(perMinute, T0);
        let stored = bucket;
        for (let n = 0; n < requests; n += 1) {
          bucket = take(bucket, perMinute, T0).bucket;
          if (isBehind(stored, bucket, perMinute)) stored = bucket;
        }
        const after = recovered(stored, perMinute, T0).level;
        expect(after).toBeLessThanOrEqual(bucket.level);
        expect(after).toBeGreaterThanOrEqual(bucket.level - slackOf(perMinute) * 60_000);
      }),
      { numRuns: 40 },
    );
  });

  test("takes the capacity of a limit that was lowered", () => {
    expect(refilled(fullBucket(6_000, T0), 10, T0)).toEqual(fullBucket(10, T0));
  });
});

describe("RateLimit headers", () => {
  test("speak of a minute's requests", () => {
    expect(rateLimitHeaders(6_000, { waitMs: 0, remaining: 5_999, fullInMs: 10 })).toEqual({
      "ratelimit-policy": '"minute";q=6000;w=60',
      ratelimit: '"minute";r=5999;t=1',
    });
  });

  test("the coarse limit is the one that the platform is told", () => {
    const { ratelimits } = JSON.parse(readFileSync("wrangler.jsonc", "utf8").replace(/^\s*\/\/.*$/gm, ""));
    expect(ratelimits).toMatchObject([{ name: "COARSE_LIMIT", simple: { limit: COARSE_PER_MINUTE, period: 60 } }]);
  });
});

describe("back-off", () => {
  const fail = (times: number, allowed: number, everyMs: number) => {
    let failures = noFailures;
    let now = T0;
    for (let n = 0; n < times; n += 1) {
      now += everyMs;
      failures = failed(failures, allowed, now);
    }
    return { failures, now };
  };

  test("begins after the failures that a minute allows", () => {
    const { failures, now } = fail(100, 100, 1);
    expect(waitOf(failures, now)).toBe(0);
    expect(waitOf(failed(failures, 100, now), now)).toBe(FIRST_WAIT_MS);
  });

  test("never begins for whoever stays below that", () => {
    const { failures } = fail(1_000, 100, 601);
    expect(failures.strikes).toBe(0);
  });

  test("doubles with every failure after a wait, up to five minutes", () => {
    let { failures, now } = fail(3, 2, 1);
    const waits: number[] = [];
    for (let n = 0; n < 11; n += 1) {
      waits.push(waitOf(failures, now));
      now += waitOf(failures, now);
      failures = failed(failures, 2, now);
    }
    expect(waits.map((ms) => ms / 1_000)).toEqual([1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
    expect(Math.max(...waits)).toBe(LONGEST_WAIT_MS);
  });

  test("is not lengthened by what is refused during a wait", () => {
    const { failures, now } = fail(3, 2, 1);
    expect(failed(failures, 2, now + 500)).toBe(failures);
  });

  test("is forgotten after a quiet time, and begins anew", () => {
    const { failures } = fail(3, 2, 1);
    const quiet = failures.until + FORGOTTEN_AFTER_MS;
    expect(isForgotten(failures, quiet - 1)).toBe(false);
    expect(isForgotten(failures, quiet)).toBe(true);
    expect(failed(failures, 2, quiet)).toMatchObject({ strikes: 0, count: 1, until: 0 });
  });
});
