import { describe, expect, it } from "vitest";
import { generationText, seenVault } from "./play/saved.ts";
import { playSeed } from "./play/seed.ts";
import { BY, registerPool } from "./world/registered.ts";
import { newWorld } from "./world/world.ts";

describe("a seed", () => {
  it("played twice has the same trace, event by event", async () => {
    const lines: [string[], string[]] = [[], []];
    const first = await playSeed(2, 60, { trace: (line) => lines[0].push(line) });
    const second = await playSeed(2, 60, { trace: (line) => lines[1].push(line) });
    expect(lines[1]).toEqual(lines[0]);
    expect(second).toEqual(first);
    expect(first.violations).toEqual([]);
  }, 60_000);

  it("has another trace than another", async () => {
    const [first, second] = [await playSeed(2, 20), await playSeed(4, 20)];
    expect(second.hash).not.toBe(first.hash);
  }, 60_000);
});

describe("a generation, read from outside", () => {
  it("is not whole when its large content is gone from the bucket", async () => {
    const world = await newWorld({ seed: 1 });
    try {
      const { tenantOf } = world.modules.stubs;
      const tenant = "t1" as never;
      await registerPool(
        world,
        { id: "w", volumes: { state: { containerPath: "/data" } } },
        { id: "p", minSize: 1, maxSize: 2 },
      );
      await world.finish(
        world.worker("claim", (env) =>
          tenantOf(env, tenant).claim({ tenantId: tenant, poolId: "p" as never }, 30_000, BY),
        ),
      );
      const put = new Request("http://localhost/t/t1/files/large", {
        method: "PUT",
        body: "x".repeat(80_000),
        headers: { authorization: "Bearer test-admin-key-0123456789" },
      });
      await world.finish(world.request("write", put));
      await world.finish(world.worker("release", (env) => tenantOf(env, tenant).release(tenant, {}, 60_000, BY)));
      const view = world.objects.find("Vault", "t1");
      const [made] = (view && seenVault(view)?.generations) ?? [];
      if (!view || !made) throw new Error("nothing was saved");
      expect(generationText(view, made, world.r2)).toContain('"large"');
      for (const key of world.r2.keys.filter((one) => one.includes("/objects/"))) world.r2.remove(key);
      expect(() => generationText(view, made, world.r2)).toThrow("large has no content");
    } finally {
      world.dispose();
    }
  }, 60_000);
});
