import { runInDurableObject } from "cloudflare:test";
import { describe, expect, it } from "vitest";
import { aPool, claim, env, put, release, simulation, status } from "../support/fleet.ts";

describe("every change of a tenant's state", () => {
  it("leaves exactly one record, written with the change", async () => {
    const pool = await aPool("journal", { minSize: 2 });
    const { body } = await claim("scribe", pool);
    await put("scribe", "a.txt", "x");
    await claim("scribe"); // changes nothing
    simulation.for(body.containerId).crash();
    await claim("scribe");
    await release("scribe");
    await status("scribe");
    const stub = env.TENANT.getByName("scribe") as unknown as DurableObjectStub;
    const journal = await runInDurableObject(stub, (_, state) =>
      state.storage.sql
        .exec<{ type: string; detail: string }>("SELECT type, detail FROM journal ORDER BY seq")
        .toArray(),
    );
    const moves = journal.map(({ detail }) => JSON.parse(detail)).filter((detail) => detail.from !== undefined);
    expect(moves.map(({ from, to, epoch }) => [from, to, epoch])).toEqual([
      ["idle", "claiming", 1],
      ["claiming", "active", 1],
      ["active", "recovering", 2],
      ["recovering", "active", 2],
      ["active", "releasing", 2],
      ["releasing", "idle", 2],
    ]);
    expect(journal).toHaveLength(moves.length);
  });
});
