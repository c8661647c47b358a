import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { aPool, call, claim, claimAtOnce, release, request, status } from "../support/fleet.ts";

const aWorkload = (id: string, more: object = {}) => ({ id, image: "sandbox", port: 8080, ...more });
const operationAt = (location: string | null) => call("GET", location ?? "/");

describe("workloads", () => {
  test("are registered once, found and listed with every default", async () => {
    const created = await call("POST", "/api/v1/workloads", aWorkload("w-one"));
    expect(created.status).toBe(201);
    expect(created.headers.get("location")).toBe("/api/v1/workloads/w-one");
    expect(created.body).toMatchObject({
      id: "w-one",
      name: "w-one",
      start: "on-boot",
      network: "restricted",
      version: 1,
    });
    expect((await call("GET", "/api/v1/workloads/w-one")).body).toEqual(created.body);
    const again = await call("POST", "/api/v1/workloads", aWorkload("w-one"));
    expect(again).toMatchObject({ status: 409, body: { code: "already_exists" } });
    expect((await call("GET", "/api/v1/workloads/w-nope")).status).toBe(404);
  });

  test("are listed in pages that miss nothing", async () => {
    for (const id of ["p-a", "p-b", "p-c"]) await call("POST", "/api/v1/workloads", aWorkload(id));
    const seen: string[] = [];
    let cursor: string | null = "";
    while (cursor !== null) {
      const path: string = `/api/v1/workloads?limit=2${cursor === "" ? "" : `&cursor=${cursor}`}`;
      const page = await call<{ items: { id: string }[]; nextCursor: string | null }>("GET", path);
      expect(page.body.items.length).toBeLessThanOrEqual(2);
      seen.push(...page.body.items.map((item) => item.id));
      cursor = page.body.nextCursor;
    }
    expect(seen).toEqual([...new Set(seen)].sort());
    expect(seen).toEqual(expect.arrayContaining(["p-a", "p-b", "p-c"]));
  });

  test("with a config schema that means nothing are refused", async () => {
    const workload = aWorkload("w-schema", { configSchema: { type: "nonsense" } });
    const refused = await call("POST", "/api/v1/workloads", workload);
    expect(refused).toMatchObject({ status: 422, body: { errors: [{ pointer: "/configSchema/type" }] } });
  });
});

describe("pools", () => {
  test("need a workload that exists, and an id that is free", async () => {
    const refused = await call("POST", "/api/v1/pools", { id: "x", workloadId: "nope", maxSize: 1 });
    expect(refused).toMatchObject({ status: 404, body: { code: "not_found" } });
    const id = await aPool("pool-once", { minSize: 0 });
    expect((await call("POST", "/api/v1/pools", { id, workloadId: id, maxSize: 1 })).status).toBe(409);
  });

  test("say how they are, one by one and in the list", async () => {
    const id = await aPool("pool-view", { minSize: 1, maxSize: 3 });
    const one = await call("GET", `/api/v1/pools/${id}`);
    expect(one.body).toMatchObject({ id, workloadId: id, minSize: 1, maxSize: 3, warm: 1, claimed: 0, tier: "lite" });
    const list = await call<{ items: { id: string }[] }>("GET", "/api/v1/pools?limit=200");
    expect(list.body.items.find((item) => item.id === id)).toEqual(one.body);
    expect((await call("GET", "/api/v1/pools/nope")).status).toBe(404);
  });
});

describe("a claim", () => {
  test("of an unknown pool is 404, and leaves no tenant behind", async () => {
    expect(await claim("lost", "no-such-pool")).toMatchObject({ status: 404, body: { code: "not_found" } });
    expect((await status("lost")).status).toBe(404);
  });

  test("checks the config against the workload's schema, also when it leaves out the pool", async () => {
    const configSchema = { type: "object", properties: { model: { type: "string" } }, required: ["model"] };
    const pool = await aPool("configured", { minSize: 1 }, { configSchema });
    const refused = await claim("config", pool, { config: { model: 1 } });
    expect(refused).toMatchObject({ status: 422, body: { errors: [{ pointer: "/config/model" }] } });
    expect((await claim("config", pool, { config: { model: "x" } })).status).toBe(201);
    expect((await claim("config", undefined, { config: {} })).status).toBe(422);
    expect((await claim("config", undefined, { config: { model: "y" } })).body).toMatchObject({ pendingRestart: true });
  });

  test("says where, how and from what, and again what there is", async () => {
    const pool = await aPool("shapes", { minSize: 1 });
    const first = await claim("shaped", pool);
    expect(first.status).toBe(201);
    expect(first.body).toMatchObject({
      tenantId: "shaped",
      poolId: pool,
      state: "active",
      launch: "warm",
      epoch: 1,
      endpoints: { http: "http://shaped.localhost:8787", ws: "ws://shaped.localhost:8787" },
      restored: null,
    });
    for (const ms of Object.values(first.body.timings)) expect(typeof ms).toBe("number");
    const container = await call("GET", `/api/v1/containers/${first.body.containerId}`);
    expect(container.body).toMatchObject({
      id: first.body.containerId,
      poolId: pool,
      tenantId: "shaped",
      tier: "lite",
    });
    const again = await claim("shaped");
    expect(again).toMatchObject({ status: 200, body: { launch: "existing", containerId: first.body.containerId } });
    const other = await aPool("shapes-other", { minSize: 0 });
    expect(await claim("shaped", other)).toMatchObject({ status: 409, body: { code: "claimed_elsewhere" } });
  });

  test("with no time to wait is 202, and its operation tells the end", async () => {
    const pool = await aPool("later", { minSize: 0 });
    const pending = await call("POST", "/api/v1/tenants/patient/claim?wait=0s", { poolId: pool });
    expect(pending).toMatchObject({ status: 202, body: { tenantId: "patient", state: "claiming" } });
    const location = pending.headers.get("location");
    await expect.poll(async () => (await operationAt(location)).body.status).toBe("succeeded");
    const ended = await operationAt(location);
    expect(ended.body).toMatchObject({
      kind: "claim",
      tenantId: "patient",
      result: { launch: "cold", state: "active" },
    });
    expect(ended.body.startedAt).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
  });

  test("that finds no room is 503 with Retry-After", async () => {
    const pool = await aPool("full", { minSize: 0, maxSize: 1 });
    await claim("inside", pool);
    const refused = await claimAtOnce("outside", pool);
    expect(refused).toMatchObject({ status: 503, body: { code: "capacity_exhausted" } });
    expect(Number(refused.headers.get("retry-after"))).toBeGreaterThan(0);
  });
});

describe("a release", () => {
  test("without a body saves, and again changes nothing", async () => {
    await claim("plain", await aPool("plain-release"));
    const response = await request("POST", "/api/v1/tenants/plain/release?wait=10s");
    expect([response.status, await response.json()]).toMatchObject([200, { tenantId: "plain", state: "idle" }]);
    expect((await release("plain")).status).toBe(200);
  });

  test("of a tenant never seen is 404, whatever its body", async () => {
    const missing = "/api/v1/tenants/never-seen/release";
    expect((await call("POST", missing)).status).toBe(404);
    const headers = { "content-type": "application/json" };
    expect((await request("POST", missing, "{", headers)).status).toBe(404);
    expect((await request("POST", missing, '{"colour":1}', headers)).status).toBe(404);
  });
});

describe("status and operations", () => {
  test("of what was never there are 404", async () => {
    expect(await status("never")).toMatchObject({ status: 404, body: { code: "not_found" } });
    expect((await call("GET", "/api/v1/operations/op-00.bmV2ZXI")).status).toBe(404);
    expect((await call("GET", "/api/v1/containers/c-aaaaaaaaaaaaaaaaaaaa")).status).toBe(404);
  });

  test("speak ISO 8601, and name the host", async () => {
    await claim("timed", await aPool("times"));
    const { body } = await status("timed");
    expect(body).toMatchObject({ host: "timed.localhost", assigned: true, assignment: "assigned", state: "active" });
    for (const time of [body.lastActivityAt, body.unsavedSince]) {
      expect(time === null || !Number.isNaN(Date.parse(time as string))).toBe(true);
      expect(typeof time).not.toBe("number");
    }
  });
});

describe("readiness", () => {
  test("needs no key and says on what runtime", async () => {
    const response = await request("GET", "/ready", undefined, { authorization: "" });
    expect([response.status, await response.json()]).toEqual([200, { ready: true, runtime: "simulated", missing: [] }]);
  });

  test("finds every table of the registry strict", async () => {
    const { results } = await env.DB.prepare("PRAGMA table_list").all<{ name: string; strict: number }>();
    const tables = results.filter(({ name }) => ["workloads", "pools", "tenant_hosts"].includes(name));
    expect(tables.map(({ strict }) => strict)).toEqual([1, 1, 1]);
  });
});
