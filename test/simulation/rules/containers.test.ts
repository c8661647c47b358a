import { describe, expect, it } from "vitest";
import { BY, registerPool } from "../world/registered.ts";
import type { ObjectView, World } from "../world/types.ts";
import { aWorld } from "./support.ts";

const authorization = "Bearer test-admin-key-0123456789";
const STATE = { id: "w", volumes: { state: { containerPath: "/data" } } };

/** A world with a tenant that has a container with a file in it. */
async function aTenant(): Promise<{ world: World; id: string; instance: ObjectView }> {
  const world = await aWorld();
  const { tenantOf } = world.modules.stubs;
  await registerPool(world, STATE, { id: "p", minSize: 0, maxSize: 4 });
  const claimed = await world.finish(
    world.worker("claim", (env) =>
      tenantOf(env, "t" as never).claim({ tenantId: "t", poolId: "p" } as never, 60_000, BY),
    ),
  );
  if (!claimed.ok || claimed.value.kind !== "done") throw new Error(JSON.stringify(claimed));
  const id = claimed.value.value.containerId;
  const instance = world.objects.find("Instance", id);
  if (!instance) throw new Error("no Instance");
  await put(world, "a.txt");
  return { world, id, instance };
}

const put = async (world: World, name: string): Promise<number> => {
  const init = { method: "PUT", body: "content", headers: { authorization } };
  return (await world.finish(world.request("put", new Request(`http://localhost/t/t/files/${name}`, init)))).status;
};
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
