import { describe, expect, test, vi } from "vitest";
import { aPool, call, claim, env, eventually, request } from "../support/fleet.ts";

interface KeyBody {
  id: string;
  key: string;
  prefix: string;
  role: string;
  lastUsedAt: string | null;
  revokedAt: string | null;
  previousUntil: string | null;
  code?: string;
}
const create = async (body: object = {}) =>
  (await call<KeyBody>("POST", "/api/v1/keys", { name: "test", role: "viewer", ...body })).body;
const rotate = (id: string, body?: object) => call<KeyBody>("POST", `/api/v1/keys/${id}/rotate`, body);
const revoke = (id: string) => call<KeyBody>("DELETE", `/api/v1/keys/${id}`);
const whoami = async (key: string) => {
  const response = await request("GET", "/api/v1/whoami", undefined, { authorization: `Bearer ${key}` });
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
};
const audit = async (id: string) =>
  (
    await env.DB.prepare("SELECT action, actor, before, after, detail FROM audit WHERE subject = ? ORDER BY id")
      .bind(`key:${id}`)
      .all<{ action: string; actor: string; before: string | null; after: string; detail: string }>()
  ).results;

describe("a key", () => {
  test("is shown once, opens as its role, and is nowhere in the store", async () => {
    const made = await call<KeyBody>("POST", "/api/v1/keys", { name: "ci", role: "operator" });
    expect(made.status).toBe(201);
    expect(made.headers.get("location")).toBe(`/api/v1/keys/${made.body.id}`);
    const { key, ...view } = made.body;
    expect(key).toMatch(/^bh_[\w-]{43}$/);
    expect(await whoami(key)).toMatchObject({ status: 200, body: { role: "operator", actor: `key:${view.id}` } });
    const shown = await call("GET", `/api/v1/keys/${view.id}`);
    expect(shown.body).toMatchObject({ id: view.id, prefix: key.slice(0, 9) });
    expect(shown.body).not.toHaveProperty("key");
    for (const table of ["api_keys", "audit", "idempotency"]) {
      const { results } = await env.DB.prepare(`SELECT * FROM ${table}`).all();
      expect(JSON.stringify(results)).not.toContain(key.slice(9));
    }
  });

  test("of a tenant is one tenant's, and sees no other", async () => {
    await claim("keyed", await aPool("keyed"));
    const { key } = await create({ role: "tenant", tenantId: "keyed" });
    expect((await whoami(key)).body).toMatchObject({ role: "tenant", tenantId: "keyed" });
    const headers = { authorization: `Bearer ${key}` };
    expect((await request("GET", "/api/v1/tenants/keyed/status", undefined, headers)).status).toBe(200);
    await claim("unkeyed", "keyed");
    expect((await request("GET", "/api/v1/tenants/unkeyed/status", undefined, headers)).status).toBe(404);
  });

  test.each([
    [{ role: "tenant" }, "/tenantId"],
    [{ role: "viewer", tenantId: "alice" }, "/tenantId"],
    [{ role: "tenant", tenantId: "../alice" }, "/tenantId"],
    [{ role: "root" }, "/role"],
    [{ expiresAt: "2020-01-01T00:00:00Z" }, "/expiresAt"],
    [{ expiresAt: "tomorrow" }, "/expiresAt"],
    [{ requestsPerMinute: 0 }, "/requestsPerMinute"],
    [{ name: "" }, "/name"],
    [{ key: "bh_mine" }, "/key"],
  ])("%j is refused at %s", async (body, pointer) => {
    const refused = await call("POST", "/api/v1/keys", { name: "x", role: "viewer", ...body });
    expect(refused).toMatchObject({ status: 422, body: { errors: [{ pointer }] } });
  });

  test("says when it was last used, to a minute", async () => {
    const { id, key } = await create();
    expect((await call<KeyBody>("GET", `/api/v1/keys/${id}`)).body.lastUsedAt).toBeNull();
    await whoami(key);
    await eventually(async () => {
      const { lastUsedAt } = (await call<KeyBody>("GET", `/api/v1/keys/${id}`)).body;
      expect(Math.abs(Date.now() - Date.parse(lastUsedAt ?? ""))).toBeLessThan(60_000);
    });
  });

  test("ends at its expiry", async () => {
    const { key } = await create({ expiresAt: new Date(Date.now() + 60_000).toISOString() });
    expect((await whoami(key)).body.expiresAt).toBeDefined();
    vi.useFakeTimers({ now: Date.now() + 61_000, toFake: ["Date"] });
    try {
      expect(await whoami(key)).toMatchObject({ status: 401, body: { detail: "This credential has expired." } });
    } finally {
      vi.useRealTimers();
    }
  });

  test("that does not exist is 404, whatever is sent", async () => {
    expect((await call("GET", "/api/v1/keys/k-none")).status).toBe(404);
    expect((await revoke("k-none")).status).toBe(404);
    const headers = { "content-type": "application/json" };
    expect((await request("POST", "/api/v1/keys/k-none/rotate", "{", headers)).status).toBe(404);
  });
});

describe("a revocation", () => {
  test("holds at once, for good, and is recorded once", async () => {
    const { id, key } = await create();
    expect((await whoami(key)).status).toBe(200);
    const revoked = await revoke(id);
    expect(revoked).toMatchObject({ status: 200, body: { id, revokedAt: expect.any(String) } });
    expect(await whoami(key)).toMatchObject({ status: 401, body: { detail: "This credential was revoked." } });
    expect(await revoke(id)).toMatchObject({ status: 200, body: revoked.body });
    expect(await rotate(id)).toMatchObject({ status: 409, body: { code: "invalid_transition" } });
    expect((await audit(id)).map(({ action }) => action)).toEqual(["key.created", "key.revoked"]);
    expect((await call("GET", `/api/v1/keys/${id}`)).body).toMatchObject({ revokedAt: revoked.body.revokedAt });
  });
});

describe("a rotation", () => {
  test("without an overlap ends the old key at once", async () => {
    const { id, key } = await create();
    await whoami(key);
    const rotated = await rotate(id);
    expect(rotated).toMatchObject({ status: 200, body: { id, role: "viewer", previousUntil: null } });
    expect((await whoami(key)).status).toBe(401);
    expect(await whoami(rotated.body.key)).toMatchObject({ status: 200, body: { actor: `key:${id}` } });
  });

  test("with an overlap lets both in until it ends", async () => {
    const { id, key } = await create();
    const { body } = await rotate(id, { overlapMs: 60_000 });
    expect([(await whoami(key)).status, (await whoami(body.key)).status]).toEqual([200, 200]);
    vi.useFakeTimers({ now: Date.now() + 60_000, toFake: ["Date"] });
    try {
      expect([(await whoami(key)).status, (await whoami(body.key)).status]).toEqual([401, 200]);
    } finally {
      vi.useRealTimers();
    }
  });

  test("ends what an earlier overlap let in, and a revocation ends both", async () => {
    const { id, key: first } = await create();
    const { key: second } = (await rotate(id, { overlapMs: 60_000 })).body;
    const { key: third } = (await rotate(id, { overlapMs: 60_000 })).body;
    const statuses = async () => Promise.all([first, second, third].map(async (key) => (await whoami(key)).status));
    expect(await statuses()).toEqual([401, 200, 200]);
    await revoke(id);
    expect(await statuses()).toEqual([401, 401, 401]);
  });

  test("at the same time as another has one winner, whose key opens", async () => {
    const { id } = await create();
    const answers = await Promise.all([rotate(id), rotate(id), rotate(id)]);
    const won = answers.filter(({ status }) => status === 200);
    expect(answers.filter(({ status }) => status === 409)).toHaveLength(answers.length - won.length);
    const opened = await Promise.all(won.map(async ({ body }) => (await whoami(body.key)).status));
    expect(opened.filter((status) => status === 200)).toHaveLength(1);
    expect(await audit(id)).toHaveLength(1 + won.length);
  });

  test("longer than a week is refused", async () => {
    const { id } = await create();
    const refused = await rotate(id, { overlapMs: 7 * 86_400_000 + 1 });
    expect(refused).toMatchObject({ status: 422, body: { errors: [{ pointer: "/overlapMs" }] } });
  });

  test("is recorded with its actor, and its states follow one another", async () => {
    const { id } = await create();
    await rotate(id);
    const [created, rotated] = await audit(id);
    expect(created).toMatchObject({ action: "key.created", actor: "admin-key", before: null });
    expect(rotated).toMatchObject({ action: "key.rotated", before: created?.after });
    expect(rotated?.after).not.toBe(created?.after);
  });
});

test("keys are listed in pages that miss nothing", async () => {
  const made = await Promise.all([create(), create(), create()]);
  const seen: string[] = [];
  let path: string | null = "/api/v1/keys?limit=2";
  while (path !== null) {
    const page: { body: { items: { id: string }[]; nextCursor: string | null } } = await call("GET", path);
    expect(page.body.items.length).toBeLessThanOrEqual(2);
    for (const item of page.body.items) expect(item).not.toHaveProperty("key");
    seen.push(...page.body.items.map(({ id }) => id));
    path = page.body.nextCursor === null ? null : `/api/v1/keys?limit=2&cursor=${page.body.nextCursor}`;
  }
  expect(seen).toEqual([...new Set(seen)].sort());
  expect(seen).toEqual(expect.arrayContaining(made.map(({ id }) => id)));
});
