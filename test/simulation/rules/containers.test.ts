import { describe, expect, it } from "vitest";
import { BY } from "../world/registered.ts";
import type { World } from "../world/types.ts";
import { aTenant, put } from "./support.ts";

const save = (world: World) =>
  world.worker("save", (env) =>
    world.modules.stubs
      .tenantOf(env, "t" as never)
      .act("t" as never, { kind: "sync", direction: "outward" }, 60_000, BY),
  );

describe("containers", () => {
  it("outlive their object's stay in memory, and serve on", async () => {
    const { world, id, instance } = await aTenant();
    expect(world.objects.evict(instance)).toBe(true);
    expect(world.containers.running).toContain(id);
    expect(await put(world, "b.txt")).toBe(201);
    expect(await world.finish(save(world))).toMatchObject({ ok: true, value: { value: { saved: { files: 2 } } } });
  });

  it("what an Instance registered for its container ends with its memory", async () => {
    const { world, id, instance } = await aTenant();
    const container = world.containers.get(id);
    world.objects.crash(instance);
    const call = world.worker("ask", async () => container?.egress.outbound(new Request("http://sink.internal/state")));
    await expect(world.finish(call)).rejects.toThrow("connection refused");
  });

  it("nothing that ran in a container goes on behind its end", async () => {
    const { world, id } = await aTenant();
    const call = save(world);
    const asked = () => world.calls.filter(({ from }) => from === `Container/${id}`).length;
    await world.advance(60_000, () => asked() > 0);
    expect(asked()).toBeGreaterThan(0);
    world.containers.controls.for(id).crash(137);
    const before = asked();
    await world.advance(600_000);
    expect(asked()).toBe(before);
    expect(call.outcome).not.toBeNull();
    expect(world.containers.history.get(id)).toMatchObject({ exit: { exitCode: 137 } });
  });

  it("a call that a container never answers ends by its deadline", async () => {
    const { world } = await aTenant();
    world.faults = {
      verdict: (point) =>
        point.at === "engine-reply" && point.path.startsWith(" 41800") ? { do: "lose" } : { do: "ok" },
    };
    const call = save(world);
    await world.advance(3_600_000, () => call.outcome !== null);
    expect(call.outcome).not.toBeNull();
  });
});
