import {
  createExecutionContext,
  createScheduledController,
  evictDurableObject,
  runDurableObjectAlarm,
  runInDurableObject,
  waitOnExecutionContext,
} from "cloudflare:test";
import { afterEach, describe, expect, test, vi } from "vitest";
import { fleetOf, poolOf, tenantOf, vaultOf } from "../../src/durable/stubs.ts";
import type { ContainerId, PoolId, TenantId } from "../../src/ids.ts";
import worker, { Pool, Tenant } from "../../src/index.ts";
import { DAILY } from "../../src/sweep/daily.ts";
import type { TenantRecord } from "../../src/tenant/record.ts";
import { type Answer, aPool, call, claim, env, eventually, put, release, status } from "../support/fleet.ts";

interface Finding {
  kind: string;
  id: string;
  detail: string;
}
interface Swept {
  dryRun: boolean;
  checked: number;
  found: Finding[];
  removed: Finding[];
  skipped: (Finding & { reason: string })[];
  failed: { id: string; detail: string }[];
  cursor: string | null;
  done: boolean;
}

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

/** A whole sweep, page by page. */
async function sweep(what: string[], dryRun = false, limit = 100): Promise<Swept> {
  const all: Swept = { dryRun, checked: 0, found: [], removed: [], skipped: [], failed: [], cursor: null, done: true };
  for (let cursor: string | null = "", pages = 0; cursor !== null && pages < 200; pages += 1) {
    const path: string = `/api/v1/admin/sweep?limit=${limit}${cursor && `&cursor=${cursor}`}`;
    const { status: code, body }: Answer<Swept> = await call<Swept>("POST", path, { dryRun, what });
    expect([code, body.done], JSON.stringify(body)).toEqual([200, body.cursor === null]);
    all.checked += body.checked;
    for (const name of ["found", "removed", "skipped", "failed"] as const) all[name].push(...(body[name] as never[]));
    cursor = body.cursor;
  }
  return all;
}
const ids = (findings: Finding[]) => findings.map(({ id }) => id);
const about = (id: string, swept: Swept) => ({
  found: swept.found.filter((one) => one.id === id).length,
  removed: swept.removed.filter((one) => one.id === id).length,
  skipped: swept.skipped.filter((one) => one.id === id).map(({ reason }) => reason),
});
const stubOf = (space: { getByName(name: string): unknown }, name: string) =>
  space.getByName(name) as unknown as DurableObjectStub;
const later = (ms: number) =>
  vi.spyOn(Date, "now").mockImplementation(() => performance.timeOrigin + performance.now() + ms);
const alarmOf = (stub: DurableObjectStub) => runInDurableObject(stub, (_, state) => state.storage.getAlarm());
const loseAlarm = (stub: DurableObjectStub) => runInDurableObject(stub, (_, state) => state.storage.deleteAlarm());
const recorded = async (subject: string) =>
  (
    await env.DB.prepare("SELECT action, actor FROM audit WHERE subject = ? ORDER BY id")
      .bind(subject)
      .all<{ action: string; actor: string }>()
  ).results.map(({ action, actor }) => `${action} ${actor}`);

afterEach(() => {
  vi.restoreAllMocks();
});

describe("a lost alarm", () => {
  test("of a tenant that is past due is found, and set again; whoever wants nothing is not touched", async () => {
    const pool = await aPool("due");
    for (const tenant of ["due-a", "due-asleep"]) await claim(tenant, pool);
    await call("POST", "/api/v1/tenants/due-asleep/stop?wait=10s");
    const due = async (tenant: string) =>
      env.DB.prepare("SELECT due_at FROM tenants WHERE tenant_id = ?").bind(tenant).first<number | null>("due_at");
    await eventually(async () => {
      expect(await due("due-a")).toBeGreaterThan(Date.now());
      expect(await due("due-asleep")).toBeNull();
    });
    const stub = stubOf(env.TENANT, "due-a");
    await loseAlarm(stub);
    expect(about("due-a", await sweep(["due"]))).toMatchObject({ found: 0 });
    later(HOUR);
    expect(about("due-a", await sweep(["due"], true))).toEqual({ found: 1, removed: 0, skipped: [] });
    expect(await alarmOf(stub)).toBeNull();
    const swept = await sweep(["due"]);
    expect(about("due-a", swept)).toEqual({ found: 1, removed: 1, skipped: [] });
    expect(about("due-asleep", swept)).toMatchObject({ found: 0 });
    expect(await alarmOf(stub)).toBeGreaterThan(Date.now());
    expect(about("due-a", await sweep(["due"]))).toMatchObject({ found: 0 });
  });

  test("of a pool is found, and set again", async () => {
    const pool = await aPool("due-pool", { minSize: 0 });
    await loseAlarm(stubOf(env.POOL, pool));
    expect(ids((await sweep(["pools"], true)).found)).toContain(`pool:${pool}`);
    expect(await alarmOf(stubOf(env.POOL, pool))).toBeNull();
    expect(ids((await sweep(["pools"])).removed)).toContain(`pool:${pool}`);
    expect(await alarmOf(stubOf(env.POOL, pool))).toBeGreaterThan(Date.now());
  });

  test("of a destroyed tenant is what its kept data waits for: a month later it goes", async () => {
    const pool = await aPool("kept", { minSize: 0 });
    await claim("kept-a", pool);
    await put("kept-a", "a.txt", "kept");
    await call("POST", "/api/v1/tenants/kept-a/destroy?wait=10s", {});
    const stub = stubOf(env.TENANT, "kept-a");
    await eventually(async () =>
      expect(
        await env.DB.prepare("SELECT due_at FROM tenants WHERE tenant_id = 'kept-a' AND state = 'destroyed'").first(
          "due_at",
        ),
      ).toBeGreaterThan(Date.now() + 29 * DAY),
    );
    await loseAlarm(stub);
    later(31 * DAY);
    expect(about("kept-a", await sweep(["due"]))).toMatchObject({ found: 1, removed: 1 });
    await runDurableObjectAlarm(stub);
    await eventually(async () =>
      expect(await vaultOf(env, "kept-a" as TenantId).describe()).toMatchObject({ head: null }),
    );
    expect((await env.BUCKET.list({ prefix: "tenants/kept-a/" })).objects).toEqual([]);
  });
});

describe("a container", () => {
  test("that a pool leases to a tenant which has none is ended, but not before an hour, nor while the tenant is busy", async () => {
    const pool = await aPool("leased", { minSize: 0 });
    const { body } = await claim("leased-a", pool);
    await claim("leased-b", pool);
    const stub = stubOf(env.TENANT, "leased-a");
    await runInDurableObject(stub, (_, state) => {
      const { doc } = state.storage.sql.exec<{ doc: string }>("SELECT doc FROM tenant WHERE id = 1").one();
      const record = { ...(JSON.parse(doc) as TenantRecord), state: "idle", held: null };
      state.storage.sql.exec("UPDATE tenant SET doc = ? WHERE id = 1", JSON.stringify(record));
    });
    await evictDurableObject(stub);
    expect(about(body.containerId, await sweep(["pools"]))).toMatchObject({ found: 0 });
    later(2 * HOUR);
    expect(about(body.containerId, await sweep(["pools"], true))).toEqual({ found: 1, removed: 0, skipped: [] });
    const swept = await sweep(["pools"]);
    expect(about(body.containerId, swept)).toEqual({ found: 1, removed: 1, skipped: [] });
    const { body: left } = await call<{ items: { tenantId?: string }[] }>("GET", `/api/v1/pools/${pool}/containers`);
    expect(left.items.map(({ tenantId }) => tenantId)).toEqual(["leased-b"]);
    expect((await status("leased-b")).body).toMatchObject({ state: "active" });
  });

  test("whose tenant's object lost everything is left to the tenant's own recovery", async () => {
    const pool = await aPool("leased-lost", { minSize: 0 });
    const { body } = await claim("leased-lost", pool);
    const stub = stubOf(env.TENANT, "leased-lost");
    await runInDurableObject(stub, (_, state) => state.storage.deleteAll());
    await evictDurableObject(stub);
    later(2 * HOUR);
    const swept = await sweep(["pools"]);
    expect(about(body.containerId, swept)).toMatchObject({ removed: 0 });
  });

  test("that D1 shows and no pool has goes from there", async () => {
    const pool = await aPool("shown", { minSize: 1 });
    const insert = `INSERT INTO containers (container_id, pool_id, workload_id, workload_version, image, state, tier, started_at, since, updated_at)
      VALUES ('c-shown-ghost', ?, 'w', 1, 'sandbox', 'warm', 'lite', 1, 1, 1)`;
    await env.DB.prepare(insert).bind(pool).run();
    await env.DB.prepare(insert.replace("c-shown-ghost", "c-shown-nowhere")).bind("no-such-pool").run();
    const swept = await sweep(["pools"]);
    for (const id of ["c-shown-ghost", "c-shown-nowhere"]) {
      expect(about(id, swept)).toEqual({ found: 1, removed: 1, skipped: [] });
    }
    await eventually(async () => {
      const { results } = await env.DB.prepare("SELECT state FROM containers WHERE pool_id = ?").bind(pool).all();
      expect(results).toEqual([{ state: "warm" }]);
    });
  });

  test("that the fleet counts and no pool has counts no longer", async () => {
    const pool = await aPool("counted", { minSize: 1 });
    const ghost = "c-counted-ghost" as ContainerId;
    await fleetOf(env).admit(ghost, pool as PoolId, "lite");
    const before = (await fleetOf(env).counts()).lite ?? 0;
    expect(about(ghost, await sweep(["leases"]))).toMatchObject({ found: 0 });
    later(2 * HOUR);
    expect(about(ghost, await sweep(["leases"], true, 1))).toEqual({ found: 1, removed: 0, skipped: [] });
    expect(about(ghost, await sweep(["leases"]))).toEqual({ found: 1, removed: 1, skipped: [] });
    expect((await fleetOf(env).counts()).lite).toBe(before - 1);
    expect(await poolOf(env, pool as PoolId).describe()).toMatchObject({ ok: true, value: { warm: 1 } });
  });
});

test("rows of pools that are gone go, however many there are", async () => {
  const insert = env.DB.prepare(
    `INSERT INTO containers (container_id, pool_id, workload_id, workload_version, image, state, tier, started_at, since, updated_at)
     VALUES (?, 'pool-of-before', 'w', 1, 'sandbox', 'warm', 'lite', 1, 1, 1)`,
  );
  const gone = ["c-gone-1", "c-gone-2", "c-gone-3"];
  for (const id of gone) await insert.bind(id).run();
  const swept = await sweep(["pools"], false, 1);
  for (const id of gone) expect(about(id, swept)).toEqual({ found: 1, removed: 1, skipped: [] });
});

describe("what lies in R2", () => {
  test("is looked through whether or not a pool answers, and the silent one is named", async () => {
    const pool = await aPool("silent", { minSize: 0 });
    vi.spyOn(Pool.prototype, "tenants").mockRejectedValue(new Error("the pool does not answer"));
    const swept = await sweep(["vaults"]);
    expect(swept.failed).toContainEqual({ id: `pool:${pool}`, detail: "the pool does not answer" });
    expect(swept.checked).toBeGreaterThan(0);
  });

  test("of a sync spec under the name of nobody stays too, if it was committed", async () => {
    await env.BUCKET.put("tenants/nobody-spec/specs/models/ledger.json", "{}");
    await env.BUCKET.put("tenants/nobody-spec/objects/1", "half a save");
    later(8 * DAY);
    expect(about("nobody-spec", await sweep(["prefixes"]))).toMatchObject({
      removed: 0,
      skipped: [expect.stringContaining("committed")],
    });
    await env.BUCKET.delete("tenants/nobody-spec/specs/models/ledger.json");
    expect(about("nobody-spec", await sweep(["prefixes"]))).toMatchObject({ found: 1, removed: 1 });
  });

  test("under the name of nobody is not old because the first thousand of it are", async () => {
    const old = { key: "tenants/nobody-many/objects/1", size: 1, uploaded: new Date(1) };
    const list = env.BUCKET.list.bind(env.BUCKET);
    vi.spyOn(env.BUCKET, "list").mockImplementation((async (options: R2ListOptions = {}) => {
      if (options.delimiter === "/" && options.prefix === "tenants/") {
        return { objects: [], delimitedPrefixes: ["tenants/nobody-many/"], truncated: false };
      }
      if (options.prefix !== "tenants/nobody-many/") return list(options);
      return options.cursor === undefined
        ? { objects: [old], delimitedPrefixes: [], truncated: true, cursor: "more" }
        : { objects: [{ ...old, uploaded: new Date(Date.now()) }], delimitedPrefixes: [], truncated: false };
    }) as never);
    expect(about("nobody-many", await sweep(["prefixes"]))).toEqual({
      found: 1,
      removed: 0,
      skipped: [expect.stringContaining("within a week")],
    });
  });

  test("under a tenant's name and in no generation goes a day later, what is saved stays", async () => {
    const pool = await aPool("litter", { minSize: 0 });
    await claim("litter-a", pool);
    await put("litter-a", "large.bin", "x".repeat(100_000));
    await release("litter-a");
    const stray = "tenants/litter-a/objects/00000000-0000-4000-8000-000000000000";
    await env.BUCKET.put(stray, "stray");
    expect(about("litter-a", await sweep(["vaults"]))).toMatchObject({ found: 0 });
    later(2 * DAY);
    expect(about("litter-a", await sweep(["vaults"], true))).toEqual({ found: 1, removed: 0, skipped: [] });
    expect(about("litter-a", await sweep(["vaults"]))).toEqual({ found: 1, removed: 1, skipped: [] });
    await runDurableObjectAlarm(stubOf(env.VAULT, "litter-a"));
    expect(await env.BUCKET.head(stray)).toBeNull();
    expect((await sweep(["vaults"])).found.filter(({ id }) => id === "litter-a")).toEqual([]);
    const { body } = await claim("litter-a");
    expect(body.restored).toMatchObject({ files: 1, bytes: 100_000 });
  });

  test("under the name of nobody goes a week later, unless it was committed and nothing says that it may go", async () => {
    await env.BUCKET.put("tenants/nobody-a/objects/1", "half a save");
    await env.BUCKET.put("tenants/nobody-saved/ledger.json", "{}");
    await env.BUCKET.put("tenants/nobody-gone/ledger.json", "{}");
    const insert =
      "INSERT INTO audit (subject, at, action, actor, result, detail) VALUES (?, 1, ?, 'system', 'ok', '{}')";
    await env.DB.prepare(insert).bind("tenant:nobody-gone", "tenant.data_deleted").run();
    await env.DB.prepare(insert).bind("tenant:nobody-saved", "tenant.released").run();
    const young = await sweep(["prefixes"]);
    expect(about("nobody-a", young)).toEqual({
      found: 1,
      removed: 0,
      skipped: [expect.stringContaining("within a week")],
    });
    later(8 * DAY);
    expect(about("nobody-a", await sweep(["prefixes"], true, 1))).toEqual({ found: 1, removed: 0, skipped: [] });
    const swept = await sweep(["prefixes"], false, 2);
    expect(about("nobody-a", swept)).toMatchObject({ removed: 1 });
    expect(about("nobody-gone", swept)).toMatchObject({ removed: 1 });
    expect(about("nobody-saved", swept)).toMatchObject({ removed: 0, skipped: [expect.stringContaining("committed")] });
    expect((await env.BUCKET.list({ prefix: "tenants/nobody-" })).objects.map(({ key }) => key)).toEqual([
      "tenants/nobody-saved/ledger.json",
    ]);
  });

  test("of a tenant whose row D1 lost stays: its object knows it", async () => {
    const pool = await aPool("rowless", { minSize: 0 });
    await claim("rowless-a", pool);
    await put("rowless-a", "a.txt", "a");
    await release("rowless-a");
    await runDurableObjectAlarm(stubOf(env.VAULT, "rowless-a"));
    await eventually(async () =>
      expect(
        await env.DB.prepare("SELECT 1 FROM tenants WHERE tenant_id = 'rowless-a' AND state = 'idle'").first(),
      ).not.toBeNull(),
    );
    await env.DB.prepare("DELETE FROM tenants WHERE tenant_id = 'rowless-a'").run();
    later(30 * DAY);
    expect(about("rowless-a", await sweep(["prefixes"]))).toMatchObject({ found: 0 });
    expect((await claim("rowless-a", pool)).body.restored).toMatchObject({ files: 1 });
  });
});

describe("what D1 registers", () => {
  test("for tenants that do not exist goes after a week, and is recorded; what may come back keeps it", async () => {
    const pool = await aPool("hosts", { minSize: 0 });
    for (const tenant of ["host-a", "host-kept", "host-gone"]) {
      await claim(tenant, pool);
      await put(tenant, "a.txt", "a");
      await call("POST", "/api/v1/domains", { host: `${tenant}.example.com`, tenantId: tenant });
    }
    await call("POST", "/api/v1/tenants/host-kept/destroy?wait=10s", {});
    await call("POST", "/api/v1/tenants/host-gone/destroy?wait=10s", { deleteData: true });
    // A destruction takes its domains along; these came in between.
    const domain = env.DB.prepare("INSERT INTO domains (host, tenant_id, created_at) VALUES (?, ?, 1)");
    for (const tenant of ["ghost", "host-kept", "host-gone"]) {
      await domain.bind(`${tenant}.example.com`, tenant === "ghost" ? "host-ghost" : tenant).run();
    }
    const { body: key } = await call<{ id: string }>("POST", "/api/v1/keys", {
      name: "g",
      role: "tenant",
      tenantId: "host-ghost",
    });
    const { body: own } = await call<{ id: string }>("POST", "/api/v1/keys", {
      name: "a",
      role: "tenant",
      tenantId: "host-a",
    });
    await eventually(async () =>
      expect(
        await env.DB.prepare(
          "SELECT COUNT(*) AS n FROM tenants WHERE tenant_id LIKE 'host-%' AND state = 'destroyed'",
        ).first("n"),
      ).toBe(2),
    );
    await eventually(async () =>
      expect(await tenantOf(env, "host-gone" as TenantId).touch("look")).toMatchObject({ alarm: "none" }),
    );
    later(8 * DAY);
    const dry = await sweep(["domains", "keys"], true, 1);
    expect(ids(dry.found).sort()).toEqual([key.id, "ghost.example.com", "host-gone.example.com"].sort());
    expect(dry.removed).toEqual([]);
    const swept = await sweep(["domains", "keys"]);
    expect(ids(swept.removed).sort()).toEqual(ids(dry.found).sort());
    const { body } = await call<{ items: { host: string }[] }>("GET", "/api/v1/domains");
    expect(body.items.map(({ host }) => host)).toEqual(["host-a.example.com", "host-kept.example.com"]);
    expect(await recorded("domain:ghost.example.com")).toEqual(["domain.deleted admin-key"]);
    expect(await recorded(`key:${key.id}`)).toEqual(["key.created admin-key", "key.revoked admin-key"]);
    expect(await recorded(`key:${own.id}`)).toEqual(["key.created admin-key"]);
    expect((await sweep(["domains", "keys"])).found).toEqual([]);
  });

  test("stays where it was registered for somebody else while it was looked at", async () => {
    const insert = "INSERT OR REPLACE INTO domains (host, tenant_id, created_at) VALUES ('again.example.com', ?, 1)";
    await env.DB.prepare(insert).bind("again-ghost").run();
    vi.spyOn(Tenant.prototype, "touch").mockImplementation(async () => {
      await env.DB.prepare(insert).bind("again-heir").run();
      return null;
    });
    expect(about("again.example.com", await sweep(["domains"]))).toMatchObject({ found: 1, removed: 0 });
    const kept = await env.DB.prepare("SELECT tenant_id FROM domains WHERE host = 'again.example.com'").first();
    expect(kept).toEqual({ tenant_id: "again-heir" });
    await env.DB.prepare("DELETE FROM domains WHERE host = 'again.example.com'").run();
  });

  test("and keeps for a while only goes when that is over", async () => {
    const insert =
      "INSERT INTO idempotency (id, fingerprint, attempt, started_at, expires_at) VALUES ('old', 'f', 'a', 1, 2), ('new', 'f', 'a', 1, ?)";
    await env.DB.prepare(insert)
      .bind(Date.now() + HOUR)
      .run();
    expect(await sweep(["rows"], true)).toMatchObject({ found: [{ kind: "rows" }], removed: [] });
    expect(await sweep(["rows"])).toMatchObject({ removed: [{ kind: "rows" }] });
    const { results } = await env.DB.prepare("SELECT id FROM idempotency WHERE id IN ('old', 'new')").all();
    expect(results).toEqual([{ id: "new" }]);
  });
});

describe("the sweep that runs by itself", () => {
  const tick = async (cron: string) => {
    const ctx = createExecutionContext();
    worker.scheduled(createScheduledController({ cron, scheduledTime: new Date(Date.now()) }), env, ctx);
    await waitOnExecutionContext(ctx);
  };
  const daily = () => tick(DAILY);
  const hourly = () => tick("23 * * * *");

  test("goes through everything, records what it did, and tells of orphans until there are none", async () => {
    await aPool("daily", { minSize: 1 });
    await env.BUCKET.delete("tenants/nobody-saved/ledger.json");
    await env.DB.prepare(
      "INSERT INTO domains (host, tenant_id, created_at) VALUES ('daily.example.com', 'daily-ghost', 1)",
    ).run();
    await daily();
    const said = await recorded("platform:sweep");
    expect(said).toContain("platform.swept system");
    expect(said.filter((line) => line.startsWith("alert."))).toContain("alert.raised system");
    expect(await recorded("domain:daily.example.com")).toEqual(["domain.deleted system"]);
    expect(await env.DB.prepare("SELECT cursor, removed FROM sweep").first()).toMatchObject({
      cursor: null,
      removed: expect.any(Number),
    });
    await daily();
    expect((await recorded("platform:sweep")).filter((line) => line.startsWith("alert.")).at(-1)).toBe(
      "alert.cleared system",
    );
  });

  test("makes no more requests in one run than the platform allows; the next run of any trigger goes on", async () => {
    const domain = env.DB.prepare("INSERT INTO domains (host, tenant_id, created_at) VALUES (?, 'many-ghost', 1)");
    const hosts = Array.from({ length: 250 }, (_, i) => `many-${i}.example.com`);
    await env.DB.batch(hosts.map((host) => domain.bind(host)));
    const left = () => env.DB.prepare("SELECT COUNT(*) AS n FROM domains WHERE tenant_id = 'many-ghost'").first("n");
    await env.DB.prepare(
      `INSERT OR REPLACE INTO sweep (id, cursor, started_at, updated_at, checked, found, removed, failed)
       VALUES (1, '{"of":"domains","after":""}', 5, 5, 0, 0, 0, 0)`,
    ).run();
    const prepared = vi.spyOn(env.DB, "prepare");
    await daily();
    expect(prepared.mock.calls.length).toBeLessThan(1_000);
    prepared.mockRestore();
    expect(await left()).toBeGreaterThan(0);
    expect(await env.DB.prepare("SELECT cursor FROM sweep").first("cursor")).not.toBeNull();
    await hourly();
    expect(await left()).toBe(0);
    const ended = await env.DB.prepare("SELECT cursor, started_at, updated_at, removed FROM sweep").first();
    expect(ended).toMatchObject({ cursor: null, started_at: 5, removed: expect.any(Number) });
    await hourly();
    expect(await env.DB.prepare("SELECT cursor, started_at, updated_at, removed FROM sweep").first()).toEqual(ended);
  });

  test("goes on where the one before it ended", async () => {
    await env.DB.prepare(
      `INSERT OR REPLACE INTO sweep (id, cursor, started_at, updated_at, checked, found, removed, failed)
       VALUES (1, '{"of":"rows","after":""}', 5, 5, 70, 0, 0, 0)`,
    ).run();
    await daily();
    const row = await env.DB.prepare("SELECT cursor, started_at, checked FROM sweep").first<{ checked: number }>();
    expect(row).toMatchObject({ cursor: null, started_at: 5 });
    expect(row?.checked).toBeGreaterThanOrEqual(70);
  });
});

test("a sweep says what it does not understand", async () => {
  expect(await call("POST", "/api/v1/admin/sweep", { what: ["dust"] })).toMatchObject({ status: 422 });
  expect(await call("POST", "/api/v1/admin/sweep", { what: [] })).toMatchObject({ status: 422 });
  expect(await call("POST", "/api/v1/admin/sweep?cursor=nonsense", {})).toMatchObject({ status: 422 });
  expect(await call("POST", "/api/v1/admin/sweep?limit=0")).toMatchObject({ status: 422 });
});
