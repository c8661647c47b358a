import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { describe, expect, it } from "vitest";
import {
  aPool,
  call,
  claim,
  env,
  eventually,
  get,
  put,
  release,
  request,
  simulation,
  status,
} from "../support/fleet.ts";

const act = (tenant: string, action: string, body: object = {}, wait = "10s") =>
  call<Record<string, never>>("POST", `/api/v1/tenants/${tenant}/${action}?wait=${wait}`, body);
const setting = (tenant: string, path: string, body: unknown) => call("PUT", `/api/v1/tenants/${tenant}/${path}`, body);
const settings = (tenant: string) => call("GET", `/api/v1/tenants/${tenant}`);

const withHeaders = async (method: string, path: string, body: unknown, headers: Record<string, string>) => {
  const response = await request(method, path, JSON.stringify(body), {
    "content-type": "application/json",
    ...headers,
  });
  return {
    status: response.status,
    body: (await response.json()) as Record<string, unknown>,
    headers: response.headers,
  };
};

describe("a tenant that is stopped and started", () => {
  it("keeps its files through both, under a new epoch, and a stop may be asked for twice", async () => {
    const pool = await aPool("stops", { minSize: 2 });
    await claim("stopper", pool);
    await put("stopper", "a.txt", "kept");
    expect((await act("stopper", "stop")).body).toMatchObject({ state: "asleep", saved: { generation: 1, files: 1 } });
    expect((await act("stopper", "stop")).body).toMatchObject({ state: "asleep", saved: null });
    expect((await status("stopper")).body).toMatchObject({ stoppedReason: "user", health: "stopped" });
    expect((await act("stopper", "start")).body).toMatchObject({ state: "active", epoch: 2 });
    expect(await (await get("stopper", "a.txt")).text()).toBe("kept");
    await release("stopper");
    expect((await act("stopper", "stop")).body).toMatchObject({ state: "idle" });
    expect((await act("stopper", "start")).body).toMatchObject({ state: "active", epoch: 3 });
  });

  it("answers 202 with its operation when nobody waits", async () => {
    const pool = await aPool("stops-later");
    await claim("later", pool);
    const { status: code, body, headers } = await act("later", "stop", {}, "0s");
    expect(code).toBe(202);
    expect(body).toMatchObject({ state: "sleeping", operation: { kind: "sleep", status: "running" } });
    await eventually(async () =>
      expect((await call("GET", headers.get("location") ?? "")).body).toMatchObject({ status: "succeeded" }),
    );
  });
});

describe("a restart", () => {
  it("of the process keeps container, epoch and files that nobody saved", async () => {
    const pool = await aPool("restarts");
    const { body: before } = await claim("again", pool);
    await put("again", "unsaved.txt", "x");
    const { body } = await act("again", "restart", { scope: "process" });
    expect(body).toMatchObject({ state: "active", containerId: before.containerId, epoch: 1, saved: null });
    expect((await get("again", "unsaved.txt")).status).toBe(200);
    expect((await status("again")).body).toMatchObject({ generation: 0 });
  });

  it("of the container saves, and goes on with the same files in another one", async () => {
    const pool = await aPool("moves", { minSize: 2 });
    const { body: before } = await claim("mover", pool);
    await put("mover", "a.txt", "moved");
    const { status: code, body } = await act("mover", "restart", { scope: "container" });
    expect(code).toBe(200);
    expect(body).toMatchObject({ state: "active", epoch: 2, saved: { generation: 1, files: 1 } });
    expect(body.containerId).not.toBe(before.containerId);
    expect(await (await get("mover", "a.txt")).text()).toBe("moved");
  });

  it("of the image passes over warm containers of an earlier version of the workload", async () => {
    const pool = await aPool("images", { minSize: 1 });
    await claim("upgraded", pool);
    await eventually(async () => expect((await call("GET", `/api/v1/pools/${pool}`)).body).toMatchObject({ warm: 1 }));
    const { body: workload } = await call("GET", "/api/v1/workloads/images");
    const { version: _, createdAt: __, updatedAt: ___, pools: ____, ...spec } = workload;
    const put = await call("PUT", "/api/v1/workloads/images", { ...spec, environment: { COLOUR: "green" } });
    expect(put.body).toMatchObject({ version: 2 });
    expect((await act("upgraded", "restart", { scope: "image" })).body).toMatchObject({ state: "active", epoch: 2 });
    expect((await status("upgraded")).body).toMatchObject({ version: 2 });
  });

  it("whose save fails keeps the container, says why, and is tried again", async () => {
    const pool = await aPool("unsaved", { minSize: 2 });
    const { body: before } = await claim("clinging", pool);
    await put("clinging", "a.txt", "x");
    simulation.for(before.containerId).fail("manifest");
    const failed = await act("clinging", "restart", { scope: "container" });
    expect(failed.status).toBeGreaterThanOrEqual(400);
    expect((await status("clinging")).body).toMatchObject({ state: "release_failed", containerId: before.containerId });
    await eventually(async () => {
      expect((await status("clinging")).body).toMatchObject({ state: "active", epoch: 2, generation: 1 });
    }, 8_000);
    expect(await (await get("clinging", "a.txt")).text()).toBe("x");
  });

  it("by force goes on without what could not be saved, and says what was lost", async () => {
    const pool = await aPool("forces", { minSize: 2 });
    const { body: before } = await claim("forced", pool);
    await put("forced", "a.txt", "lost");
    simulation.for(before.containerId).fail("manifest");
    expect((await act("forced", "restart", { force: true })).body).toMatchObject({ state: "active", saved: null });
    expect((await status("forced")).body).toMatchObject({ lastLoss: { containerId: before.containerId } });
    expect((await get("forced", "a.txt")).status).toBe(404);
  });
});

describe("a save of a running tenant", () => {
  it("commits a generation, and the workload runs on in the same container", async () => {
    const pool = await aPool("syncs");
    const { body: before } = await claim("running", pool);
    await put("running", "a.txt", "1");
    expect((await act("running", "sync", { direction: "outward" })).body).toMatchObject({
      state: "active",
      containerId: before.containerId,
      epoch: 1,
      saved: { generation: 1, files: 1, changed: 1 },
    });
    await put("running", "b.txt", "2");
    expect((await act("running", "sync", { direction: "both" })).body).toMatchObject({
      saved: { generation: 2, files: 2, changed: 1 },
    });
    simulation.for(before.containerId).crash();
    await claim("running");
    expect(await (await get("running", "b.txt")).text()).toBe("2");
  });

  it("inward moves the tenant to a fresh container on what was just saved", async () => {
    const pool = await aPool("inward", { minSize: 2 });
    const { body: before } = await claim("inwards", pool);
    await put("inwards", "a.txt", "1");
    const { body } = await act("inwards", "sync", { direction: "inward" });
    expect(body).toMatchObject({ state: "active", epoch: 2, saved: { generation: 1 } });
    expect(body.containerId).not.toBe(before.containerId);
  });

  it("has nothing to do for a tenant that is not running, and refuses words that it does not know", async () => {
    const pool = await aPool("quiet");
    await claim("quiet", pool);
    await release("quiet");
    expect((await act("quiet", "sync", { direction: "outward" })).body).toMatchObject({ state: "idle", saved: null });
    expect((await act("quiet", "sync", { direction: "sideways" })).status).toBe(422);
    expect((await act("nobody", "sync", { direction: "sideways" })).status).toBe(404);
  });

  it("and a release that comes meanwhile waits for it", async () => {
    const pool = await aPool("overlap");
    const { body: before } = await claim("overlap", pool);
    await put("overlap", "a.txt", "1");
    simulation.for(before.containerId).slow("manifest", 300);
    const [synced, released] = await Promise.all([
      act("overlap", "sync", { direction: "outward" }),
      release("overlap"),
    ]);
    expect(synced.body).toMatchObject({ saved: { generation: 1 } });
    expect(released.body).toMatchObject({ state: "idle" });
    expect((await status("overlap")).body).toMatchObject({ state: "idle", unsavedSince: null });
  });
});

describe("a suspended tenant", () => {
  it("is saved, refused to everyone, and comes back with its files", async () => {
    const pool = await aPool("suspends", { minSize: 2 });
    await claim("sus", pool);
    await put("sus", "a.txt", "x");
    expect((await act("sus", "suspend", { reason: "unpaid" })).body).toMatchObject({ state: "suspended" });
    expect((await status("sus")).body).toMatchObject({
      state: "suspended",
      generation: 1,
      suspended: { actor: "admin-key", reason: "unpaid" },
    });
    const refused = await claim("sus");
    expect(refused).toMatchObject({ status: 403, body: { code: "suspended" } });
    expect((await act("sus", "start")).body).toMatchObject({ code: "suspended" });
    expect((await get("sus", "a.txt")).status).toBe(403);
    expect((await act("sus", "resume")).body).toMatchObject({ state: "asleep" });
    expect(await (await get("sus", "a.txt")).text()).toBe("x");
  });
});

describe("a destroyed tenant", () => {
  it("is gone with its container and secrets; what was saved is kept, and a claim brings it back", async () => {
    const pool = await aPool("destroys", { minSize: 2 });
    const { body: before } = await claim("doomed", pool, { config: { a: 1 }, secrets: { TOKEN: "t".repeat(20) } });
    await put("doomed", "a.txt", "x");
    expect((await act("doomed", "destroy")).body).toMatchObject({ state: "destroyed" });
    await eventually(async () =>
      expect((await call("GET", `/api/v1/containers/${before.containerId}`)).status).toBe(404),
    );
    expect((await call("GET", "/api/v1/tenants/doomed/secrets")).body).toMatchObject({ items: [] });
    expect((await act("doomed", "destroy")).body).toMatchObject({ state: "destroyed" });
    expect((await claim("doomed", pool)).body).toMatchObject({ restored: { generation: 1, files: 1 } });
    expect(await (await get("doomed", "a.txt")).text()).toBe("x");
  });

  it("with its data leaves nothing in the vault or the bucket", async () => {
    const pool = await aPool("erases", { minSize: 2 });
    await claim("erased", pool);
    await put("erased", "large.bin", "x".repeat(100_000));
    await release("erased");
    expect((await env.BUCKET.list({ prefix: "tenants/erased/" })).objects).toHaveLength(1);
    expect((await call("DELETE", "/api/v1/tenants/erased?deleteData=true&wait=10s")).body).toMatchObject({
      state: "destroyed",
    });
    expect((await env.BUCKET.list({ prefix: "tenants/erased/" })).objects).toEqual([]);
    const vault = env.VAULT.getByName("erased") as unknown as DurableObjectStub;
    const rows = await runInDurableObject(vault, (_, state) =>
      ["entries", "generations", "bodies", "saves"].map(
        (table) => state.storage.sql.exec(`SELECT * FROM ${table}`).toArray().length,
      ),
    );
    expect(rows).toEqual([0, 0, 0, 0]);
    expect((await claim("erased", pool)).body).toMatchObject({ restored: null, state: "active" });
  });

  it("is destroyed from the middle of a claim, too, and nothing of it stays", async () => {
    const pool = await aPool("interrupted", { minSize: 1 });
    simulation.every.slow("claim", 1_500);
    const claiming = claim("caught", pool);
    await eventually(async () => expect((await status("caught")).body).toMatchObject({ state: "claiming" }));
    expect((await act("caught", "destroy")).body).toMatchObject({ state: "destroyed" });
    const { body } = await call<{ items: { tenantId?: string }[] }>("GET", `/api/v1/pools/${pool}/containers`);
    expect(body.items.filter(({ tenantId }) => tenantId === "caught")).toEqual([]);
    expect((await claiming).status).toBe(409);
  });
});

describe("what is set about a tenant", () => {
  it("has versions of config: ETag, If-Match, history, rollback, and the workload's schema", async () => {
    const configSchema = { type: "object", properties: { size: { type: "integer" } }, required: ["size"] };
    const pool = await aPool("configs", { minSize: 2 }, { configSchema });
    await claim("conf", pool, { config: { size: 1 } });
    expect((await setting("conf", "config", { size: "big" })).body).toMatchObject({
      code: "invalid",
      errors: [{ pointer: "/size" }],
    });
    const second = await setting("conf", "config", { size: 2 });
    expect(second.body).toMatchObject({ version: 2, config: { size: 2 }, pendingRestart: true });
    expect(second.headers.get("etag")).toBe('"2"');
    const path = "/api/v1/tenants/conf/config";
    expect(await withHeaders("PUT", path, { size: 3 }, { "if-match": '"1"' })).toMatchObject({
      status: 412,
      body: { code: "version_mismatch" },
    });
    expect((await withHeaders("PUT", path, { size: 3 }, { "if-match": '"2"' })).body).toMatchObject({ version: 3 });
    expect((await call("POST", `${path}/rollback`, { version: 1 })).body).toMatchObject({
      version: 4,
      config: { size: 1 },
    });
    expect((await call("POST", `${path}/rollback`, { version: 9 })).status).toBe(404);
    const { body } = await call<{ items: { version: number; actor: string }[] }>("GET", `${path}/versions`);
    expect(body.items.map(({ version }) => version)).toEqual([4, 3, 2, 1]);
    expect(body.items[0]?.actor).toBe("admin-key");
    await act("conf", "restart", { scope: "container" });
    expect((await settings("conf")).body).toMatchObject({ configVersion: 4, pendingRestart: false, configValid: true });
    const { body: workload } = await call("GET", "/api/v1/workloads/configs");
    const { version: _, createdAt: __, updatedAt: ___, pools: ____, ...spec } = workload;
    const stricter = { ...configSchema, properties: { size: { type: "integer", minimum: 5 } } };
    await call("PUT", "/api/v1/workloads/configs", { ...spec, configSchema: stricter });
    expect((await settings("conf")).body).toMatchObject({ configValid: false, configErrors: [{ pointer: "/size" }] });
    expect((await status("conf")).body).toMatchObject({ state: "active" });
  });

  it("has secrets that never come back, one by one or all at once", async () => {
    const pool = await aPool("secrets");
    await claim("keeper", pool, { secrets: { OLD: "0123456789abcdef-tail" } });
    const long = "a-long-secret-value-1234";
    expect((await setting("keeper", "secrets", { TOKEN: long, SHORT: "pin" })).body).toMatchObject({
      items: [
        { name: "SHORT", masked: "••••" },
        { name: "TOKEN", masked: "••••1234" },
      ],
      version: 2,
      pendingRestart: true,
    });
    expect((await setting("keeper", "secrets", { TOKEN: long, SHORT: "pin" })).body).toMatchObject({ version: 2 });
    expect((await setting("keeper", "secrets/EXTRA", { value: "x" })).body).toMatchObject({ version: 3 });
    expect((await call("DELETE", "/api/v1/tenants/keeper/secrets/TOKEN")).body).toMatchObject({
      items: [{ name: "EXTRA" }, { name: "SHORT" }],
      version: 4,
    });
    expect((await call("DELETE", "/api/v1/tenants/keeper/secrets/TOKEN")).status).toBe(404);
    expect((await setting("keeper", "secrets", { "../x": "y" })).status).toBe(422);
    const everything = JSON.stringify([(await settings("keeper")).body, (await status("keeper")).body]);
    expect(everything).not.toContain(long);
  });

  it("has a tier that applies at the next start, and keeps the data", async () => {
    const pool = await aPool("tiers", { minSize: 1 });
    await claim("tiered", pool);
    await put("tiered", "a.txt", "x");
    expect((await setting("tiered", "tier", { tier: "basic" })).body).toMatchObject({ pendingRestart: true });
    expect((await status("tiered")).body).toMatchObject({ tier: "lite", pendingTier: "basic" });
    await act("tiered", "restart", { scope: "container" });
    const { body } = await status("tiered");
    expect(body).toMatchObject({ tier: "basic", state: "active" });
    expect(body.pendingTier).toBeUndefined();
    expect(await (await get("tiered", "a.txt")).text()).toBe("x");
    expect((await setting("tiered", "tier", { tier: "huge" })).status).toBe(422);
  });

  it("has a lifecycle: an always-on tenant stays stopped when somebody stopped it, and wakes when it is made so", async () => {
    const pool = await aPool("cycles", { minSize: 1, idleTimeoutMs: 1_000 });
    await claim("steady", pool);
    expect((await setting("steady", "lifecycle", { mode: "always-on" })).status).toBe(200);
    expect((await setting("steady", "lifecycle", { mode: "scheduled" })).status).toBe(422);
    await act("steady", "stop");
    await runDurableObjectAlarm(env.TENANT.getByName("steady") as unknown as DurableObjectStub);
    expect((await status("steady")).body).toMatchObject({ state: "asleep", stoppedReason: "user" });
    await act("steady", "start");
    expect((await status("steady")).body).toMatchObject({ state: "active" });
    await setting("steady", "lifecycle", { mode: "on-demand" });
    await act("steady", "stop");
    await setting("steady", "lifecycle", { mode: "always-on" });
    await eventually(async () => expect((await status("steady")).body).toMatchObject({ state: "active" }));
  });
});

describe("the tiers", () => {
  it("are listed with what they cost", async () => {
    const { body } = await call<{ items: object[] }>("GET", "/api/v1/tiers");
    expect(body.items).toHaveLength(6);
    expect(body.items[1]).toMatchObject({ tier: "basic", memoryGiB: 1, cap: 100, useCase: expect.any(String) });
  });
});

describe("the list of tenants", () => {
  it("shows each soon after its change, by search, state, pool, order and page", async () => {
    const pool = await aPool("lists", { minSize: 0, maxSize: 10 });
    for (const name of ["list-a", "list-b", "list-c"]) await claim(name, pool);
    await release("list-b");
    const list = (query: string) =>
      call<{ items: { tenantId: string; state: string }[]; nextCursor: string | null }>(
        "GET",
        `/api/v1/tenants?poolId=${pool}&${query}`,
      );
    await eventually(async () =>
      expect((await list("")).body.items).toMatchObject([
        { tenantId: "list-a", state: "active" },
        { tenantId: "list-b", state: "idle" },
        { tenantId: "list-c", state: "active" },
      ]),
    );
    const ids = async (query: string) => (await list(query)).body.items.map(({ tenantId }) => tenantId);
    expect(await ids("state=idle")).toEqual(["list-b"]);
    expect(await ids("q=T-C")).toEqual(["list-c"]);
    expect((await ids("sort=updatedAt"))[0]).toBe("list-b");
    const first = (await list("limit=2")).body;
    expect(first.items).toHaveLength(2);
    expect(await ids(`limit=2&cursor=${first.nextCursor}`)).toEqual(["list-c"]);
    const newest = (await list("limit=1&sort=updatedAt")).body;
    expect(await ids(`limit=5&sort=updatedAt&cursor=${newest.nextCursor}`)).toHaveLength(2);
    expect((await list("cursor=%21")).status).toBe(422);
  });
});

describe("what is saved of a tenant", () => {
  it("is listed by generation and exported as a tar, without waking anything", async () => {
    const pool = await aPool("exports");
    await claim("exporter", pool);
    await put("exporter", "a.txt", "exported");
    await release("exporter");
    expect((await call("GET", "/api/v1/tenants/exporter/generations")).body).toMatchObject({
      items: [{ generation: 1, status: "head", files: 1, bytes: 8, pinned: false, epoch: 1 }],
    });
    const response = await request("GET", "/api/v1/tenants/exporter/export");
    expect(response.headers.get("content-type")).toBe("application/x-tar");
    const tar = await response.text();
    expect(tar).toContain("tree/a.txt");
    expect(tar).toContain("exported");
    expect((await call("GET", "/api/v1/tenants/exporter/export?generation=7")).status).toBe(404);
    expect((await status("exporter")).body).toMatchObject({ state: "idle" });
  });
});
