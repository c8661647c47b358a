import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { afterFailure, afterSuccess, breakerState, refillFrom } from "../../src/pool/breaker.ts";
import { newPool, type PoolRecord } from "../../src/pool/record.ts";
import { poolSchema, workloadSchema } from "../../src/registry/specs.ts";

const aPool = (): PoolRecord =>
  newPool(
    poolSchema.parse({ id: "demo", workloadId: "sandbox", maxSize: 5 }),
    workloadSchema.parse({ id: "sandbox", image: "sandbox" }),
    1,
  );
const fault = { code: "start_failed" as const, detail: "no" };
const full = { code: "capacity_exhausted" as const, detail: "full", retryAfterMs: 30_000 };
const failedAt = (...times: number[]) => times.reduce((record, at) => afterFailure(record, fault, at).record, aPool());

describe("the breaker", () => {
  it("opens with the fifth start in a row that failed, for a minute", () => {
    const four = failedAt(1, 2, 3, 4);
    expect(breakerState(four, 5)).toBe("closed");
    const { record, opened } = afterFailure(four, fault, 5);
    expect(opened).toBe(true);
    expect(record.breaker).toEqual({ openedAt: 5, retryAt: 60_005, opened: 1 });
    expect([breakerState(record, 60_004), breakerState(record, 60_005)]).toEqual(["open", "half-open"]);
  });

  it("opens when five of ten starts fail within ten minutes, but not when few of many do", () => {
    const run = (successesBetween: number) => {
      let record = aPool();
      for (let n = 1; n <= 5; n += 1) {
        record = afterFailure(record, fault, n * 1_000).record;
        for (let ok = 0; ok < successesBetween; ok += 1) record = afterSuccess(record, n * 1_000 + ok + 1).record;
      }
      return record;
    };
    expect(failedAt(1, 2, 3, 4).breaker).toBeNull();
    expect(afterFailure(afterSuccess(failedAt(1, 2, 3, 4), 5).record, fault, 6).opened).toBe(true);
    expect(run(9).breaker).toBeNull();
  });

  it("forgets failures of more than ten minutes ago", () => {
    const old = afterSuccess(failedAt(1, 2, 3, 4), 5).record;
    const { record, opened } = afterFailure(old, fault, 600_005);
    expect([opened, record.failures?.recent]).toEqual([false, [600_005]]);
  });

  it("waits twice as long after each try that fails, at most fifteen minutes, and closes with one that succeeds", () => {
    let record = failedAt(1, 2, 3, 4, 5);
    const pauses: number[] = [];
    for (let n = 0; n < 6; n += 1) {
      const now = refillFrom(record);
      record = afterFailure(record, fault, now).record;
      pauses.push((record.breaker?.retryAt ?? 0) - now);
    }
    expect(pauses).toEqual([120_000, 240_000, 480_000, 900_000, 900_000, 900_000]);
    expect(record.breaker?.openedAt).toBe(5);
    const healed = afterSuccess(record, 10_000_000);
    expect([healed.closed, healed.record.breaker, healed.record.failures]).toEqual([true, null, null]);
  });

  it("stays as it is when a claim's start fails while it is open", () => {
    const open = failedAt(1, 2, 3, 4, 5);
    const { record, opened } = afterFailure(open, fault, 6);
    expect([opened, record.breaker]).toEqual([false, open.breaker]);
  });

  it("does not open for a lack of capacity, which is only waited out", () => {
    let record = aPool();
    for (let n = 1; n <= 20; n += 1) record = afterFailure(record, full, n).record;
    expect([record.breaker, record.failures?.count, refillFrom(record)]).toEqual([null, 0, 30_020]);
  });
});

describe("the refill", () => {
  it("waits longer after each failure in a row", () => {
    expect([1, 2, 3, 4].map((n) => refillFrom(failedAt(...Array(n).fill(100))) - 100)).toEqual([
      1_000, 2_000, 4_000, 8_000,
    ]);
  });

  it("goes on at once after a success", () => {
    const { record } = afterSuccess(failedAt(1, 2), 3);
    expect(refillFrom(record)).toBe(0);
  });
});

describe("whatever happens", () => {
  it("what is kept of failures stays small, and an open breaker always has a time to try again", () => {
    const event = fc.constantFrom("fault", "full", "success");
    fc.assert(
      fc.property(fc.array(fc.tuple(event, fc.integer({ min: 1, max: 200_000 })), { maxLength: 60 }), (events) => {
        let record = aPool();
        let now = 0;
        for (const [what, after] of events) {
          now += after;
          record =
            what === "success"
              ? afterSuccess(record, now).record
              : afterFailure(record, what === "fault" ? fault : full, now).record;
          expect(record.failures?.recent.length ?? 0).toBeLessThanOrEqual(5);
          if (record.breaker) expect(record.breaker.retryAt - now).toBeLessThanOrEqual(900_000);
        }
      }),
    );
  });
});
