import fc from "fast-check";
import { afterEach, describe, expect, test, vi } from "vitest";
import { afterProbe, type Check, isGivenUp, newlyWatched, type Probe, roundOf } from "../../src/instance/health.ts";
import { HealthCheck } from "../../src/instance/health-check.ts";
import { Inside } from "../../src/instance/inside.ts";
import { has, probeWorkload } from "../../src/instance/probe.ts";
import type { BootRecord } from "../../src/instance/record.ts";
import { workloadSchema } from "../../src/registry/specs.ts";
import type { Capture } from "../../src/runtime/capture.ts";
import type { ContainerRuntime, ExecOptions, ExecResult } from "../../src/runtime/port.ts";

const check: Check = { intervalMs: 30_000, timeoutMs: 5_000, retries: 3 };
const healthy: Probe = { kind: "healthy" };
const silent: Probe = { kind: "failed", cause: "hung", detail: "no answer" };
const refused: Probe = { kind: "failed", cause: "unhealthy", detail: "refused" };
const asked = (probes: Probe[], of = check, from = newlyWatched(0)) =>
  probes.reduce((watched, probe, index) => afterProbe(watched, probe, of, index + 1, index + 1), from);

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
    const later = (askedAt: number) => afterProbe(starting, silent, check, askedAt, 5_000).health.failures;
    expect([later(999), later(1_000)]).toEqual([0, 1]);
    expect(roundOf(starting, check, 999).probes).toBe(1);
  });

  test("starts anew after a failure that has a reason", () => {
    expect(isGivenUp(asked([healthy, silent, silent, { kind: "excused" }, silent, silent]))).toBe(false);
  });
});

/** What a workload says to a probe that begins at a time, and when; never: Infinity. */
type Behaviour = (at: number) => { probe: Probe; at: number };

/** Plays an Instance whose alarm rings when its health check is due, on a clock of its own. */
async function played(check: Check, behaviour: Behaviour, untilMs: number, random = 0) {
  vi.useFakeTimers({ now: 0 });
  vi.spyOn(Math, "random").mockReturnValue(random);
  const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
  const began: number[] = [];
  const seen = { givenUpAt: Number.POSITIVE_INFINITY, mostAtOnce: 0, began };
  let underWay = 0;
  const health = new HealthCheck({
    ask: async () => {
      const now = Date.now();
      began.push(now);
      underWay += 1;
      seen.mostAtOnce = Math.max(seen.mostAtOnce, underWay);
      const answer = behaviour(now);
      const isLate = answer.at > now + check.timeoutMs;
      await pause(isLate ? check.timeoutMs : answer.at - now);
      underWay -= 1;
      return isLate ? silent : answer.probe;
    },
    onFailure: () => {
      if (health.isGivenUp) seen.givenUpAt = Math.min(seen.givenUpAt, Date.now());
    },
  });
  const rings = async () => {
    while (Date.now() < untilMs && !health.isGivenUp) {
      await health.ring(check);
      await pause(Math.max(200, health.dueAt - Date.now()));
    }
  };
  void rings();
  await vi.advanceTimersByTimeAsync(untilMs);
  return seen;
}

/** Every check that the API takes (src/registry/workload-parts.ts). */
const checks = fc
  .record({ intervalMs: fc.integer({ min: 1_000, max: 3_600_000 }), retries: fc.integer({ min: 1, max: 100 }) })
  .chain((of) =>
    fc.integer({ min: 100, max: Math.min(300_000, of.intervalMs - 1) }).map((timeoutMs) => ({ ...of, timeoutMs })),
  );
/** How soon it answers, of its timeout, by the moment at which it is asked. */
const speeds = fc.infiniteStream(fc.double({ min: 0, max: 1, noNaN: true }));
const shares = fc.double({ min: 0, max: 1, noNaN: true });

describe("a workload that is asked", () => {
  afterEach(() => {
    vi.useRealTimers();
    vi.restoreAllMocks();
  });

  test("and hangs, is given up within two intervals, whatever its check says and whenever it begins", async () => {
    await fc.assert(
      fc.asyncProperty(checks, speeds, shares, shares, async (of, speed, when, random) => {
        const hangsAt = Math.ceil(1 + when * 3 * of.intervalMs);
        const behaviour: Behaviour = (at) => {
          const answersAt = at + (at === 0 ? 0 : Math.floor(Number(speed.next().value) * of.timeoutMs));
          return { probe: healthy, at: answersAt < hangsAt ? answersAt : Number.POSITIVE_INFINITY };
        };
        const seen = await played(of, behaviour, hangsAt + 2 * of.intervalMs, random);
        expect(seen.givenUpAt).toBeLessThanOrEqual(hangsAt + 2 * of.intervalMs);
        expect(seen.mostAtOnce).toBeLessThanOrEqual(of.retries);
      }),
    );
  });

  test("and answers in time, however slowly, is never given up", async () => {
    await fc.assert(
      fc.asyncProperty(checks, speeds, shares, async (of, speed, random) => {
        const behaviour: Behaviour = (at) => ({
          probe: healthy,
          at: at + Math.floor(Number(speed.next().value) * of.timeoutMs),
        });
        expect((await played(of, behaviour, 6 * of.intervalMs, random)).givenUpAt).toBe(Number.POSITIVE_INFINITY);
      }),
    );
  });

  test("and loses what is asked for a while that is shorter than a round, is not given up", async () => {
    await fc.assert(
      fc.asyncProperty(checks, shares, shares, async (of, when, random) => {
        fc.pre(of.retries > 1 && of.timeoutMs <= of.intervalMs / 2);
        const from = Math.ceil(1 + when * of.intervalMs);
        const until = from + 0.9 * (0.85 * of.intervalMs - of.timeoutMs);
        const behaviour: Behaviour = (at) => ({
          probe: healthy,
          at: at >= from && at < until ? Number.POSITIVE_INFINITY : at,
        });
        const seen = await played(of, behaviour, 5 * of.intervalMs, random);
        expect(seen.givenUpAt).toBe(Number.POSITIVE_INFINITY);
      }),
    );
  });

  test("and refuses, is given up within two intervals, but not by refusals that are one", async () => {
    await fc.assert(
      fc.asyncProperty(checks, shares, shares, async (of, when, random) => {
        const from = Math.ceil(1 + when * of.intervalMs);
        const seen = await played(
          of,
          (at) => ({ probe: at < from ? healthy : refused, at }),
          from + 2 * of.intervalMs,
          random,
        );
        expect(seen.givenUpAt).toBeLessThanOrEqual(from + 2 * of.intervalMs);
        const first = seen.began.find((at) => at >= from) ?? 0;
        const apart = Math.floor(Math.min(250, (0.7 * of.intervalMs) / of.retries));
        expect(seen.givenUpAt - first).toBeGreaterThanOrEqual((of.retries - 1) * apart);
      }),
    );
  });

  test("and refuses some probes and hangs at others, is given up all the same", async () => {
    const of = { intervalMs: 1_000, timeoutMs: 999, retries: 3 };
    let asks = 0;
    const behaviour: Behaviour = (at) => {
      asks += 1;
      if (asks === 1) return { probe: healthy, at };
      return { probe: refused, at: asks % 2 === 0 ? Number.POSITIVE_INFINITY : at };
    };
    expect((await played(of, behaviour, 5_000)).givenUpAt).toBeLessThanOrEqual(3_000);
  });
});

test("a health check's command may print without end: nothing of it is kept", async () => {
  const captures: Capture[] = [];
  const runtime = {
    exec: async (_argv: readonly string[], { capture }: ExecOptions): Promise<ExecResult> => {
      capture?.stdout.push(new Uint8Array(1_000_000));
      if (capture) captures.push(capture);
      return { exitCode: 0, stdout: new Uint8Array(), stderr: new Uint8Array() };
    },
  } as ContainerRuntime;
  const workload = workloadSchema.parse({ id: "w", image: "sandbox", healthCheck: { command: ["yes"] } });
  const boot = { plan: { workload } } as BootRecord;
  expect(await probeWorkload(new Inside(runtime, boot))).toEqual(healthy);
  expect(captures.map(({ stdout }) => [stdout.length, stdout.bytes.length])).toEqual([[1_000_000, 0]]);
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
