import { describe, expect, it } from "vitest";
import { Chaos } from "../simulation/play/chaos.ts";
import type { World } from "../simulation/world/types.ts";

/** As much of a world as faults need: one object, and a clock. */
function aWorld() {
  const objects = { list: () => [{ key: "Tenant/t0", stored: true, inMemory: true }] };
  const world = { now: 0, objects, onStep: (_: { index: number; label: string }) => {}, note: () => {} };
  return { world, chaos: new Chaos(world as unknown as World) };
}

describe("an object whose alarm was lost", () => {
  it("is excused until a call arrives, which one that is lost on its way does not", () => {
    const { world, chaos } = aWorld();
    chaos.begin({ do: "alarm", of: "TENANT", which: 0, how: "lost", ms: 0 });
    expect(chaos.verdict({ at: "alarm", object: "Tenant/t0", due: 0 })).toEqual({ do: "lose" });
    world.now = 200_000; // the platform tries no more
    chaos.begin({ do: "rpc", to: "TENANT", method: null, nth: 1, how: "lose-before", ms: 0 });
    const call = { from: "Worker/read", to: "Tenant/t0", method: "status" };
    expect(chaos.verdict({ at: "deliver", ...call })).toMatchObject({ do: "fail" });
    expect(chaos.isDeaf("Tenant/t0")).toBe(true);
    world.onStep({ index: 1, label: "call Worker/read status → Tenant/t0.status" });
    expect(chaos.isDeaf("Tenant/t0")).toBe(false);
  });
});
