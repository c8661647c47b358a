import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { afterEach, describe, expect, test, vi } from "vitest";
import { sha256 } from "../../src/sha256.ts";
import { call, env, request } from "../support/fleet.ts";

const ADMIN = "test-admin-key-0123456789";
const aKey = async (more: object = {}) =>
  (await call<{ id: string; key: string }>("POST", "/api/v1/keys", { name: "limited", role: "viewer", ...more })).body;

async function whoami(key: string, headers: Record<string, string> = {}, path = "/api/v1/whoami") {
  const response = await request("GET", path, undefined, { authorization: `Bearer ${key}`, ...headers });
  return { status: response.status, headers: response.headers, body: (await response.json()) as { code?: string } };
}
const limiter = (name: string) => env.LIMITER.getByName(name);

/** From now on, time passes only as the test says. */
const startClock = () => vi.useFakeTimers({ now: Date.now(), toFake: ["Date"] });
const pass = (ms: number) => vi.setSystemTime(Date.now() + ms);
afterEach(() => {
  vi.useRealTimers();
});

describe("a key's limit", () => {
  test("is told with every answer, and refuses what is above it until there is room", async () => {
    startClock();
    const { key } = await aKey({ requestsPerMinute: 3 });
    for (const left of [2, 1]) {
      const { status, headers } = await whoami(key);
      expect([status, headers.get("ratelimit-policy")]).toEqual([200, '"minute";q=3;w=60']);
      expect(headers.get("ratelimit")).toMatch(new RegExp(`^"minute";r=${left};t=\\d+$`));
    }
    const missing = await whoami(key, {}, "/api/v1/pools/nope");
    expect([missing.status, missing.headers.get("ratelimit")]).toEqual([404, '"minute";r=0;t=60']);
    const refused = await whoami(key);
    expect([refused.status, refused.body.code]).toEqual([429, "rate_limited"]);
    expect(refused.headers.get("retry-after")).toBe("20");
    expect(refused.headers.get("ratelimit")).toBe('"minute";r=0;t=60');
    pass(19_999);
    expect((await whoami(key)).status).toBe(429);
    pass(1);
    expect((await whoami(key)).status).toBe(200);
    expect((await whoami(key)).status).toBe(429);
  });

  test("is one key's own", async () => {
    const [one, two] = [await aKey({ requestsPerMinute: 1 }), await aKey({ requestsPerMinute: 1 })];
    expect((await whoami(one.key)).status).toBe(200);
    expect((await whoami(one.key)).status).toBe(429);
    expect((await whoami(two.key)).status).toBe(200);
  });

  test("is the configuration's where it has none of its own", async () => {
    const { key } = await aKey();
    expect((await whoami(key)).headers.get("ratelimit-policy")).toBe('"minute";q=6000;w=60');
  });

  test("does not begin anew when its object leaves memory", async () => {
    startClock();
    const { id, key } = await aKey({ requestsPerMinute: 2 });
    await whoami(key);
    await whoami(key);
    await evictDurableObject(limiter(`principal: key:${id}`));
    expect((await whoami(key)).status).toBe(429);
  });

  test("leaves nothing behind when it is full again", async () => {
    startClock();
    const { id, key } = await aKey({ requestsPerMinute: 2 });
    await whoami(key);
    const object = limiter(`principal: key:${id}`);
    await runDurableObjectAlarm(object);
    const tables = () =>
      runInDurableObject(object, (_, { storage }) =>
        storage.sql.exec("SELECT name FROM sqlite_master WHERE name = 'limits'").toArray(),
      );
    expect(await tables()).toHaveLength(1);
    pass(60_000);
    await runDurableObjectAlarm(object);
    expect(await tables()).toHaveLength(0);
    expect((await whoami(key)).headers.get("ratelimit")).toContain("r=1;");
  });

  test("holds for the admin's key too, but not on one's own machine", async () => {
    const bearing = { authorization: `Bearer ${ADMIN}` };
    for (const host of ["localhost:8787", "127.0.0.1:8787"]) {
      const own = await request("GET", `http://${host}/api/v1/whoami`, undefined, bearing);
      expect([own.status, own.headers.get("ratelimit-policy")]).toEqual([200, null]);
      await own.body?.cancel();
    }
    const elsewhere = await request("GET", "https://api.example.com/api/v1/whoami", undefined, bearing);
    expect([elsewhere.status, elsewhere.headers.get("ratelimit-policy")]).toEqual([200, '"minute";q=6000;w=60']);
    await elsewhere.body?.cancel();
  });
});

describe("failed authentication", () => {
  const from = (address: string) => ({ "cf-connecting-ip": address });
  const wrong = (seed: string | number) => `bh_${String(seed).padEnd(43, "x")}`;

  test("waits after a hundred times in a minute, twice as long each time", async () => {
    startClock();
    const here = from("198.51.100.1");
    for (let n = 0; n < 100; n += 1) expect((await whoami(wrong("a"), here)).status).toBe(401);
    for (const seconds of [1, 2, 4]) {
      const refused = await whoami(wrong("a"), here);
      expect([refused.status, refused.body.code]).toEqual([429, "rate_limited"]);
      expect(refused.headers.get("retry-after")).toBe(String(seconds));
      expect((await whoami(wrong("a"), here)).status).toBe(429);
      pass(seconds * 1_000);
    }
  });

  test("locks out nobody else: not there, and not elsewhere", async () => {
    startClock();
    const here = from("198.51.100.2");
    for (let n = 0; n < 101; n += 1) await whoami(wrong("b"), here);
    expect((await whoami(wrong("b"), here)).status).toBe(429);
    expect((await whoami(ADMIN, here)).status).toBe(200);
    expect((await whoami(wrong("other"), here)).status).toBe(401);
    expect((await whoami(wrong("b"), from("198.51.100.3"))).status).toBe(401);
  });

  test("makes the same credential wait there even if it becomes right, and only there", async () => {
    startClock();
    const here = from("198.51.100.4");
    const { id } = await aKey();
    for (let n = 0; n < 101; n += 1) await whoami(wrong("c"), here);
    await env.DB.prepare("UPDATE api_keys SET hash = ? WHERE id = ?")
      .bind(sha256(wrong("c")), id)
      .run();
    expect((await whoami(wrong("c"), here)).status).toBe(429);
    expect((await whoami(wrong("c"), from("198.51.100.5"))).status).toBe(200);
    pass(1_000);
    expect((await whoami(wrong("c"), here)).status).toBe(200);
  });

  test("of an address with ever new credentials waits too, while what is right opens there", async () => {
    startClock();
    const here = from("2001:db8:1:1::1");
    for (let n = 0; n < 300; n += 1) expect((await whoami(wrong(`d${n}`), here)).status).toBe(401);
    expect((await whoami(wrong("one-more"), here)).status).toBe(429);
    expect((await whoami(wrong("next-door"), from("2001:db8:1:1:ffff::2"))).status).toBe(429);
    expect((await whoami(ADMIN, here)).status).toBe(200);
    expect((await whoami(wrong("elsewhere"), from("2001:db8:1:2::1"))).status).toBe(401);
  });

  test("does not count requests without a credential", async () => {
    const here = from("198.51.100.6");
    for (let n = 0; n < 320; n += 1) {
      const response = await request("GET", "/api/v1/whoami", undefined, { ...here, authorization: "" });
      expect(response.status).toBe(401);
      await response.body?.cancel();
    }
    expect((await whoami(wrong("e"), here)).status).toBe(401);
  });

  test("still waits when its object leaves memory, and is forgotten in the end", async () => {
    startClock();
    const name = "failures:198.51.100.7";
    const failed = () => limiter(name).failed("some-hash");
    for (let n = 0; n < 101; n += 1) await failed();
    await evictDurableObject(limiter(name));
    expect(await failed()).toMatchObject({ credentialWaitMs: 1_000 });
    pass(1_000 + 600_000);
    await runDurableObjectAlarm(limiter(name));
    expect(await failed()).toEqual({ credentialWaitMs: 0, addressWaitMs: 0 });
  });
});
