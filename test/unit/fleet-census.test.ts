import { describe, expect, it } from "vitest";
import { census, recount } from "../../src/fleet/census.ts";
import type { ContainerId, PoolId } from "../../src/ids.ts";
import { fakeEnv, unreachable } from "../support/fake-objects.ts";

const row = (container_id: string, pool_id: string) => ({ container_id, pool_id, tier: "lite" });
const rows = (sql: string) =>
  sql.includes("UNION")
    ? [{ id: "well" }, { id: "silent" }, { id: "lost" }]
    : [row("c-1", "well"), row("c-2", "silent"), row("c-3", "lost")];

describe("a census", () => {
  it("counts what pools say they have, and of one that does not what D1 was told last", async () => {
    const POOL = (name: string) => ({
      counted: async () => {
        if (name === "silent") return unreachable();
        return name === "lost" ? null : [{ containerId: "c-9", tier: "basic" }];
      },
    });
    const found = await census(fakeEnv({ rows, objects: { POOL } }));
    expect(found.map(({ containerId, poolId, tier }) => [poolId, containerId, tier]).sort()).toEqual([
      ["lost", "c-3", "lite"],
      ["silent", "c-2", "lite"],
      ["well", "c-9", "basic"],
    ]);
  });

  it("without D1 is none", async () => {
    await expect(census(fakeEnv({ rows: unreachable }))).rejects.toThrow("reset");
  });
});

describe("a recount", () => {
  it("asks every pool, also after one that does not answer", async () => {
    const asked: string[] = [];
    const POOL = (name: string) => ({
      recount: async (_: PoolId, counted: ContainerId[]) => {
        asked.push(`${name} ${counted.length}`);
        if (name === "silent") await unreachable();
      },
    });
    const pools = ["silent", "well"].map((id) => ({ poolId: id as PoolId, counted: ["c-1" as ContainerId] }));
    await recount(fakeEnv({ objects: { POOL } }), pools);
    expect(asked).toEqual(["silent 1", "well 1"]);
  });
});
