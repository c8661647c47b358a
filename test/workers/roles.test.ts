import { describe, expect, it } from "vitest";
import { aPool, call, claim, release, request } from "../support/fleet.ts";
import { aTar } from "./vault-kit.ts";

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

  it("moves its own state where its workload lets it, and forces nothing", async () => {
    const closed = await aPool("state-closed", { minSize: 1 });
    const open = await aPool("state-open", { minSize: 1 }, { selfService: true });
    for (const [tenant, pool] of [
      ["own-c", closed],
      ["own-d", open],
    ] as const) {
      await claim(tenant, pool);
      await release(tenant);
    }
    const c = await keyFor("tenant", "own-c");
    const d = await keyFor("tenant", "own-d");
    const importing = async (key: string, path: string) => {
      const headers = { authorization: `Bearer ${key}`, "content-type": "application/x-tar" };
      const response = await request("POST", `/api/v1/tenants/${path}`, aTar([{ path: "a", content: "a" }]), headers);
      await response.text();
      return response.status;
    };
    expect(await importing(c, "own-c/import")).toBe(403);
    expect(await importing(d, "own-d/import?force=true")).toBe(403);
    expect(await importing(d, "own-c/import")).toBe(404);
    expect(await importing(await keyFor("operator"), "own-d/import")).toBe(403);
    expect(await importing(d, "own-d/import")).toBe(200);
    expect((await as(c, "POST", "own-c/restore", { generation: 1 })).status).toBe(403);
    expect((await as(d, "POST", "own-d/restore", { generation: 1, force: true })).status).toBe(403);
    expect((await as(d, "POST", "own-d/restore?wait=10s", { generation: 1 })).status).toBe(200);
    expect((await as(d, "POST", "own-d/clone", { to: "own-e" })).status).toBe(403);
    expect((await as(d, "POST", "own-d/generations/1/pin")).status).toBe(403);
    expect((await as(d, "GET", "own-d/generations/1/diff")).status).toBe(200);
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
