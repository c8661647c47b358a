import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { containerId, epoch, hostLabel, parseTenantId, type TenantId } from "../../src/ids.ts";
import { AccessCache } from "../../src/proxy/access-cache.ts";
import { closeCode, closeReason } from "../../src/proxy/close.ts";
import { DomainCache } from "../../src/proxy/domain-cache.ts";
import { decodeRoute, encodeRoute } from "../../src/proxy/internal.ts";
import { OpenRequests } from "../../src/proxy/open-requests.ts";
import { isForeign } from "../../src/proxy/origin.ts";
import { type ReadyRoute, RouteCache } from "../../src/proxy/route-cache.ts";
import { isDomain, targetOf } from "../../src/proxy/target.ts";

const tenantIds = fc
  .stringMatching(/^[A-Za-z0-9][A-Za-z0-9_.:@-]{0,40}$/)
  .map((text) => parseTenantId(text))
  .filter((id) => id !== null);
const anyContainer = containerId(new Uint8Array(20).fill(7));

describe("whom a URL is for", () => {
  const target = (url: string, tenantDomain = "localhost", publicUrl: string | null = null) =>
    targetOf(new URL(url), { tenantDomain, publicUrl });

  test.each([
    ["http://127.0.0.1:8787/api/v1/pools", { kind: "platform" }],
    ["http://localhost:8787/", { kind: "platform" }],
    ["http://api.localhost:8787/x", { kind: "platform" }],
    ["http://alice.localhost:8787", { kind: "tenant", tenantId: "alice", exposure: "host", path: "/" }],
    ["http://alice.localhost/a%20b?c=d", { kind: "tenant", tenantId: "alice", exposure: "host", path: "/a%20b?c=d" }],
    ["http://alice.localhost/t/bob/x", { kind: "tenant", tenantId: "alice", exposure: "host", path: "/t/bob/x" }],
    ["http://xn--lice-0na.localhost/", { kind: "nobody" }],
    ["http://a.b.localhost/", { kind: "nobody" }],
    ["http://-a.localhost/", { kind: "nobody" }],
    ["http://t-abcdefghijklmnopqrst.localhost/", { kind: "label", label: "t-abcdefghijklmnopqrst", path: "/" }],
    ["http://localhost/t/alice", { kind: "tenant", tenantId: "alice", exposure: "path", path: "/" }],
    ["http://localhost/t/alice?x=1", { kind: "tenant", tenantId: "alice", exposure: "path", path: "/?x=1" }],
    ["http://localhost/t/a%40b.c:d/x", { kind: "tenant", tenantId: "a@b.c:d", exposure: "path", path: "/x" }],
    ["http://localhost/t/alice//x", { kind: "tenant", tenantId: "alice", exposure: "path", path: "//x" }],
    ["http://localhost/t/%ff/x", { kind: "bad-tenant-id" }],
    ["http://localhost/t/a%2Fb/x", { kind: "bad-tenant-id" }],
    ["http://localhost/t//x", { kind: "bad-tenant-id" }],
    ["http://localhost/tenants", { kind: "platform" }],
  ])("%s", (url, expected) => {
    expect(target(url)).toEqual(expected);
  });

  test("every tenant's host label leads back to it, or to its hashed label", async () => {
    await fc.assert(
      fc.asyncProperty(tenantIds, async (id) => {
        const label = await hostLabel(id);
        const found = target(`http://${label}.tenants.example/`, "tenants.example");
        if (found.kind === "tenant") expect(found.tenantId).toBe(id);
        else expect(found).toEqual({ kind: "label", label, path: "/" });
      }),
    );
  });

  test("every tenant's encoded id in a path leads back to it", () => {
    fc.assert(
      fc.property(tenantIds, (id) => {
        expect(target(`http://localhost/t/${encodeURIComponent(id)}/`)).toMatchObject({ tenantId: id });
      }),
    );
  });

  const platform = { kind: "platform" };
  const nobody = { kind: "nobody" };
  test.each([
    ["https://panel.example/", "tenants.example", "https://panel.example", platform],
    ["https://panel.tenants.example/", "tenants.example", "https://panel.tenants.example", platform],
    ["http://127.0.0.1:8787/", "tenants.example", "https://panel.example", platform],
    ["http://[::1]:8787/", "tenants.example", "https://panel.example", platform],
    ["https://shop.example/a?b", "tenants.example", "https://panel.example", "elsewhere or nobody"],
    ["https://shop.example/a?b", "tenants.example", null, "elsewhere or platform"],
    ["https://shop.example/t/alice/", "tenants.example", null, "elsewhere or path"],
    ["https://tenants.example/", "tenants.example", "https://panel.example", "elsewhere or nobody"],
    ["http://10.0.0.1/", "tenants.example", "https://panel.example", nobody],
    ["http://10.0.0.1/", "tenants.example", null, platform],
    ["http://single/", "tenants.example", "https://panel.example", nobody],
  ])("%s under %s with the platform at %j", (url, tenantDomain, publicUrl, expected) => {
    const found = target(url, tenantDomain, publicUrl);
    if (typeof expected === "object") return expect(found).toEqual(expected);
    const path = new URL(url).pathname + new URL(url).search;
    const otherwise = {
      "elsewhere or nobody": nobody,
      "elsewhere or platform": platform,
      "elsewhere or path": { kind: "tenant", tenantId: "alice", exposure: "path", path: "/" },
    }[expected];
    return expect(found).toEqual({ kind: "elsewhere", host: new URL(url).hostname, path, otherwise });
  });

  test.each([
    ["app.example.com", true],
    ["xn--bcher-kva.example", true],
    ["a.b.c.d.e.example", true],
    ["localhost", false],
    ["10.0.0.1", false],
    ["App.example.com", false],
    ["app.example.com.", false],
    ["app.example.com:80", false],
    ["-a.example", false],
    ["a_b.example", false],
    ["a..example", false],
    [`${"a".repeat(64)}.example`, false],
    [`${"a.".repeat(126)}example`, false],
    ["", false],
  ])("%j is a domain: %s", (host, expected) => {
    expect(isDomain(host)).toBe(expected);
  });
});

describe("the route header", () => {
  const bound = fc.option(fc.nat({ max: Number.MAX_SAFE_INTEGER % 1e15 }), { nil: null });
  const sessions = fc.record({ expiresAt: bound, tokenVersion: bound });

  test("carries every route there and back", () => {
    fc.assert(
      fc.property(tenantIds, fc.nat(), fc.integer({ min: 1, max: 65535 }), sessions, (tenantId, at, port, session) => {
        const routed = { tenantId, epoch: epoch(at), containerId: anyContainer, port, session };
        const full = { ...routed, exposure: "path", forwarded: "no" } as const;
        expect(decodeRoute(encodeRoute(full))).toEqual(full);
      }),
    );
  });

  test.each([
    null,
    "",
    "1 2 3",
    "x c-aaaaaaaaaaaaaaaaaaaa 80 host no - - alice",
    "1 c-aaaaaaaaaaaaaaaaaaaa 80 host no - - a b",
    "1 c-aaaaaaaaaaaaaaaaaaaa 80 host no alice",
    "1 c-aaaaaaaaaaaaaaaaaaaa 80 host no -1 - alice",
    "1 c-aaaaaaaaaaaaaaaaaaaa 80 host no - null alice",
  ])("%j is no route", (text) => {
    expect(decodeRoute(text)).toBeNull();
  });
});

describe("a page of another origin", () => {
  test.each([
    ["POST", false, null, false],
    ["POST", false, "http://alice.localhost:8787", false],
    ["POST", false, "https://alice.localhost:8787", false],
    ["POST", false, "http://bob.localhost:8787", true],
    ["POST", false, "http://alice.localhost", true],
    ["POST", false, "null", true],
    ["GET", false, "http://evil.example", false],
    ["GET", true, "http://evil.example", true],
    ["GET", true, "http://alice.localhost:8787", false],
    ["DELETE", false, "file://", true],
  ])("%s upgrade=%s from %j is foreign: %s", (method, upgrade, origin, foreign) => {
    expect(isForeign(method, upgrade, origin, "alice.localhost:8787")).toBe(foreign);
  });
});

describe("closing a socket", () => {
  test.each([
    [1000, 1000],
    [1001, 1001],
    [1005, 1000],
    [1006, 1011],
    [1015, 1011],
    [1004, 1011],
    [999, 1011],
    [2999, 1011],
    [3000, 3000],
    [4999, 4999],
    [5000, 1011],
  ])("code %i is told as %i", (received, told) => {
    expect(closeCode(received)).toBe(told);
  });

  test("a reason never exceeds 123 bytes and never ends within a character", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme", maxLength: 200 }), (reason) => {
        const cut = closeReason(reason);
        expect(new TextEncoder().encode(cut).length).toBeLessThanOrEqual(123);
        expect(reason.startsWith(cut)).toBe(true);
      }),
    );
  });
});

describe("open requests", () => {
  test("count until they end, and ending twice counts once", () => {
    const open = new OpenRequests();
    const end = open.begin();
    open.begin();
    end();
    end();
    expect(open.count).toBe(1);
  });

  test("whose end was never reported stop counting after an hour", () => {
    let now = 0;
    const open = new OpenRequests(() => now);
    open.begin();
    now = 3_599_999;
    expect(open.count).toBe(1);
    now = 3_600_000;
    expect(open.count).toBe(0);
  });

  test("that are sockets are closed with 1012 by a planned stop", () => {
    const closed: number[] = [];
    const open = new OpenRequests();
    open.begin();
    open.begin((code) => closed.push(code));
    open.closeSockets();
    expect(closed).toEqual([1012]);
  });

  test("are closed with 4401 by a revocation of their session's version, before they are open too", () => {
    const closed: string[] = [];
    const open = new OpenRequests();
    const begin = (name: string, version: number | null) =>
      open.begin((code) => closed.push(`${name} ${code}`), version);
    begin("old", 1);
    begin("current", 2);
    begin("a key's", null);
    open.revoke(2);
    begin("late", 1);
    open.revoke(1);
    expect(closed).toEqual(["old 4401", "late 4401"]);
  });
});

describe("what an isolate knows of tenants", () => {
  const alice = "alice" as TenantId;
  function aCache(capacity?: number) {
    const state = { version: 1, asked: 0, work: [] as Promise<unknown>[], fail: false };
    const cache = new AccessCache(async () => {
      state.asked += 1;
      if (state.fail) throw new Error("planned");
      return state.version === 0 ? null : { tokenVersion: state.version, suspended: false };
    }, capacity);
    const at = (now: number, presented: number | null = null) =>
      cache.get(alice, presented, now, (work) => state.work.push(work));
    return { cache, state, at };
  }

  test("is never older than 5 s, and is renewed beside the requests before that", async () => {
    const { state, at } = aCache();
    await at(0);
    expect(await at(2_499)).toEqual({ tokenVersion: 1, suspended: false });
    expect(state.asked).toBe(1);
    state.version = 2;
    const together = await Promise.all([at(2_500), at(2_600)]);
    expect(together.map((access) => access?.tokenVersion)).toEqual([1, 1]);
    expect(state.asked).toBe(2);
    await Promise.all(state.work);
    expect((await at(2_601))?.tokenVersion).toBe(2);
    state.version = 3;
    expect((await at(7_500))?.tokenVersion).toBe(3);
  });

  test("is asked again after a renewal that failed, and waited for once it is too old", async () => {
    const { state, at } = aCache();
    await at(0);
    state.fail = true;
    await at(3_000);
    await Promise.all(state.work);
    expect((await at(4_999))?.tokenVersion).toBe(1);
    expect(state.asked).toBe(3);
    await expect(at(5_000)).rejects.toThrow("planned");
  });

  test("gives way to a credential that is newer", async () => {
    const { state, at } = aCache();
    await at(0);
    state.version = 2;
    expect((await at(1, 2))?.tokenVersion).toBe(2);
    expect((await at(2, 1))?.tokenVersion).toBe(2);
    expect(state.asked).toBe(2);
  });

  test("is nothing of a tenant never seen, and bounded", async () => {
    const { state, at, cache } = aCache(1);
    state.version = 0;
    expect(await at(0)).toBeNull();
    state.version = 1;
    expect((await at(1))?.tokenVersion).toBe(1);
    await cache.fresh("bob" as TenantId, 2);
    await at(3);
    expect(state.asked).toBe(4);
  });
});

describe("what an isolate knows of hosts", () => {
  const alice = "alice" as TenantId;
  test("is believed for less than 30 s, that nobody has one included", () => {
    const cache = new DomainCache();
    cache.set("a.example", alice, 0);
    cache.set("b.example", null, 0);
    expect([cache.get("a.example", 29_999), cache.get("b.example", 29_999)]).toEqual([alice, null]);
    expect([cache.get("a.example", 30_000), cache.get("b.example", 30_000)]).toEqual([undefined, undefined]);
    cache.forget("a.example");
    expect(cache.get("a.example", 1)).toBeUndefined();
  });

  test("is bounded, whatever hosts are made up", () => {
    const cache = new DomainCache(10);
    for (let n = 0; n < 25; n += 1) cache.set(`${n}.example`, null, 0);
    const known = Array.from({ length: 25 }, (_, n) => cache.get(`${n}.example`, 1)).filter((found) => found === null);
    expect(known.length).toBeLessThanOrEqual(10);
  });
});

describe("the route cache", () => {
  const route = (at: number): ReadyRoute => ({ kind: "ready", containerId: anyContainer, epoch: epoch(at), port: 80 });
  const alice = "alice" as TenantId;

  test("forgets a route that did not work, but not the one that replaced it", () => {
    const cache = new RouteCache();
    const [old, current] = [route(1), route(2)];
    cache.set(alice, old);
    cache.set(alice, current);
    cache.drop(alice, old);
    expect(cache.get(alice)).toBe(current);
    cache.drop(alice, current);
    expect(cache.get(alice)).toBeUndefined();
  });

  test("holds a bounded number of tenants", () => {
    const cache = new RouteCache(2);
    for (const name of ["a", "b", "c"]) cache.set(name as TenantId, route(1));
    expect(["a", "b", "c"].map((name) => cache.get(name as TenantId) !== undefined)).toEqual([false, true, true]);
  });
});
