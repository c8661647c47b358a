import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { afterProbe, type Check, isGivenUp, newlyWatched, nextProbeMs, type Probe } from "../../src/instance/health.ts";
import { has } from "../../src/instance/probe.ts";

const check: Check = { intervalMs: 30_000, timeoutMs: 5_000, retries: 3 };
const healthy: Probe = { kind: "healthy" };
const silent: Probe = { kind: "failed", cause: "hung", detail: "no answer" };
const asked = (probes: Probe[], of = check, from = newlyWatched(0)) =>
  probes.reduce((watched, probe, index) => afterProbe(watched, probe, of, index + 1), from);

describe("a health check", () => {
  test("gives up after as many failures in a row as it says, and not before", () => {
    expect(isGivenUp(asked([healthy, silent, silent]))).toBe(false);
    expect(asked([healthy, silent, silent]).health).toEqual({ status: "healthy", failures: 2, since: 1 });
    expect(isGivenUp(asked([healthy, silent, silent, silent]))).toBe(true);
    expect(isGivenUp(asked([healthy, silent, silent, healthy, silent, silent]))).toBe(false);
  });

  test("never gives up on the first look, whatever it says", () => {
    const once = { ...check, retries: 1 };
    expect(isGivenUp(asked([silent], once))).toBe(false);
    expect(isGivenUp(asked([silent, silent], once))).toBe(true);
    expect(isGivenUp(asked([healthy, silent], once))).toBe(true);
  });

  test("does not count what a workload that was just started leaves unanswered, until it answered once", () => {
    const starting = newlyWatched(1_000);
    expect(asked([silent, silent, silent, silent], check, starting).health.failures).toBe(0);
    expect(isGivenUp(asked([silent, healthy, silent, silent, silent], check, starting))).toBe(true);
    expect(isGivenUp([1_001, 1_002, 1_003].reduce((it, now) => afterProbe(it, silent, check, now), starting))).toBe(
      true,
    );
  });

  test("starts anew after a failure that has a reason", () => {
    expect(isGivenUp(asked([healthy, silent, silent, { kind: "excused" }, silent, silent]))).toBe(false);
  });

  test("finds a hang within two intervals, whenever it begins and however the probes are spread", () => {
    const checks = fc
      .record({ retries: fc.integer({ min: 1, max: 10 }), timeoutMs: fc.integer({ min: 100, max: 5_000 }) })
      .chain((of) =>
        fc.record({
          check: fc
            .integer({ min: Math.max(1_000, of.retries * (of.timeoutMs + 250)), max: 200_000 })
            .map((intervalMs) => ({ ...of, intervalMs })),
          random: fc.double({ min: 0, max: 1, noNaN: true }),
        }),
      );
    fc.assert(
      fc.property(checks, ({ check: of, random }) => {
        // It hangs as soon as it was seen healthy.
        let watched = afterProbe(newlyWatched(0), healthy, of, 0);
        let now = 0;
        while (!isGivenUp(watched)) {
          now += nextProbeMs(watched, of, random) + of.timeoutMs;
          watched = afterProbe(watched, silent, of, now);
        }
        expect(now).toBeLessThanOrEqual(2 * of.intervalMs);
      }),
    );
  });
});

test.each([
  ['{"ok":true,"more":1}', { ok: true }, true],
  ['{"a":{"b":[1,2]}}', { a: { b: [1, 2] } }, true],
  ['{"a":{"b":[1,2],"c":0}}', { a: { b: [1, 2] } }, false],
  ['{"ok":"true"}', { ok: true }, false],
  ["{}", { ok: true }, false],
  ["{}", {}, true],
  ['{"a":null}', { a: null }, true],
  ['{"a":[]}', { a: {} }, false],
  ["[true]", { 0: true }, false],
  ["null", {}, false],
  ["not json", {}, false],
  ["{}", JSON.parse('{"__proto__":{}}'), false],
])("an answer %s that is to have %j: %s", (text, members, expected) => {
  expect(has(text, members)).toBe(expected);
});
