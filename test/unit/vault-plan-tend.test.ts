import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ORPHAN_MS, planTend, type TendSnapshot, type TendStep } from "../../src/vault/plan-tend.ts";
import type { Kept } from "../../src/vault/retention.ts";

const NOW = 100 * 86_400_000;
const nothing: TendSnapshot = {
  rebuilding: false,
  open: [],
  endedSaves: false,
  surplusSaves: false,
  oldestUpload: null,
  generations: [],
  needed: [0, 0],
  leases: [],
  task: null,
  bodies: false,
  objects: false,
  packs: false,
};
const aGeneration = (generation: number, more: Partial<Kept> = {}): Kept => ({
  generation,
  status: "kept",
  treeHash: `t-${generation}`,
  at: NOW - 40 * 86_400_000 + generation,
  pinned: false,
  ...more,
});
const history = (count: number) => Array.from({ length: count }, (_, n) => aGeneration(n + 1));
const kinds = (snapshot: Partial<TendSnapshot>, now = NOW) =>
  planTend({ ...nothing, ...snapshot }, now).steps.map((step) => step.do);

/** What a step leaves. R2 answers, or the task is put off. */
function after(snapshot: TendSnapshot, step: TendStep, now: number, r2: "answers" | "fails"): TendSnapshot {
  switch (step.do) {
    case "rebuild":
      return { ...snapshot, rebuilding: false };
    case "abort":
      return { ...snapshot, open: snapshot.open.filter(({ save }) => !step.saves.includes(save)), endedSaves: true };
    case "end-saves":
      return { ...snapshot, endedSaves: false, surplusSaves: false, bodies: true, objects: true };
    case "end-uploads":
      return { ...snapshot, oldestUpload: null, objects: true };
    case "expire-leases":
      return { ...snapshot, leases: snapshot.leases.filter(({ until }) => until > now) };
    case "prune": {
      const generations = snapshot.generations.filter(({ generation }) => !step.gone.includes(generation));
      return { ...snapshot, generations, task: { due: 0 }, bodies: true, objects: true, packs: true };
    }
    case "deliver":
      return { ...snapshot, task: r2 === "answers" ? null : { due: now + 2_000 } };
    case "sweep-bodies":
      return { ...snapshot, bodies: false };
    case "sweep-objects":
      return { ...snapshot, objects: false, packs: false };
  }
}

const snapshots = fc.record({
  rebuilding: fc.constant(false),
  open: fc.array(fc.record({ save: fc.nat(9), at: fc.integer({ min: NOW - 3 * ORPHAN_MS, max: NOW }) }), {
    maxLength: 2,
  }),
  endedSaves: fc.boolean(),
  surplusSaves: fc.boolean(),
  oldestUpload: fc.option(fc.integer({ min: NOW - 3 * ORPHAN_MS, max: NOW })),
  generations: fc
    .uniqueArray(
      fc.record({ generation: fc.integer({ min: 1, max: 60 }), ago: fc.nat(40 * 86_400_000), pinned: fc.boolean() }),
      {
        selector: ({ generation }) => generation,
        maxLength: 40,
      },
    )
    .map((all) => all.map(({ generation, ago, pinned }) => aGeneration(generation, { at: NOW - ago, pinned }))),
  needed: fc.tuple(fc.nat(60), fc.nat(60)),
  leases: fc.array(
    fc.record({
      generation: fc.integer({ min: 1, max: 60 }),
      until: fc.integer({ min: NOW - 9_999, max: NOW + 9_999 }),
    }),
    {
      maxLength: 3,
    },
  ),
  task: fc.option(fc.record({ due: fc.integer({ min: NOW - 9_999, max: NOW + 9_999 }) })),
  bodies: fc.boolean(),
  objects: fc.boolean(),
  packs: fc.boolean(),
});

describe("what a vault tends to", () => {
  it("is nothing where there is nothing, and nothing but that while it is rebuilt", () => {
    expect(planTend(nothing, NOW)).toEqual({ steps: [], due: null });
    const rebuilding = { ...nothing, rebuilding: true, objects: true, task: { due: 0 } };
    expect(planTend(rebuilding, NOW)).toEqual({ steps: [{ do: "rebuild" }], due: null });
  });

  it("ends a save that nobody went on with for a day, and never one that is younger", () => {
    const open = [
      { save: 1, at: NOW - ORPHAN_MS - 1 },
      { save: 2, at: NOW - ORPHAN_MS },
    ];
    expect(planTend({ ...nothing, open }, NOW)).toEqual({
      steps: [{ do: "abort", saves: [1] }],
      due: expect.any(Number),
    });
    expect(planTend({ ...nothing, open: open.slice(1) }, NOW)).toEqual({ steps: [], due: NOW + 60_000 });
  });

  it("leaves R2 alone until the ledger says what it was told to forget", () => {
    expect(kinds({ objects: true, packs: true })).toEqual(["sweep-objects"]);
    expect(kinds({ objects: true, task: { due: NOW + 1 } })).toEqual([]);
    expect(kinds({ objects: true, task: { due: NOW } })).toEqual(["deliver"]);
    expect(kinds({ objects: true, generations: history(30), needed: [30, 30] })).toEqual(["prune"]);
  });

  it("keeps what is needed, pinned or being read, whatever its age", () => {
    const generations = [aGeneration(1, { pinned: true }), ...history(30).slice(1)];
    const leases = [
      { generation: 2, until: NOW + 1 },
      { generation: 4, until: NOW },
    ];
    const { steps } = planTend({ ...nothing, generations, needed: [30, 3], leases }, NOW);
    expect(steps.map((step) => step.do)).toEqual(["expire-leases", "prune"]);
    expect(steps.find((step) => step.do === "prune")?.gone).toEqual(Array.from({ length: 17 }, (_, n) => n + 4));
  });

  it("comes to rest, the same again plans the same, and the next time is never now", () => {
    fc.assert(
      fc.property(snapshots, fc.constantFrom("answers" as const, "fails" as const), (given, r2) => {
        let snapshot: TendSnapshot = given;
        let rounds = 0;
        for (;;) {
          const { steps, due } = planTend(snapshot, NOW);
          expect(planTend(snapshot, NOW)).toEqual({ steps, due });
          if (due !== null) expect(due).toBeGreaterThan(NOW);
          if (steps.length === 0) break;
          for (const step of steps) snapshot = after(snapshot, step, NOW, r2);
          rounds += 1;
          expect(rounds).toBeLessThan(8);
        }
        // What is left is for later, and an alarm comes for it.
        const { due } = planTend(snapshot, NOW);
        if (snapshot.task || snapshot.open.length > 0 || snapshot.oldestUpload !== null || snapshot.leases.length > 0) {
          expect(due).not.toBeNull();
        }
        if (r2 === "answers" && given.task === null) expect(snapshot).toMatchObject({ objects: false, packs: false });
        for (const { generation, pinned } of given.generations) {
          const stays = pinned || given.needed.includes(generation);
          if (stays) expect(snapshot.generations.map((one) => one.generation)).toContain(generation);
        }
      }),
    );
  });
});
