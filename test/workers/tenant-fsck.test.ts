import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { createHash } from "node:crypto";
import { afterEach, describe, expect, it, vi } from "vitest";
import { tenantOf, vaultOf } from "../../src/durable/stubs.ts";
import type { TenantId } from "../../src/ids.ts";
import { aPool, call, claim, env, eventually, get, put, release, request, status } from "../support/fleet.ts";
import { overdue } from "../support/overdue.ts";
import { aManifest, bytesOf, Container, expectOk, MTIME, type Node } from "./vault-kit.ts";

afterEach(() => void vi.restoreAllMocks());

interface Report {
  checked: Record<string, number>;
  problems: { what: string; detail: string; repaired: boolean }[];
  restored?: number[];
  generation?: number;
  nextCursor: string | null;
  code?: string;
}
const fsck = (tenant: string, body: object = {}) => call<Report>("POST", `/api/v1/tenants/${tenant}/fsck`, body);
const vault = (tenant: string) => env.VAULT.getByName(tenant) as unknown as DurableObjectStub;
const text = async (tenant: string, path: string): Promise<string> =>
  new TextDecoder().decode(await (await get(tenant, path)).arrayBuffer());

/** A tenant that is idle with two generations, small and large files, all of it in R2 too. */
async function saved(tenant: string, pool: string): Promise<void> {
  await claim(tenant, pool);
  await put(tenant, "small.txt", "small");
  await put(tenant, "large.bin", "l".repeat(150_000));
  await call("POST", `/api/v1/tenants/${tenant}/sync?wait=10s`, { direction: "outward" });
  await put(tenant, "small.txt", "changed");
  await release(tenant);
  await eventually(async () => {
    await runDurableObjectAlarm(vault(tenant));
    const { objects } = await env.BUCKET.list({ prefix: `tenants/${tenant}/packs/` });
    expect(objects.length).toBeGreaterThanOrEqual(2);
  });
}

const hashOf = (algorithm: string, node: Node): string => createHash(algorithm).update(bytesOf(node)).digest("hex");

describe("fsck", () => {
  it("finds nothing wrong with what is whole, and changes nothing", async () => {
    const pool = await aPool("fsck-whole", { minSize: 1 });
    await saved("fsck-a", pool);
    const before = (await status("fsck-a")).body;
    const { status: code, body } = await fsck("fsck-a");
    expect([code, body]).toMatchObject([200, { problems: [], nextCursor: null }]);
    expect(body.checked.generations).toBeGreaterThanOrEqual(2);
    expect((await status("fsck-a")).body).toEqual(before);
  });

  it("finds a content that R2 has lost, and does not call that mended", async () => {
    const pool = await aPool("fsck-lost", { minSize: 1 });
    await saved("fsck-b", pool);
    const { objects } = await env.BUCKET.list({ prefix: "tenants/fsck-b/objects/" });
    await env.BUCKET.delete(objects.map(({ key }) => key));
    for (const body of [{}, { repair: true }]) {
      const report = (await fsck("fsck-b", body)).body;
      expect(report.problems).toContainEqual(expect.objectContaining({ what: "object_missing", repaired: false }));
    }
  });

  it("makes a vault anew whose object lost everything, from R2 alone; the next claim has the latest generation", async () => {
    const pool = await aPool("fsck-anew", { minSize: 1 });
    await saved("fsck-c", pool);
    const hashes = async () =>
      Promise.all(
        [1, 2].map(async (n) => (await call("GET", `/api/v1/tenants/fsck-c/generations/${n}`)).body.treeHash),
      );
    const before = await hashes();
    await runInDurableObject(vault("fsck-c"), (_, state) => state.storage.deleteAll());
    await evictDurableObject(vault("fsck-c"));
    expect((await fsck("fsck-c")).body.problems).toContainEqual(expect.objectContaining({ what: "index_missing" }));
    const { status: code, body } = await fsck("fsck-c", { rebuild: true });
    expect([code, body]).toMatchObject([200, { restored: [1, 2], generation: 2, problems: [] }]);
    expect(await hashes()).toEqual(before);
    expect((await fsck("fsck-c")).body.problems).toEqual([]);
    expect((await claim("fsck-c", pool)).body).toMatchObject({ restored: { generation: 2, files: 2 } });
    expect(await text("fsck-c", "small.txt")).toBe("changed");
    expect(await text("fsck-c", "large.bin")).toBe("l".repeat(150_000));
    await put("fsck-c", "after.txt", "goes on");
    expect((await release("fsck-c")).body).toMatchObject({ state: "idle", saved: { generation: 3, files: 3 } });
  });

  it("loses nothing of a container that holds what the lost vault could not take", async () => {
    const pool = await aPool("fsck-held", { minSize: 1 });
    await saved("fsck-f", pool);
    const { containerId } = (await claim("fsck-f", pool)).body;
    await put("fsck-f", "unsaved.txt", "only here");
    await runInDurableObject(vault("fsck-f"), (_, state) => state.storage.deleteAll());
    await evictDurableObject(vault("fsck-f"));
    expect((await release("fsck-f")).status).toBeGreaterThanOrEqual(400);
    expect((await status("fsck-f")).body).toMatchObject({ state: "release_failed", containerId });
    // While that is so, nothing is given up.
    expect((await fsck("fsck-f", { rebuild: true, discard: true })).status).toBe(409);
    expect((await fsck("fsck-f", { rebuild: true })).body).toMatchObject({ restored: [1, 2], generation: 2 });
    expect((await claim("fsck-f", pool)).body).toMatchObject({ launch: "existing", containerId });
    expect((await release("fsck-f")).body).toMatchObject({ state: "idle", saved: { generation: 3, files: 3 } });
    await claim("fsck-f", pool);
    expect(await text("fsck-f", "unsaved.txt")).toBe("only here");
  });

  it("rebuilds neither what has an index, unless that is given up, nor what a container uses", async () => {
    const pool = await aPool("fsck-busy", { minSize: 1 });
    await saved("fsck-d", pool);
    expect(await fsck("fsck-d", { rebuild: true })).toMatchObject({ status: 409, body: { code: "conflict" } });
    expect((await status("fsck-d")).body).toMatchObject({ state: "idle", generation: 2 });
    expect(await fsck("fsck-d", { rebuild: true, discard: true })).toMatchObject({
      status: 200,
      body: { generation: 2 },
    });
    await claim("fsck-d", pool);
    expect(await fsck("fsck-d", { rebuild: true, discard: true })).toMatchObject({
      status: 409,
      body: { code: "invalid_transition" },
    });
  });

  it("looks at the vault of a sync spec as well, and makes it anew without touching the state", async () => {
    const pool = await aPool("fsck-spec", { minSize: 1 });
    await saved("fsck-h", pool);
    const container = new Container("fsck-h/models");
    await expectOk(container.fence());
    const ref = container.save();
    const nodes = [
      { path: "weights.bin", content: "w".repeat(100_000) },
      { path: "small", content: "s" },
    ];
    await expectOk(container.vault.open(ref, aManifest(nodes)));
    const { attempt } = await expectOk(container.vault.beginBundle(container.actor));
    const { objects: reserved } = await expectOk(container.vault.reserve(container.actor, 1));
    const [object = ""] = reserved;
    const stored = await env.BUCKET.put(object, bytesOf(nodes[0] as Node));
    expect(stored).not.toBeNull();
    const entry = (node: Node, where: string | null) => ({
      path: node.path,
      kind: "file" as const,
      mtimeNs: MTIME,
      target: "",
      content: {
        size: bytesOf(node).length,
        sha256: hashOf("sha256", node),
        partSize: null,
        etag: hashOf("md5", node),
        object: where,
      },
    });
    const [large, small] = nodes as [Node, Node];
    const entries = [entry(large, object), entry(small, null)];
    await expectOk(
      container.vault.stageBundle(container.actor, { attempt, entries, packed: bytesOf(small), last: true }),
    );
    await expectOk(container.vault.commit(ref, { force: false }));
    await eventually(async () => {
      await runDurableObjectAlarm(vault("fsck-h/models"));
      expect((await env.BUCKET.list({ prefix: "tenants/fsck-h/specs/models/packs/" })).objects.length).toBeGreaterThan(
        0,
      );
    });
    expect((await fsck("fsck-h", { spec: "models" })).body).toMatchObject({ problems: [] });
    await runInDurableObject(vault("fsck-h/models"), (_, state) => state.storage.deleteAll());
    await evictDurableObject(vault("fsck-h/models"));
    const before = (await status("fsck-h")).body;
    expect((await fsck("fsck-h", { spec: "models", rebuild: true })).body).toMatchObject({
      restored: [1],
      generation: 1,
    });
    expect((await fsck("fsck-h", { spec: "models" })).body).toMatchObject({ problems: [] });
    expect((await status("fsck-h")).body).toMatchObject({ state: "idle", generation: before.generation });
    expect((await fsck("fsck-h", { spec: "../x" })).status).toBe(422);
  });

  it.each([
    ["its deadline comes after the vault has ended it", true],
    ["its deadline comes first", false],
  ])(
    "goes on by itself when whoever asked for it is gone, and the tenant says what came of it: %s",
    async (_, vaultFirst) => {
      const tenant = vaultFirst ? "fsck-i" : "fsck-j";
      const pool = await aPool(`${tenant}-alone`, { minSize: 1 });
      await saved(tenant, pool);
      await runInDurableObject(vault(tenant), (_, state) => state.storage.deleteAll());
      await evictDurableObject(vault(tenant));
      const asked = { source: { kind: "rebuild" as const }, force: false, token: "gone" };
      const { save, operation } = await expectOk(
        tenantOf(env, tenant as TenantId).beginImport(tenant as TenantId, asked, { actor: "test", requestId: null }),
      );
      const get = vi.spyOn(env.BUCKET, "get").mockImplementation((async (key: string) => {
        if (key.includes("/packs/")) throw new Error("R2 is away");
        return null;
      }) as never);
      const rebuilding = vaultOf(env, tenant as TenantId).rebuild(save.epoch, { after: null, discard: false });
      expect(await rebuilding).toMatchObject({ ok: false, failure: { code: "storage_unavailable" } });
      get.mockRestore();
      expect((await fsck(tenant, { rebuild: true })).body).toMatchObject({ code: "operation_in_progress" });
      const stub = env.TENANT.getByName(tenant) as unknown as DurableObjectStub;
      const endsAs = async (expected: object) => {
        await overdue(stub);
        await eventually(async () => {
          await runDurableObjectAlarm(stub);
          expect((await call("GET", `/api/v1/operations/${operation.id}`)).body).toMatchObject(expected);
        });
      };
      if (!vaultFirst) await endsAs({ status: "failed", error: { code: "operation_in_progress" } });
      await runDurableObjectAlarm(vault(tenant));
      if (vaultFirst) await endsAs({ status: "succeeded", result: { generation: 2 } });
      expect((await fsck(tenant)).body.problems).toEqual([]);
      expect((await claim(tenant, pool)).body).toMatchObject({ restored: { generation: 2, files: 2 } });
    },
  );

  it("refuses what makes no sense, and is for admins", async () => {
    const pool = await aPool("fsck-bad", { minSize: 1 });
    await saved("fsck-e", pool);
    for (const bad of [
      { repair: true, rebuild: true },
      { discard: true },
      { rebuild: true, cursor: "x" },
      { repair: 1 },
    ]) {
      expect((await fsck("fsck-e", bad)).status, JSON.stringify(bad)).toBe(422);
    }
    expect((await fsck("fsck-nobody")).status).toBe(404);
    const { body } = await call<{ key: string }>("POST", "/api/v1/keys", { name: "op", role: "operator" });
    const headers = { authorization: `Bearer ${body.key}`, "content-type": "application/json" };
    const response = await request("POST", "/api/v1/tenants/fsck-e/fsck", "{}", headers);
    await response.text();
    expect(response.status).toBe(403);
  });
});
