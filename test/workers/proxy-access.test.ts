import { runInDurableObject } from "cloudflare:test";
import { afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { tenantOf } from "../../src/durable/stubs.ts";
import type { TenantId } from "../../src/ids.ts";
import { Sandbox } from "../../src/runtime/simulated/sandbox.ts";
import { aPool, call, claim, env, request } from "../support/fleet.ts";
import {
  aCode,
  acceptTokens,
  aJwt,
  aKey,
  aTicket,
  bearer,
  cookieOf,
  echoed,
  hostOf,
  open,
  tokenOf,
  visit,
} from "../support/visitors.ts";

/** Who may come to a tenant's container, by what they bring, through the whole Worker. */
const ADMIN = "test-admin-key-0123456789";
acceptTokens();

beforeAll(async () => {
  const pool = await aPool("access", { minSize: 3 });
  for (const tenant of ["ann", "ben", "cleo"]) expect((await claim(tenant, pool)).status).toBe(201);
  // Tokens of cleo's first version are revoked before anyone comes.
  expect((await call("POST", "/api/v1/tenants/cleo/revoke-tokens", {})).status).toBe(200);
});
afterEach(() => vi.restoreAllMocks());

const whoami = async (response: Response) => {
  expect(response.status).toBe(200);
  return ((await response.json()) as { headers: Record<string, string> }).headers;
};
const problem = async (response: Response) => (await response.json()) as Record<string, unknown>;
const upgrade = (tenant: string, headers: Record<string, string>, query = "") =>
  visit(hostOf(tenant, `/echo${query}`), { headers: { upgrade: "websocket", ...headers } });

describe("a bearer at a tenant's addresses", () => {
  const addresses = (tenant: string) => [hostOf(tenant, "/whoami"), `http://localhost:8787/t/${tenant}/whoami`];

  test("of the tenant opens its own, and the container does not see it", async () => {
    const own: [string, string][] = [
      ["ann", ADMIN],
      ["ann", await aKey("tenant", "ann")],
      ["ann", await aJwt("ann")],
      ["cleo", await aJwt("cleo", 2)],
    ];
    for (const [tenant, token] of own) {
      for (const url of addresses(tenant)) {
        const seen = await whoami(await visit(url, bearer(token)));
        expect(Object.keys(seen)).not.toContain("authorization");
        expect(JSON.stringify(seen)).not.toContain(token);
      }
    }
  });

  test("of the tenant finds every other tenant as if there were none", async () => {
    for (const token of [await aKey("tenant", "ann"), await aJwt("ann")]) {
      const answers = [];
      for (const url of [...addresses("ben"), ...addresses("nobody"), hostOf("t-abcdefghijklmnopqrst", "/")]) {
        const response = await visit(url, { headers: { ...bearer(token).headers, "x-request-id": "same" } });
        expect(response.status).toBe(404);
        answers.push(await response.text());
      }
      expect(new Set(answers).size).toBe(1);
    }
  });

  test.each(["operator", "viewer"] as const)(
    "of the role %s opens none, not even one that is not there",
    async (role) => {
      const key = await aKey(role);
      for (const url of [...addresses("ann"), ...addresses("nobody")]) {
        const response = await visit(url, bearer(key));
        expect(response.status).toBe(403);
        expect(await problem(response)).toMatchObject({ code: "forbidden" });
      }
    },
  );

  test("that is unknown, expired or revoked opens nothing", async () => {
    const tokens: [string, string][] = [
      ["ann", "wrong"],
      ["ann", "bh_unknown"],
      ["ann", await aJwt("ann", 1, -120)],
      ["ann", await aJwt("ann", 2)],
      ["cleo", await aJwt("cleo", 1)],
    ];
    for (const [tenant, token] of tokens) {
      expect((await visit(hostOf(tenant), bearer(token))).status).toBe(401);
    }
  });

  test("that is the workload's own is not asked about when a session opens the door", async () => {
    const cookie = await cookieOf({ tenantId: "ann" });
    for (const authorization of ["Bearer workload-token", "Basic dXNlcjpwYXNz", "Bearer a.b.c"]) {
      const seen = await whoami(await visit(hostOf("ann", "/whoami"), { headers: { cookie, authorization } }));
      expect(seen.authorization).toBe(authorization);
    }
  });

  test("that is ours is kept from the container also when a session opened the door", async () => {
    const cookie = await cookieOf({ tenantId: "ann" });
    for (const token of [ADMIN, await aKey("tenant", "ben"), await aJwt("ben")]) {
      const seen = await whoami(
        await visit(hostOf("ann", "/whoami"), { headers: { cookie, authorization: `Bearer ${token}` } }),
      );
      expect(Object.keys(seen)).not.toContain("authorization");
    }
  });
});

describe("a session's cookie", () => {
  test("opens its tenant's host, and the container does not see it", async () => {
    const cookie = `a=1; ${await cookieOf({ tenantId: "ann" })}; b=2`;
    const seen = await whoami(await visit(hostOf("ann", "/whoami"), { headers: { cookie } }));
    expect(seen.cookie).toBe("a=1; b=2");
  });

  test("that is over, of another version, of another tenant, or not ours opens nothing", async () => {
    const good = await tokenOf({ tenantId: "ann" });
    const [head, body, signature = ""] = good.split(".");
    const tampered = [head, btoa(atob(body ?? "").replace("ann", "ben")).replaceAll("=", ""), signature].join(".");
    const cookies: [string, string][] = [
      ["ann", await cookieOf({ tenantId: "ann", expiresAt: Date.now() - 1_000 })],
      ["ann", await cookieOf({ tenantId: "ann", tokenVersion: 2 })],
      ["cleo", await cookieOf({ tenantId: "cleo", tokenVersion: 1 })],
      ["ben", await cookieOf({ tenantId: "ann" })],
      ["ben", `__Host-boilerhouse=${tampered}`],
      ["ann", `__Host-boilerhouse=${good}x`],
      ["nobody", await cookieOf({ tenantId: "nobody" })],
    ];
    for (const [tenant, cookie] of cookies) {
      const response = await visit(hostOf(tenant, "/whoami"), { headers: { cookie } });
      expect([tenant, cookie.length > 0, response.status]).toEqual([tenant, true, 401]);
    }
    const valid = await visit(hostOf("cleo", "/whoami"), {
      headers: { cookie: await cookieOf({ tenantId: "cleo", tokenVersion: 2 }) },
    });
    expect(valid.status).toBe(200);
  });

  test("does not count under the shared origin", async () => {
    const cookie = await cookieOf({ tenantId: "ann" });
    expect((await visit("http://localhost:8787/t/ann/whoami", { headers: { cookie } })).status).toBe(401);
  });

  test("changes nothing for a page of another origin", async () => {
    const cookie = await cookieOf({ tenantId: "ann" });
    const put = (origin: string) =>
      visit(hostOf("ann", "/files/x"), { method: "PUT", body: "x", headers: { cookie, origin } });
    expect((await put("http://ben.localhost:8787")).status).toBe(403);
    expect((await put("http://ann.localhost:8787")).status).toBe(201);
    expect((await upgrade("ann", { cookie, origin: "http://evil.example" })).status).toBe(403);
  });

  test("opens sockets, which end with 4401 when the session does", async () => {
    // A session's end is kept in whole seconds.
    const cookie = await cookieOf({ tenantId: "ann", expiresAt: Date.now() + 1_500 });
    const { socket, closed } = open(await upgrade("ann", { cookie }));
    expect(await echoed(socket, "hello")).toBe("hello");
    expect(await closed).toBe(4401);
  });
});

describe("a one-time code", () => {
  test("becomes a cookie on the tenant's host, once", async () => {
    const { status, body } = await aCode("ann", { next: "/whoami?a=b" });
    expect(status).toBe(201);
    expect(body.url).toBe(
      `http://ann.localhost:8787/.boilerhouse/enter?code=${body.code}&next=${encodeURIComponent("/whoami?a=b")}`,
    );
    expect(Date.parse(body.expiresAt)).toBeGreaterThan(Date.now() + 50_000);
    const entered = await visit(body.url);
    expect(entered.status).toBe(303);
    expect(entered.headers.get("location")).toBe("/whoami?a=b");
    expect(entered.headers.get("referrer-policy")).toBe("no-referrer");
    expect(entered.headers.get("cache-control")).toBe("no-store");
    const set = entered.headers.get("set-cookie") ?? "";
    expect(set).toMatch(/^__Host-boilerhouse=[\w.-]+; Max-Age=8639\d; Path=\/; Secure; HttpOnly; SameSite=Lax$/);
    const cookie = set.split(";")[0] ?? "";
    const seen = await whoami(
      await visit(new URL(entered.headers.get("location") ?? "", body.url).href, { headers: { cookie } }),
    );
    expect(JSON.stringify(seen)).not.toContain("__Host-boilerhouse");
    const again = await visit(body.url);
    expect([again.status, again.headers.has("set-cookie")]).toEqual([401, false]);
    expect(await problem(again)).toMatchObject({ code: "unauthenticated" });
  });

  test("that is too old, of another tenant, or made up opens nothing", async () => {
    const late = (await aCode("ann")).body;
    await runInDurableObject(env.TENANT.getByName("ann") as never, (_, state: DurableObjectState) => {
      state.storage.sql.exec("UPDATE admissions SET expires_at = ?", Date.now());
    });
    const foreign = (await aCode("ann")).body.url.replace("ann.localhost", "ben.localhost");
    const ticket = (await aTicket("ann")).body.ticket;
    for (const url of [
      late.url,
      foreign,
      hostOf("ann", "/.boilerhouse/enter"),
      hostOf("ann", `/.boilerhouse/enter?code=${ticket}`),
      hostOf("nobody", "/.boilerhouse/enter?code=x"),
    ]) {
      const response = await visit(url);
      expect([response.status, response.headers.has("set-cookie")]).toEqual([401, false]);
    }
  });

  test("leads nowhere but to its own host, and is not used up by a link that was changed", async () => {
    const { url } = (await aCode("ann")).body;
    for (const next of ["//evil.example", "/\\evil.example", "https://evil.example/", "/.//evil.example"]) {
      const changed = new URL(url);
      changed.searchParams.set("next", next);
      expect((await visit(changed.href)).status).toBe(422);
    }
    for (const method of ["HEAD", "POST"]) expect((await visit(url, { method })).status).toBe(405);
    expect((await visit(url)).status).toBe(303);
    expect((await aCode("ann", { next: "//evil.example" })).status).toBe(422);
  });

  test("that does not work any more is a page for a person", async () => {
    const response = await visit(hostOf("ann", "/.boilerhouse/enter?code=x"), { headers: { accept: "text/html" } });
    expect(response.status).toBe(401);
    expect(response.headers.get("content-security-policy")).toContain("frame-ancestors 'none'");
    expect(await response.text()).toContain("Ask for a new link");
  });

  test("from before a revocation opens nothing", async () => {
    const pool = await aPool("revoked-code");
    await claim("dora", pool);
    const { url } = (await aCode("dora")).body;
    await call("POST", "/api/v1/tenants/dora/revoke-tokens", {});
    expect((await visit(url)).status).toBe(401);
    const entered = await visit((await aCode("dora")).body.url);
    const cookie = entered.headers.get("set-cookie")?.split(";")[0] ?? "";
    expect((await visit(hostOf("dora", "/whoami"), { headers: { cookie } })).status).toBe(200);
  });

  test("is for whoever may have it, within limits", async () => {
    const path = "/api/v1/tenants/ann/access-codes";
    const ask = async (token: string, body: object = {}) =>
      visit(`http://localhost:8787${path}`, {
        method: "POST",
        body: JSON.stringify(body),
        headers: { ...bearer(token).headers, "content-type": "application/json" },
      });
    expect((await ask(await aKey("tenant", "ann"))).status).toBe(201);
    expect((await ask(await aKey("tenant", "ben"))).status).toBe(404);
    expect((await ask(await aKey("operator"))).status).toBe(403);
    expect((await call("POST", "/api/v1/tenants/nobody/access-codes", {})).status).toBe(404);
    for (const body of [{ ttlMs: 300_001 }, { ttlMs: 0 }, { sessionMs: 2_592_000_001 }, { more: 1 }]) {
      expect((await ask(ADMIN, body)).status).toBe(422);
    }
    // What a token of the tenant's own opens does not outlast it.
    const answer = (await (await ask(await aJwt("ann", 1, 60), { sessionMs: 3_600_000 })).json()) as {
      sessionExpiresAt: string;
    };
    expect(Date.parse(answer.sessionExpiresAt)).toBeLessThanOrEqual(Date.now() + 60_000);
  });

  test("is left behind by leaving", async () => {
    const left = await visit(hostOf("ann", "/.boilerhouse/leave"), { method: "POST" });
    expect(left.status).toBe(204);
    expect(left.headers.get("set-cookie")).toContain("__Host-boilerhouse=; Max-Age=0");
    const forged = { method: "POST", headers: { origin: "http://evil.example" } };
    expect((await visit(hostOf("ann", "/.boilerhouse/leave"), forged)).status).toBe(403);
    expect((await visit(hostOf("ann", "/.boilerhouse/leave"))).status).toBe(405);
    expect((await visit(hostOf("ann", "/.boilerhouse/other"), bearer(ADMIN))).status).toBe(404);
    expect((await visit(hostOf("ann", "/.boilerhouse/starting.js"))).headers.get("content-type")).toContain(
      "javascript",
    );
  });
});

describe("a WebSocket ticket", () => {
  /** What the container saw of the upgrades that reach it. */
  function watched(): { url: string; protocol: string | null; authorization: string | null }[] {
    const seen: ReturnType<typeof watched> = [];
    const serve = Sandbox.prototype.serve;
    vi.spyOn(Sandbox.prototype, "serve").mockImplementation(function (this: Sandbox, request: Request) {
      const { headers } = request;
      const path = new URL(request.url);
      seen.push({
        url: path.pathname + path.search,
        protocol: headers.get("sec-websocket-protocol"),
        authorization: headers.get("authorization"),
      });
      return serve.call(this, request);
    });
    return seen;
  }

  test("opens one socket as its protocol, answered with it when it was the only one", async () => {
    const { protocol } = (await aTicket("ann")).body;
    expect(protocol).toMatch(/^boilerhouse\.ticket\.[\w-]{43}$/);
    const seen = watched();
    const response = await upgrade("ann", { "sec-websocket-protocol": protocol });
    expect(response.status).toBe(101);
    expect(response.headers.get("sec-websocket-protocol")).toBe(protocol);
    expect(await echoed(open(response).socket, "hello")).toBe("hello");
    expect(seen).toEqual([{ url: "/echo", protocol: null, authorization: null }]);
    expect((await upgrade("ann", { "sec-websocket-protocol": protocol })).status).toBe(401);
  });

  test("stands beside the workload's protocols, or in the query, and is taken out of both", async () => {
    const seen = watched();
    const first = (await aTicket("ann")).body;
    const foreign = { authorization: "Bearer workload-token" };
    const named = await upgrade("ann", { "sec-websocket-protocol": `${first.protocol}, chat`, ...foreign });
    expect([named.status, named.headers.get("sec-websocket-protocol")]).toEqual([101, null]);
    open(named).socket.close();
    const second = (await aTicket("ann")).body;
    const inQuery = await upgrade("ann", {}, `?a=1&boilerhouse_ticket=${second.ticket}&b=2`);
    expect(inQuery.status).toBe(101);
    open(inQuery).socket.close();
    expect(seen).toEqual([
      { url: "/echo", protocol: "chat", authorization: "Bearer workload-token" },
      { url: "/echo?a=1&b=2", protocol: null, authorization: null },
    ]);
  });

  test("opens the socket of no other tenant and nothing but sockets, and foreign pages may not use it", async () => {
    const { ticket, protocol } = (await aTicket("ann")).body;
    expect((await upgrade("ben", { "sec-websocket-protocol": protocol })).status).toBe(401);
    expect((await visit(hostOf("ann", `/whoami?boilerhouse_ticket=${ticket}`))).status).toBe(401);
    const response = await visit(`http://localhost:8787/t/ann/echo`, {
      headers: { upgrade: "websocket", "sec-websocket-protocol": protocol },
    });
    open(response).socket.close();
    const another = (await aTicket("ann")).body;
    const evil = { "sec-websocket-protocol": another.protocol, origin: "http://evil.example" };
    expect((await upgrade("ann", evil)).status).toBe(403);
  });

  test("opens a socket that ends with 4401 when its session expires", async () => {
    const admission = { actor: "test", sessionExpiresAt: Date.now() + 400 };
    const admitted = await tenantOf(env, "ann" as TenantId).admit("ticket", admission, 60_000);
    const ticket = admitted.ok ? admitted.value.secret : "";
    const { socket, closed } = open(await upgrade("ann", {}, `?boilerhouse_ticket=${ticket}`));
    expect(await echoed(socket, "hello")).toBe("hello");
    expect(await closed).toBe(4401);
  });
});

describe("a revocation of a tenant's tokens", () => {
  test("ends the sockets of its sessions with 4401, and leaves those of keys", async () => {
    await claim("eve", await aPool("revocation"));
    const cookie = await cookieOf({ tenantId: "eve" });
    const bySession = open(await upgrade("eve", { cookie }));
    const byToken = open(await upgrade("eve", bearer(await aJwt("eve")).headers));
    const byKey = open(await upgrade("eve", bearer(await aKey("tenant", "eve")).headers));
    expect(await echoed(bySession.socket, "hello")).toBe("hello");
    expect((await call("POST", "/api/v1/tenants/eve/revoke-tokens", {})).status).toBe(200);
    expect([await bySession.closed, await byToken.closed]).toEqual([4401, 4401]);
    expect(await echoed(byKey.socket, "still there")).toBe("still there");
    // This isolate may believe in the old version for 5 s, the container's object does not.
    const late = await upgrade("eve", { cookie });
    if (late.status === 101) expect(await open(late).closed).toBe(4401);
    else expect(late.status).toBe(401);
  });
});

describe("a suspended tenant", () => {
  test("is 403 `suspended`, whatever opens the door", async () => {
    await claim("finn", await aPool("suspension"));
    const { url } = (await aCode("finn")).body;
    const suspended = await call("POST", "/api/v1/tenants/finn/suspend?wait=10s", {});
    expect(suspended.status).toBe(200);
    const cookie = await cookieOf({ tenantId: "finn" });
    const answers = [
      await visit(hostOf("finn"), { headers: { cookie } }),
      await visit(hostOf("finn"), bearer(await aKey("tenant", "finn"))),
      await visit(hostOf("finn"), bearer(await aJwt("finn"))),
      await request("GET", hostOf("finn")),
      await visit(url),
    ];
    for (const answer of answers) {
      expect(answer.status).toBe(403);
      expect(await problem(answer)).toMatchObject({ code: "suspended" });
    }
  });
});

describe("without a secret for gateway tokens", () => {
  test("a claim with nothing to deliver asks its container nothing", async () => {
    const { body } = await claim("gus", await aPool("bare", {}, { start: "on-boot", volumes: {} }));
    expect(Object.keys(body.timings)).not.toContain("deliver");
    const seen = await whoami(await request("GET", hostOf("gus", "/whoami")));
    expect(Object.keys(seen).filter((name) => name.startsWith("x-boilerhouse-"))).toEqual(["x-boilerhouse-tenant"]);
  });
});
