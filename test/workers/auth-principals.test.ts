import { createExecutionContext, waitOnExecutionContext } from "cloudflare:test";
import { exportJWK, generateKeyPair, type JWTPayload, SignJWT } from "jose";
import { afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { app } from "../../src/app.ts";
import { tenantOf } from "../../src/durable/stubs.ts";
import type { TenantId } from "../../src/ids.ts";
import { aPool, call, claim, env } from "../support/fleet.ts";

const JWT_SECRET = "a shared secret of more than 32 bytes";
const jwtEnv = { JWT_SECRET, JWT_ISSUER: "https://id", JWT_AUDIENCE: "bh" };
const ORIGIN = "https://api.example.com";

async function ask(more: object, headers: Record<string, string>, method = "GET", path = "/api/v1/whoami") {
  const context = createExecutionContext();
  const request = new Request(`${ORIGIN}${path}`, { method, headers });
  const response = await app.fetch(request, { ...env, ...more } as Env, context);
  const text = await response.text();
  await waitOnExecutionContext(context);
  return { status: response.status, headers: response.headers, body: text === "" ? {} : JSON.parse(text) };
}

const token = (more: JWTPayload = {}, secret = JWT_SECRET) => {
  const exp = Math.floor(Date.now() / 1_000) + 600;
  const claims = { sub: "u-1", tid: "token-tenant", ver: 1, iss: "https://id", aud: "bh", exp, ...more };
  return new SignJWT(claims).setProtectedHeader({ alg: "HS256" }).sign(new TextEncoder().encode(secret));
};
const bearing = (credential: string) => ({ authorization: `Bearer ${credential}` });

describe("a tenant's token", () => {
  let version = 0;
  beforeAll(async () => {
    await claim("token-tenant", await aPool("tokens"));
    version = (await tenantOf(env, "token-tenant" as TenantId).access())?.tokenVersion ?? -1;
  });

  test("is its tenant, and says until when", async () => {
    const { status, body } = await ask(jwtEnv, bearing(await token({ ver: version })));
    expect(status).toBe(200);
    expect(body).toMatchObject({ role: "tenant", actor: "jwt:u-1", tenantId: "token-tenant" });
    expect(Date.parse(body.expiresAt)).toBeGreaterThan(Date.now());
    expect(body.permissions).toContain("tenants:run");
    expect(body.permissions).not.toContain("keys:manage");
  });

  test("of a tenant that nobody has seen opens nothing, and creates none", async () => {
    const { status } = await ask(jwtEnv, bearing(await token({ tid: "unseen", ver: 1 })));
    expect(status).toBe(401);
    expect((await call("GET", "/api/v1/tenants/unseen/status")).status).toBe(404);
  });

  test("by another secret, or where none is configured, opens nothing", async () => {
    const forged = await token({ ver: version }, "another secret of more than 32 bytes");
    expect((await ask(jwtEnv, bearing(forged))).status).toBe(401);
    expect((await ask({}, bearing(await token({ ver: version })))).status).toBe(401);
  });

  test("ends with all others of its tenant when they are revoked", async () => {
    const before = await token({ ver: version });
    expect((await call("POST", "/api/v1/tenants/token-tenant/revoke-tokens")).status).toBe(200);
    expect(await ask(jwtEnv, bearing(before))).toMatchObject({
      status: 401,
      body: { detail: "This credential was revoked." },
    });
    expect((await ask(jwtEnv, bearing(await token({ ver: version + 1 })))).status).toBe(200);
    expect((await ask(jwtEnv, bearing(await token({ ver: version + 2 })))).status).toBe(401);
  });
});

test("whoever cannot be checked is neither let in nor called wrong", async () => {
  const DB = { prepare: () => ({ bind: () => ({ first: () => Promise.reject(new Error("D1 is away")) }) }) };
  const refused = await ask({ DB }, bearing(`bh_${"B".repeat(43)}`));
  expect(refused).toMatchObject({ status: 503, body: { code: "authentication_unavailable" } });
  expect(refused.headers.get("retry-after")).not.toBeNull();
  expect(JSON.stringify(refused.body)).not.toContain("D1");
});

describe("a person behind Cloudflare Access", () => {
  let teams = 0;
  afterEach(() => vi.unstubAllGlobals());

  async function aTeam() {
    teams += 1;
    const team = `person-${teams}.cloudflareaccess.com`;
    const { privateKey, publicKey } = await generateKeyPair("RS256", { extractable: true });
    const jwk = { ...(await exportJWK(publicKey)), kid: "one", alg: "RS256" };
    vi.stubGlobal("fetch", async () => Response.json({ keys: [jwk] }));
    const exp = Math.floor(Date.now() / 1_000) + 60;
    const assertion = (email: string) =>
      new SignJWT({ iss: `https://${team}`, aud: ["app"], exp, email })
        .setProtectedHeader({ alg: "RS256", kid: "one" })
        .sign(privateKey);
    const ACCESS_ROLES = JSON.stringify({ "ann@example.com": "admin", "vic@example.com": "viewer" });
    const bindings = { ACCESS_TEAM_DOMAIN: team, ACCESS_AUDIENCE: "app", ACCESS_ROLES };
    const asked = async (
      email: string,
      headers: Record<string, string> = {},
      method = "GET",
      path = "/api/v1/whoami",
    ) =>
      ask(
        { ...bindings, CORS_ORIGINS: "https://console.example.org" },
        { "cf-access-jwt-assertion": await assertion(email), ...headers },
        method,
        path,
      );
    return { asked, bindings, assertion };
  }

  test("has the role that the configuration gives to them", async () => {
    const { asked } = await aTeam();
    const ann = await asked("ann@example.com");
    expect(ann).toMatchObject({ status: 200, body: { role: "admin", actor: "access:ann@example.com" } });
    expect((await asked("vic@example.com")).body).toMatchObject({ role: "viewer" });
    expect(await asked("bob@example.com")).toMatchObject({ status: 403, body: { code: "forbidden" } });
  });

  test("is nobody where Access is not configured, or with a wrong assertion", async () => {
    const { bindings, assertion } = await aTeam();
    const headers = { "cf-access-jwt-assertion": await assertion("ann@example.com") };
    expect((await ask({}, headers)).status).toBe(401);
    expect((await ask(bindings, { "cf-access-jwt-assertion": "a.b.c" })).status).toBe(401);
  });

  test("is not asked about when a credential is presented", async () => {
    const { asked } = await aTeam();
    expect((await asked("ann@example.com", bearing("wrong"))).status).toBe(401);
  });

  test("changes nothing from a page of others", async () => {
    const { asked } = await aTeam();
    const change = (headers: Record<string, string>) =>
      asked("ann@example.com", headers, "DELETE", "/api/v1/keys/k-none");
    expect((await change({ origin: "https://evil.example" })).status).toBe(403);
    expect((await change({ "sec-fetch-site": "cross-site" })).status).toBe(403);
    expect((await change({ origin: ORIGIN })).status).toBe(404);
    expect((await change({ origin: "https://console.example.org" })).status).toBe(404);
    expect((await change({ "sec-fetch-site": "same-origin" })).status).toBe(404);
  });

  test("a key from a page of others is that page's own to use", async () => {
    const headers = { ...bearing("test-admin-key-0123456789"), origin: "https://evil.example" };
    expect((await ask({}, headers, "DELETE", "/api/v1/keys/k-none")).status).toBe(404);
  });
});

describe("pages of other origins", () => {
  const listed = { CORS_ORIGINS: "https://console.example.org,https://two.example" };
  const preflight = (origin: string) => ({ origin, "access-control-request-method": "PUT" });
  const ofCors = (headers: Headers) => [...headers.keys()].filter((name) => name.startsWith("access-control-"));

  test("that are listed get their preflight answered without a key", async () => {
    const answer = await ask(listed, preflight("https://console.example.org"), "OPTIONS", "/api/v1/pools");
    expect(answer.status).toBe(204);
    expect(answer.headers.get("access-control-allow-origin")).toBe("https://console.example.org");
    expect(answer.headers.get("access-control-allow-credentials")).toBe("true");
    expect(answer.headers.get("access-control-allow-methods")).toContain("PUT");
    expect(answer.headers.get("access-control-allow-headers")).toContain("idempotency-key");
    expect(answer.headers.get("vary")).toContain("Origin");
  });

  test("that are not get nothing", async () => {
    for (const origin of ["https://evil.example", "null", "https://console.example.org.evil.example"]) {
      const refused = await ask(listed, preflight(origin), "OPTIONS", "/api/v1/pools");
      expect([refused.status, ofCors(refused.headers)]).toEqual([401, []]);
      expect(refused.headers.get("vary")).toContain("Origin");
    }
    const unlisted = await ask({}, preflight("https://console.example.org"), "OPTIONS", "/api/v1/pools");
    expect([unlisted.status, ofCors(unlisted.headers)]).toEqual([401, []]);
  });

  test("that are listed can read answers and problems alike", async () => {
    for (const credential of ["test-admin-key-0123456789", "wrong"]) {
      const answer = await ask(listed, { ...bearing(credential), origin: "https://two.example" });
      expect(answer.headers.get("access-control-allow-origin")).toBe("https://two.example");
      expect(answer.headers.get("access-control-expose-headers")).toContain("ratelimit");
    }
  });
});
