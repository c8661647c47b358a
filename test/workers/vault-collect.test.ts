import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, it, vi } from "vitest";
import { ORPHAN_MS } from "../../src/vault/plan-tend.ts";
import type { TABLES } from "../../src/vault/schema.ts";
import { aContainer, aManifest, aTar, bytesOf, Container, expectOk, type Node, random } from "./vault-kit.ts";

const stub = (container: Container) => env.VAULT.getByName(container.tenantId);
const collect = (container: Container) => runDurableObjectAlarm(stub(container));
const objects = async (container: Container) =>
  (await env.BUCKET.list({ prefix: `tenants/${container.tenantId}/objects/` })).objects.map((one) => one.key);
const rows = (container: Container, table: keyof typeof TABLES): Promise<number> =>
  runInDurableObject(
    stub(container),
    (_, state) => state.storage.sql.exec<{ n: number }>(`SELECT count(*) AS n FROM ${table}`).one().n,
  );
const age = (container: Container, ms: number) =>
  runInDurableObject(stub(container), (_, state) => void state.storage.sql.exec("UPDATE uploads SET at = at - ?", ms));

describe("garbage collection", () => {
  it("removes what only generations beyond the last ten needed, and nothing else", async () => {
    const container = await aContainer();
    const kept: Node = { path: "kept", content: random(100_000) };
    const trees = Array.from({ length: 13 }, (_, i): Node[] => [
      kept,
      { path: "big", content: random(70_000), mtimeNs: `${1_767_225_600 + i}000000000` },
      { path: "small", content: random(1000), mtimeNs: `${1_767_225_600 + i}000000000` },
    ]);
    for (const tree of trees) await expectOk(container.saveAll(tree));
    expect(await objects(container)).toHaveLength(13 * 2);
    expect(await collect(container)).toBe(true);
    const { generations } = await container.vault.describe();
    expect(generations.map((one) => one.generation)).toEqual([4, 5, 6, 7, 8, 9, 10, 11, 12, 13]);
    expect(await objects(container)).toHaveLength(11);
    expect(
      await Promise.all(
        (["bodies", "staged", "manifests", "garbage", "uploads"] as const).map((table) => rows(container, table)),
      ),
    ).toEqual([10, 0, 0, 0, expect.any(Number)]);
    for (const generation of [4, 9, 13]) {
      const tar = Buffer.from(await (await container.fetch(`/.bundle/${generation}.tar`)).bytes());
      for (const node of trees[generation - 1] ?? [])
        expect(tar.includes(Buffer.from(bytesOf(node))), `${generation} ${node.path}`).toBe(true);
    }
    expect((await container.fetch("/.bundle/3.tar")).status).toBe(404);
  });

  it("removes what an aborted save had sent", async () => {
    const container = await aContainer();
    const nodes: Node[] = [
      { path: "big", content: random(100_000) },
      { path: "small", content: "s" },
    ];
    await expectOk(container.vault.open(container.save(), aManifest(nodes)));
    await container.putBundle(aTar(nodes));
    expect(await objects(container)).toHaveLength(1);
    const next = new Container(container.tenantId, 2);
    await expectOk(next.fence());
    await collect(container);
    expect(await objects(container)).toEqual([]);
    expect(await rows(container, "bodies")).toBe(0);
  });

  it("leaves an open save, and an upload of less than a day, alone", async () => {
    const container = await aContainer();
    const save = container.save();
    const nodes: Node[] = [{ path: "big", content: random(100_000) }];
    await expectOk(container.vault.open(save, aManifest(nodes)));
    await container.putBundle(aTar(nodes));
    const { objects: reserved } = await expectOk(container.vault.reserve(container.actor, 1));
    await env.BUCKET.put(reserved[0] ?? "", "under way");
    await collect(container);
    expect(await objects(container)).toHaveLength(2);
    expect(await container.vault.commit(save, { force: false })).toMatchObject({ ok: true });
    await age(container, ORPHAN_MS + 1000);
    await collect(container);
    expect(await objects(container)).toHaveLength(1);
    expect(await rows(container, "uploads")).toBe(0);
  });

  it("aborts multipart uploads that nobody completed within a day", async () => {
    const container = await aContainer();
    await expectOk(container.vault.open(container.save(), aManifest([{ path: "x", content: "x" }])));
    await container.fetch("/state/big?uploads=", { method: "POST" });
    await age(container, ORPHAN_MS + 1000);
    await collect(container);
    expect(await rows(container, "uploads")).toBe(0);
    expect(await rows(container, "garbage")).toBe(0);
  });

  it("is not all that aborts them: an erasure does, since no listing shows them", async () => {
    const container = await aContainer();
    await expectOk(container.vault.open(container.save(), aManifest([{ path: "x", content: "x" }])));
    await container.fetch("/state/big?uploads=", { method: "POST" });
    const [upload] = await runInDurableObject(stub(container), (_, state) =>
      state.storage.sql
        .exec<{ object: string; id: string }>(
          "SELECT object, r2_upload_id AS id FROM uploads WHERE r2_upload_id IS NOT NULL",
        )
        .toArray(),
    );
    const part = () => env.BUCKET.resumeMultipartUpload(upload?.object ?? "", upload?.id ?? "").uploadPart(1, "x");
    await expect(part()).resolves.toMatchObject({ partNumber: 1 });
    await expectOk(container.vault.erase(container.actor.epoch));
    await expect(part()).rejects.toThrow();
  });

  it("comes again for uploads that are not old enough yet", async () => {
    const container = await aContainer();
    await expectOk(container.vault.open(container.save(), aManifest([])));
    await expectOk(container.vault.reserve(container.actor, 1));
    await collect(container);
    const alarm = await runInDurableObject(stub(container), (_, state) => state.storage.getAlarm());
    expect((alarm ?? 0) - Date.now()).toBeGreaterThan(ORPHAN_MS - 60_000);
  });

  it("ends a save that nobody went on with for a day, with what it had sent; one that is sent again begins anew", async () => {
    const container = await aContainer();
    const save = container.save();
    const nodes: Node[] = [{ path: "big", content: random(100_000) }];
    await expectOk(container.vault.open(save, aManifest(nodes)));
    await container.putBundle(aTar(nodes));
    const ageSaves = () =>
      runInDurableObject(stub(container), (_, state) => {
        state.storage.sql.exec("UPDATE saves SET at = at - ?", ORPHAN_MS + 1000);
      });
    await ageSaves();
    await expectOk(container.vault.open(save, aManifest(nodes))); // again: it is a day old no longer
    await container.putBundle(aTar(nodes));
    await collect(container);
    expect(await rows(container, "manifests")).toBe(1);
    await ageSaves();
    await collect(container);
    expect([await rows(container, "manifests"), await rows(container, "staged")]).toEqual([0, 0]);
    expect(await objects(container)).toEqual([]);
    expect(await container.vault.commit(save, { force: false })).toMatchObject({ failure: { code: "save_failed" } });
    await expectOk(container.saveAll(nodes));
  });

  it("is set going again by any request when its alarm was lost, in memory or out of it", async () => {
    const container = await aContainer();
    await expectOk(container.saveAll([{ path: "a", content: "a" }]));
    const alarm = () => runInDurableObject(stub(container), (_, state) => state.storage.getAlarm());
    const lose = () => runInDurableObject(stub(container), (_, state) => state.storage.deleteAlarm());
    const ask = () => container.vault.stat("a", null);
    await lose();
    await expectOk(ask());
    expect(await alarm()).toBeNull(); // as far as the object knows it has yet to ring
    vi.spyOn(Date, "now").mockReturnValue(Date.now() + 3_600_000);
    await expectOk(ask());
    expect(await alarm()).toBeGreaterThan(Date.now());
    vi.restoreAllMocks();
    await lose();
    await evictDurableObject(stub(container));
    await expectOk(ask());
    expect(await alarm()).toBeGreaterThan(Date.now());
    await collect(container);
    await evictDurableObject(stub(container));
    await expectOk(ask());
    expect(await alarm()).toBeNull(); // nothing is due
  });

  it("keeps what two names share until neither needs it", async () => {
    const container = await aContainer();
    const content = random(100_000);
    const two: Node[] = [
      { path: "a", content },
      { path: "b", content },
    ];
    const save = container.save();
    await expectOk(container.vault.open(save, aManifest(two)));
    const mtime = { "x-amz-meta-mtime": "1767225600.123456789" };
    await container.fetch("/state/a", { method: "PUT", body: content, headers: mtime });
    await container.fetch("/state/b", { method: "PUT", headers: { "x-amz-copy-source": "state/a" } });
    await expectOk(container.vault.commit(save, { force: false }));
    await expectOk(container.saveAll([{ path: "b", content }], { force: true }));
    await collect(container);
    const tar = Buffer.from(await (await container.fetch("/.bundle/2.tar")).bytes());
    expect(tar.includes(Buffer.from(content))).toBe(true);
    expect(await objects(container)).toHaveLength(1);
  });
});
