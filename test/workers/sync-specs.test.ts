import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { configOf } from "../../src/config.ts";
import { rewrapSyncSecrets } from "../../src/registry/sync-specs.ts";
import { isOutdated } from "../../src/secrets/envelope.ts";
import { aPool, call, claim, put as putFile, release, request } from "../support/fleet.ts";

const PATH = "/api/v1/sync-specs";
const PLANTED = "planted-secret-access-key-9876";
const TENANT = `\${tenantId}`;

const aSpec = (id: string, poolId: string, more: object = {}) => ({
  id,
  poolId,
  mappings: [{ containerPath: "/data", sinkPath: "data/", direction: "upload", mode: "sync" }],
  sink: { type: "r2" },
  ...more,
});
const s3 = (more: object = {}) => ({
  sink: { type: "s3", bucket: "my-data", region: "auto", prefix: `t/${TENANT}/`, accessKeyId: "AKID", ...more },
});
const put = async (id: string, body: object, headers: Record<string, string> = {}) => {
  const init = { "content-type": "application/json", ...headers };
  const response = await request("PUT", `${PATH}/${id}`, JSON.stringify(body), init);
  return {
    status: response.status,
    headers: response.headers,
    body: (await response.json()) as Record<string, unknown>,
  };
};
const dump = async (table: string) => JSON.stringify((await env.DB.prepare(`SELECT * FROM ${table}`).all()).results);
const records = async (id: string) =>
  (
    await env.DB.prepare("SELECT action, before, after, detail FROM audit WHERE subject = ? ORDER BY id")
      .bind(`sync-spec:${id}`)
      .all<{ action: string; before: string | null; after: string | null; detail: string }>()
  ).results;

describe("a sync spec", () => {
  test("is created, found, changed and deleted, with one record each", async () => {
    const pool = await aPool("crud", { minSize: 0 });
    const created = await call("POST", PATH, aSpec("crud", pool));
    expect(created).toMatchObject({
      status: 201,
      body: { id: "crud", poolId: pool, version: 1, policy: { onClaim: false, allowManualTrigger: false } },
    });
    expect(created.headers.get("location")).toBe(`${PATH}/crud`);
    const found = await call("GET", `${PATH}/crud`);
    expect([found.body, found.headers.get("etag")]).toEqual([created.body, '"1"']);
    expect((await call("POST", PATH, aSpec("crud", pool))).body).toMatchObject({ code: "already_exists" });

    const same = await put("crud", aSpec("crud", pool));
    expect(same).toMatchObject({ status: 200, body: { version: 1 } });
    const changed = await put("crud", aSpec("crud", pool, { policy: { intervalMs: 30_000 } }), { "if-match": '"1"' });
    expect(changed).toMatchObject({ status: 200, body: { version: 2, policy: { intervalMs: 30_000 } } });
    expect((await put("crud", aSpec("crud", pool), { "if-match": '"1"' })).status).toBe(412);

    expect((await request("DELETE", `${PATH}/crud`)).status).toBe(204);
    for (const method of ["GET", "DELETE"]) expect((await call(method, `${PATH}/crud`)).status).toBe(404);
    const rows = await records("crud");
    expect(rows.map(({ action }) => action)).toEqual(["sync-spec.created", "sync-spec.updated", "sync-spec.deleted"]);
    expect(rows[1]?.before).toBe(rows[0]?.after);
    expect(rows[2]).toMatchObject({ before: rows[1]?.after, after: null });
  });

  test("needs a pool that exists, also when it changes", async () => {
    const refused = await call("POST", PATH, aSpec("lost", "no-such-pool"));
    expect(refused).toMatchObject({ status: 422, body: { code: "invalid", errors: [{ pointer: "/poolId" }] } });
    const pool = await aPool("anchor", { minSize: 0 });
    await call("POST", PATH, aSpec("anchored", pool));
    const moved = await put("anchored", aSpec("anchored", "no-such-pool"));
    expect(moved).toMatchObject({ status: 422, body: { errors: [{ pointer: "/poolId" }] } });
    expect((await call("GET", `${PATH}/anchored`)).body).toMatchObject({ poolId: pool, version: 1 });
  });

  test("that is not there is 404 before its body is looked at", async () => {
    for (const [method, path] of [
      ["PUT", `${PATH}/nowhere`],
      ["POST", `${PATH}/nowhere/trigger`],
    ] as const) {
      const response = await request(method, path, "{", { "content-type": "application/json" });
      expect(response.status).toBe(404);
      await response.body?.cancel();
    }
    expect((await call("GET", `${PATH}/nowhere/status`)).status).toBe(404);
  });

  test("is listed with those of its pool, in pages", async () => {
    const [one, two] = [await aPool("list-one", { minSize: 0 }), await aPool("list-two", { minSize: 0 })];
    for (const id of ["la", "lb", "lc"]) await call("POST", PATH, aSpec(id, one));
    await call("POST", PATH, aSpec("ld", two));
    const first = await call<{ items: { id: string }[]; nextCursor: string }>("GET", `${PATH}?poolId=${one}&limit=2`);
    expect(first.body.items.map(({ id }) => id)).toEqual(["la", "lb"]);
    const second = await call("GET", `${PATH}?poolId=${one}&limit=2&cursor=${first.body.nextCursor}`);
    expect(second.body).toMatchObject({ items: [{ id: "lc" }], nextCursor: null });
    expect((await call("GET", `${PATH}?poolId=${two}`)).body).toMatchObject({ items: [{ id: "ld" }] });
    const all = await call<{ items: { id: string }[] }>("GET", `${PATH}?limit=200`);
    expect(all.body.items.map(({ id }) => id)).toEqual(expect.arrayContaining(["la", "lb", "lc", "ld"]));
  });

  test("of what cannot be had is refused by name", async () => {
    const pool = await aPool("refusing", { minSize: 0 });
    for (const [more, pointer] of [
      [{ sink: { type: "gcs", bucket: "b", prefix: "p" } }, "/sink/type"],
      [{ policy: { realtime: true } }, "/policy/realtime"],
    ] as const) {
      const refused = await call("POST", PATH, aSpec("refused", pool, more));
      expect(refused).toMatchObject({ status: 422, body: { code: "unsupported", errors: [{ pointer }] } });
    }
  });
});

describe("a sink's secret", () => {
  test("never comes back: not in an answer, a record, a hash or a row", async () => {
    const pool = await aPool("secretive", { minSize: 0 });
    const created = await call("POST", PATH, aSpec("sealed", pool, s3({ secretAccessKey: PLANTED })));
    expect(created).toMatchObject({ status: 201, body: { sink: { secretAccessKeyMasked: "••••9876" } } });
    const answers = [
      created.body,
      (await call("GET", `${PATH}/sealed`)).body,
      (await call("GET", PATH)).body,
      (await put("sealed", aSpec("sealed", pool, s3({ secretAccessKey: `${PLANTED}x` })))).body,
    ];
    for (const text of [
      ...answers.map((body) => JSON.stringify(body)),
      await dump("sync_specs"),
      await dump("audit"),
    ]) {
      expect(text).not.toContain("planted-secret");
    }
    const [before, after] = await records("sealed");
    expect(after?.before).toBe(before?.after);
    expect(after?.after).toBe(before?.after);
    expect(JSON.parse(after?.detail ?? "{}")).toEqual({ version: 2, sinkKey: "changed" });
  });

  test("stays when a change leaves it out, and goes with the key that it belonged to", async () => {
    const pool = await aPool("keeping", { minSize: 0 });
    await call("POST", PATH, aSpec("keeps", pool, s3({ secretAccessKey: PLANTED })));
    const kept = await put("keeps", aSpec("keeps", pool, s3({ region: "eu-1" })));
    expect(kept.body).toMatchObject({ version: 2, sink: { region: "eu-1", secretAccessKeyMasked: "••••9876" } });
    const again = await put("keeps", aSpec("keeps", pool, s3({ region: "eu-1", secretAccessKey: PLANTED })));
    expect(again.body).toMatchObject({ version: 2 });
    const without = await put("keeps", aSpec("keeps", pool));
    expect(without.body).toEqual(expect.objectContaining({ version: 3, sink: { type: "r2" } }));
    const missing = await put("keeps", aSpec("keeps", pool, s3()));
    expect(missing).toMatchObject({ status: 422, body: { errors: [{ pointer: "/sink/secretAccessKey" }] } });
    expect((await call("POST", PATH, aSpec("keyless", pool, s3()))).status).toBe(422);
  });

  test("is sealed anew under the platform's present key", async () => {
    const pool = await aPool("rotating", { minSize: 0 });
    await call("POST", PATH, aSpec("rotated", pool, s3({ secretAccessKey: PLANTED })));
    const { secretsKey } = configOf(env);
    const { secretsKey: fresh } = configOf({ SECRETS_KEY: btoa("n".repeat(32)) });
    const ring = { secretsKey: fresh, secretsKeyPrevious: secretsKey };
    expect(await rewrapSyncSecrets(env.DB, ring)).toBeGreaterThan(0);
    const secret = await env.DB.prepare("SELECT secret FROM sync_specs WHERE id = 'rotated'").first<string>("secret");
    expect(isOutdated(ring, secret ?? "")).toBe(false);
    expect(await rewrapSyncSecrets(env.DB, ring)).toBe(0);
    await rewrapSyncSecrets(env.DB, { secretsKey, secretsKeyPrevious: fresh });
    const again = await put("rotated", aSpec("rotated", pool, s3({ secretAccessKey: PLANTED })));
    expect(again.body).toMatchObject({ version: 1 });
  });
});

describe("a spec's status", () => {
  test("is what its pool's tenants say, and wakes none", async () => {
    const pool = await aPool("reporting");
    await call("POST", PATH, aSpec("reports", pool));
    const empty = await call("GET", `${PATH}/reports/status`);
    expect(empty.body).toMatchObject({ state: "idle", lastSync: null, errors: [], covers: { tenants: 0, of: 0 } });
    await claim("reporter", pool);
    await putFile("reporter", "a.txt", "hello");
    await release("reporter");
    await expect
      .poll(async () => (await call("GET", `${PATH}/reports/status`)).body)
      .toMatchObject({ state: "idle", pending: false, files: 1, bytes: 5, covers: { tenants: 1, of: 1 } });
    const { body } = await call("GET", `${PATH}/reports/status`);
    expect(body.lastSync).toMatch(/^\d{4}-\d\d-\d\dT/);
    expect((await call("GET", "/api/v1/tenants/reporter/status")).body).toMatchObject({ state: "idle" });
  });

  test("of an S3 sink is idle and empty", async () => {
    const pool = await aPool("s3-status", { minSize: 0 });
    await call("POST", PATH, aSpec("s3-status", pool, s3({ secretAccessKey: PLANTED })));
    expect((await call("GET", `${PATH}/s3-status/status`)).body).toMatchObject({ state: "idle", lastSync: null });
  });
});

describe("a trigger", () => {
  const allowed = { policy: { allowManualTrigger: true } };

  test("that the spec does not allow is 403", async () => {
    const pool = await aPool("untriggered", { minSize: 0 });
    await call("POST", PATH, aSpec("untriggered", pool));
    expect(await call("POST", `${PATH}/untriggered/trigger`, {})).toMatchObject({
      status: 403,
      body: { code: "forbidden" },
    });
  });

  test("of a tenant that the pool does not have is 404", async () => {
    const [pool, other] = [await aPool("trig-a", { minSize: 0 }), await aPool("trig-b", { minSize: 0 })];
    await call("POST", PATH, aSpec("trig-a", pool, allowed));
    await claim("elsewhere", other);
    for (const tenantId of ["never-seen", "elsewhere"]) {
      expect((await call("POST", `${PATH}/trig-a/trigger`, { tenantId })).status).toBe(404);
    }
    expect((await call("POST", `${PATH}/trig-a/trigger`, { tenantId: "../x" })).status).toBe(422);
  });

  test("of one tenant saves it, and says what was saved", async () => {
    const pool = await aPool("saving", { minSize: 1 });
    await call("POST", PATH, aSpec("saving", pool, allowed));
    await claim("saver", pool);
    await putFile("saver", "a.txt", "hello");
    const done = await call<{ items: unknown[] }>("POST", `${PATH}/saving/trigger?wait=10s`, { tenantId: "saver" });
    expect(done).toMatchObject({
      status: 200,
      body: { items: [{ tenantId: "saver", result: { state: "active", saved: { files: 1 } } }], nextCursor: null },
    });
    expect((await call("GET", "/api/v1/tenants/saver/status")).body).toMatchObject({ state: "active", generation: 1 });
  });

  test("without a tenant saves every active one of the pool, and no other", async () => {
    const [pool, other] = [await aPool("all", { minSize: 0 }), await aPool("none", { minSize: 0 })];
    await call("POST", PATH, aSpec("all", pool, allowed));
    for (const tenant of ["all-a", "all-b", "all-idle"]) await claim(tenant, pool);
    await claim("all-other", other);
    await release("all-idle");
    const answer = await call<{ items: object[] }>("POST", `${PATH}/all/trigger?wait=10s`);
    expect(answer).toMatchObject({ status: 200, body: { nextCursor: null } });
    expect(answer.body.items).toMatchObject(
      ["all-a", "all-b"].map((tenantId) => ({ tenantId, result: { state: "active", saved: { generation: 1 } } })),
    );
  });

  test("with no time to wait is 202 with the operation", async () => {
    const pool = await aPool("waiting", { minSize: 0 });
    await call("POST", PATH, aSpec("waiting", pool, allowed));
    await claim("waiter", pool);
    const started = await call<{ items: { operation: { location: string } }[] }>("POST", `${PATH}/waiting/trigger`, {
      tenantId: "waiter",
    });
    expect(started.status).toBe(202);
    const location = started.headers.get("location") ?? "";
    expect(started.body.items[0]?.operation.location).toBe(location);
    await expect.poll(async () => (await call("GET", location)).body.status).toBe("succeeded");
    expect((await call("GET", location)).body).toMatchObject({ kind: "sync", tenantId: "waiter" });
  });
});
