import { afterEach, describe, expect, it } from "vitest";
import { BY, registerPool } from "./world/registered.ts";
import type { World } from "./world/types.ts";
import { newWorld } from "./world/world.ts";

let world: World | null = null;
afterEach(() => {
  world?.dispose();
  world = null;
});

async function aWorld(seed = 1): Promise<World> {
  world = await newWorld({ seed });
  return world;
}

const STATE = { id: "w", volumes: { state: { containerPath: "/data" } } };

describe("a world without faults", () => {
  it("claims, writes, saves and releases through the real objects, on virtual time", async () => {
    const { finish, worker, modules, request, advance, r2, complaints } = await aWorld();
    const { tenantOf } = modules.stubs;
    const tenant = "t1" as never;
    await registerPool(world as World, STATE, { id: "p", minSize: 1, maxSize: 4 });
    const claimed = await finish(
      worker("claim", (env) => tenantOf(env, tenant).claim({ tenantId: tenant, poolId: "p" as never }, 30_000, BY)),
    );
    expect(claimed).toMatchObject({ ok: true, value: { kind: "done", value: { state: "active", epoch: 1 } } });
    const authorization = "Bearer test-admin-key-0123456789";
    const put = new Request("http://localhost/t/t1/files/a.txt", {
      method: "PUT",
      body: "a",
      headers: { authorization },
    });
    expect((await finish(request("write", put))).status).toBe(201);
    const released = await finish(worker("release", (env) => tenantOf(env, tenant).release(tenant, {}, 60_000, BY)));
    expect(released).toMatchObject({ value: { value: { state: "idle", saved: { generation: 1, files: 1 } } } });
    await advance(60_000); // the vault packs it for R2 afterwards
    expect(r2.keys.length).toBeGreaterThan(0);
    expect(complaints).toEqual([]);
  });
});
