import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import fc from "fast-check";
import { afterEach, describe, expect, it, vi } from "vitest";
import { epoch, generation } from "../../src/ids.ts";
import { fsckAll, modelOf, readBack, rebuildAll } from "../support/vault-model.ts";
import { aContainer, aManifest, Container, expectOk, type Node, random, unique } from "./vault-kit.ts";

const stub = (container: Container) => env.VAULT.getByName(container.tenantId);
const alarm = (container: Container) => runDurableObjectAlarm(stub(container));
const refused = (code: string) => ({ ok: false, failure: { code } });
/** The object's storage is lost; R2 is all that there is. */
async function lose(container: Container): Promise<void> {
  await runInDurableObject(stub(container), (_, { storage }) => storage.deleteAll());
  await evictDurableObject(stub(container));
}
const later = (i: number): string => `${1_800_000_000 + i}000000000`;
const packs = async (container: Container) =>
  (await env.BUCKET.list({ prefix: `tenants/${container.tenantId}/packs/` })).objects.map(({ key }) => key);
const big = random(100_000);
const base: Node[] = [
  { path: "a", content: "aaaa" },
  { path: "big", content: big },
  { path: "d", kind: "directory", mode: 0o700 },
  { path: "d/l", kind: "symlink", target: "../a" },
  { path: "empty", content: "" },
  { path: "ünï", content: random(5000) },
];
const trees: Node[][] = [
  base,
  [...base, { path: "b", content: "more" }],
  [...base.slice(1), { path: "a", content: "changed", mtimeNs: later(1), mode: 0o600 }],
];

async function saved(): Promise<Container> {
  const container = await aContainer();
  for (const tree of trees) await expectOk(container.saveAll(tree));
  return container;
}

afterEach(() => void vi.restoreAllMocks());

describe("a vault whose storage was lost", () => {
  it("is brought back from R2 alone: every retained generation with its contents, the head, pins and outcomes", async () => {
    const container = await saved();
    expect(await container.saveAll([{ path: "q", content: "quarantined" }])).toMatchObject(refused("guard_blocked"));
    await expectOk(container.vault.pin(generation(2), { pinned: true }));
    await alarm(container);
    const before = await container.vault.describe();
    const saveId = "asked-again";
    await expectOk(container.saveAll(trees[2] ?? [], { force: false, saveId }));
    await alarm(container);
    await lose(container);
    expect(await container.vault.describe()).toMatchObject({ head: null, generations: [] });
    expect(await rebuildAll(container, epoch(2))).toEqual({ restored: [1, 2, 3, 4, 5], problems: [], head: 5 });
    const after = await container.vault.describe();
    expect(after).toMatchObject({ epoch: 2, head: { generation: 5 } });
    expect(after.generations.slice(0, 4)).toEqual(
      before.generations.map((one) => (one.status === "head" ? { ...one, status: "kept" } : one)),
    );
    for (const [i, tree] of trees.entries())
      expect(await readBack(container, env.BUCKET, i + 1)).toEqual(modelOf(tree));
    expect(await fsckAll(container)).toEqual([]);
    // A lost answer can still be asked for, and nobody of before can write.
    expect(await container.vault.commit(container.save(saveId), { force: false })).toMatchObject({
      ok: true,
      value: { generation: 5 },
    });
    expect(await container.vault.open(container.save(), aManifest(base))).toMatchObject(refused("stale_epoch"));
  });

  it("goes on: the next container begins from the head, and numbers are never given out again", async () => {
    const container = await saved();
    await alarm(container);
    await lose(container);
    await rebuildAll(container, epoch(7));
    const next = new Container(container.tenantId, 8);
    expect(await next.fence()).toMatchObject({ ok: true, value: { head: { generation: 3 } } });
    expect(await next.saveAll([...base, { path: "z", content: "z" }])).toMatchObject({
      ok: true,
      value: { generation: 4 },
    });
    await alarm(container);
    await lose(container);
    expect(await rebuildAll(container, epoch(9))).toMatchObject({ restored: [1, 2, 3, 4], problems: [], head: 4 });
  });

  it("gives no container a fresh start that would bury what R2 has", async () => {
    const container = await saved();
    await alarm(container);
    await lose(container);
    const next = new Container(container.tenantId, 2);
    expect(await next.fence()).toMatchObject(refused("restore_failed"));
    expect((await fsckAll(container)).map(({ what }) => what)).toEqual(["index_missing"]);
    await rebuildAll(container, epoch(2));
    expect(await new Container(container.tenantId, 3).fence()).toMatchObject({ ok: true });
  });

  it("lacks only what was committed after the last delivery", async () => {
    const container = await saved();
    await alarm(container);
    await expectOk(container.saveAll([...base, { path: "late", content: "late" }]));
    await lose(container);
    expect(await rebuildAll(container, epoch(2))).toMatchObject({ restored: [1, 2, 3], head: 3 });
  });

  it("takes a generation that was packed when the ledger was not written yet", async () => {
    const container = await saved();
    await alarm(container);
    await expectOk(container.saveAll([...base, { path: "late", content: "late" }]));
    const put = env.BUCKET.put.bind(env.BUCKET);
    vi.spyOn(env.BUCKET, "put").mockImplementation((async (key: string, value: ReadableStream) => {
      if (key.endsWith("ledger.json")) throw new Error("no ledger");
      return put(key, value);
    }) as typeof env.BUCKET.put);
    await alarm(container);
    vi.restoreAllMocks();
    await lose(container);
    expect(await rebuildAll(container, epoch(2))).toMatchObject({ restored: [1, 2, 3, 4], problems: [], head: 4 });
  });

  it("is brought back without a ledger too, but for what is not whole", async () => {
    const container = await saved();
    await alarm(container);
    await lose(container);
    await env.BUCKET.delete(`tenants/${container.tenantId}/ledger.json`);
    const [first] = await packs(container);
    await env.BUCKET.put(first ?? "", "rubbish");
    const { restored, problems, head } = await rebuildAll(container, epoch(2));
    // The small contents of the first pack are in none of the others.
    expect([restored, head]).toEqual([[], null]);
    expect(problems).toEqual([
      expect.stringContaining("Generation 1: "),
      expect.stringContaining("Generation 2: The content of"),
      expect.stringContaining("Generation 3: The content of"),
    ]);
  });

  it("leaves out a generation whose contents are gone, and keeps the others", async () => {
    const container = await aContainer();
    await expectOk(container.saveAll([{ path: "big", content: big }]));
    await expectOk(container.saveAll([{ path: "big", content: random(90_000), mtimeNs: later(2) }]));
    await alarm(container);
    const looked = await expectOk(container.vault.readFile("big", generation(1)));
    await env.BUCKET.delete(looked.found?.object ?? "");
    await lose(container);
    expect(await rebuildAll(container, epoch(2))).toEqual({
      restored: [2],
      problems: [expect.stringMatching(/^Generation 1: The content of big is not in R2/)],
      head: 2,
    });
  });
});

describe("a rebuild", () => {
  it("is refused where there is an index, unless that is given up; and where R2 has nothing", async () => {
    const container = await saved();
    const whole = { after: null, discard: false };
    expect(await container.vault.rebuild(epoch(2), whole)).toMatchObject(refused("conflict"));
    expect(await container.vault.rebuild(epoch(0), { ...whole, discard: true })).toMatchObject(refused("stale_epoch"));
    expect(await container.vault.rebuild(epoch(2), { ...whole, discard: true })).toMatchObject(refused("not_found"));
    expect(await container.vault.describe()).toMatchObject({ epoch: 1, head: { generation: 3 } });
    await alarm(container);
    expect(await rebuildAll(container, epoch(2), true)).toMatchObject({ restored: [1, 2, 3], head: 3 });
    const unused = new Container(unique("tenant"));
    expect(await unused.vault.rebuild(epoch(2), whole)).toMatchObject(refused("not_found"));
    expect(await unused.vault.rebuild(epoch(2), { after: generation(1), discard: false })).toMatchObject(
      refused("invalid_transition"),
    );
  });

  it("under an epoch that wrote already is refused, whatever the index forgot", async () => {
    const container = await saved();
    await alarm(container);
    await lose(container);
    expect(await container.vault.rebuild(epoch(1), { after: null, discard: false })).toMatchObject(
      refused("stale_epoch"),
    );
  });

  it("shuts everybody out until it ends, survives R2 failing in the middle, and begins anew when asked", async () => {
    const container = await saved();
    await alarm(container);
    await lose(container);
    const get = env.BUCKET.get.bind(env.BUCKET);
    vi.spyOn(env.BUCKET, "get").mockImplementation((async (key: string, options: R2GetOptions) => {
      if (key.includes("/packs/000000000002")) throw new Error("R2 is away");
      return get(key, options);
    }) as typeof env.BUCKET.get);
    const whole = { after: null, discard: false };
    expect(await container.vault.rebuild(epoch(2), whole)).toMatchObject(refused("storage_unavailable"));
    const next = new Container(container.tenantId, 3);
    const busy = refused("operation_in_progress");
    expect(await next.fence()).toMatchObject(busy);
    expect(await container.vault.promote(epoch(3))).toMatchObject(busy);
    expect(await container.vault.fsck(null, { repair: true })).toMatchObject(busy);
    await alarm(container);
    await evictDurableObject(stub(container));
    expect(await next.fence()).toMatchObject(busy);
    vi.restoreAllMocks();
    expect(await container.vault.rebuild(epoch(2), { after: generation(1), discard: false })).toMatchObject({
      ok: true,
      value: { restored: [2, 3], next: null, head: 3 },
    });
    expect(await readBack(container, env.BUCKET, 1)).toEqual(modelOf(trees[0] ?? []));
    expect(await next.fence()).toMatchObject({ ok: true });
  });
});

/** A file, directory or link that a random history puts somewhere; sizes on both sides of what is inline. */
const aNode = fc.record({
  path: fc.constantFrom("a", "b", "b-c", "c", "d", "e"),
  kind: fc.constantFrom("file", "file", "file", "directory", "symlink"),
  size: fc.constantFrom(0, 1, 900, 30_000, 70_000),
  mode: fc.constantFrom(0o600, 0o755),
});
const aHistory = fc.array(fc.uniqueArray(aNode, { selector: ({ path }) => path, maxLength: 6 }), {
  minLength: 2,
  maxLength: 6,
});

it("any history, pruned, packed, spilled or rebuilt, is what was saved", { timeout: 120_000 }, async () => {
  await fc.assert(
    fc.asyncProperty(aHistory, fc.array(fc.nat(3), { minLength: 6, maxLength: 6 }), async (history, events) => {
      const container = await aContainer();
      const models = new Map<number, string[]>();
      let clock = 0;
      let writer = container;
      for (const [i, specs] of history.entries()) {
        clock += 1;
        const nodes = specs.map(({ path, kind, size, mode }): Node => {
          const common = { path, mode, mtimeNs: later(clock) };
          if (kind === "file") return { ...common, content: random(size) };
          return kind === "symlink" ? { ...common, kind, target: `t${size}` } : { ...common, kind: "directory" };
        });
        const outcome = await writer.saveAll(nodes, { force: true });
        if (!outcome.ok) throw new Error(outcome.failure.detail);
        models.set(outcome.value.generation, modelOf(nodes));
        await disturb(events[i] ?? 0);
        for (const { generation: kept } of (await container.vault.describe()).generations)
          expect(await readBack(container, env.BUCKET, kept), `generation ${kept}`).toEqual(models.get(kept));
      }
      await alarm(container);
      expect(await fsckAll(container)).toEqual([]);

      async function disturb(event: number): Promise<void> {
        if (event === 0) await evictDurableObject(stub(container));
        if (event >= 1) await alarm(container);
        // As if the budget were used up: what is packed is read from there.
        if (event === 2)
          await runInDurableObject(stub(container), (_, { storage }) => {
            storage.sql.exec("DELETE FROM bodies WHERE body IN (SELECT body FROM packed)");
          });
        if (event !== 3) return;
        await lose(container);
        await rebuildAll(container, epoch(writer.epoch + 1));
        writer = new Container(container.tenantId, writer.epoch + 2);
        await expectOk(writer.fence());
      }
    }),
    { numRuns: 12 },
  );
});
