import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { ADMISSION_SECRET_BYTES, Admissions } from "../../src/tenant/admissions.ts";

/** The store of single-use secrets, in the SQLite of an object of its own. */
const admission = { actor: "admin-key", sessionExpiresAt: 5_000 };
const random = () => crypto.getRandomValues(new Uint8Array(ADMISSION_SECRET_BYTES));

function inStore(name: string, check: (store: Admissions, sql: SqlStorage) => void): Promise<void> {
  return runInDurableObject(env.TENANT.getByName(name), (_, state) => {
    check(new Admissions(state.storage.sql), state.storage.sql);
  });
}

function issued(store: Admissions, kind: "code" | "ticket", ttlMs = 1_000, now = 0): string {
  const outcome = store.issue(kind, admission, ttlMs, now, random());
  if (!outcome.ok) throw new Error(outcome.failure.detail);
  return outcome.value.secret;
}

describe("a single-use secret", () => {
  test("opens once", () =>
    inStore("once", (store) => {
      const secret = issued(store, "code");
      expect(store.redeem("code", secret, 1)).toEqual(admission);
      expect(store.redeem("code", secret, 1)).toBeNull();
    }));

  test("opens up to its time and not at it", () =>
    inStore("timely", (store) => {
      const [early, late] = [issued(store, "code"), issued(store, "code")];
      expect(store.redeem("code", early, 999)).toEqual(admission);
      expect(store.redeem("code", late, 1_000)).toBeNull();
    }));

  test("opens nothing of the other kind, and is not used up by trying", () =>
    inStore("kinds", (store) => {
      const secret = issued(store, "ticket");
      expect(store.redeem("code", secret, 1)).toBeNull();
      expect(store.redeem("ticket", secret, 1)).toEqual(admission);
    }));

  test("of another tenant is unknown, and asking creates nothing", () =>
    inStore("elsewhere", (store, sql) => {
      expect(store.redeem("code", Buffer.from(random()).toString("base64url"), 1)).toBeNull();
      expect(sql.exec("SELECT 1 FROM sqlite_master WHERE name = 'admissions'").toArray()).toEqual([]);
    }));

  test("is stored as a hash only", () =>
    inStore("hashed", (store, sql) => {
      const secret = issued(store, "code");
      const stored = JSON.stringify(sql.exec("SELECT * FROM admissions").toArray());
      expect(stored).toContain("admin-key");
      expect(stored).not.toContain(secret);
    }));

  test("is refused beyond a hundred open ones, until one is used or too old", () =>
    inStore("many", (store) => {
      const first = issued(store, "code", 1_000);
      for (let n = 1; n < 100; n += 1) issued(store, "ticket", 60_000);
      const refused = store.issue("code", admission, 1_000, 400, random());
      expect(refused).toMatchObject({ ok: false, failure: { code: "rate_limited", retryAfterMs: 1_000 } });
      store.redeem("code", first, 500);
      issued(store, "code", 1_000, 500);
      expect(store.issue("code", admission, 1_000, 600, random()).ok).toBe(false);
      issued(store, "code", 1_000, 1_500); // the one of 500 is over
    }));

  test("opens nothing after a revocation", () =>
    inStore("revoked", (store) => {
      const secret = issued(store, "ticket");
      store.revokeAll();
      expect(store.redeem("ticket", secret, 1)).toBeNull();
    }));
});
