import { SignJWT } from "jose";
import { beforeAll, describe, expect, test } from "vitest";
import { aPool, call, claim, put, release, remove, request } from "../support/fleet.ts";
import { aCode, acceptTokens, aKey, aTicket, bearer, hostOf, JWT, open, visit } from "../support/visitors.ts";

/** Ways around what a role may do, and around the end of a tenant. */
acceptTokens();

const asked = async (key: string, method: string, path: string, body?: object) => {
  const response = await request(method, path, body === undefined ? undefined : JSON.stringify(body), {
    authorization: `Bearer ${key}`,
    "content-type": "application/json",
  });
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
};

test("a tenant that may start itself in its pool does not move to another pool", async () => {
  const own = await aPool("hop-own", {}, { selfService: true });
  const other = await aPool("hop-other");
  expect((await claim("hopper", own)).status).toBe(201);
  expect((await release("hopper")).status).toBe(200);
  const key = await aKey("tenant", "hopper");
  const hop = (poolId: string) => asked(key, "POST", "/api/v1/tenants/hopper/claim?wait=10s", { poolId });
  expect(await hop(other)).toMatchObject({ status: 403, body: { code: "forbidden" } });
  expect((await hop(own)).status).toBe(201);
});

describe("a tenant that an operator suspends", () => {
  test("does not call that off where its save fails", async () => {
    const pool = await aPool("evader", { minSize: 1 }, { selfService: true });
    expect((await claim("evader", pool)).status).toBe(201);
    for (const name of ["a", "b", "c", "d"]) await put("evader", name, "x");
    expect((await call("POST", "/api/v1/tenants/evader/sync?wait=10s", { direction: "outward" })).status).toBe(200);
    for (const name of ["a", "b", "c"]) await remove("evader", name);
    const suspended = await call("POST", "/api/v1/tenants/evader/suspend?wait=10s", { reason: "unpaid" });
    expect(suspended).toMatchObject({ status: 409, body: { code: "guard_blocked" } });
    const key = await aKey("tenant", "evader");
    for (const action of ["claim", "start", "stop", "restart", "release"]) {
      const evading = await asked(key, "POST", `/api/v1/tenants/evader/${action}?wait=10s`, {});
      expect(evading, action).toMatchObject({ status: 403, body: { code: "suspended" } });
    }
    expect((await call("GET", "/api/v1/tenants/evader/status")).body).toMatchObject({
      state: "release_failed",
      suspended: { reason: "unpaid" },
    });
  });
});

test("no operator is named to a tenant", async () => {
  const pool = await aPool("unnamed");
  expect((await claim("unnamed", pool, { config: { a: 1 } })).status).toBe(201);
  expect((await call("POST", "/api/v1/tenants/unnamed/suspend?wait=10s", {})).status).toBe(200);
  const key = await aKey("tenant", "unnamed");
  const actor = "operator";
  expect(await asked(key, "GET", "/api/v1/tenants/unnamed/status")).toMatchObject({ body: { suspended: { actor } } });
  expect(await asked(key, "GET", "/api/v1/tenants/unnamed/config")).toMatchObject({ body: { actor } });
  const versions = await asked(key, "GET", "/api/v1/tenants/unnamed/config/versions");
  expect(versions).toMatchObject({ body: { items: [{ actor }] } });
  const viewer = await asked(await aKey("viewer"), "GET", "/api/v1/tenants/unnamed/status");
  expect(viewer).toMatchObject({ body: { suspended: { actor: "admin-key" } } });
});

test("a browser that looks ahead does not use up a code", async () => {
  expect((await claim("ahead", await aPool("ahead"))).status).toBe(201);
  const { body } = await aCode("ahead");
  const ahead = await visit(body.url, { headers: { "sec-purpose": "prefetch;prerender" } });
  expect([ahead.status, ahead.headers.get("set-cookie")]).toEqual([400, null]);
  expect((await visit(body.url)).status).toBe(303);
});

describe("of a destroyed tenant", () => {
  beforeAll(async () => {
    const pool = await aPool("gone", { minSize: 2 });
    expect((await claim("gone", pool, { config: { plan: "the first one's" } })).status).toBe(201);
  });

  test("neither config nor code is left for whoever gets its id", async () => {
    const { body: issued } = await aCode("gone", { ttlMs: 300_000 });
    const { body: ticket } = await aTicket("gone", { ttlMs: 300_000 });
    expect((await call("POST", "/api/v1/tenants/gone/destroy?wait=10s", { deleteData: true })).status).toBe(200);
    expect((await call("GET", "/api/v1/tenants/gone/config")).status).toBe(404);
    expect((await call("GET", "/api/v1/tenants/gone/config/versions")).body).toMatchObject({ items: [] });

    expect((await claim("gone", "gone")).status).toBe(201);
    expect((await call("GET", "/api/v1/tenants/gone/config/versions")).body).toMatchObject({ items: [] });
    expect((await call("POST", "/api/v1/tenants/gone/config/rollback", { version: 1 })).status).toBe(404);
    const entered = await visit(issued.url);
    expect([entered.status, entered.headers.get("set-cookie")]).toEqual([401, null]);
    const socket = await visit(hostOf("gone", "/echo"), {
      headers: { upgrade: "websocket", "sec-websocket-protocol": ticket.protocol },
    });
    if (socket.webSocket) open(socket).socket.close();
    expect(socket.status).toBe(401);
    expect((await call("PUT", "/api/v1/tenants/gone/config", { plan: "new" })).body).toMatchObject({ version: 2 });
  });
});

describe("a token whose end is no whole number of seconds, or far away", () => {
  const jwt = (exp: number) =>
    new SignJWT({ tid: "timely", ver: 1, sub: "user-1", iss: JWT.issuer, aud: JWT.audience, exp })
      .setProtectedHeader({ alg: "HS256" })
      .sign(new TextEncoder().encode(JWT.secret));
  beforeAll(async () => {
    expect((await claim("timely", await aPool("timely"))).status).toBe(201);
  });

  test.each([
    ["a fraction", Date.now() / 1_000 + 60.123_456],
    ["milliseconds", Date.now() + 60_000],
    ["beyond all dates", 1e17],
  ])("%s", async (_, exp) => {
    const token = await jwt(exp);
    expect(await asked(token, "GET", "/api/v1/whoami")).toMatchObject({ status: 200 });
    expect((await visit(hostOf("timely", "/whoami"), bearer(token))).status).toBe(200);
  });
});

test("what does not fit in a config is told to those who may read it", async () => {
  const pool = await aPool("misfit");
  expect((await claim("misfit", pool, { config: { pin: 4711, "sk-of-ann": 1 } })).status).toBe(201);
  const { body: workload } = await call("GET", "/api/v1/workloads/misfit");
  const { version: _, createdAt: __, updatedAt: ___, pools: ____, ...spec } = workload;
  const schema = { type: "object", properties: { pin: { type: "number", maximum: 9 } }, additionalProperties: false };
  const put = await call("PUT", "/api/v1/workloads/misfit", { ...spec, configSchema: schema });
  expect(put.status, JSON.stringify(put.body)).toBe(200);
  const seen = async (key: string) => JSON.stringify(await asked(key, "GET", "/api/v1/tenants/misfit"));
  const own = await aKey("tenant", "misfit");
  await expect.poll(() => seen(own), { timeout: 10_000 }).toContain("sk-of-ann");
  for (const role of ["operator", "viewer"] as const) {
    const text = await seen(await aKey(role));
    expect(text).toContain('"configValid":false');
    expect(text).not.toMatch(/4711|sk-of-ann/);
  }
});
