import { runInDurableObject } from "cloudflare:test";
import { expect, inject, test } from "vitest";
import { openApiDocument } from "../../src/app.ts";
import { allowedMethods } from "../../src/http/methods.ts";
import { aPool, call, env, eventually, request, simulation } from "../support/fleet.ts";
import { aTar } from "./vault-kit.ts";

interface Row {
  subject: string;
  seq: number | null;
  action: string;
  actor: string;
  result: string;
  before: string | null;
  after: string | null;
}

/** What a record has to say of the subject's state. */
type Change = "created" | "changed" | "deleted" | "done";
interface Step {
  call: string;
  body?: object;
  action: string;
  subject: string;
  change: Change;
}

const step = (call: string, body: object | undefined, action: string, subject: string, change: Change): Step => ({
  call,
  ...(body ? { body } : {}),
  action,
  subject,
  change,
});

const workload = { id: "m", image: "sandbox", port: 8080, volumes: { state: { containerPath: "/data" } } };
const spec = {
  id: "m",
  poolId: "m",
  mappings: [{ containerPath: "/data", sinkPath: "$".concat("{tenantId}/"), direction: "upload", mode: "copy" }],
  sink: {
    type: "s3",
    bucket: "bucket",
    region: "auto",
    endpoint: inject("s3Endpoint"),
    prefix: "p/",
    accessKeyId: "id",
    secretAccessKey: "planted-sink",
  },
};
const T = "/api/v1/tenants/max";
const onTenant = (what: string, body: object | undefined, action: string, change: Change = "changed") =>
  step(`POST ${T}/${what}?wait=10s`, body, `tenant.${action}`, "tenant:max", change);
const setting = (what: string, body: object, action: string) =>
  step(`PUT ${T}/${what}`, body, `tenant.${action}`, "tenant:max", "changed");

/** A life of everything that the API can change, in an order in which each change does something. */
const STEPS: Step[] = [
  step("POST /api/v1/workloads", workload, "workload.created", "workload:m", "created"),
  step("PUT /api/v1/workloads/m", { ...workload, name: "M" }, "workload.updated", "workload:m", "changed"),
  step("POST /api/v1/workloads/m/rollback", { version: 1 }, "workload.updated", "workload:m", "changed"),
  step("POST /api/v1/pools", { id: "m", workloadId: "m", minSize: 1, maxSize: 9 }, "pool.created", "pool:m", "created"),
  step("PUT /api/v1/pools/m", { workloadId: "m", minSize: 1, maxSize: 10 }, "pool.updated", "pool:m", "changed"),
  step("POST /api/v1/pools/m/scale", { target: 2 }, "pool.scaled", "pool:m", "changed"),
  step("POST /api/v1/pools/m/pause", undefined, "pool.paused", "pool:m", "changed"),
  step("POST /api/v1/pools/m/resume", undefined, "pool.resumed", "pool:m", "changed"),
  step("POST /api/v1/sync-specs", spec, "sync-spec.created", "sync-spec:m", "created"),
  step(
    "PUT /api/v1/sync-specs/m",
    { ...spec, policy: { intervalMs: 86_400_000 } },
    "sync-spec.updated",
    "sync-spec:m",
    "changed",
  ),
  step("POST /api/v1/sync-specs/m/probe", undefined, "sync-spec.probed", "sync-spec:m", "done"),
  onTenant("claim", { poolId: "m", config: { a: 1 }, secrets: { A: "planted-claim" } }, "claim", "created"),
  step(
    "POST /api/v1/domains",
    { host: "app.example.com", tenantId: "max" },
    "domain.created",
    "domain:app.example.com",
    "created",
  ),
  step("DELETE /api/v1/domains/app.example.com", undefined, "domain.deleted", "domain:app.example.com", "deleted"),
  onTenant("sync", { direction: "outward" }, "sync"),
  step(`PUT ${T}/files/a.txt`, { content: "x" }, "tenant.file_written", "tenant:max", "changed"),
  step(
    `POST ${T}/files/batch`,
    { operations: [{ op: "write", path: "b.txt", content: "planted-file" }] },
    "tenant.files_changed",
    "tenant:max",
    "changed",
  ),
  step(`DELETE ${T}/files/a.txt`, undefined, "tenant.file_deleted", "tenant:max", "changed"),
  onTenant("stop", {}, "sleep"),
  onTenant("start", {}, "wake"),
  onTenant("restart", { scope: "container" }, "restart"),
  onTenant("restore", { generation: 1 }, "restore"),
  step(`POST ${T}/generations/1/pin`, undefined, "tenant.generation_pinned", "tenant:max", "done"),
  step(`DELETE ${T}/generations/1/pin`, undefined, "tenant.generation_unpinned", "tenant:max", "done"),
  step(`POST ${T}/fsck`, { repair: true }, "tenant.fsck", "tenant:max", "done"),
  setting("tier", { tier: "basic" }, "tier_set"),
  setting("lifecycle", { mode: "always-on" }, "lifecycle_set"),
  setting("config", { a: 2 }, "config_set"),
  step(`POST ${T}/config/rollback`, { version: 1 }, "tenant.config_set", "tenant:max", "changed"),
  setting("secrets", { A: "planted-set" }, "secrets_set"),
  setting("secrets/B", { value: "planted-one" }, "secrets_set"),
  step(`DELETE ${T}/secrets/B`, undefined, "tenant.secrets_set", "tenant:max", "changed"),
  step(`POST ${T}/revoke-tokens`, undefined, "tenant.tokens_revoked", "tenant:max", "changed"),
  step(`POST ${T}/access-codes`, {}, "tenant.code_issued", "tenant:max", "done"),
  step(`POST ${T}/tickets`, {}, "tenant.ticket_issued", "tenant:max", "done"),
  onTenant("suspend", { reason: "why" }, "sleep"),
  onTenant("resume", {}, "resumed_asleep"),
  onTenant("release", {}, "release"),
  onTenant("destroy", {}, "destroy"),
  step("POST /api/v1/tenants/mia/claim?wait=10s", { poolId: "m" }, "tenant.claim", "tenant:mia", "created"),
  step("DELETE /api/v1/tenants/mia?wait=10s", undefined, "tenant.destroy", "tenant:mia", "changed"),
  step("POST /api/v1/keys", { name: "k", role: "viewer" }, "key.created", "key:{key}", "created"),
  step("POST /api/v1/keys/{key}/rotate", {}, "key.rotated", "key:{key}", "changed"),
  step("DELETE /api/v1/keys/{key}", undefined, "key.revoked", "key:{key}", "changed"),
  step("POST /api/v1/containers/{container}/exec", { command: ["true"] }, "container.exec", "pool:m", "done"),
  step("DELETE /api/v1/containers/{container}?force=true", undefined, "container.removed", "pool:m", "done"),
  step("POST /api/v1/admin/rotate-secrets", undefined, "platform.secrets_rotated", "platform:secrets", "done"),
  step("POST /api/v1/admin/rebuild", undefined, "platform.rebuilt", "platform:projections", "done"),
  step("POST /api/v1/admin/sweep", { dryRun: true }, "platform.swept", "platform:sweep", "done"),
  step("DELETE /api/v1/sync-specs/m", undefined, "sync-spec.deleted", "sync-spec:m", "deleted"),
  step("DELETE /api/v1/pools/m?wait=10s", undefined, "pool.draining", "pool:m", "changed"),
  step("DELETE /api/v1/workloads/m", undefined, "workload.deleted", "workload:m", "deleted"),
];

/** Routes that are not in this life: each has a test of its own below. */
const ELSEWHERE = [
  "POST /api/v1/pools/{id}/rollout",
  "POST /api/v1/pools/{id}/breaker/reset",
  "POST /api/v1/sync-specs/{id}/trigger",
  "POST /api/v1/sync-specs/{id}/cancel",
  "POST /api/v1/tenants/{id}/import",
  "POST /api/v1/tenants/{id}/clone",
];

const rowsOf = async (requestId: string): Promise<Row[]> =>
  (await env.DB.prepare("SELECT * FROM audit WHERE request_id = ?").bind(requestId).all<Row>()).results;

/** The one record of a request, once its owner has delivered it. */
async function recordOf(requestId: string): Promise<Row> {
  await eventually(async () => expect(await rowsOf(requestId), requestId).toHaveLength(1));
  return (await rowsOf(requestId))[0] as Row;
}

async function take({ call: target, body }: Step, requestId: string): Promise<Record<string, unknown>> {
  const [method = "", path = ""] = target.split(" ");
  const text = body === undefined ? undefined : JSON.stringify(body);
  const headers = { "x-request-id": requestId, ...(text ? { "content-type": "application/json" } : {}) };
  const response = await request(method, path, text, headers);
  const answer = await response.text();
  expect([200, 201, 204], `${target}: ${response.status} ${answer}`).toContain(response.status);
  return answer ? (JSON.parse(answer) as Record<string, unknown>) : {};
}

test("every mutation of the API leaves exactly one record, however often it is delivered, in a chain that holds", async () => {
  const names = new Map<string, string>();
  const named = (text: string) => [...names].reduce((done, [name, value]) => done.replace(`{${name}}`, value), text);
  const requests: string[] = [];
  for (const [index, { call: target, subject, ...rest }] of STEPS.entries()) {
    if (target.includes("{container}") && !names.has("container")) names.set("container", await aWarmContainer("m"));
    const requestId = `mutation-${index}`;
    const now: Step = { ...rest, call: named(target), subject };
    const answer = await take(now, requestId);
    if (target === "POST /api/v1/keys") names.set("key", String(answer.id));
    requests.push(requestId);
    const row = await recordOf(requestId);
    expect(row, target).toMatchObject({
      actor: "admin-key",
      result: "ok",
      action: rest.action,
      subject: named(subject),
    });
    expect([target, changeOf(row)]).toEqual([target, rest.change]);
  }

  const before = (await env.DB.prepare("SELECT * FROM audit ORDER BY id").all()).results;
  await deliverAgain(env.TENANT, "max");
  await deliverAgain(env.TENANT, "mia");
  const after = (await env.DB.prepare("SELECT * FROM audit ORDER BY id").all()).results;
  expect(after).toEqual(before);
  for (const requestId of requests) expect(await rowsOf(requestId)).toHaveLength(1);
  for (const subject of ["tenant:max", "tenant:mia", "pool:m"]) {
    const { body } = await call("GET", `/api/v1/audit/verify?subject=${subject}`);
    expect(body, JSON.stringify(body)).toMatchObject({ valid: true, unchained: 0 });
  }
  expect(JSON.stringify(after)).not.toContain("planted");
});

test("no mutation of the API is left out here", () => {
  const taken = STEPS.map(({ call: target }) => target.replace(/\?.*/, ""));
  const routes = Object.entries(openApiDocument().paths ?? {}).flatMap(([path, operations]) =>
    Object.keys(operations)
      .filter((method) => method !== "get")
      .map((method) => `${method.toUpperCase()} ${path}`),
  );
  const missing = routes.filter((route) => {
    const [method = "", path = ""] = route.split(" ");
    const pattern = [{ method, path: path.replaceAll(/\{(\w+)\}/g, ":$1") }];
    const isTaken = taken.some((target) => {
      const [takenMethod, takenPath = ""] = target.split(" ");
      return takenMethod === method && allowedMethods(pattern, takenPath).includes(method);
    });
    return !isTaken && !ELSEWHERE.includes(route);
  });
  expect(routes.length).toBeGreaterThan(40);
  expect(missing).toEqual([]);
});

test("what was refused, and what changed nothing, leaves none", async () => {
  const pool = await aPool("none", { minSize: 0 });
  const headers = { "content-type": "application/json", "x-request-id": "nothing" };
  const send = async (method: string, path: string, body: object) => {
    const response = await request(method, path, JSON.stringify(body), headers);
    await response.text();
    return response.status;
  };
  expect(await send("POST", "/api/v1/workloads", { id: pool, image: "sandbox", port: 8080 })).toBe(409);
  expect(await send("POST", "/api/v1/workloads", { id: "x" })).toBe(422);
  expect(await send("POST", "/api/v1/tenants/none/claim?wait=10s", { poolId: "no-such-pool" })).toBe(404);
  expect(await send("POST", "/api/v1/tenants/none/release", {})).toBe(404);
  await call("POST", "/api/v1/tenants/none/claim?wait=10s", { poolId: pool });
  expect(await send("POST", "/api/v1/tenants/none/claim?wait=10s", {})).toBe(200);
  await call("GET", "/api/v1/tenants/none/status");
  await eventually(async () => {
    const { body } = await call<{ entries: number; owner: { seq: number } }>(
      "GET",
      "/api/v1/audit/verify?subject=tenant:none",
    );
    expect(body.entries).toBe(body.owner.seq);
  });
  expect(await rowsOf("nothing")).toEqual([]);
});

test("a sync that a spec triggers is recorded for each tenant under the one request", async () => {
  const pool = await aPool("triggered", { minSize: 0 });
  for (const tenant of ["tri-a", "tri-b"]) {
    await call("POST", `/api/v1/tenants/${tenant}/claim?wait=10s`, { poolId: pool });
    await request("PUT", `/t/${tenant}/files/a.txt`, "x");
  }
  const own = { ...spec, id: "triggered", poolId: pool, policy: { allowManualTrigger: true }, sink: { type: "r2" } };
  expect((await call("POST", "/api/v1/sync-specs", own)).status).toBe(201);
  await take(step("POST /api/v1/sync-specs/triggered/trigger?wait=10s", {}, "", "", "done"), "triggered");
  await eventually(async () => {
    const subjects = (await rowsOf("triggered")).map(({ subject }) => subject);
    expect(subjects.sort()).toEqual(["tenant:tri-a", "tenant:tri-b"]);
  });
});

test("a cancelled sync is recorded for each tenant under the one request", async () => {
  const pool = await aPool("cancelled", { minSize: 0 });
  await call("POST", "/api/v1/tenants/can/claim?wait=10s", { poolId: pool });
  const own = { ...spec, id: "cancelled", poolId: pool, policy: { allowManualTrigger: true }, sink: { type: "r2" } };
  const mappings = [{ ...spec.mappings[0], containerPath: "/data/out" }];
  expect((await call("POST", "/api/v1/sync-specs", { ...own, mappings })).status).toBe(201);
  await request("PUT", "/t/can/files/out/a.txt", "x");
  simulation.every.hang("sync", { times: 1 });
  await call("POST", "/api/v1/sync-specs/cancelled/trigger");
  await eventually(async () =>
    expect((await call("GET", "/api/v1/sync-specs/cancelled/status")).body).toMatchObject({ state: "syncing" }),
  );
  await take(step("POST /api/v1/sync-specs/cancelled/cancel", {}, "", "", "done"), "cancelled");
  expect(await recordOf("cancelled")).toMatchObject({ subject: "tenant:can", action: "tenant.sync_cancelled" });
});

test("an import is recorded once, and a copy once for each of the two tenants, under their requests", async () => {
  const headers = { "content-type": "application/x-tar", "x-request-id": "imported" };
  const tar = aTar([{ path: "a.txt", content: "a" }]);
  expect((await request("POST", "/api/v1/tenants/brought/import", tar, headers)).status).toBe(200);
  expect(await recordOf("imported")).toMatchObject({
    subject: "tenant:brought",
    action: "tenant.import",
    result: "ok",
  });
  await take(step("POST /api/v1/tenants/brought/clone", { to: "copied" }, "", "", "done"), "cloned");
  await eventually(async () => {
    const said = (await rowsOf("cloned")).map(({ subject, action }) => `${subject} ${action}`);
    expect(said.sort()).toEqual(["tenant:brought tenant.cloned", "tenant:copied tenant.import"]);
  });
});

test("failures that an operator has a pool forget are recorded", async () => {
  const pool = await aPool("breaker", { minSize: 0 });
  simulation.every.fail("start", { times: 1, detail: "no such thing" });
  await call("POST", `/api/v1/pools/${pool}/scale`, { target: 1 });
  const lastError = async () => (await call("GET", `/api/v1/pools/${pool}`)).body.lastError;
  await eventually(async () => expect(await lastError()).not.toBeNull());
  await take(step(`POST /api/v1/pools/${pool}/breaker/reset`, undefined, "", "", "done"), "breaker");
  expect(await recordOf("breaker")).toMatchObject({ action: "pool.breaker_reset", subject: `pool:${pool}` });
});

test("a halt and a resumption of a rollout are recorded once each, under their requests", async () => {
  const pool = await aPool("steered", { minSize: 1 });
  await call("PUT", `/api/v1/pools/${pool}`, { upgrade: { policy: "rolling", healthyMs: 600_000 } });
  await call("POST", "/api/v1/tenants/steered/claim?wait=10s", { poolId: pool });
  await call("PUT", `/api/v1/workloads/${pool}`, { image: "sandbox", name: "next" });
  const state = async () => (await call("GET", `/api/v1/pools/${pool}/rollout`)).body.state;
  await eventually(async () => expect(await state()).toBe("rolling"));
  for (const [action, name] of [
    ["halt", "pool.rollout_halted"],
    ["resume", "pool.rollout_resumed"],
  ]) {
    await take(step(`POST /api/v1/pools/${pool}/rollout`, { action }, "", "", "changed"), `steered-${action}`);
    const row = await recordOf(`steered-${action}`);
    expect(row).toMatchObject({ action: name, subject: `pool:${pool}`, actor: "admin-key" });
    expect(changeOf(row)).toBe("changed");
  }
});

function changeOf({ before, after }: Row): Change {
  if (before === null) return after === null ? "done" : "created";
  if (after === null) return "deleted";
  return before === after ? "done" : "changed";
}

async function aWarmContainer(pool: string): Promise<string> {
  let id = "";
  await eventually(async () => {
    const { body } = await call<{ items: { id: string; state: string }[] }>("GET", `/api/v1/pools/${pool}/containers`);
    id = body.items.find(({ state }) => state === "warm")?.id ?? "";
    expect(id).not.toBe("");
  });
  return id;
}

/** As if no confirmation had ever come back: the object sends everything that it still has. */
async function deliverAgain(namespace: DurableObjectNamespace<never> | typeof env.TENANT, name: string): Promise<void> {
  const stub = (namespace as typeof env.TENANT).getByName(name);
  await runInDurableObject(stub as unknown as DurableObjectStub, (_, state) => {
    state.storage.sql.exec("DELETE FROM history WHERE seq = 0");
  });
  expect(await (stub as unknown as { project(): Promise<unknown> }).project()).toMatchObject({ ok: true });
}
