import { describe, expect, it } from "vitest";
import { aPool, call, claim, release, request } from "../support/fleet.ts";

/** What a role may say in a request that it may send; which it may send at all is the matrix's business. */

async function keyFor(role: string, tenantId?: string): Promise<string> {
  const { body } = await call<{ key: string }>("POST", "/api/v1/keys", {
    name: role,
    role,
    ...(tenantId ? { tenantId } : {}),
  });
  return body.key;
}

async function as(key: string, method: string, path: string, body?: unknown) {
  const headers = { authorization: `Bearer ${key}`, "content-type": "application/json" };
  const response = await request(
    method,
    `/api/v1/tenants/${path}`,
    body === undefined ? undefined : JSON.stringify(body),
    headers,
  );
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
}

describe("an operator", () => {
  it("runs tenants, but gives them no config and no secrets, and forces nothing", async () => {
    const pool = await aPool("operated", { minSize: 2 });
    const key = await keyFor("operator");
    expect((await as(key, "POST", "op-a/claim", { poolId: pool, config: {} })).status).toBe(403);
    expect((await as(key, "POST", "op-a/claim", { poolId: pool, secrets: { A: "b" } })).status).toBe(403);
    expect((await as(key, "POST", "op-a/claim", { poolId: pool, allowFresh: true })).status).toBe(403);
    expect((await as(key, "POST", "op-a/claim?wait=10s", { poolId: pool })).status).toBe(201);
    expect((await as(key, "POST", "op-a/release", { sync: false })).status).toBe(403);
    expect((await as(key, "POST", "op-a/release", { force: true })).status).toBe(403);
    expect((await as(key, "POST", "op-a/restart", { force: true })).status).toBe(403);
    expect((await as(key, "GET", "op-a/config")).status).toBe(403);
    expect((await as(key, "GET", "op-a/export")).status).toBe(403);
    expect((await as(key, "POST", "op-a/destroy", {})).status).toBe(403);
    expect((await as(key, "POST", "op-a/release?wait=10s", {})).status).toBe(200);
  });
});

describe("a tenant", () => {
  it("starts and stops its own container only where its workload says so, and never another's", async () => {
    const closed = await aPool("closed", { minSize: 1 });
    const open = await aPool("open", { minSize: 2 }, { selfService: true });
    await claim("own-a", closed);
    await release("own-a");
    const a = await keyFor("tenant", "own-a");
    expect((await as(a, "POST", "own-a/claim", {})).status).toBe(403);
    expect((await as(a, "POST", "own-a/claim", { poolId: open })).status).toBe(403); // the pool that it has counts
    const b = await keyFor("tenant", "own-b");
    expect((await as(b, "POST", "own-b/claim?wait=10s", { poolId: open, config: { mine: true } })).status).toBe(201);
    expect((await as(b, "PUT", "own-b/secrets", { A: "b" })).status).toBe(200);
    expect((await as(b, "GET", "own-b/status")).body).toMatchObject({ state: "active" });
    expect((await as(b, "POST", "own-b/stop?wait=10s", {})).body).toMatchObject({ state: "asleep" });
    for (const path of ["own-a/status", "own-a/secrets", "nobody/status", "%E0%A4%A/status"]) {
      expect((await as(b, "GET", path)).status, path).toBe(404);
    }
    expect((await as(b, "PUT", "own-b/tier", { tier: "basic" })).status).toBe(403);
    expect((await as(b, "GET", "")).status).toBe(404);
  });

  it("sees itself alone in the list of tenants", async () => {
    const pool = await aPool("lonely", { minSize: 0 });
    await claim("lonely-a", pool);
    await claim("lonely-b", pool);
    const key = await keyFor("tenant", "lonely-a");
    const list = async () => {
      const response = await request("GET", "/api/v1/tenants", undefined, { authorization: `Bearer ${key}` });
      return (await response.json()) as { items: { tenantId: string }[] };
    };
    await expect.poll(async () => (await list()).items.map(({ tenantId }) => tenantId)).toEqual(["lonely-a"]);
  });
});
