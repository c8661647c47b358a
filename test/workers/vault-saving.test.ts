import { evictDurableObject, listDurableObjectIds, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import { commits } from "../../src/durable/commit.ts";
import { epoch, generation } from "../../src/ids.ts";
import { aContainer, aManifest, aTar, Container, expectOk, type Node, unique, vaultOf } from "./vault-kit.ts";

const tree: Node[] = [
  { path: "a", content: "aaaa" },
  { path: "b", content: "bbbb" },
  { path: "c", content: "cccc" },
];
const refused = (code: string) => ({ ok: false, failure: { code } });

describe("a vault that was never used", () => {
  it("stays without a table, whatever is read from it", async () => {
    const tenant = unique("tenant");
    const stub = env.VAULT.getByName(tenant);
    const vault = vaultOf(tenant);
    expect(await vault.describe()).toEqual({ epoch: 0, head: null, generations: [] });
    const actor = { epoch: epoch(1), incarnation: "c" };
    expect(await vault.read(actor, "a")).toMatchObject(refused("save_failed"));
    expect(await vault.page(actor, generation(1), null)).toMatchObject(refused("save_failed"));
    expect(await vault.open({ ...actor, saveId: "s" }, [])).toMatchObject(refused("save_failed"));
    expect(await vault.commit({ ...actor, saveId: "s" }, { force: true })).toMatchObject(refused("save_failed"));
    expect(await vault.abort({ ...actor, saveId: "s" })).toEqual({ ok: true, value: null });
    expect(await vault.promote(epoch(1))).toMatchObject(refused("not_found"));
    const tables = await runInDurableObject(stub, (_, state) =>
      state.storage.sql.exec("SELECT name FROM sqlite_master WHERE name NOT LIKE '\\_cf%' ESCAPE '\\'").toArray(),
    );
    expect(tables).toEqual([]);
    expect(await runInDurableObject(stub, (_, state) => state.storage.getAlarm())).toBeNull();
    expect((await listDurableObjectIds(env.VAULT)).length).toBeGreaterThan(0);
  });
});

describe("a fence", () => {
  it("is one durable commit, and none when it is repeated", async () => {
    const container = new Container(unique("tenant"));
    const before = commits.count;
    expect(await container.fence()).toEqual({ ok: true, value: { head: null } });
    expect(commits.count - before).toBe(1);
    expect(await container.fence()).toEqual({ ok: true, value: { head: null } });
    expect(commits.count - before).toBe(1);
  });

  it("answers a later container with the head to restore", async () => {
    const container = await aContainer();
    await expectOk(container.saveAll(tree));
    const next = new Container(container.tenantId, 2);
    expect(await next.fence()).toEqual({ ok: true, value: { head: { generation: 1, files: 3, bytes: 12 } } });
  });

  it("refuses every effect of a superseded container", async () => {
    const old = await aContainer();
    await expectOk(old.saveAll(tree));
    const save = old.save();
    await expectOk(old.vault.open(save, aManifest(tree)));
    const { objects } = await expectOk(old.vault.reserve(old.actor, 1));
    const next = new Container(old.tenantId, 2);
    await expectOk(next.fence());

    const { vault, actor } = old;
    const content = { size: 1, sha256: "", partSize: null, etag: "", object: null };
    const metadata = { headers: {}, user: {} };
    const attempts = {
      fence: old.fence(),
      open: vault.open(old.save(), aManifest(tree)),
      commit: vault.commit(save, { force: true }),
      abort: vault.abort(save),
      promote: vault.promote(old.epoch),
      list: vault.list(actor, { prefix: "", delimiter: "", after: "", afterIsPrefix: false, limit: 10 }),
      read: vault.read(actor, "a"),
      put: vault.put(actor, { key: "a", content, metadata }, new Uint8Array(1)),
      copy: vault.copy(actor, "a", "z", null),
      remove: vault.remove(actor, ["a"]),
      reserve: vault.reserve(actor, 1),
      beginUpload: vault.beginUpload(actor, { object: objects[0] ?? "", key: "a", r2UploadId: "r", metadata }),
      upload: vault.upload(actor, objects[0] ?? ""),
      parts: vault.parts(actor, objects[0] ?? ""),
      putPart: vault.putPart(actor, objects[0] ?? "", { number: 1, size: 1, sha256: "", md5: "", r2Etag: "" }),
      dropUpload: vault.dropUpload(actor, objects[0] ?? ""),
      beginBundle: vault.beginBundle(actor),
      stageBundle: vault.stageBundle(actor, { attempt: 1, entries: [], packed: new Uint8Array(0), last: true }),
      page: vault.page(actor, generation(1), null),
    };
    for (const [name, attempt] of Object.entries(attempts))
      expect(await attempt, name).toMatchObject(refused("stale_epoch"));
    expect((await vault.describe()).generations).toHaveLength(1);
  });

  it("refuses another container of the same epoch", async () => {
    const container = await aContainer();
    const twin = new Container(container.tenantId, 1);
    expect(await twin.fence()).toMatchObject(refused("stale_epoch"));
    expect(await twin.vault.open(twin.save(), [])).toMatchObject(refused("stale_epoch"));
  });

  it("lets a container go on under a new epoch from what it last committed", async () => {
    const container = await aContainer();
    await expectOk(container.saveAll(tree));
    const resumed = new Container(container.tenantId, 2, container.incarnation);
    await expectOk(resumed.fence());
    expect(await resumed.saveAll([...tree, { path: "d", content: "d" }])).toMatchObject({
      ok: true,
      value: { generation: 2, changed: 1 },
    });
  });
});

describe("a save", () => {
  it("becomes visible as a whole or not at all", async () => {
    const container = await aContainer();
    const save = container.save();
    expect(await expectOk(container.vault.open(save, aManifest(tree)))).toEqual({ how: "bundle" });
    expect((await container.putBundle(aTar(tree))).status).toBe(200);
    expect(await container.vault.describe()).toMatchObject({ head: null, generations: [] });
    await evictDurableObject(env.VAULT.getByName(container.tenantId));
    expect(await container.vault.describe()).toMatchObject({ head: null, generations: [] });
    // What was staged survives the object's memory; only the commit makes it a generation.
    expect(await container.vault.commit(save, { force: false })).toEqual({
      ok: true,
      value: { generation: 1, files: 3, bytes: 12, changed: 3 },
    });
    expect(await container.vault.describe()).toMatchObject({ epoch: 1, head: { generation: 1, files: 3, bytes: 12 } });
  });

  it("is committed once, however often its answer is asked for", async () => {
    const container = await aContainer();
    const saveId = unique("save");
    const first = await container.saveAll(tree, { force: false, saveId });
    expect(await container.vault.commit(container.save(saveId), { force: false })).toEqual(first);
    expect(await container.vault.open(container.save(saveId), aManifest(tree))).toEqual({
      ok: true,
      value: { how: "done", outcome: first },
    });
    const next = new Container(container.tenantId, 2);
    await expectOk(next.fence());
    expect(await container.vault.commit(container.save(saveId), { force: false })).toEqual(first);
    expect((await container.vault.describe()).generations).toHaveLength(1);
  });

  it("that changes nothing needs nothing sent, and is a generation of its own", async () => {
    const container = await aContainer();
    await expectOk(container.saveAll(tree));
    const save = container.save();
    expect(await expectOk(container.vault.open(save, aManifest(tree)))).toEqual({ how: "unchanged" });
    expect(await container.vault.commit(save, { force: false })).toMatchObject({
      ok: true,
      value: { generation: 2, changed: 0 },
    });
  });

  it("brings modes and owners up to date without sending a byte", async () => {
    const container = await aContainer();
    await expectOk(container.saveAll(tree));
    const [first, ...rest] = tree;
    const changed: Node[] = [
      { ...first, path: "a", mode: 0o600, uid: 77 },
      ...rest,
      { path: "dir", kind: "directory", mode: 0o700 },
    ];
    const save = container.save();
    expect(await expectOk(container.vault.open(save, aManifest(changed)))).toEqual({ how: "unchanged" });
    await expectOk(container.vault.commit(save, { force: false }));
    const page = await expectOk(container.vault.page(container.actor, generation(2), null));
    expect(page.entries.find((entry) => entry.path === "a")).toMatchObject({ mode: 0o600, uid: 77 });
    expect(page.entries.find((entry) => entry.path === "dir")).toMatchObject({ kind: "directory", mode: 0o700 });
    const before = await expectOk(container.vault.page(container.actor, generation(1), null));
    expect(before.entries.find((entry) => entry.path === "a")).toMatchObject({ mode: 0o644, uid: 10001 });
  });

  it("fails, and commits nothing, when what arrived is not what the manifest lists", async () => {
    const container = await aContainer();
    const save = container.save();
    await expectOk(container.vault.open(save, aManifest(tree)));
    await container.putBundle(
      aTar([...tree.slice(0, 2), { path: "c", content: "grown" }, { path: "extra", content: "x" }]),
    );
    const outcome = await container.vault.commit(save, { force: true });
    expect(outcome).toMatchObject(refused("save_failed"));
    expect(!outcome.ok && outcome.failure.detail).toMatch(/c has 5 bytes instead of 4; extra is not in the manifest/);
    expect((await container.vault.describe()).generations).toEqual([]);
    // The same save may be opened and sent again.
    expect(await container.saveAll(tree, { force: false, saveId: save.saveId })).toMatchObject({
      ok: true,
      value: { generation: 1 },
    });
  });

  it("does not believe a file that may have been rewritten with its mod-time put back, until it was sent again", async () => {
    const container = await aContainer();
    const many: Node[] = [...tree, ...Array.from({ length: 7 }, (_, i) => ({ path: `n${i}`, content: "same" }))];
    await expectOk(container.saveAll(many));
    const manifest = aManifest(many).map((item) => ({
      ...item,
      ctimeNs: item.path === "a" ? "1800000000000000001" : "1700000000000000000",
    }));
    const save = container.save();
    const options = { changedSinceNs: "1800000000000000000" };
    expect(await expectOk(container.vault.open(save, manifest, options))).toEqual({
      how: "incremental",
      send: { files: 1, bytes: 4 },
      suspects: ["a"],
      paths: ["a"],
    });
    expect(await container.vault.commit(save, { force: false })).toMatchObject({
      ok: false,
      failure: { code: "save_failed", detail: expect.stringContaining("a may have changed and was not sent") },
    });
    const mtime = { "x-amz-meta-mtime": "1767225600.123456789" };
    await container.fetch("/state/a", { method: "PUT", body: "AAAA", headers: mtime });
    expect(await container.vault.commit(save, { force: false })).toMatchObject({
      ok: true,
      value: { generation: 2, changed: 1 },
    });
    expect(await expectOk(container.vault.open(container.save(), manifest, { changedSinceNs: null }))).toEqual({
      how: "bundle",
    });
  });

  it("cannot be committed while its tar has not arrived whole", async () => {
    const container = await aContainer();
    const save = container.save();
    await expectOk(container.vault.open(save, aManifest(tree)));
    const cut = await container.putBundle(aTar(tree).subarray(0, 2048));
    expect([cut.status, await cut.text()]).toEqual([400, expect.stringContaining("IncompleteBody")]);
    expect(await container.vault.commit(save, { force: true })).toMatchObject(refused("save_failed"));
  });

  it("refuses late batches of an earlier tar of the same save", async () => {
    const container = await aContainer();
    await expectOk(container.vault.open(container.save(), aManifest(tree)));
    const early = await expectOk(container.vault.beginBundle(container.actor));
    await expectOk(container.vault.beginBundle(container.actor));
    const late = { attempt: early.attempt, entries: [], packed: new Uint8Array(0), last: true };
    expect(await container.vault.stageBundle(container.actor, late)).toMatchObject(refused("save_failed"));
  });

  it("ends an older save of the same container that is still open", async () => {
    const container = await aContainer();
    const first = container.save();
    await expectOk(container.vault.open(first, aManifest(tree)));
    expect(await container.saveAll(tree)).toMatchObject({ ok: true });
    expect(await container.vault.commit(first, { force: false })).toMatchObject(refused("save_failed"));
  });

  it("that was aborted leaves nothing, and takes no more puts", async () => {
    const container = await aContainer();
    const save = container.save();
    await expectOk(container.vault.open(save, aManifest(tree)));
    await container.putBundle(aTar(tree));
    await expectOk(container.vault.abort(save));
    expect(await container.vault.commit(save, { force: false })).toMatchObject(refused("save_failed"));
    expect((await container.putBundle(aTar(tree))).status).toBe(409);
  });
});

describe("the guard", () => {
  it("keeps a save that lost most of its files beside the head, and says both sizes", async () => {
    const container = await aContainer();
    await expectOk(container.saveAll(tree));
    const outcome = await container.saveAll([]);
    expect(outcome).toMatchObject({
      ok: false,
      failure: {
        code: "guard_blocked",
        extra: { generation: 2, previous: { files: 3, bytes: 12 }, now: { files: 0, bytes: 0 } },
      },
    });
    expect(await container.vault.describe()).toMatchObject({
      head: { generation: 1 },
      generations: [
        { generation: 1, status: "head" },
        { generation: 2, status: "quarantined", files: 0 },
      ],
    });
    const next = new Container(container.tenantId, 2);
    expect(await next.fence()).toMatchObject({ value: { head: { generation: 1 } } });
  });

  it("is lifted by force", async () => {
    const container = await aContainer();
    await expectOk(container.saveAll(tree));
    expect(await container.saveAll([], { force: true })).toMatchObject({
      ok: true,
      value: { generation: 2, files: 0, changed: 3 },
    });
  });

  it("is lifted later, by force on the same save or by promotion, and the container goes on from there", async () => {
    const container = await aContainer();
    await expectOk(container.saveAll(tree));
    const saveId = unique("save");
    const few: Node[] = [{ path: "a", content: "aaaa" }];
    expect(await container.saveAll(few, { force: false, saveId })).toMatchObject(refused("guard_blocked"));
    const promoted = { ok: true, value: { generation: 2, files: 1, bytes: 4, changed: 2 } };
    expect(await container.vault.commit(container.save(saveId), { force: true })).toEqual(promoted);
    expect(await container.vault.commit(container.save(saveId), { force: true })).toEqual(promoted);
    expect(await container.vault.promote(container.epoch, generation(2))).toEqual(promoted);
    expect(await container.vault.promote(container.epoch)).toMatchObject(refused("not_found"));
    expect(await container.saveAll([...few, { path: "z", content: "z" }])).toMatchObject({
      ok: true,
      value: { generation: 3 },
    });
  });

  it("promotes without a container, and never what is older than the head", async () => {
    const container = await aContainer();
    await expectOk(container.saveAll(tree));
    await container.saveAll([]);
    await expectOk(container.saveAll([...tree, { path: "d", content: "dddd" }]));
    expect(await container.vault.promote(epoch(1))).toMatchObject(refused("not_found"));
    await container.saveAll([{ path: "d", content: "dddd" }]);
    expect(await container.vault.promote(epoch(2))).toMatchObject({
      ok: true,
      value: { generation: 4, files: 1, changed: 3 },
    });
    // The promotion carried a newer epoch: the container that is still there is superseded.
    expect(await container.vault.open(container.save(), aManifest(tree))).toMatchObject(refused("stale_epoch"));
    const next = new Container(container.tenantId, 3);
    expect(await next.fence()).toMatchObject({ value: { head: { generation: 4 } } });
    const restored = await next.fetch("/.bundle/4.tar");
    expect(new TextDecoder().decode(await restored.bytes())).toContain("dddd");
  });
});

describe("a conflict", () => {
  it("keeps the save beside a head that was moved meanwhile, and is never retried into it", async () => {
    const container = await aContainer();
    await expectOk(container.saveAll(tree));
    await container.saveAll([]);
    const save = container.save();
    const grown: Node[] = [...tree, { path: "d", content: "dddd" }];
    await expectOk(container.vault.open(save, aManifest(grown)));
    await expectOk(container.vault.promote(container.epoch));
    await container.fetch("/state/d", {
      method: "PUT",
      body: "dddd",
      headers: { "x-amz-meta-mtime": "1767225600.123456789" },
    });
    const outcome = await container.vault.commit(save, { force: true });
    expect(outcome).toMatchObject({
      ok: false,
      failure: { code: "conflict", extra: { generation: 3, base: 1, head: 2 } },
    });
    expect(await container.vault.commit(save, { force: true })).toEqual(outcome);
    expect(await container.vault.describe()).toMatchObject({
      head: { generation: 2 },
      generations: [{ status: "kept" }, { status: "head" }, { status: "detached", files: 4 }],
    });
    const restored = await container.fetch("/.bundle/3.tar");
    expect(new TextDecoder().decode(await restored.bytes())).toContain("dddd");
  });
});
