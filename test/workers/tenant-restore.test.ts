import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { describe, expect, it } from "vitest";
import { generation } from "../../src/ids.ts";
import {
  aPool,
  call,
  claim,
  env,
  eventually,
  get,
  put,
  release,
  remove,
  simulation,
  status,
} from "../support/fleet.ts";
import { aManifest, aTar, Container, expectOk, unique } from "./vault-kit.ts";

const restore = (tenant: string, body: object, wait = "10s") =>
  call("POST", `/api/v1/tenants/${tenant}/restore?wait=${wait}`, body);
const generations = async (tenant: string) =>
  (
    await call<{ items: { generation: number; status: string; pinned: boolean }[] }>(
      "GET",
      `/api/v1/tenants/${tenant}/generations`,
    )
  ).body.items;
const text = async (tenant: string, path: string): Promise<string | number> => {
  const response = await get(tenant, path);
  const said = new TextDecoder().decode(await response.arrayBuffer());
  return response.status === 200 ? said : response.status;
};

/** A tenant with the generations 1 (a = one) and 2 (a = two, b), asleep or running. */
async function withTwo(tenant: string, pool: string): Promise<void> {
  await claim(tenant, pool);
  await put(tenant, "a.txt", "one");
  await call("POST", `/api/v1/tenants/${tenant}/sync?wait=10s`, { direction: "outward" });
  await put(tenant, "a.txt", "two, longer");
  await put(tenant, "b.txt", "b");
  await call("POST", `/api/v1/tenants/${tenant}/sync?wait=10s`, { direction: "outward" });
  expect((await status(tenant)).body).toMatchObject({ generation: 2 });
}

describe("a restore to a generation", () => {
  it("of a running tenant saves first, and goes on in a fresh container with exactly that tree", async () => {
    const pool = await aPool("res-running", { minSize: 2 });
    await withTwo("res-a", pool);
    await put("res-a", "unsaved.txt", "kept by the safety save");
    const { body: before } = await status("res-a");
    const { status: code, body } = await restore("res-a", { generation: 1 });
    expect([code, body]).toMatchObject([
      200,
      { state: "active", restored: { generation: 1, files: 1 }, saved: { generation: 3, files: 3 }, generation: 4 },
    ]);
    expect(await text("res-a", "a.txt")).toBe("one");
    expect(await text("res-a", "b.txt")).toBe(404);
    const { body: after } = await status("res-a");
    expect(after.containerId).not.toBe(before.containerId);
    expect(Number(after.epoch)).toBeGreaterThan(Number(before.epoch));
    // What was current before can be restored in the same way.
    expect((await restore("res-a", { generation: 3 })).body).toMatchObject({ restored: { generation: 3 } });
    expect(await text("res-a", "unsaved.txt")).toBe("kept by the safety save");
  });

  it("of a sleeping or an idle tenant starts nothing, and the next start has that tree", async () => {
    const pool = await aPool("res-still", { minSize: 2 });
    await withTwo("res-b", pool);
    await call("POST", "/api/v1/tenants/res-b/stop?wait=10s", {});
    expect((await restore("res-b", { generation: 1 })).body).toMatchObject({
      state: "asleep",
      saved: null,
      generation: 4,
    });
    expect((await status("res-b")).body).toMatchObject({ state: "asleep", generation: 4, assigned: false });
    expect(await text("res-b", "a.txt")).toBe("one"); // the request wakes it
    await release("res-b");
    expect((await restore("res-b", { generation: 2 })).body).toMatchObject({ state: "idle" });
    expect((await claim("res-b")).body).toMatchObject({ restored: { files: 2 } });
    expect(await text("res-b", "a.txt")).toBe("two, longer");
  });

  it("reaches what a guard had kept aside", async () => {
    const pool = await aPool("res-guard", { minSize: 2 });
    await withTwo("res-c", pool);
    await put("res-c", "c.txt", "c");
    await call("POST", "/api/v1/tenants/res-c/sync?wait=10s", { direction: "outward" });
    for (const name of ["a.txt", "b.txt"]) await remove("res-c", name);
    expect((await release("res-c")).body).toMatchObject({ code: "guard_blocked" });
    const aside = (await generations("res-c")).find((one) => one.status === "quarantined");
    expect(aside).toBeDefined();
    // The container still holds the same: its safety save is refused too, and only force goes on.
    const refused = await restore("res-c", { generation: aside?.generation });
    expect([refused.status, refused.body.code]).toEqual([409, "guard_blocked"]);
    const { body } = await restore("res-c", { generation: aside?.generation, force: true });
    expect(body).toMatchObject({ state: "active", restored: { generation: aside?.generation, files: 1 } });
    expect(await text("res-c", "c.txt")).toBe("c");
  });

  it("is stopped by a safety save that fails, and nothing is restored later", async () => {
    const pool = await aPool("res-fail", { minSize: 2 });
    await withTwo("res-d", pool);
    await put("res-d", "d.txt", "d");
    const { containerId } = (await claim("res-d")).body;
    simulation.for(containerId).fail("manifest", { times: 1 });
    const refused = await restore("res-d", { generation: 1 });
    expect(refused.status).toBeGreaterThanOrEqual(400);
    expect((await generations("res-d")).map((one) => one.generation)).toEqual([2, 1]);
    // The save is tried again, and then the tenant runs as it did.
    await eventually(async () => {
      await runDurableObjectAlarm(env.TENANT.getByName("res-d") as unknown as DurableObjectStub);
      expect((await status("res-d")).body).toMatchObject({ state: "active", generation: 3 });
    }, 10_000);
    expect(await text("res-d", "d.txt")).toBe("d");
    expect(await text("res-d", "a.txt")).toBe("two, longer");
  });

  it("of what is not kept is 404, of what is no generation 422, of a tenant never seen 404", async () => {
    const pool = await aPool("res-bad", { minSize: 1 });
    await claim("res-e", pool);
    expect((await restore("res-e", { generation: 7 })).status).toBe(404);
    for (const bad of [{ generation: 0 }, { generation: "1" }, { generation: 1.5 }, {}, { generation: 1, x: 1 }]) {
      expect((await restore("res-e", bad)).status, JSON.stringify(bad)).toBe(422);
    }
    expect((await restore("res-nobody", { generation: 1 })).status).toBe(404);
    expect((await status("res-e")).body).toMatchObject({ state: "active", epoch: 1 });
  });

  it("is one operation: the same wish joins it, another is refused, and its URL shows its end", async () => {
    const pool = await aPool("res-join", { minSize: 2 });
    await withTwo("res-f", pool);
    const first = await restore("res-f", { generation: 1 }, "0s");
    expect(first.status).toBe(202);
    expect((await restore("res-f", { generation: 2 }, "0s")).body).toMatchObject({ code: "operation_in_progress" });
    const second = await restore("res-f", { generation: 1 });
    expect([second.status, second.body.generation]).toEqual([200, 4]);
    const ended = await call("GET", first.headers.get("location") ?? "");
    expect(ended.body).toMatchObject({ kind: "restore", status: "succeeded", result: { restored: { generation: 1 } } });
  });

  it("under a save that is under way ends that save as a conflict, which is kept whole beside the history", async () => {
    const tenant = unique("conflict");
    const container = new Container(tenant);
    await expectOk(container.fence());
    const save = async (nodes: Parameters<typeof aManifest>[0]) => {
      const ref = container.save();
      await expectOk(container.vault.open(ref, aManifest(nodes)));
      expect((await container.putBundle(aTar(nodes))).status).toBe(200);
      return ref;
    };
    const one = await save([{ path: "a", content: "one" }]);
    await expectOk(container.vault.commit(one, { force: false }));
    const two = await save([{ path: "a", content: "two" }]);
    // The head moves while the second save is open, at the epoch that the container has.
    const admin = { epoch: container.epoch, incarnation: "restore:test", saveId: unique("restore") };
    expect(await expectOk(container.vault.restoreTo(admin, generation(1)))).toMatchObject({ generation: 2 });
    expect(await container.vault.commit(two, { force: false })).toMatchObject({
      ok: false,
      failure: { code: "conflict" },
    });
    const { head, generations: all } = await container.vault.describe();
    expect(head?.generation).toBe(2);
    expect(all.find((known) => known.status === "detached")).toMatchObject({ generation: 3, files: 1 });
    const later = { ...admin, saveId: unique("restore") };
    expect(await expectOk(container.vault.restoreTo(later, generation(3)))).toMatchObject({ generation: 4 });
  });
});

describe("generations", () => {
  it("are shown one by one, and pinned against retention until they are not", async () => {
    const pool = await aPool("res-pin", { minSize: 1 });
    await withTwo("res-g", pool);
    const one = await call("GET", "/api/v1/tenants/res-g/generations/1");
    expect(one.body).toMatchObject({ generation: 1, pinned: false, status: "kept", treeHash: expect.any(String) });
    expect((await call("POST", "/api/v1/tenants/res-g/generations/1/pin")).body).toMatchObject({ pinned: true });
    expect((await generations("res-g")).map((known) => known.pinned)).toEqual([false, true]);
    expect((await call("DELETE", "/api/v1/tenants/res-g/generations/1/pin")).body).toMatchObject({ pinned: false });
    expect((await call("POST", "/api/v1/tenants/res-g/generations/9/pin")).status).toBe(404);
    expect((await call("GET", "/api/v1/tenants/res-g/generations/0")).status).toBe(422);
  });

  it("are compared, page by page", async () => {
    const pool = await aPool("res-diff", { minSize: 1 });
    await withTwo("res-h", pool);
    const url = "/api/v1/tenants/res-h/generations/1/diff";
    const whole = await call<{ items: object[]; nextCursor: string | null }>("GET", url);
    expect(whole.body).toMatchObject({ from: 1, to: 2, nextCursor: null });
    expect(whole.body.items).toEqual(
      expect.arrayContaining([
        { path: "a.txt", kind: "file", change: "content", before: 3, after: 11 },
        { path: "b.txt", kind: "file", change: "added", before: null, after: 1 },
      ]),
    );
    const found: object[] = [];
    for (let cursor: string | null = ""; cursor !== null; ) {
      const next: string = cursor === "" ? "" : `&cursor=${cursor}`;
      const { body }: { body: typeof whole.body } = await call("GET", `${url}?to=2&limit=1${next}`);
      found.push(...body.items);
      cursor = body.nextCursor;
    }
    expect(found).toEqual(whole.body.items);
    expect((await call("GET", `${url}?to=9`)).status).toBe(404);
    expect((await call("GET", `${url}?cursor=abc`)).status).toBe(422);
  });
});

describe("an erasure", () => {
  it("ends with a listing of the bucket that is empty, and is recorded with it", async () => {
    const pool = await aPool("res-gone", { minSize: 1 });
    await claim("res-i", pool);
    await put("res-i", "large.bin", "x".repeat(200_000));
    await release("res-i");
    // What other vaults of the tenant keep lies under the same prefix.
    await env.BUCKET.put("tenants/res-i/specs/a/objects/1", "x");
    await env.BUCKET.put("tenants/res-ii/objects/1", "another's");
    const listed = async () => (await env.BUCKET.list({ prefix: "tenants/res-i/" })).objects.length;
    const before = await listed();
    expect(before).toBeGreaterThan(1);
    const { body } = await call<{ erased: { deleted: number; listed: number; at: string } }>(
      "POST",
      "/api/v1/tenants/res-i/destroy?wait=10s",
      { deleteData: true },
    );
    expect(body).toMatchObject({ state: "destroyed", erased: { deleted: expect.any(Number), listed: 0 } });
    expect(body.erased.deleted).toBeGreaterThanOrEqual(before);
    expect(await listed()).toBe(0);
    expect((await env.BUCKET.list({ prefix: "tenants/res-ii/" })).objects).toHaveLength(1);
    await eventually(async () => {
      const { results } = await env.DB.prepare(
        "SELECT detail FROM audit WHERE subject = 'tenant:res-i' AND action = 'tenant.destroyed'",
      ).all<{ detail: string }>();
      expect(JSON.parse(results[0]?.detail ?? "{}")).toMatchObject({
        erased: { deleted: expect.any(Number), listed: 0 },
      });
    });
    const vault = env.VAULT.getByName("res-i") as unknown as DurableObjectStub;
    const rows = await runInDurableObject(vault, (_, state) =>
      ["entries", "bodies", "generations", "staged", "saves"].map(
        (table) => state.storage.sql.exec(`SELECT 1 FROM ${table}`).toArray().length,
      ),
    );
    expect(rows).toEqual([0, 0, 0, 0, 0]);
  });
});
