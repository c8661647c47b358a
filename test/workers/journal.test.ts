import { runInDurableObject } from "cloudflare:test";
import { describe, expect, it } from "vitest";
import { brokenAt, type ChainedEntry } from "../../src/audit/entry.ts";
import { aPool, claim, env, put, release, simulation, status } from "../support/fleet.ts";

describe("every change of a tenant's state", () => {
  it("leaves exactly one record, written with the change", async () => {
    const pool = await aPool("journal", { minSize: 2 });
    const { body } = await claim("scribe", pool);
    await put("scribe", "a.txt", "x");
    await claim("scribe"); // changes nothing
    simulation.for(body.containerId).crash(1);
    await claim("scribe");
    await release("scribe");
    await status("scribe");
    const stub = env.TENANT.getByName("scribe") as unknown as DurableObjectStub;
    const history = await runInDurableObject(stub, (_, state) =>
      state.storage.sql.exec<{ doc: string }>("SELECT doc FROM history WHERE seq > 0 ORDER BY seq").toArray(),
    );
    const journal = history.map(({ doc }) => JSON.parse(doc) as ChainedEntry);
    expect(brokenAt(journal)).toBeNull();
    const moves = journal.map(({ detail }) => detail).filter((detail) => detail.from !== undefined);
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
