import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, describe, expect, it, vi } from "vitest";
import { ORPHAN_MS } from "../../src/vault/plan-tend.ts";
import { fsckAll, modelOf, readBack } from "../support/vault-model.ts";
import { aContainer, type Container, expectOk, type Node, r2Keys, random, unique, vaultOf } from "./vault-kit.ts";

const stub = (container: Container) => env.VAULT.getByName(container.tenantId);
const alarm = (container: Container) => runDurableObjectAlarm(stub(container));
const sql = (container: Container, ...statements: string[]) =>
  runInDurableObject(stub(container), (_, { storage }) => {
    for (const statement of statements) storage.sql.exec(statement);
  });
const packs = async (container: Container) =>
  (await env.BUCKET.list({ prefix: `tenants/${container.tenantId}/packs/` })).objects.map(({ key }) => key);
const kinds = async (container: Container, repair = false) =>
  (await fsckAll(container, { repair })).map(({ what, repaired }) => (repaired ? `${what}: repaired` : what)).sort();
const tree: Node[] = [
  { path: "a", content: "aaaa" },
  { path: "b", content: "bbbb" },
  { path: "big", content: random(100_000) },
];
const second: Node[] = [...tree, { path: "c", content: "cccc" }];

async function saved(): Promise<Container> {
  const container = await aContainer();
  await expectOk(container.saveAll(tree));
  await expectOk(container.saveAll(second));
  await alarm(container);
  return container;
}
/** Everything that was saved, by its bytes. */
async function expectWhole(container: Container): Promise<void> {
  expect(await kinds(container)).toEqual([]);
  expect(await readBack(container, env.BUCKET, 1)).toEqual(modelOf(tree));
  expect(await readBack(container, env.BUCKET, 2)).toEqual(modelOf(second));
}

afterEach(() => void vi.restoreAllMocks());

describe("a check", () => {
  it("of a whole vault finds nothing, says how much it looked at, and changes nothing by repairing", async () => {
    const container = await saved();
    const looked = { generations: 0, contents: 0, objects: 0, packs: 0, listed: 0 };
    let pages = 0;
    for (let cursor: string | null = null; pages === 0 || cursor !== null; pages++) {
      const page: { checked: typeof looked; next: string | null } = await expectOk(
        container.vault.fsck(cursor, { repair: true }),
      );
      for (const name of Object.keys(looked) as (keyof typeof looked)[]) looked[name] += page.checked[name];
      cursor = page.next;
    }
    expect(looked).toEqual({ generations: 2, contents: 3, objects: 1, packs: 2, listed: 3 });
    await expectWhole(container);
    await alarm(container);
    await expectWhole(container);
  });

  it("of a vault never used finds nothing and creates nothing; a cursor that is none is refused", async () => {
    const vault = vaultOf(unique("tenant"));
    expect(await vault.fsck(null, { repair: true })).toMatchObject({ ok: true, value: { problems: [], next: null } });
    expect(await vault.describe()).toMatchObject({ generations: [] });
    expect(await vault.fsck("nowhere", { repair: false })).toMatchObject({ ok: false, failure: { code: "invalid" } });
  });

  it("finds entries that cannot be, and generations that are not what was committed", async () => {
    const container = await saved();
    await sql(
      container,
      "UPDATE entries SET to_gen = 1 WHERE key = 'a'",
      "UPDATE entries SET size = 5 WHERE key = 'b'",
    );
    const found = await kinds(container);
    expect(found).toContain("validity");
    expect(found.filter((one) => one === "counts")).toHaveLength(2);
    expect(found.filter((one) => one === "tree_hash")).toHaveLength(2);
    const overlapping = await saved();
    await sql(
      overlapping,
      "INSERT INTO entries SELECT key, kind, 2, to_gen, mode, uid, gid, mtime_ns, target, size, sha256, part_size, etag, body, object, metadata FROM entries WHERE key = 'a'",
    );
    expect(await kinds(overlapping)).toEqual(["validity"]);
  });

  it("finds large files that are missing in R2, or are others", async () => {
    const container = await saved();
    const [object = ""] = await r2Keys(container);
    await env.BUCKET.put(object, random(100_000));
    expect(await kinds(container)).toEqual(["object_damaged"]);
    await env.BUCKET.put(object, "short");
    expect(await kinds(container)).toEqual(["object_damaged"]);
    await env.BUCKET.delete(object);
    expect(await kinds(container, true)).toEqual(["object_missing"]);
  });

  it("mends a small content that is damaged in the index from its pack", async () => {
    const container = await saved();
    await sql(container, "UPDATE bodies SET data = X'00000000' WHERE body = 1");
    expect(await kinds(container)).toEqual(["content_damaged"]);
    expect(await kinds(container, true)).toEqual(["content_damaged: repaired"]);
    await expectWhole(container);
  });

  it("mends a pack that is missing, damaged or cut short from the index", async () => {
    for (const damage of [
      (key: string) => env.BUCKET.delete(key),
      (key: string) => env.BUCKET.put(key, "rubbish"),
      async (key: string) => {
        const bytes = await (await env.BUCKET.get(key))?.bytes();
        await env.BUCKET.put(key, bytes?.subarray(0, 258) ?? "");
      },
    ]) {
      const container = await saved();
      const [first = ""] = await packs(container);
      await damage(first);
      expect((await kinds(container)).length).toBeGreaterThan(0);
      expect((await kinds(container, true)).every((one) => one.endsWith(": repaired"))).toBe(true);
      await alarm(container);
      await expectWhole(container);
      // The index is not needed any more: the new packs have it all.
      await sql(container, "DELETE FROM bodies");
      await expectWhole(container);
    }
  });

  it("says what is lost for good, and does not claim to have mended it", async () => {
    const container = await saved();
    await sql(container, "DELETE FROM bodies");
    const [first = ""] = await packs(container);
    await env.BUCKET.delete(first);
    const found = await fsckAll(container, { repair: true });
    expect(found.filter(({ what }) => what === "content_lost")).toMatchObject([
      { detail: expect.stringContaining('"a"'), repaired: false },
      { detail: expect.stringContaining('"b"'), repaired: false },
    ]);
  });

  it("brings a manifest or a ledger that R2 lacks there", async () => {
    const container = await saved();
    await env.BUCKET.delete(`tenants/${container.tenantId}/ledger.json`);
    await sql(
      container,
      "DELETE FROM packs WHERE generation = 2",
      "DELETE FROM packed WHERE pack NOT IN (SELECT pack FROM packs)",
    );
    expect(await kinds(container)).toEqual(["ledger", "unpacked"]);
    expect(await kinds(container, true)).toContain("unpacked: repaired");
    await alarm(container);
    await expectWhole(container);
    await env.BUCKET.delete(`tenants/${container.tenantId}/ledger.json`);
    expect(await kinds(container, true)).toEqual(["ledger: repaired"]);
    await alarm(container);
    await expectWhole(container);
  });

  it("deletes what nothing refers to after a day, and nothing that is younger or under way", async () => {
    const container = await saved();
    const stray = `tenants/${container.tenantId}/objects/${crypto.randomUUID()}`;
    const strayPack = `tenants/${container.tenantId}/packs/000000000009-12345678-0-manifest`;
    await env.BUCKET.put(stray, "nobody's");
    await env.BUCKET.put(strayPack, "nobody's either");
    expect(await kinds(container, true)).toEqual([]);
    vi.spyOn(Date, "now").mockReturnValue(Date.now() + ORPHAN_MS + 60_000);
    expect(await kinds(container)).toEqual(["orphan", "orphan"]);
    expect(await kinds(container, true)).toEqual(["orphan: repaired", "orphan: repaired"]);
    await alarm(container);
    expect(await r2Keys(container)).toHaveLength(1);
    expect(await packs(container)).toHaveLength(2);
    await expectWhole(container);
  });

  it("fails, and finds nothing missing, while R2 does not answer", async () => {
    const container = await saved();
    vi.spyOn(env.BUCKET, "head").mockRejectedValue(new Error("R2 is away"));
    await expect(fsckAll(container)).rejects.toThrow(/storage_unavailable/);
    vi.restoreAllMocks();
    await expectWhole(container);
  });
});
