import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { lastMatch, nextMatch, parseCron } from "../../src/pool/cron.ts";
import { newPool, type PoolRecord, targetOf } from "../../src/pool/record.ts";
import { nextEdge, scheduledSize } from "../../src/pool/schedule.ts";
import { poolSchema, workloadSchema } from "../../src/registry/specs.ts";

const at = (iso: string) => Date.parse(`${iso}Z`);
const HOUR = 3_600_000;
const iso = (ms: number | null) => (ms === null ? null : new Date(ms).toISOString().slice(0, 16));
const cronOf = (text: string) => {
  const { cron } = parseCron(text);
  if (!cron) throw new Error(text);
  return cron;
};
const problems = (given: object): unknown[] =>
  poolSchema
    .safeParse({ id: "demo", workloadId: "sandbox", maxSize: 10, ...given })
    .error?.issues.map(({ path, message }) => `/${path.join("/")} ${message}`) ?? [];

describe("a cron expression", () => {
  it("knows lists, ranges, steps and names, in UTC", () => {
    const next = (text: string, from = "2026-11-26T10:30:00") => iso(nextMatch(cronOf(text), at(from)));
    expect(next("0 8 * * mon-fri")).toBe("2026-11-27T08:00"); // the 26th is a Thursday
    expect(next("0 8 * * mon-fri", "2026-11-27T08:00:00")).toBe("2026-11-30T08:00");
    expect(next("*/15 * * * *")).toBe("2026-11-26T10:45");
    expect(next("5,50 9-11 * * *")).toBe("2026-11-26T10:50");
    expect(next("0 0 1 jan *")).toBe("2027-01-01T00:00");
    expect(next("0 0 29 2 *")).toBe("2028-02-29T00:00");
    expect(next("0 12 * * 7")).toBe("2026-11-29T12:00");
    expect(next("0 12 1 * sun")).toBe("2026-11-29T12:00"); // both days limited: either will do
    expect(next("0 12/6 * * *")).toBe("2026-11-26T12:00");
    expect(next("0 12 * * fri-sun", "2026-11-28T12:00:00")).toBe("2026-11-29T12:00");
    expect(next("0 12 * * 6-0", "2026-11-29T12:00:00")).toBe("2026-12-05T12:00");
    expect(next("0 0 31 * *", "2026-11-01T00:00:00")).toBe("2026-12-31T00:00"); // months without one are passed over
    expect(next("59 23 * 12 *", "2026-12-31T23:59:00")).toBe("2027-12-01T23:59");
    expect(next("0 0 29 2 *", "2096-03-01T00:00:00")).toBe("2104-02-29T00:00"); // 2100 is no leap year
  });

  it("that is none is refused with what is wrong", () => {
    for (const text of ["", "* * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * 8", "a * * * *"])
      expect(parseCron(text).problem, text).toBeTypeOf("string");
    for (const text of ["5-1 * * * *", "*/0 * * * *", "1,,2 * * * *", "* * * * * *", "@daily"])
      expect(parseCron(text).problem, text).toBeTypeOf("string");
    for (const text of ["0 24 * * *", "0 0 ? * *", "0 0 L * *", "0 0 1-0 * *", "0 0 * dec-jan *", "0 0 * * sat-mon"])
      expect(parseCron(text).problem, text).toBeTypeOf("string");
    expect(parseCron("5-1 * * * *").problem).toContain("backwards");
    expect(parseCron("0 0 30 2 *").problem).toBe("names a day that never comes");
  });

  it("has its last match before its next one, and both are matches", () => {
    const field = (to: number, from = 0) => fc.oneof(fc.constant("*"), fc.integer({ min: from, max: to }).map(String));
    fc.assert(
      fc.property(
        fc.tuple(field(59), field(23), fc.constant("*"), fc.constant("*"), field(6)),
        fc.integer({ min: 0, max: 4_000_000_000_000 }),
        (fields, now) => {
          const cron = cronOf(fields.join(" "));
          const last = lastMatch(cron, now, 8 * 24 * HOUR);
          const next = nextMatch(cron, now);
          if (last === null || next === null) throw new Error("every weekday comes within eight days");
          expect(last).toBeLessThanOrEqual(now);
          expect(next).toBeGreaterThan(now);
          expect(nextMatch(cron, last)).toBe(next);
          expect(lastMatch(cron, next, HOUR)).toBe(next);
        },
      ),
    );
  });
});

describe("a pool's schedule", () => {
  const office = { cron: "0 8 * * mon-fri", durationMs: 10 * HOUR, minSize: 5 };
  const lunch = { cron: "0 12 * * *", durationMs: HOUR, minSize: 8 };
  const night = { cron: "0 22 * * *", durationMs: 8 * HOUR, minSize: 0 };
  const schedule = [office, lunch, night];

  it("counts the largest of the windows that are open, over midnight too, and minSize while none is", () => {
    const size = (time: string) => scheduledSize(schedule, at(time));
    expect(size("2026-11-26T07:59:59")).toBeNull();
    expect(size("2026-11-26T08:00:00")).toBe(5);
    expect(size("2026-11-26T12:30:00")).toBe(8);
    expect(size("2026-11-26T17:59:59")).toBe(5);
    expect(size("2026-11-26T18:00:00")).toBeNull();
    expect(size("2026-11-28T09:00:00")).toBeNull(); // a Saturday
    expect(size("2026-11-28T23:00:00")).toBe(0);
    expect(size("2026-11-29T05:59:59")).toBe(0);
    expect(size("2026-11-29T06:00:00")).toBeNull();
  });

  it("names every edge before it comes: nothing changes between two of them", () => {
    let now = at("2026-11-27T05:00:00");
    const edges: (string | null)[] = [];
    for (let n = 0; n < 8; n += 1) {
      const edge = nextEdge(schedule, now);
      edges.push(iso(edge));
      if (edge === null) break;
      expect(scheduledSize(schedule, edge - 1)).toBe(scheduledSize(schedule, now));
      now = edge;
    }
    expect(edges).toEqual([
      "2026-11-27T06:00",
      "2026-11-27T08:00",
      "2026-11-27T12:00",
      "2026-11-27T13:00",
      "2026-11-27T18:00",
      "2026-11-27T22:00",
      "2026-11-28T06:00",
      "2026-11-28T12:00",
    ]);
    expect(nextEdge(undefined, now)).toBeNull();
  });

  it("gives the target, and what `scale` asked for holds until its next edge", () => {
    const spec = poolSchema.parse({ id: "demo", workloadId: "sandbox", minSize: 1, maxSize: 10, schedule: [office] });
    const pool: PoolRecord = newPool(spec, workloadSchema.parse({ id: "sandbox", image: "sandbox" }), 1);
    expect(["06:00", "09:00", "19:00"].map((time) => targetOf(pool, at(`2026-11-26T${time}:00`)))).toEqual([1, 5, 1]);
    const scaled = { ...pool, target: 7, targetUntil: at("2026-11-26T18:00:00") };
    expect(["17:59", "18:00"].map((time) => targetOf(scaled, at(`2026-11-26T${time}:00`)))).toEqual([7, 1]);
  });

  it("is refused with pointers where it makes no sense", () => {
    expect(problems({ schedule: [office, { ...office, minSize: 11 }] })).toEqual([
      "/schedule/1/minSize must not exceed maxSize",
    ]);
    expect(problems({ schedule: [{ ...office, cron: "never" }] })).toEqual([
      "/schedule/0/cron must be five fields: minute, hour, day of the month, month, day of the week",
    ]);
    expect(problems({ schedule: [{ ...office, durationMs: 1 }] })[0]).toContain("/schedule/0/durationMs");
    expect(problems({ schedule: [{ ...office, timezone: "UTC" }] })[0]).toContain("/schedule/0");
    expect(problems({ fallbackPoolId: "demo" })).toEqual(["/fallbackPoolId is the pool itself"]);
  });
});
