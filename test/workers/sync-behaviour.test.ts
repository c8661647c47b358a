import {
  createExecutionContext,
  createScheduledController,
  evictDurableObject,
  runInDurableObject,
  waitOnExecutionContext,
} from "cloudflare:test";
import { env, exports } from "cloudflare:workers";
import { expect, inject, test } from "vitest";
import { hasTable } from "../../src/durable/document.ts";
import { instanceOf, vaultOf } from "../../src/durable/stubs.ts";
import type { ContainerId, Epoch, TenantId } from "../../src/ids.ts";
import worker from "../../src/index.ts";
import { specsOfPool } from "../../src/registry/sync-cache.ts";
import { s3SpecIds } from "../../src/registry/sync-specs.ts";
import type { SyncSpec } from "../../src/sync/spec.ts";
import type { StorageProps } from "../../src/vault/types.ts";
import { aPool, call, claim, eventually, put, release, request, simulation } from "../support/fleet.ts";
import { Bucket } from "../support/s3-bucket.ts";

/** What holds of syncs whatever they transfer: whose they are, when they end, what is said of them. */
const PATH = "/api/v1/sync-specs";
const TENANT = `\${tenantId}`;
const KEY = "S3RVER";
const endpoint = inject("s3Endpoint");
const bucket = new Bucket(endpoint, "sink", KEY);

const aSpec = (id: string, poolId: string, more: object = {}) => ({
  id,
  poolId,
  mappings: [{ containerPath: "/data/out", sinkPath: "out/", direction: "upload", mode: "copy" }],
  sink: {
    type: "s3",
    endpoint,
    bucket: "sink",
    region: "us-east-1",
    prefix: `b/${TENANT}/`,
    accessKeyId: KEY,
    secretAccessKey: KEY,
  },
  policy: { allowManualTrigger: true },
  ...more,
});
const register = async (spec: object) => {
  const answer = await call("POST", PATH, spec);
  expect(answer.status, JSON.stringify(answer.body)).toBe(201);
};
const trigger = (id: string, tenantId: string, wait = "15s") =>
  call<{ items: { operation: { location: string } }[] }>("POST", `${PATH}/${id}/trigger?wait=${wait}`, { tenantId });

const ACCESS = "access-key";
const gateway = (props: Partial<StorageProps> & { tenantId: string }) => {
  const { StorageGateway } = exports as unknown as { StorageGateway: (options: { props: StorageProps }) => Fetcher };
  const all = { epoch: 1 as Epoch, incarnation: "c", accessKeyId: ACCESS, poolId: "none", ...props };
  return StorageGateway({ props: all });
};
const ask = (to: Fetcher, method: string, path: string, init: RequestInit = {}) =>
  to.fetch(`http://sink.internal${path}`, {
    method,
    ...init,
    headers: { "x-boilerhouse-access-key": ACCESS, ...init.headers },
  });

test("a container reaches its tenant's part of its pool's sinks, and nothing else of them", async () => {
  const pool = await aPool("walled", { minSize: 0 });
  await register(aSpec("walled", pool));
  await vaultOf(env, "wes" as TenantId).fence(1 as Epoch, "c");
  await bucket.put("b/eva/out/secret", "eva's");
  const wes = gateway({ tenantId: "wes", poolId: pool });
  expect((await ask(wes, "PUT", "/spec-walled/b/wes/out/a", { body: "mine" })).status).toBe(200);
  expect(await bucket.get("b/wes/out/a")).toBe("mine");
  const refused = await Promise.all([
    ask(wes, "GET", "/spec-walled/b/eva/out/secret"),
    ask(wes, "PUT", "/spec-walled/b/eva/out/x", { body: "x" }),
    ask(wes, "DELETE", "/spec-walled/b/eva/out/secret"),
    ask(wes, "GET", "/spec-walled?list-type=2&prefix=b%2F"),
    ask(wes, "PUT", "/spec-walled/b/wes/out/x", { headers: { "x-amz-copy-source": "spec-walled/b/eva/out/secret" } }),
    ask(wes, "POST", "/spec-walled?delete=", {
      body: "<Delete><Object><Key>b/eva/out/secret</Key></Object></Delete>",
    }),
  ]);
  for (const answer of refused)
    expect([answer.status, await answer.text()]).toEqual([403, expect.stringContaining("AccessDenied")]);
  expect(await bucket.keys("b/eva/")).toEqual(["b/eva/out/secret"]);
  const stranger = await ask(gateway({ tenantId: "wes", poolId: "another" }), "GET", "/spec-walled/b/wes/out/a");
  expect([stranger.status, await stranger.text()]).toEqual([404, expect.stringContaining("NoSuchBucket")]);
});

test("a superseded container writes nothing into an S3 sink, and completes no upload that it began", async () => {
  const pool = await aPool("fenced", { minSize: 0 });
  await register(aSpec("fenced", pool));
  const vault = vaultOf(env, "zoe" as TenantId);
  await vault.fence(1 as Epoch, "old");
  const zombie = gateway({ tenantId: "zoe", poolId: pool, incarnation: "old" });
  const begun = await (await ask(zombie, "POST", "/spec-fenced/b/zoe/out/big?uploads=")).text();
  const uploadId = /<UploadId>([^<]+)</.exec(begun)?.[1] ?? "";
  const part = await ask(zombie, "PUT", `/spec-fenced/b/zoe/out/big?partNumber=1&uploadId=${uploadId}`, {
    body: "part",
  });
  expect(part.status).toBe(200);
  await vault.fence(2 as Epoch, "new");
  const etag = part.headers.get("etag");
  const body = `<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>${etag}</ETag></Part></CompleteMultipartUpload>`;
  for (const answer of [
    await ask(zombie, "POST", `/spec-fenced/b/zoe/out/big?uploadId=${uploadId}`, { body }),
    await ask(zombie, "PUT", "/spec-fenced/b/zoe/out/late", { body: "late" }),
    await ask(zombie, "DELETE", "/spec-fenced/b/zoe/out/late"),
  ]) {
    expect(answer.status).toBe(403);
    await answer.text();
  }
  expect(await bucket.keys("b/zoe/")).toEqual([]);
});

test("what the sink says is passed on as it is, and a sink that does not answer is a 503 in S3's words", async () => {
  const pool = await aPool("passing", { minSize: 0 });
  await register(aSpec("passing", pool));
  const { sink } = aSpec("unreachable", pool);
  await register({ ...aSpec("unreachable", pool), sink: { ...sink, endpoint: "http://127.0.0.1:9" } });
  await vaultOf(env, "pam" as TenantId).fence(1 as Epoch, "c");
  const pam = gateway({ tenantId: "pam", poolId: pool });
  const missing = await ask(pam, "GET", "/spec-passing/b/pam/out/none");
  expect([missing.status, await missing.text()]).toEqual([404, expect.stringContaining("NoSuchKey")]);
  const down = await ask(pam, "PUT", "/spec-unreachable/b/pam/out/x", { body: "x" });
  expect([down.status, await down.text()]).toEqual([503, expect.stringContaining("ServiceUnavailable")]);
  const probed = await call("POST", `${PATH}/unreachable/probe`);
  expect(probed.body).toMatchObject({ healthy: false, problem: "network_error" });
  expect((await call("POST", `${PATH}/passing/probe`)).body).toMatchObject({ healthy: true });
  expect((await call("GET", `${PATH}/passing/status`)).body).toMatchObject({ sink: { healthy: true, problem: null } });
  expect(await bucket.keys("b/.boilerhouse-probe/")).toEqual([]);
});

test("what changes nothing is asked again while the sink is busy; a body is not sent twice", async () => {
  const pool = await aPool("busy", { minSize: 0 });
  await register(aSpec("busy", pool));
  await vaultOf(env, "bud" as TenantId).fence(1 as Epoch, "c");
  const bud = gateway({ tenantId: "bud", poolId: pool });
  const key = "/spec-busy/b/bud/out/flaky-2/a";
  const first = await ask(bud, "PUT", key, { body: "x" });
  expect([first.status, await first.text()]).toEqual([503, expect.stringContaining("SlowDown")]);
  expect((await ask(bud, "PUT", key, { body: "x" })).status).toBe(503);
  expect((await ask(bud, "PUT", key, { body: "x" })).status).toBe(200);
  expect(await (await ask(bud, "GET", key)).text()).toBe("x");
  expect((await ask(bud, "HEAD", key)).status).toBe(200);
  expect((await ask(bud, "DELETE", key)).status).toBe(204);
});

test("a job goes on when its Instance has left memory, and is not begun again", async () => {
  const pool = await aPool("evicted");
  await register(aSpec("evicted", pool));
  const { body } = await claim("eli", pool);
  await put("eli", "out/a", "a");
  simulation.every.slow("sync", 1_500, { times: 1 });
  const started = await trigger("evicted", "eli", "0s");
  const instance = env.INSTANCE.getByName(body.containerId);
  const job = () =>
    runInDurableObject(instance, (_, { storage }) =>
      hasTable(storage.sql, "syncs") ? String(storage.sql.exec("SELECT doc FROM syncs").one().doc) : "",
    );
  await eventually(async () => expect(await job()).toContain('"name":"0:copy"'));
  const before = await job();
  await evictDurableObject(instance);
  await eventually(
    async () =>
      expect((await call("GET", started.headers.get("location") ?? "")).body).toMatchObject({ status: "succeeded" }),
    15_000,
  );
  expect(await job()).toBe(before);
  expect(await bucket.keys("b/eli/")).toEqual(["b/eli/out/a"]);
});

test("nothing is done while the container holds what it held, and something as soon as it does not", async () => {
  const pool = await aPool("quiet");
  await register(aSpec("quiet", pool));
  const { body } = await claim("quinn", pool);
  await put("quinn", "out/a", "a");
  const [known] = await specsOfPool(env.DB, pool, Date.now());
  const instance = instanceOf(env, body.containerId as ContainerId);
  const sync = async (runId: string, unless?: string) => {
    const common = {
      epoch: body.epoch as Epoch,
      tenantId: "quinn" as TenantId,
      runId,
      version: 1,
      startedAt: Date.now(),
    };
    const how = { why: "interval", way: "up", timeoutMs: 10_000, ...(unless === undefined ? {} : { unless }) } as const;
    const outcome = await instance.syncSpec({ ...common, ...how, spec: known?.spec as SyncSpec });
    if (!outcome.ok) throw new Error(outcome.failure.detail);
    return outcome.value;
  };
  const first = await sync("one");
  expect(first).toMatchObject({ files: 1, unchanged: false });
  await bucket.delete("b/quinn/out/a");
  expect(await sync("two", first.fingerprint ?? "")).toMatchObject({ files: 0, unchanged: true });
  expect(await bucket.keys("b/quinn/")).toEqual([]);
  await put("quinn", "out/b", "b");
  expect(await sync("three", first.fingerprint ?? "")).toMatchObject({ files: 2, unchanged: false });
});

test("a sync under way is seen, stands in the way of the spec's deletion, and ends when it is cancelled", async () => {
  const pool = await aPool("slow");
  await register(aSpec("slow", pool));
  await claim("sue", pool);
  await put("sue", "out/a", "a");
  simulation.every.hang("sync", { times: 1 });
  const started = await trigger("slow", "sue", "0s");
  expect(started.status).toBe(202);
  await eventually(async () =>
    expect((await call("GET", `${PATH}/slow/status`)).body).toMatchObject({
      state: "syncing",
      progress: { syncing: 1 },
    }),
  );
  expect(await call("DELETE", `${PATH}/slow`)).toMatchObject({ status: 409, body: { code: "in_use" } });
  expect(await trigger("slow", "sue", "0s")).toMatchObject({ status: 202 });
  expect((await call("POST", `${PATH}/slow/cancel`)).body).toEqual({ cancelled: ["sue"] });
  await eventually(async () =>
    expect((await call("GET", started.headers.get("location") ?? "")).body).toMatchObject({ status: "cancelled" }),
  );
  expect((await call("GET", `${PATH}/slow/history?tenantId=sue`)).body).toMatchObject({
    items: [{ result: "cancelled" }],
  });
  expect((await call("POST", `${PATH}/slow/cancel`, { tenantId: "sue" })).status).toBe(404);
  expect(await trigger("slow", "sue")).toMatchObject({ status: 200 });
  expect((await request("DELETE", `${PATH}/slow`)).status).toBe(204);
  expect(await bucket.keys("b/sue/")).toEqual(["b/sue/out/a"]);
});

test("every hour the S3 sinks are probed, those first that were looked at least recently", async () => {
  const pool = await aPool("hourly", { minSize: 0 });
  await register(aSpec("hourly", pool));
  await register({ ...aSpec("hourly-r2", pool), sink: { type: "r2" } });
  expect((await call("GET", `${PATH}/hourly/status`)).body).toMatchObject({ sink: null });
  const ids = await s3SpecIds(env.DB, 100);
  expect(ids).toContain("hourly");
  expect(ids).not.toContain("hourly-r2");
  const context = createExecutionContext();
  const controller = createScheduledController({ scheduledTime: new Date(1_800_000_000_000), cron: "23 * * * *" });
  worker.scheduled(controller, env, context);
  await waitOnExecutionContext(context);
  await eventually(
    async () =>
      expect((await call("GET", `${PATH}/hourly/status`)).body).toMatchObject({
        sink: { healthy: true, checkedAt: "2027-01-15T08:00:00.000Z" },
      }),
    15_000,
  );
});

test("the history comes in pages, of one tenant or of all", async () => {
  const pool = await aPool("paged");
  await register(aSpec("paged", pool));
  for (const tenant of ["p1", "p2"]) {
    await claim(tenant, pool);
    for (const name of ["a", "b"]) {
      await put(tenant, `out/${name}`, name);
      await trigger("paged", tenant);
    }
  }
  const page = (query: string) =>
    call<{ items: { tenantId: string }[]; nextCursor: string | null }>("GET", `${PATH}/paged/history?${query}`);
  const first = await page("limit=3");
  expect(first.body.items.map(({ tenantId }) => tenantId)).toEqual(["p2", "p2", "p1"]);
  const second = await page(`limit=3&cursor=${first.body.nextCursor}`);
  expect(second.body).toMatchObject({ items: [{ tenantId: "p1" }], nextCursor: null });
  expect((await page("tenantId=p2")).body.items).toHaveLength(2);
  expect((await page("cursor=nonsense")).status).toBe(422);
});

test("a tenant's own sync takes its specs along, and its status knows when that was", async () => {
  const pool = await aPool("along");
  await register(aSpec("along", pool));
  await claim("abe", pool);
  await put("abe", "out/a", "a");
  const synced = await call("POST", "/api/v1/tenants/abe/sync?wait=15s", { direction: "outward" });
  expect(synced.body).toMatchObject({ saved: { generation: 1 }, synced: [{ specId: "along", files: 1 }] });
  expect(await bucket.keys("b/abe/")).toEqual(["b/abe/out/a"]);
  const { body } = await call<{ syncStatus: { lastSync: string } }>("GET", "/api/v1/tenants/abe/status");
  expect(body.syncStatus.lastSync).toBeTruthy();
});

test("secrets of the workload are no place to synchronise", async () => {
  const pool = await aPool("secretful", { minSize: 0 }, { volumes: { secrets: { containerPath: "/keys" } } });
  for (const containerPath of ["/keys", "/keys/sub"]) {
    const mappings = [{ containerPath, sinkPath: "x/", direction: "upload", mode: "copy" }];
    const refused = await call("POST", PATH, { ...aSpec("secretful", pool), mappings });
    expect(refused).toMatchObject({ status: 422, body: { errors: [{ pointer: "/mappings/0/containerPath" }] } });
  }
});

test("no key of a sink is in a container, its requests or its files", async () => {
  const pool = await aPool("keyless");
  await register(aSpec("keyless", pool));
  const { body } = await claim("kay", pool);
  await put("kay", "out/a", "a");
  await trigger("keyless", "kay");
  const key = simulation.running.find(
    (one) => simulation.for(one).container.spec.labels.container === body.containerId,
  );
  const { files, spec } = simulation.for(key ?? "").container;
  const text = [...files.walk("/")].flatMap(({ node }) =>
    node.kind === "file" ? [new TextDecoder().decode(node.body)] : [],
  );
  expect([...text, JSON.stringify(spec)].filter((one) => one.includes(KEY))).toEqual([]);
  await release("kay");
});
