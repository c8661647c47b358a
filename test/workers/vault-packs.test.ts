import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, describe, expect, it, vi } from "vitest";
import { epoch, generation } from "../../src/ids.ts";
import { Bodies } from "../../src/vault/bodies.ts";
import { decodeEntry, decodeHeader, gunzipLines } from "../../src/vault/packs/format.ts";
import type { Ledger } from "../../src/vault/packs/ledger.ts";
import { writePack } from "../../src/vault/packs/write.ts";
import type { TABLES } from "../../src/vault/schema.ts";
import { fsckAll, modelOf, readBack, rebuildAll } from "../support/vault-model.ts";
import { withParts } from "../support/vault-parts.ts";
import { aContainer, aManifest, aTar, Container, expectOk, MTIME, type Node, random } from "./vault-kit.ts";

const stub = (container: Container) => env.VAULT.getByName(container.tenantId);
const alarm = (container: Container) => runDurableObjectAlarm(stub(container));
const prefix = (container: Container) => `tenants/${container.tenantId}/`;
const keys = async (container: Container, below = "packs/") =>
  (await env.BUCKET.list({ prefix: `${prefix(container)}${below}` })).objects.map(({ key }) => key);
const sql = <T>(container: Container, work: (sql: SqlStorage) => T) =>
  runInDurableObject(stub(container), (_, { storage }) => work(storage.sql));
const rows = (container: Container, table: keyof typeof TABLES) =>
  sql(container, (db) => db.exec<{ n: number }>(`SELECT count(*) AS n FROM ${table}`).one().n);
/** A failed delivery waits for its turn. */
const hurry = (container: Container) => sql(container, (db) => void db.exec("UPDATE outbox SET due = 0"));
const big = random(100_000);
const tree: Node[] = [
  { path: "a", content: "aaaa" },
  { path: "big", content: big },
  { path: "d", kind: "directory", mode: 0o700 },
  { path: "d/b", content: "bb", uid: 3 },
  { path: "empty", content: "" },
  { path: "l", kind: "symlink", target: "a" },
];
const later = (i: number): string => `${1_800_000_000 + i}000000000`;

/** The manifest of a pack, by what stands in R2 alone. */
async function manifestOf(key: string) {
  const bytes = (await (await env.BUCKET.get(key))?.bytes()) ?? new Uint8Array(0);
  const header = decodeHeader(bytes);
  if (header === null) throw new Error(`${key} is no pack`);
  const lines: string[] = [];
  const { manifestStart, manifestLength } = header;
  for await (const line of gunzipLines(bytes.subarray(manifestStart, manifestStart + manifestLength))) lines.push(line);
  const [head, ...entries] = lines;
  return { bytes, head: JSON.parse(head ?? ""), entries: entries.map(decodeEntry) };
}
const ledgerOf = async (container: Container): Promise<Ledger | undefined> =>
  (await env.BUCKET.get(`${prefix(container)}ledger.json`))?.json();

afterEach(() => void vi.restoreAllMocks());

describe("a sync spec's vault", () => {
  it("keeps its contents apart from the tenant's, and each is checked, rebuilt and erased for itself", async () => {
    const container = await aContainer();
    await expectOk(container.saveAll(tree));
    const spec = new Container(`${container.tenantId}/models`);
    await expectOk(spec.fence());
    await expectOk(spec.saveAll([{ path: "m", content: big }]));
    await alarm(container);
    await alarm(spec);
    const below = async (folder: string) =>
      (await keys(container, folder)).map((key) =>
        key.slice(prefix(container).length).split("/").slice(0, -1).join("/"),
      );
    expect(await below("specs/")).toEqual(["specs/models", "specs/models/objects", "specs/models/packs"]);
    for (const one of [container, spec]) expect(await fsckAll(one)).toEqual([]);
    await runInDurableObject(stub(spec), (_, { storage }) => storage.deleteAll());
    await evictDurableObject(stub(spec));
    expect(await rebuildAll(spec, epoch(2))).toMatchObject({ restored: [1], problems: [] });
    await expectOk(spec.vault.erase(epoch(3)));
    expect(await keys(container, "specs/")).toEqual([]);
    expect(await fsckAll(container)).toEqual([]);
  });
});

describe("after a commit", () => {
  it("the save has its answer before anything of it is packed, and one pack with its manifest follows", async () => {
    const container = await aContainer();
    await expectOk(container.saveAll(tree));
    expect(await keys(container)).toEqual([]);
    const due = await runInDurableObject(stub(container), (_, { storage }) => storage.getAlarm());
    expect((due ?? 0) - Date.now()).toBeLessThanOrEqual(5000);
    expect(await alarm(container)).toBe(true);
    const [pack, ...more] = await keys(container);
    expect(more).toEqual([]);
    const { bytes, head, entries } = await manifestOf(pack ?? "");
    expect(head).toMatchObject({
      generation: {
        generation: 1,
        status: "kept",
        files: 5,
        epoch: 1,
        outcome: { ok: true, value: { generation: 1 } },
      },
      packs: [pack],
    });
    expect(entries.map(({ entry }) => entry.path).sort()).toEqual(["", ...tree.map(({ path }) => path)].sort());
    const at = (path: string) => entries.find(({ entry }) => entry.path === path);
    const [, start] = (at("d/b")?.placed ?? []) as [number, number];
    expect(new TextDecoder().decode(bytes.subarray(start, start + 2))).toBe("bb");
    expect(at("d/b")?.entry).toMatchObject({ uid: 3, mtimeNs: MTIME, content: { size: 2 } });
    expect(at("big")?.placed).toBe((await keys(container, "objects/"))[0]);
    expect(at("empty")?.placed).toBeNull();
    expect(at("l")?.entry).toMatchObject({ kind: "symlink", target: "a", content: null });
    expect(await ledgerOf(container)).toMatchObject({ epoch: 1, head: 1, last: 1, generations: [{ generation: 1 }] });
    expect(await rows(container, "outbox")).toBe(0);
  });

  it("a pack holds what is new only, and its manifest names the older packs", async () => {
    const container = await aContainer();
    await expectOk(container.saveAll(tree));
    await alarm(container);
    await expectOk(container.saveAll([...tree, { path: "n", content: "new!" }]));
    await alarm(container);
    const [first, second] = await keys(container);
    const { bytes, head, entries } = await manifestOf(second ?? "");
    expect(head.packs).toEqual([second, first]);
    expect(new TextDecoder().decode(bytes)).not.toContain("aaaa");
    expect(entries.find(({ entry }) => entry.path === "a")?.placed).toEqual([1, expect.any(Number)]);
    expect(entries.find(({ entry }) => entry.path === "n")?.placed).toEqual([0, 256]);
  });

  it("what lies beside the history is packed too, and the ledger says what became of it", async () => {
    const container = await aContainer();
    await expectOk(container.saveAll(tree));
    await container.saveAll([{ path: "q", content: "quarantined" }]);
    await alarm(container);
    const [, second] = await keys(container);
    expect((await manifestOf(second ?? "")).head.generation).toMatchObject({ status: "quarantined" });
    await expectOk(container.vault.promote(container.epoch, generation(2)));
    await expectOk(container.vault.pin(generation(1), { pinned: true }));
    await alarm(container);
    expect(await ledgerOf(container)).toMatchObject({
      head: 2,
      generations: [
        { generation: 1, status: "kept", pinned: true },
        { generation: 2, status: "kept", pinned: false },
      ],
    });
    expect(await keys(container)).toHaveLength(2);
  });

  it("packs outlive their generation as long as a later one needs what is in them, and no longer", async () => {
    const container = await aContainer();
    await expectOk(container.saveAll(tree));
    const churn = async (from: number, to: number, nodes: Node[]) => {
      for (let i = from; i < to; i++) {
        await expectOk(
          container.saveAll([...nodes, { path: "churn", content: `${i}`, mtimeNs: later(i) }], { force: true }),
        );
        await alarm(container);
      }
    };
    await churn(0, 12, tree);
    const manifests = (await keys(container)).map((key) => Number(key.split("/").at(-1)?.slice(0, 12)));
    expect(manifests).toEqual([1, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13]);
    await churn(12, 24, [{ path: "other", content: "other" }]);
    expect((await keys(container))[0]).toContain("000000000014-");
    expect(await rows(container, "packed")).toBe(await rows(container, "bodies"));
  });

  it("an erasure leaves nothing in R2, also of a pack that was being written", async () => {
    const container = await aContainer();
    await expectOk(container.saveAll(tree));
    const put = env.BUCKET.put.bind(env.BUCKET);
    let erased: Promise<unknown> | null = null;
    vi.spyOn(env.BUCKET, "put").mockImplementation((async (key: string, value: ReadableStream) => {
      erased ??= container.vault.erase(epoch(2));
      await new Promise((resolve) => setTimeout(resolve, 50));
      return put(key, value);
    }) as typeof env.BUCKET.put);
    await alarm(container);
    expect(await erased).toMatchObject({ ok: true, value: { listed: 0 } });
    expect(await keys(container, "")).toEqual([]);
    vi.restoreAllMocks();
    await alarm(container);
    expect(await keys(container, "")).toEqual([]);
  });
});

it("very many new contents go into several packs, each whole before the next, and the last has the manifest", async () => {
  const container = await aContainer();
  const many: Node[] = Array.from({ length: 20 }, (_, i) => ({ path: `f${i}`, content: random(1000) }));
  await expectOk(container.saveAll(many));
  await withParts(container.tenantId, async (parts) => {
    const task = parts.packs.next();
    if (task === null) throw new Error("there is nothing to pack");
    await writePack(parts, task, 6500);
  });
  await evictDurableObject(stub(container));
  const names = (await keys(container)).map((key) => key.split("-").slice(-2).join("-"));
  expect(names).toEqual(["0-contents", "1-contents", "2-contents", "3-manifest"]);
  await alarm(container);
  expect(await fsckAll(container)).toEqual([]);
  await runInDurableObject(stub(container), (_, { storage }) => storage.deleteAll());
  await evictDurableObject(stub(container));
  expect(await rebuildAll(container, epoch(2))).toMatchObject({ restored: [1], problems: [] });
  expect(await readBack(container, env.BUCKET, 1)).toEqual(modelOf(many));
});

describe("while R2 fails", () => {
  it("saves go on, nothing is lost, and what is missing there is made up in order", async () => {
    const container = await aContainer();
    const put = vi.spyOn(env.BUCKET, "put").mockRejectedValue(new Error("R2 is away"));
    const small = tree.filter(({ path }) => path !== "big");
    for (let i = 0; i < 3; i++) {
      await expectOk(container.saveAll([...small, { path: "i", content: `${i}`, mtimeNs: later(i) }]));
      await hurry(container);
      await alarm(container);
      await evictDurableObject(stub(container));
    }
    expect(await keys(container, "")).toEqual([]);
    expect(await container.vault.describe()).toMatchObject({ head: { generation: 3 } });
    const again = await runInDurableObject(stub(container), (_, { storage }) => storage.getAlarm());
    expect(again).toBeGreaterThan(Date.now());
    put.mockRestore();
    const order: string[] = [];
    const real = env.BUCKET.put.bind(env.BUCKET);
    vi.spyOn(env.BUCKET, "put").mockImplementation((async (key: string, value: ReadableStream) => {
      order.push(key);
      return real(key, value);
    }) as typeof env.BUCKET.put);
    await hurry(container);
    await alarm(container);
    expect(order.map((key) => key.slice(prefix(container).length, -"-12345678-0-manifest".length))).toEqual([
      "packs/000000000001",
      "packs/000000000002",
      "packs/000000000003",
      expect.any(String),
    ]);
    expect(order.at(-1)).toBe(`${prefix(container)}ledger.json`);
    expect(await keys(container)).toHaveLength(3);
  });

  it("a pack whose answer was lost is written again under the same name", async () => {
    const container = await aContainer();
    await expectOk(container.saveAll(tree));
    const real = env.BUCKET.put.bind(env.BUCKET);
    vi.spyOn(env.BUCKET, "put").mockImplementationOnce((async (key: string, value: ReadableStream) => {
      await real(key, value);
      throw new Error("the answer is lost");
    }) as typeof env.BUCKET.put);
    await alarm(container);
    expect(await rows(container, "outbox")).toBeGreaterThan(0);
    await hurry(container);
    await alarm(container);
    expect(await keys(container)).toHaveLength(1);
    expect(await rows(container, "outbox")).toBe(0);
    expect(await rows(container, "packs")).toBe(1);
  });

  it("nothing is deleted that the ledger still names, and all of it once it does not", async () => {
    const container = await aContainer();
    for (let i = 0; i < 12; i++) {
      await expectOk(container.saveAll([{ path: "big", content: random(70_000), mtimeNs: later(i) }]));
      if (i === 0) await alarm(container);
    }
    const real = env.BUCKET.put.bind(env.BUCKET);
    vi.spyOn(env.BUCKET, "put").mockImplementation((async (key: string, value: ReadableStream) => {
      if (key.endsWith("ledger.json")) throw new Error("no ledger");
      return real(key, value);
    }) as typeof env.BUCKET.put);
    await alarm(container);
    expect((await container.vault.describe()).generations).toHaveLength(10);
    expect(await keys(container, "objects/")).toHaveLength(12);
    vi.restoreAllMocks();
    vi.spyOn(env.BUCKET, "delete").mockRejectedValueOnce(new Error("no deletes"));
    await hurry(container);
    await alarm(container);
    expect(await keys(container, "objects/")).toHaveLength(12);
    await alarm(container);
    expect(await keys(container, "objects/")).toHaveLength(10);
    expect(await keys(container)).toHaveLength(10);
  });
});

describe("small contents that leave the index", () => {
  it("are first those that only older generations need, and of those the oldest", async () => {
    const container = await aContainer();
    const saved = (i: number): Node[] => [
      { path: "stays", content: "stays" },
      { path: "changes", content: `version ${i}`, mtimeNs: later(i) },
    ];
    for (const i of [1, 2, 3]) await expectOk(container.saveAll(saved(i)));
    await alarm(container);
    const dropped = await runInDurableObject(stub(container), (_, { storage }) => {
      const here = () =>
        storage.sql
          .exec<{ data: ArrayBuffer }>("SELECT data FROM bodies ORDER BY body")
          .toArray()
          .map(({ data }) => new TextDecoder().decode(data));
      const order: string[] = [];
      for (let before = here(); before.length > 0; before = here()) {
        expect(new Bodies(storage.sql).drop(1)).toBe(1);
        const left = here();
        order.push(...before.filter((one) => !left.includes(one)));
      }
      return order;
    });
    expect(dropped).toEqual(["version 1", "version 2", "stays", "version 3"]);
  });
});

describe("a generation that is being read", () => {
  it("is not pruned while a large file of it may still be on its way to somebody", async () => {
    const container = await aContainer();
    await expectOk(container.saveAll(tree));
    const looked = await expectOk(container.vault.readFile("big", null));
    for (let i = 0; i < 12; i++)
      await expectOk(container.saveAll([{ path: "x", content: "x", mtimeNs: later(i) }], { force: true }));
    await alarm(container);
    expect(await (await env.BUCKET.get(looked.found?.object ?? ""))?.bytes()).toEqual(big);
    await sql(container, (db) => void db.exec("UPDATE leases SET until = 1"));
    await alarm(container);
    expect(await env.BUCKET.get(looked.found?.object ?? "")).toBeNull();
  });

  it("is not pruned while its pages are asked for, whatever is saved meanwhile, and is afterwards", async () => {
    const container = await aContainer();
    const many: Node[] = Array.from({ length: 150 }, (_, i) => ({ path: `f${i}`, content: random(60_000) }));
    await expectOk(container.saveAll([...many, { path: "big", content: big }]));
    const first = await expectOk(container.vault.exported(generation(1), null));
    expect(first.next).not.toBeNull();
    for (let i = 0; i < 12; i++) {
      const save = container.save();
      const nodes: Node[] = [{ path: "x", content: `${i}`, mtimeNs: later(i) }];
      await expectOk(container.vault.open(save, aManifest(nodes)));
      await container.putBundle(aTar(nodes));
      await expectOk(container.vault.commit(save, { force: true }));
    }
    await alarm(container);
    let [seen, next] = [first.entries.length, first.next];
    while (next !== null) {
      const page = await expectOk(container.vault.exported(generation(1), next));
      seen += page.entries.length;
      next = page.next;
    }
    expect(seen).toBe(152);
    expect(await keys(container, "objects/")).toHaveLength(1);
    await sql(container, (db) => void db.exec("UPDATE leases SET until = 1"));
    await alarm(container);
    expect(await container.vault.exported(generation(1), null)).toMatchObject({
      ok: false,
      failure: { code: "not_found" },
    });
    expect(await keys(container, "objects/")).toEqual([]);
  });
});
