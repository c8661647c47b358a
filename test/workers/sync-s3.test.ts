import { expect, inject, test } from "vitest";
import {
  aPool,
  call,
  claim,
  eventually,
  get as getFile,
  put as putFile,
  release,
  remove as removeFile,
  request,
  simulation,
} from "../support/fleet.ts";
import { ML_MAPPINGS } from "../support/ml-example.ts";
import { Bucket } from "../support/s3-bucket.ts";

const PATH = "/api/v1/sync-specs";
const TENANT = `\${tenantId}`;
const KEY = "S3RVER";
const endpoint = inject("s3Endpoint");
const bucket = new Bucket(endpoint, "sink", KEY);

const sinkOf = (more: object = {}) => ({
  type: "s3",
  endpoint,
  bucket: "sink",
  region: "us-east-1",
  prefix: `w/${TENANT}/`,
  accessKeyId: KEY,
  secretAccessKey: KEY,
  ...more,
});
const aSpec = (id: string, poolId: string, mapping: object = {}, more: object = {}) => ({
  id,
  poolId,
  mappings: [
    { containerPath: "/data/out", pattern: "*.pt", sinkPath: "out/", direction: "upload", mode: "sync", ...mapping },
  ],
  sink: sinkOf(),
  policy: { allowManualTrigger: true },
  ...more,
});
const register = async (spec: object) => {
  const answer = await call("POST", PATH, spec);
  expect(answer.status, JSON.stringify(answer.body)).toBe(201);
};
const put = async (id: string, spec: object) => {
  const json = { "content-type": "application/json" };
  const response = await request("PUT", `${PATH}/${id}`, JSON.stringify(spec), json);
  return { status: response.status, body: await response.json() };
};
const trigger = (id: string, tenantId: string) =>
  call<{ items: { result: { synced: object[] } }[] }>("POST", `${PATH}/${id}/trigger?wait=15s`, { tenantId });

test("a manual trigger sends what a mapping names to the tenant's part of the bucket, and only that", async () => {
  const pool = await aPool("s3-up");
  await register(aSpec("s3-up", pool));
  await claim("uma", pool);
  await putFile("uma", "out/a.pt", "alpha");
  await putFile("uma", "out/b.txt", "beta");
  const done = await trigger("s3-up", "uma");
  expect(done, JSON.stringify(done.body)).toMatchObject({
    status: 200,
    body: { items: [{ result: { synced: [{ specId: "s3-up", files: 1, bytes: 5, deleted: 0 }] } }] },
  });
  expect(await bucket.keys("w/uma/")).toEqual(["w/uma/out/a.pt"]);
  expect(await bucket.get("w/uma/out/a.pt")).toBe("alpha");
  const status = await call("GET", `${PATH}/s3-up/status?tenantId=uma`);
  expect(status.body).toMatchObject({ state: "idle", files: 1, bytes: 5, errors: [] });
  expect(status.body.lastSync).toMatch(/^\d{4}/);
});

/** As S3 has it, but for the endpoint and the keys. */
const mlSpec = (id: string, poolId: string, policy: object) => ({
  id,
  poolId,
  mappings: ML_MAPPINGS,
  sink: sinkOf({ prefix: `workloads/ml/${id}/${TENANT}/` }),
  policy: { onClaim: true, onRelease: true, intervalMs: 300_000, allowManualTrigger: true, ...policy },
});
const container = (tenantId: string, containerId: string) => {
  const object = simulation.running.find((key) => simulation.for(key).container.spec.labels.container === containerId);
  if (!object) throw new Error(`${tenantId} has no container`);
  return simulation.for(object).container;
};

test("the ML example: config comes with the claim, checkpoints and logs go with the release and come back", async () => {
  const pool = await aPool("ml");
  await register(mlSpec("ml", pool, {}));
  await bucket.put("workloads/ml/ml/mia/config/train.json", "{}");
  const { body: first } = await claim("mia", pool);
  const files = container("mia", first.containerId).files;
  expect(files.readText("/config/train.json")).toBe("{}");
  await putFile("mia", "checkpoints/1.pt", "one");
  await putFile("mia", "checkpoints/notes.txt", "no checkpoint");
  await putFile("mia", "logs/a/b.log", "line");
  expect(await release("mia")).toMatchObject({ status: 200, body: { state: "idle", saved: { generation: 1 } } });
  expect(await bucket.keys("workloads/ml/ml/mia/")).toEqual([
    "workloads/ml/ml/mia/checkpoints/1.pt",
    "workloads/ml/ml/mia/config/train.json",
    "workloads/ml/ml/mia/logs/a/b.log",
  ]);
  await bucket.put("workloads/ml/ml/mia/checkpoints/2.pt", "two");
  const { body: second } = await claim("mia", pool);
  expect(second.timings.sync).toBeGreaterThanOrEqual(0);
  const restored = container("mia", second.containerId).files;
  expect(restored.readText("/data/checkpoints/2.pt")).toBe("two");
  expect(restored.readText("/data/checkpoints/1.pt")).toBe("one");
  expect(restored.stat("/data/checkpoints/2.pt")).toMatchObject({ uid: 10_001 });
  await release("mia");
  const history = await call<{ items: object[] }>("GET", `${PATH}/ml/history`);
  expect(history.body.items).toMatchObject([
    { tenantId: "mia", why: "release", result: "succeeded" },
    { tenantId: "mia", why: "claim", result: "succeeded", files: 2 },
    { tenantId: "mia", why: "release", result: "succeeded", files: 2 },
    { tenantId: "mia", why: "claim", way: "down", result: "succeeded", files: 1 },
  ]);
});

test("a release whose sync fails keeps the container, and is tried again until it goes through", async () => {
  const pool = await aPool("failing");
  await register(mlSpec("failing", pool, { onClaim: false }));
  const { body } = await claim("fay", pool);
  await putFile("fay", "checkpoints/1.pt", "one");
  const wrong = { ...mlSpec("failing", pool, { onClaim: false }), sink: sinkOf({ secretAccessKey: "wrong" }) };
  expect((await put("failing", wrong)).status).toBe(200);
  const failed = await release("fay");
  expect(failed.body).toMatchObject({ code: "save_failed", problem: "permission_denied" });
  expect((await call("GET", "/api/v1/tenants/fay/status")).body).toMatchObject({
    state: "release_failed",
    containerId: body.containerId,
  });
  const status = await call("GET", `${PATH}/failing/status?tenantId=fay`);
  expect(status.body).toMatchObject({ state: "error", errors: [{ tenantId: "fay", problem: "permission_denied" }] });
  expect((await put("failing", mlSpec("failing", pool, { onClaim: false }))).status).toBe(200);
  await eventually(async () =>
    expect((await call("GET", "/api/v1/tenants/fay/status")).body).toMatchObject({ state: "idle" }),
  );
  expect(await bucket.keys("workloads/ml/failing/fay/")).toEqual(["workloads/ml/failing/fay/checkpoints/1.pt"]);
});

test("a claim whose files do not come fails, unless an admin lets it start fresh", async () => {
  const pool = await aPool("lost-files");
  const spec = { ...mlSpec("lost-files", pool, { onRelease: false }), sink: sinkOf({ bucket: "no-such-bucket" }) };
  await register(spec);
  const failed = await claim("liv", pool);
  expect(failed.body).toMatchObject({ code: "restore_failed", problem: "storage_missing" });
  expect((await call("GET", "/api/v1/tenants/liv/status")).body).toMatchObject({ state: "error" });
  expect(await claim("liv", pool, { allowFresh: true })).toMatchObject({ status: 201, body: { state: "active" } });
});

test("a sync that would delete more than half of what is in the sink is stopped by the guard", async () => {
  const pool = await aPool("guarded");
  await register(aSpec("guarded", pool, { pattern: undefined }));
  await claim("gus", pool);
  for (const name of ["a", "b", "c"]) await putFile("gus", `out/${name}`, name);
  await trigger("guarded", "gus");
  for (const name of ["a", "b"]) await removeFile("gus", `out/${name}`);
  expect((await trigger("guarded", "gus")).body).toMatchObject({ code: "guard_blocked", problem: "guard_blocked" });
  expect(await bucket.keys("w/gus/")).toEqual(["w/gus/out/a", "w/gus/out/b", "w/gus/out/c"]);
  expect((await call("GET", `${PATH}/guarded/status`)).body).toMatchObject({ errors: [{ problem: "guard_blocked" }] });
});

test("what a sync replaces or deletes is kept as a version", async () => {
  const pool = await aPool("versions");
  await register(aSpec("versions", pool, { pattern: undefined, sinkPath: "" }));
  await claim("vic", pool);
  for (const name of ["a", "b", "c"]) await putFile("vic", `out/${name}`, name);
  await trigger("versions", "vic");
  await putFile("vic", "out/a", "another");
  await removeFile("vic", "out/b");
  expect((await trigger("versions", "vic")).status).toBe(200);
  const keys = await bucket.keys("w/vic/");
  expect(keys.map((key) => key.replace(/\d{8}T\d{9}Z/, "TIME"))).toEqual([
    "w/vic/.versions/TIME/a",
    "w/vic/.versions/TIME/b",
    "w/vic/a",
    "w/vic/c",
  ]);
  expect(await bucket.get(keys[0] ?? "")).toBe("a");
  expect((await trigger("versions", "vic")).body.items[0]?.result.synced).toMatchObject([{ files: 0, deleted: 0 }]);
});

test("both ways at once, what is newer wins and nothing is deleted", async () => {
  const pool = await aPool("merging");
  await register(aSpec("merging", pool, { pattern: undefined, direction: "bidirectional" }));
  await claim("meg", pool);
  await putFile("meg", "out/mine", "from the container");
  await bucket.put("w/meg/out/theirs", "from elsewhere");
  expect((await trigger("merging", "meg")).status).toBe(200);
  expect(await bucket.keys("w/meg/")).toEqual(["w/meg/out/mine", "w/meg/out/theirs"]);
  expect(await (await getFile("meg", "out/theirs")).text()).toBe("from elsewhere");
  expect(await (await getFile("meg", "out/mine")).text()).toBe("from the container");
});

test("a pool without a state volume synchronises too", async () => {
  const pool = await aPool("stateless", {}, { volumes: {} });
  await register(mlSpec("stateless", pool, {}));
  await bucket.put("workloads/ml/stateless/sam/config/x", "x");
  const { body } = await claim("sam", pool);
  const { files } = container("sam", body.containerId);
  expect(files.readText("/config/x")).toBe("x");
  files.makeDirectory("/data/logs/today", { uid: 10_001, gid: 10_001 });
  files.write("/data/logs/today/a.log", "line");
  expect(await release("sam")).toMatchObject({ body: { state: "idle", saved: null } });
  expect(await bucket.keys("workloads/ml/stateless/sam/logs/")).toEqual([
    "workloads/ml/stateless/sam/logs/today/a.log",
  ]);
});
