import { describe, expect, it } from "vitest";
import { drawHistory } from "../simulation/history/draw.ts";
import { isFault, lineOf, type Step } from "../simulation/history/events.ts";
import { minimal, simplified } from "../simulation/shrink/minimal.ts";
import { simpler } from "../simulation/shrink/simpler.ts";

describe("a history", () => {
  it("is the same for the same seed and number of steps, and can be written down", () => {
    const first = drawHistory(7, 300);
    expect(drawHistory(7, 300)).toEqual(first);
    expect(JSON.parse(JSON.stringify(first))).toEqual(first);
    expect(drawHistory(8, 300)).not.toEqual(first);
  });

  it("of fewer steps is the beginning of a longer one", () => {
    expect(drawHistory(7, 50).steps).toEqual(drawHistory(7, 300).steps.slice(0, 50));
  });

  it("has, over a hundred seeds, every kind of thing that can happen, histories without any fault, and none without tenants", () => {
    const histories = Array.from({ length: 100 }, (_, seed) => drawHistory(seed, 300));
    const kinds = new Set(histories.flatMap(({ steps }) => steps.map(({ event }) => event.do)));
    expect([...kinds].sort()).toMatchInlineSnapshot(`
      [
        "act",
        "alarm",
        "change",
        "claim",
        "claims",
        "clock",
        "container",
        "destroy",
        "evict",
        "interrupt",
        "plan",
        "pool",
        "read",
        "release",
        "request",
        "restore",
        "rpc",
        "slow",
        "socket",
        "storage",
        "sweep",
        "upgrade",
        "wipe",
        "workload",
        "write",
      ]
    `);
    const calm = histories.filter(({ steps }) => !steps.some(({ event }) => isFault(event)));
    expect(calm.length).toBeGreaterThan(10);
    expect(Math.min(...histories.map(({ setup }) => setup.tenants))).toBeGreaterThanOrEqual(2);
  });

  it("says of each step in one line what it is", () => {
    const step = { event: { do: "release", tenant: 1, how: "force", waitMs: 0 } as const, thenMs: 20 };
    expect(lineOf(step)).toBe("release tenant=1 how=force waitMs=0, then 20 ms");
  });
});

describe("a failing history", () => {
  it("shrinks to the steps that it needs", async () => {
    const asked: number[][] = [];
    const fails = async (part: number[]) => {
      asked.push(part);
      return part.includes(13) && part.includes(77);
    };
    expect(
      await minimal(
        Array.from({ length: 100 }, (_, n) => n),
        fails,
        500,
      ),
    ).toEqual([13, 77]);
    expect(asked.length).toBeLessThan(100);
  });

  it("stays whole when nothing can be left out, and when it may not be asked any more", async () => {
    expect(await minimal([1, 2, 3], async (part) => part.length === 3, 100)).toEqual([1, 2, 3]);
    expect(await minimal([1, 2, 3, 4], async () => true, 1)).toEqual([3, 4]);
  });

  it("has simpler steps where simpler ones do", async () => {
    const event = { do: "write", tenant: 0, times: 3, seed: 9 } as const;
    const step: Step = { event, thenMs: 4_321 };
    const once: Step = { event: { ...event, times: 1 }, thenMs: 4_321 };
    const fails = async ([first]: Step[]) => (first?.thenMs ?? 0) > 1_000;
    expect(await simplified([step], simpler, fails, 50)).toEqual([once]);
    expect(await simplified([once], simpler, fails, 50)).toEqual([{ ...once, thenMs: 4_000 }]);
  });
});
