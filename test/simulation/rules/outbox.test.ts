import { expect, it } from "vitest";
import { type Faults, NO_FAULTS } from "../world/faults.ts";
import { BY, registerPool } from "../world/registered.ts";
import { aWorld } from "./support.ts";

it("deliveries that were cut off with their objects hold no other object's up", async () => {
  const world = await aWorld();
  const { tenantOf } = world.modules.stubs;
  await registerPool(world, { id: "w" }, { id: "p", minSize: 0, maxSize: 10 });
  const claim = (id: string) => {
    const request = { tenantId: id, poolId: "p" } as never;
    return world.finish(world.worker(`claim ${id}`, (env) => tenantOf(env, id as never).claim(request, 30_000, BY)));
  };
  const row = (id: string) => world.d1.rows("SELECT 1 FROM tenants WHERE tenant_id = ?", id).length;

  const noAnswers: Faults = {
    verdict: (point) =>
      point.at === "d1" && point.from.startsWith("Tenant/") && point.op === "batch" ? { do: "lose" } : { do: "ok" },
  };
  for (const ids of [
    ["t1", "t2"],
    ["t3", "t4"],
    ["t6", "t7"],
  ]) {
    world.faults = noAnswers;
    for (const id of ids) await claim(id);
    await world.advance(1_000);
    for (const object of world.objects.list("Tenant")) world.objects.crash(object);
    world.faults = NO_FAULTS;
  }

  await claim("t5");
  await world.advance(60_000);
  expect(row("t5")).toBe(1);
});
