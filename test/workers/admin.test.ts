import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { describe, expect, test } from "vitest";
import { tenantsAfter } from "../../src/admin/pages.ts";
import { configOf } from "../../src/config.ts";
import { openUnder, rewrapped, sealUnder } from "../../src/secrets/envelope.ts";
import type { TenantRecord } from "../../src/tenant/record.ts";
import { type Answer, aPool, call, claim, env, eventually, release } from "../support/fleet.ts";

interface Walk {
  pools: number;
  tenants: number;
  removed: number;
  rewrapped: number;
  rows: number;
  failed: { id: string; detail: string }[];
  cursor: string | null;
  done: boolean;
}

/** Every page of a walk, as an operator would do it. */
async function walk(what: "rebuild" | "rotate-secrets", limit: number): Promise<Walk[]> {
  const pages: Walk[] = [];
  for (let cursor: string | null = ""; cursor !== null && pages.length < 100; ) {
    const path: string = `/api/v1/admin/${what}?limit=${limit}${cursor && `&cursor=${cursor}`}`;
    const { status, body }: Answer<Walk> = await call<Walk>("POST", path);
    expect([status, body.done]).toEqual([200, body.cursor === null]);
    pages.push(body);
    cursor = body.cursor;
  }
  return pages;
}
const sum = (pages: Walk[], of: (page: Walk) => number) => pages.reduce((total, page) => total + of(page), 0);
const rows = async (sql: string) => (await env.DB.prepare(sql).all()).results;
const TENANTS = "SELECT * FROM tenants ORDER BY tenant_id";
const CONTAINERS = "SELECT * FROM containers ORDER BY container_id";
const without =
  (...columns: string[]) =>
  (row: Record<string, unknown>) =>
    Object.fromEntries(Object.entries(row).filter(([name]) => !columns.includes(name)));

describe("a rebuild", () => {
  test("brings back rows that were lost, corrects those that are wrong, and removes those of nobody", async () => {
    const pool = await aPool("rebuilt", { minSize: 2 });
    const other = await aPool("rebuilt-too", { minSize: 1 });
    for (const tenant of ["re-a", "re-b", "RE:C"]) await claim(tenant, pool);
    await claim("re-d", other);
    await release("re-b");
    await eventually(async () => {
      expect(await rows(TENANTS)).toHaveLength(4);
      expect(await rows("SELECT * FROM tenants WHERE tenant_id = 're-b' AND state = 'idle'")).toHaveLength(1);
      expect(await rows("SELECT * FROM containers WHERE state IN ('warm', 'assigned')")).toHaveLength(6);
    });
    const tenants = await rows(TENANTS);
    const containers = await rows(CONTAINERS);

    await env.DB.batch([
      env.DB.prepare("DELETE FROM tenants WHERE tenant_id IN ('re-a', 'RE:C')"),
      env.DB.prepare("UPDATE tenants SET state = 'active', seq = 999999 WHERE tenant_id = 're-b'"),
      env.DB.prepare(
        "INSERT INTO tenants (tenant_id, seq, state, desired, epoch, generation, created_at, updated_at) VALUES ('re-ghost', 3, 'active', 'active', 1, 0, 1, 1), ('%%', 3, 'idle', 'idle', 1, 0, 1, 1)",
      ),
      env.DB.prepare("DELETE FROM containers WHERE tenant_id = 're-a'"),
      env.DB.prepare("UPDATE containers SET state = 'failed', updated_at = 9e15 WHERE tenant_id = 're-d'"),
      env.DB.prepare(
        `INSERT INTO containers SELECT 'c-ghost', 'no-such-pool', ${columnsAfter(containers[0], 2)} FROM containers LIMIT 1`,
      ),
    ]);
    expect(await rows(TENANTS)).not.toEqual(tenants);

    const pages = await walk("rebuild", 2);
    expect(pages.flatMap(({ failed }) => failed)).toEqual([]);
    expect([sum(pages, ({ pools }) => pools), sum(pages, ({ tenants }) => tenants)]).toEqual([2, 4]);
    expect(sum(pages, ({ removed }) => removed)).toBe(3);
    expect((await rows(TENANTS)).map(without("updated_at", "due_at"))).toEqual(
      tenants.map(without("updated_at", "due_at")),
    );
    expect((await rows(CONTAINERS)).map(without("updated_at"))).toEqual(containers.map(without("updated_at")));
  });

  test("finds a tenant by its pool alone, in order, also between pages", async () => {
    const pool = await aPool("found", { minSize: 0 });
    for (const tenant of ["f-1", "f-2", "F:3"]) await claim(tenant, pool);
    await env.DB.batch([env.DB.prepare("DELETE FROM tenants"), env.DB.prepare("DELETE FROM tenant_hosts")]);
    const found: string[] = [];
    for (
      let page = await tenantsAfter(env, "", 2);
      page.length > 0;
      page = await tenantsAfter(env, page.at(-1) ?? "", 2)
    ) {
      found.push(...page);
    }
    expect(found).toEqual([...new Set(found)].sort());
    expect(found).toEqual(expect.arrayContaining(["F:3", "f-1", "f-2"]));
  });

  test("takes no cursor of its own making", async () => {
    for (const cursor of ["!", btoa("nowhere:x"), btoa("tenants:a b")]) {
      const refused = await call("POST", `/api/v1/admin/rebuild?cursor=${encodeURIComponent(cursor)}`);
      expect(refused).toMatchObject({ status: 422, body: { errors: [{ pointer: "/query/cursor" }] } });
    }
  });
});

describe("a rotation of secrets", () => {
  const now = configOf(env);
  const before = { secretsKey: now.secretsKeyPrevious, secretsKeyPrevious: now.secretsKey };
  const stubOf = (tenant: string) => env.TENANT.getByName(tenant) as unknown as DurableObjectStub;
  const recordOf = (tenant: string) =>
    runInDurableObject(stubOf(tenant), (_, state): TenantRecord => {
      const { doc } = state.storage.sql.exec<{ doc: string }>("SELECT doc FROM tenant").one();
      return JSON.parse(doc);
    });

  /** As it was before SECRETS_KEY became what it is now. */
  async function underThePreviousKey(tenant: string): Promise<void> {
    const record = await recordOf(tenant);
    if (!record.secrets) throw new Error("has no secrets");
    const key = await rewrapped(before, tenant, record.secrets.key);
    expect(key).not.toBeNull();
    const doc = JSON.stringify({ ...record, secrets: { ...record.secrets, key } });
    await runInDurableObject(stubOf(tenant), (_, state) => {
      state.storage.sql.exec("UPDATE tenant SET doc = ?", doc);
    });
    await evictDurableObject(stubOf(tenant));
  }

  test("wraps every tenant's key under the current one, once, and no secret is lost", async () => {
    const pool = await aPool("rotated", { minSize: 0 });
    for (const tenant of ["rot-a", "rot-b", "rot-c"]) {
      await claim(tenant, pool, { secrets: { TOKEN: `token of ${tenant}` } });
      await release(tenant);
    }
    await claim("rot-none", pool);
    for (const tenant of ["rot-a", "rot-b"]) await underThePreviousKey(tenant);
    const current = (await recordOf("rot-c")).secrets?.key.keyId;
    expect((await recordOf("rot-a")).secrets?.key.keyId).not.toBe(current);

    const pages = await walk("rotate-secrets", 2);
    expect(pages.length).toBeGreaterThan(1);
    expect(pages.flatMap(({ failed }) => failed)).toEqual([]);
    expect(sum(pages, ({ rewrapped }) => rewrapped)).toBe(2);
    for (const tenant of ["rot-a", "rot-b", "rot-c"]) {
      expect((await recordOf(tenant)).secrets?.key.keyId).toBe(current);
      expect((await claim(tenant)).body).toMatchObject({ state: "active" });
    }
    expect(sum(await walk("rotate-secrets", 2), ({ rewrapped }) => rewrapped)).toBe(0);
  });

  test("seals the sinks' secrets of sync specs anew", async () => {
    const sealed = await sealUnder(before, "sync-spec\0rot-spec", "the sink's");
    const insert = env.DB.prepare(
      "INSERT INTO sync_specs (id, pool_id, version, spec, secret, created_at, updated_at) VALUES (?, 'p', 1, '{}', ?, 1, 1)",
    );
    await insert.bind("rot-spec", sealed).run();
    expect(sum(await walk("rotate-secrets", 100), ({ rows }) => rows)).toBe(1);
    const after = await env.DB.prepare("SELECT secret FROM sync_specs WHERE id = 'rot-spec'").first<string>("secret");
    expect(after).not.toBe(sealed);
    expect(
      await openUnder({ secretsKey: now.secretsKey, secretsKeyPrevious: null }, "sync-spec\0rot-spec", after ?? ""),
    ).toBe("the sink's");
    expect(sum(await walk("rotate-secrets", 100), ({ rows }) => rows)).toBe(0);
  });

  test("names what could not be done, and does the rest", async () => {
    const pool = await aPool("unrotated", { minSize: 0 });
    for (const tenant of ["un-a", "un-b"]) {
      await claim(tenant, pool, { secrets: { TOKEN: "token" } });
      await underThePreviousKey(tenant);
    }
    const record = await recordOf("un-a");
    await runInDurableObject(stubOf("un-a"), (_, state) => {
      const doc = JSON.stringify(record).replace(/"keyId":"[^"]+"/, '"keyId":"lost"');
      state.storage.sql.exec("UPDATE tenant SET doc = ?", doc);
    });
    await evictDurableObject(stubOf("un-a"));
    const pages = await walk("rotate-secrets", 500);
    expect(pages.flatMap(({ failed }) => failed)).toEqual([{ id: "un-a", detail: expect.stringContaining("lost") }]);
    expect(sum(pages, ({ rewrapped }) => rewrapped)).toBe(1);
  });

  test("is recorded, with what it came to", async () => {
    const { headers } = await call("POST", "/api/v1/admin/rotate-secrets");
    const { body } = await call<{ items: object[] }>("GET", `/api/v1/audit?requestId=${headers.get("x-request-id")}`);
    expect(body.items).toMatchObject([
      { action: "platform.secrets_rotated", subject: "platform:secrets", actor: "admin-key", result: "ok" },
    ]);
  });
});

const columnsAfter = (row: Record<string, unknown> | undefined, count: number) =>
  Object.keys(row ?? {})
    .slice(count)
    .join(", ");
