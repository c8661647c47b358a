import { beforeAll, describe, expect, test } from "vitest";
import { aPool, call, claim, env, request } from "../support/fleet.ts";
import { aCode, aKey, bearer, cookieOf, visit } from "../support/visitors.ts";

/** Hosts of tenants' own, registered over the API and served by the proxy. */
const ADMIN = bearer("test-admin-key-0123456789");

beforeAll(async () => {
  const pool = await aPool("domains", { minSize: 2 });
  for (const tenant of ["olga", "paul"]) expect((await claim(tenant, pool)).status).toBe(201);
});

const register = (host: string, tenantId = "olga") => call("POST", "/api/v1/domains", { host, tenantId });
const audited = async (host: string) => {
  const { results } = await env.DB.prepare("SELECT action, actor, detail FROM audit WHERE subject = ? ORDER BY id")
    .bind(`domain:${host}`)
    .all<{ action: string; actor: string; detail: string }>();
  return results.map(({ action, actor, detail }) => [action, actor, JSON.parse(detail).tenantId]);
};

describe("a domain", () => {
  test("is registered, found, listed and deleted, each change recorded once", async () => {
    const created = await register("shop.example.com");
    expect(created.status).toBe(201);
    expect(created.headers.get("location")).toBe("/api/v1/domains/shop.example.com");
    expect(created.body).toMatchObject({ host: "shop.example.com", tenantId: "olga" });
    expect((await call("GET", "/api/v1/domains/shop.example.com")).body).toEqual(created.body);
    const again = await register("shop.example.com", "paul");
    expect([again.status, again.body.code]).toEqual([409, "already_exists"]);
    expect((await request("DELETE", "/api/v1/domains/shop.example.com")).status).toBe(204);
    expect((await request("DELETE", "/api/v1/domains/shop.example.com")).status).toBe(404);
    expect((await call("GET", "/api/v1/domains/shop.example.com")).status).toBe(404);
    expect(await audited("shop.example.com")).toEqual([
      ["domain.created", "admin-key", "olga"],
      ["domain.deleted", "admin-key", "olga"],
    ]);
  });

  test("is listed by host, page by page, of one tenant or of all", async () => {
    for (const [host, tenant] of [
      ["a.list.example", "olga"],
      ["b.list.example", "paul"],
      ["c.list.example", "olga"],
    ] as const) {
      expect((await register(host, tenant)).status).toBe(201);
    }
    interface Page {
      items: { host: string }[];
      nextCursor: string | null;
    }
    const hosts = async (query: string) => {
      const { body } = await call<Page>("GET", `/api/v1/domains?${query}`);
      return { hosts: body.items.map(({ host }) => host), next: body.nextCursor };
    };
    const first = await hosts("limit=1&tenantId=olga");
    expect(first.hosts).toEqual(["a.list.example"]);
    expect(await hosts(`limit=1&tenantId=olga&cursor=${first.next}`)).toEqual({
      hosts: ["c.list.example"],
      next: null,
    });
    expect((await hosts("limit=200")).hosts).toEqual(["a.list.example", "b.list.example", "c.list.example"]);
    expect((await hosts("tenantId=nobody")).hosts).toEqual([]);
  });

  test.each([
    ["App.example.com", "/host"],
    ["app.example.com:80", "/host"],
    ["https://app.example.com", "/host"],
    ["10.0.0.1", "/host"],
    ["single", "/host"],
    ["localhost", "/host"],
    ["olga.localhost", "/host"],
    ["api.localhost", "/host"],
    ["a..example.com", "/host"],
    ["app.example.com/x", "/host"],
  ])("%j is refused", async (host, pointer) => {
    const refused = await register(host);
    expect(refused.status).toBe(422);
    expect(refused.body.errors).toMatchObject([{ pointer }]);
  });

  test("of a tenant that is not there is refused", async () => {
    const refused = await register("nobody.example.com", "nobody");
    expect([refused.status, refused.body.errors]).toMatchObject([422, [{ pointer: "/tenantId" }]]);
    expect(await audited("nobody.example.com")).toEqual([]);
  });

  test("is read by viewers, changed by operators, and nobody's business beside", async () => {
    const as = async (role: "operator" | "viewer" | "tenant", method: string, path: string, body?: object) => {
      const key = await aKey(role, role === "tenant" ? "olga" : null);
      const headers = { ...bearer(key).headers, "content-type": "application/json" };
      const init = { method, headers, ...(body ? { body: JSON.stringify(body) } : {}) };
      return (await visit(`http://localhost:8787/api/v1/domains${path}`, init)).status;
    };
    const domain = { host: "roles.example.com", tenantId: "olga" };
    expect(await as("viewer", "GET", "")).toBe(200);
    expect(await as("viewer", "POST", "", domain)).toBe(403);
    expect(await as("tenant", "GET", "")).toBe(403);
    expect(await as("operator", "POST", "", domain)).toBe(201);
    expect(await as("viewer", "DELETE", "/roles.example.com")).toBe(403);
    expect(await as("operator", "DELETE", "/roles.example.com")).toBe(204);
  });
});

describe("a tenant's own domain", () => {
  const HOST = "http://www.olga.example:8787";

  test("leads to the tenant's container, for whoever may use it, with paths as they are", async () => {
    expect((await register("www.olga.example")).status).toBe(201);
    const response = await visit(`${HOST}/whoami`, ADMIN);
    const { headers } = (await response.json()) as { headers: Record<string, string> };
    expect(headers["x-boilerhouse-tenant"]).toBe("olga");
    expect(headers).not.toHaveProperty("x-forwarded-prefix");
    expect((await visit(`${HOST}/t/olga/whoami`, ADMIN)).status).toBe(404); // the workload's own path
    expect((await visit(`${HOST}/api/v1/tenants`, ADMIN)).status).toBe(404);
    expect((await visit(`${HOST}/whoami`)).status).toBe(401);
    expect((await visit(`${HOST}/whoami`, bearer(await aKey("tenant", "paul")))).status).toBe(404);
  });

  test("takes the tenant's sessions, and a code becomes one there", async () => {
    const cookie = await cookieOf({ tenantId: "olga" });
    expect((await visit(`${HOST}/whoami`, { headers: { cookie } })).status).toBe(200);
    const foreign = await cookieOf({ tenantId: "paul" });
    expect((await visit(`${HOST}/whoami`, { headers: { cookie: foreign } })).status).toBe(401);
    const { code } = (await aCode("olga")).body;
    const entered = await visit(`${HOST}/.boilerhouse/enter?code=${code}&next=/whoami`);
    expect(entered.status).toBe(303);
    const set = entered.headers.get("set-cookie")?.split(";")[0] ?? "";
    expect((await visit(`${HOST}/whoami`, { headers: { cookie: set } })).status).toBe(200);
  });

  test("is the platform's host again once it is deleted, where nobody said which hosts those are", async () => {
    expect((await request("DELETE", "/api/v1/domains/www.olga.example")).status).toBe(204);
    const response = await visit(`${HOST}/api/v1/workloads`, ADMIN);
    expect(response.status).toBe(200);
    expect((await visit(`${HOST}/t/olga/healthz`, ADMIN)).status).toBe(200);
  });
});
