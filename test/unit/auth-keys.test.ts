import { describe, expect, test } from "vitest";
import { type ApiKey, isApiKey, keyId, keyOf, refusalOf } from "../../src/auth/api-key.ts";
import { KEY_TTL_MS, KeyCache } from "../../src/auth/key-cache.ts";
import { SLUG } from "../../src/ids.ts";
import { lineOf } from "../../src/log.ts";
import { sha256 } from "../../src/sha256.ts";

const NOW = 1_800_000_000_000;
const { key: token, hash, prefix } = keyOf(new Uint8Array(32).fill(7));
const aKey = (more: Partial<ApiKey> = {}): ApiKey => ({
  id: "k-1",
  name: "one",
  role: "viewer",
  tenantId: null,
  hash,
  prefix,
  previousHash: null,
  previousUntil: null,
  requestsPerMinute: null,
  createdAt: 0,
  createdBy: "admin-key",
  expiresAt: null,
  lastUsedAt: null,
  revokedAt: null,
  ...more,
});

describe("a key", () => {
  test("has 256 random bits, begins with bh_, and shows six characters", () => {
    expect(isApiKey(token)).toBe(true);
    expect(Buffer.from(token.slice(3), "base64url")).toHaveLength(32);
    expect(prefix).toHaveLength(9);
    expect(token.startsWith(prefix)).toBe(true);
  });

  test("is printed by no log", () => {
    const line = lineOf("info", `got ${token}`, { text: `x ${token} y`, nested: [{ value: token }] });
    expect(line).not.toContain(token.slice(3));
  });

  test("has an id that sorts by time and that a cursor can hold", () => {
    const random = Uint8Array.from({ length: 8 }, (_, index) => index * 31);
    const ids = [NOW, NOW + 1, NOW + 36 ** 6].map((now) => keyId(now, random));
    expect([...ids].sort()).toEqual(ids);
    for (const id of ids) expect(id).toMatch(SLUG);
  });

  test.each([
    ["opens", {}, null],
    ["opens until it expires", { expiresAt: NOW + 1 }, null],
    ["has expired at its time", { expiresAt: NOW }, "expired"],
    ["is revoked for good", { revokedAt: 1, expiresAt: 1 }, "revoked"],
    ["of before a rotation opens in the overlap", { hash: "new", previousHash: hash, previousUntil: NOW + 1 }, null],
    ["of before a rotation ends with it", { hash: "new", previousHash: hash, previousUntil: NOW }, "revoked"],
    [
      "of before a rotation ends with the key",
      { hash: "new", previousHash: hash, previousUntil: NOW + 1, revokedAt: 1 },
      "revoked",
    ],
  ] as const)("%s", (_, more, expected) => {
    expect(refusalOf(aKey(more), hash, NOW)).toBe(expected);
  });
});

describe("an isolate's memory of keys", () => {
  const setUp = (key: ApiKey | null = aKey()) => {
    const cache = new KeyCache();
    const seen = { lookups: 0, uses: 0, key };
    const check = (now: number) =>
      cache.check(
        token,
        now,
        async (asked) => {
          expect(asked).toBe(sha256(token));
          seen.lookups += 1;
          return seen.key && { ...seen.key };
        },
        () => {
          seen.uses += 1;
        },
      );
    return { cache, seen, check };
  };

  test("asks the registry again after five seconds", async () => {
    const { seen, check } = setUp();
    await check(NOW);
    await check(NOW + KEY_TTL_MS - 1);
    expect(seen.lookups).toBe(1);
    seen.key = aKey({ revokedAt: NOW });
    expect(await check(NOW + KEY_TTL_MS)).toEqual({ ok: false, why: "revoked" });
  });

  test("keeps nothing of keys that are not there", async () => {
    const { seen, check } = setUp(null);
    expect(await check(NOW)).toEqual({ ok: false, why: "unknown" });
    seen.key = aKey();
    expect(await check(NOW)).toMatchObject({ ok: true });
  });

  test("never lets a remembered key outlive its expiry", async () => {
    const { check } = setUp(aKey({ expiresAt: NOW + 10 }));
    expect(await check(NOW)).toMatchObject({ ok: true });
    expect(await check(NOW + 10)).toEqual({ ok: false, why: "expired" });
  });

  test("forgets at once what is changed here, also what is still being looked up", async () => {
    const { cache, seen, check } = setUp();
    await check(NOW);
    const revoked = aKey({ revokedAt: NOW });
    seen.key = revoked;
    cache.forget("k-1");
    expect(await check(NOW)).toEqual({ ok: false, why: "revoked" });

    let answer = (_: ApiKey) => {};
    const slow = new KeyCache();
    const used = () => {};
    const first = slow.check(
      token,
      NOW,
      () =>
        new Promise((resolve) => {
          answer = resolve;
        }),
      used,
    );
    slow.forget("k-1");
    answer(aKey());
    await first;
    expect(await slow.check(token, NOW, async () => revoked, used)).toEqual({ ok: false, why: "revoked" });
  });

  test("reports a use at most once a minute", async () => {
    const { seen, check } = setUp(aKey({ lastUsedAt: NOW - 60_000 }));
    for (const ms of [0, 1, 4_000]) await check(NOW + ms);
    expect(seen.uses).toBe(1);
  });
});
