import { evictDurableObject, runDurableObjectAlarm } from "cloudflare:test";
import { afterEach, describe, expect, it, vi } from "vitest";
import { poolOf } from "../../src/durable/stubs.ts";
import { Fleet } from "../../src/fleet/object.ts";
import type { PoolId } from "../../src/ids.ts";
import { Pool } from "../../src/pool/object.ts";
import {
  aPool,
  call,
  claim,
  claimAtOnce,
  env,
  eventually,
  put,
  release,
  remove,
  request,
  simulation,
  status,
} from "../support/fleet.ts";

const path = (id: string, more = "") => `/api/v1/pools/${id}${more}`;
const pool = async (id: string) => (await call("GET", path(id))).body;
const poolStub = (id: string) => env.POOL.getByName(id) as unknown as DurableObjectStub;
const ring = (id: string) => runDurableObjectAlarm(poolStub(id));
const objectOf = (id: string) => poolOf(env, id as PoolId);

interface Row {
  seq: number;
  action: string;
  actor: string;
  request_id: string | null;
  detail: string;
  prev: string;
  hash: string;
}
/** What was recorded of the pool itself, its containers' coming and going left out. */
const recorded = async (id: string) => {
  const rows = env.DB.prepare("SELECT * FROM audit WHERE subject = ? AND action LIKE 'pool.%' ORDER BY seq").bind(
    `pool:${id}`,
  );
  return (await rows.all<Row>()).results;
};

afterEach(() => {
  vi.restoreAllMocks();
  simulation.every.faults.clear();
});

describe("every change of a pool", () => {
  it("is recorded once, by whom, in a chain, also when D1 was away", async () => {
    const id = await aPool("recorded", { minSize: 0, maxSize: 5 });
    const batch = vi.spyOn(Object.getPrototypeOf(env.DB) as D1Database, "batch");
    batch.mockRejectedValue(new Error("D1 is away"));
    for (const action of ["pause", "resume", "breaker/reset"]) await call("POST", path(id, `/${action}`));
    await call("PUT", path(id), { maxSize: 6 });
    await call("POST", path(id, "/scale"), { target: 1 });
    await eventually(async () => expect(batch).toHaveBeenCalled());
    vi.restoreAllMocks();
    await eventually(async () => {
      await ring(id);
      expect((await recorded(id)).map(({ action }) => action)).toEqual([
        "pool.created",
        "pool.paused",
        "pool.resumed",
        "pool.breaker_reset",
        "pool.updated",
        "pool.scaled",
      ]);
    });
    const rows = await recorded(id);
    expect(rows.map(({ seq }) => seq)).toEqual([1, 2, 3, 4, 5, 6]);
    for (const row of rows) expect(row).toMatchObject({ actor: "admin-key", request_id: expect.any(String) });
    expect(rows.slice(1).map(({ prev }) => prev)).toEqual(rows.slice(0, -1).map(({ hash }) => hash));
    expect(JSON.parse(rows[5]?.detail ?? "")).toEqual({ from: 0, to: 1 });
  });

  it("takes effect with the next alarm when the Worker ended before the pool heard of it", async () => {
    const id = await aPool("unheard", { minSize: 0, maxSize: 5 });
    const spec = { id, workloadId: id, minSize: 0, maxSize: 9, idleTimeoutMs: 900_000 };
    await env.DB.prepare("UPDATE pools SET spec = ?, version = 2 WHERE id = ?").bind(JSON.stringify(spec), id).run();
    vi.spyOn(Date, "now").mockReturnValue(Date.now() + 60_000);
    await ring(id);
    expect(await pool(id)).toMatchObject({ maxSize: 9, version: 2 });
    vi.restoreAllMocks();
    await eventually(async () => expect((await recorded(id)).at(-1)).toMatchObject({ actor: "system" }));
  });
});

describe("a changed pool", () => {
  it("keeps what is left out, and refuses another workload, sizes that contradict, and a stale version", async () => {
    const id = await aPool("changed", { minSize: 1, maxSize: 5, idleTimeoutMs: 5_000 });
    const changed = await call("PUT", path(id), { minSize: 2, tier: "basic" });
    expect(changed).toMatchObject({ status: 200, body: { minSize: 2, maxSize: 5, idleTimeoutMs: 5_000, version: 2 } });
    expect(changed.headers.get("etag")).toBe('"2"');
    expect((await call("PUT", path(id), { tier: null })).body).toMatchObject({ tier: "lite", version: 3 });
    expect((await call("PUT", path(id), { tier: null })).body).toMatchObject({ version: 3 });
    const refused = await call("PUT", path(id), { workloadId: "other" });
    expect(refused).toMatchObject({ status: 422, body: { errors: [{ pointer: "/workloadId" }] } });
    expect(await call("PUT", path(id), { maxSize: 1 })).toMatchObject({
      status: 422,
      body: { errors: [{ pointer: "/minSize" }] },
    });
    const stale = await request("PUT", path(id), JSON.stringify({ maxSize: 9 }), {
      "content-type": "application/json",
      "if-match": '"1"',
    });
    expect([stale.status, ((await stale.json()) as { code: string }).code]).toEqual([412, "version_mismatch"]);
    expect((await call("PUT", path("no-such-pool"), { colour: 1 })).status).toBe(404);
  });

  it("replaces warm slots of another tier one by one", async () => {
    const id = await aPool("retiered", { minSize: 2, maxSize: 5 });
    await call("PUT", path(id), { tier: "basic" });
    await eventually(async () => {
      const { body } = await call<{ items: { tier: string; state: string }[] }>("GET", path(id, "/containers"));
      expect(body.items.map(({ tier, state }) => [tier, state])).toEqual([
        ["basic", "warm"],
        ["basic", "warm"],
      ]);
    });
  });

  it("starts its containers on its own network, and knows none by other names", async () => {
    const id = "networked";
    await call("POST", "/api/v1/workloads", { id, image: "sandbox" });
    const spec = { id, workloadId: id, maxSize: 1 };
    const dns = await call("POST", "/api/v1/pools", { ...spec, network: { name: "open", dns: ["1.1.1.1"] } });
    expect(dns).toMatchObject({ status: 422, body: { code: "unsupported" } });
    expect((await call("POST", "/api/v1/pools", { ...spec, network: { name: "bridge" } })).status).toBe(422);
    const created = await call("POST", "/api/v1/pools", { ...spec, minSize: 1, network: { name: "open" } });
    expect(created).toMatchObject({ status: 201, body: { network: { name: "open" } } });
    await eventually(async () => expect(await pool(id)).toMatchObject({ warm: 1 }));
    const { body } = await call<{ items: { id: string }[] }>("GET", path(id, "/containers"));
    expect(simulation.for(body.items[0]?.id ?? "").container.spec.internet).toBe(true);
  });
});

describe("a scaled pool", () => {
  it("warms as many as were asked for, within its sizes, until those change", async () => {
    const id = await aPool("scaled", { minSize: 1, maxSize: 4 });
    await claim("scaler", id);
    expect(await call("POST", path(id, "/scale"), { target: 3 })).toMatchObject({ status: 200, body: { target: 3 } });
    await eventually(async () => expect(await pool(id)).toMatchObject({ warm: 3, claimed: 1, status: "healthy" }));
    for (const target of [0, 4]) {
      const refused = await call("POST", path(id, "/scale"), { target });
      expect(refused).toMatchObject({ status: 422, body: { errors: [{ pointer: "/target" }] } });
    }
    expect((await call("PUT", path(id), { maxSize: 5 })).body).toMatchObject({ target: 1 });
    await release("scaler");
  });

  it("lets surplus slots go when nobody wanted them for the idle timeout", async () => {
    const id = await aPool("shrunk", { minSize: 1, maxSize: 4, idleTimeoutMs: 1_000 });
    await call("POST", path(id, "/scale"), { target: 3 });
    await eventually(async () => expect(await pool(id)).toMatchObject({ warm: 3 }));
    await call("POST", path(id, "/scale"), { target: 1 });
    await ring(id);
    expect(await pool(id)).toMatchObject({ warm: 3 });
    vi.spyOn(Date, "now").mockReturnValue(Date.now() + 1_500);
    await ring(id);
    expect(await pool(id)).toMatchObject({ warm: 1 });
  });
});

describe("the breaker", () => {
  it("opens after five starts that failed in a row, says so, and a reset refills at once", async () => {
    const id = await aPool("broken", { minSize: 0, maxSize: 5 });
    simulation.every.fail("start", { times: 100, detail: "no such thing" });
    let later = 0;
    vi.spyOn(Date, "now").mockImplementation(() => performance.timeOrigin + performance.now() + later);
    await call("POST", path(id, "/scale"), { target: 1 });
    for (let n = 0; n < 40 && (await pool(id)).status !== "error"; n += 1) {
      later += 15_000; // more than what the refill waits between two failures
      await ring(id);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    expect(await pool(id)).toMatchObject({ status: "error", breaker: { state: "open", failures: 5 } });
    const { breaker } = await pool(id);
    expect(breaker).toMatchObject({
      lastError: expect.stringContaining("no such thing"),
      openedAt: expect.any(String),
    });
    simulation.every.faults.clear();
    await ring(id);
    expect(await pool(id)).toMatchObject({ warm: 0, starting: 0 });
    const reset = await call("POST", path(id, "/breaker/reset"));
    expect(reset.body).toMatchObject({ breaker: { state: "closed", failures: 0, openedAt: null } });
    await eventually(async () => expect(await pool(id)).toMatchObject({ warm: 1, status: "healthy" }));
    vi.restoreAllMocks();
    await eventually(async () =>
      expect((await recorded(id)).map(({ action, actor }) => [action, actor])).toEqual([
        ["pool.created", "admin-key"],
        ["pool.scaled", "admin-key"],
        ["pool.breaker_opened", "system"],
        ["pool.breaker_reset", "admin-key"],
      ]),
    );
  });
});

describe("what a pool says of itself", () => {
  it("counts hits, misses and the seconds that warm slots saved, and what it recommends", async () => {
    const id = await aPool("counted", { minSize: 1, maxSize: 5 });
    expect(await pool(id)).toMatchObject({ claims: 0, hitRate: null, recommendedSize: { warm: 0 } });
    await call("POST", path(id, "/pause"));
    await claim("first", id);
    await claim("second", id);
    const described = await pool(id);
    expect(described).toMatchObject({ claims: 2, hits: 1, misses: 1, hitRate: 0.5, claimed: 2, monthlyCostUsd: 2.01 });
    expect(described.secondsSaved).toBeGreaterThanOrEqual(0);
    expect(described.recommendedSize).toMatchObject({ warm: 1, because: expect.stringContaining("claims a minute") });
  });

  it("does not hold up the list when it does not answer", async () => {
    const [slow, quick] = [await aPool("list-slow"), await aPool("list-quick")];
    const answer = Pool.prototype.describe;
    vi.spyOn(Pool.prototype, "describe").mockImplementation(async function (this: Pool) {
      const described = await answer.call(this);
      if (described.ok && described.value.id === slow) await new Promise((resolve) => setTimeout(resolve, 3_000));
      return described;
    });
    const list = await call<{ items: { id: string }[] }>("GET", "/api/v1/pools?limit=200");
    const shown = (id: string) => list.body.items.find((item) => item.id === id);
    expect(shown(slow)).toMatchObject({ status: "error", lastError: expect.stringContaining("2000 ms") });
    expect(shown(quick)).toMatchObject({ status: "healthy", warm: 1 });
  });
});

describe("a deleted pool", () => {
  it("is refused with its tenants' names while they hold containers", async () => {
    const id = await aPool("in-use", { minSize: 1 });
    await claim("holder", id);
    const refused = await call("DELETE", path(id));
    expect(refused).toMatchObject({ status: 409, body: { code: "in_use", usedBy: ["tenant:holder"] } });
    expect((await status("holder")).body).toMatchObject({ state: "active" });
    await eventually(async () => expect(await pool(id)).toMatchObject({ status: "healthy" }));
  });

  it("ends its containers, and then its name is free", async () => {
    const id = await aPool("emptied", { minSize: 2 });
    const deleted = await call("DELETE", path(id, "?wait=10s"));
    expect(deleted).toMatchObject({ status: 200, body: { id, state: "deleted", left: 0 } });
    expect((await call("GET", path(id))).status).toBe(404);
    expect(await claim("late", id)).toMatchObject({ status: 404 });
    expect(simulation.running.filter((key) => simulation.container(key)?.spec.labels.pool === id)).toEqual([]);
    const ended = await call("GET", `/api/v1/operations/${deleted.body.operationId}`);
    expect(ended.body).toMatchObject({ kind: "drain", poolId: id, status: "succeeded" });
    const again = await call("POST", "/api/v1/pools", { id, workloadId: id, minSize: 1, maxSize: 3 });
    expect(again.status, JSON.stringify(again.body)).toBe(201);
    await eventually(async () => expect(await pool(id)).toMatchObject({ warm: 1, claims: 0, version: 1 }));
    await eventually(async () =>
      expect((await recorded(id)).map(({ action }) => action)).toEqual([
        "pool.created",
        "pool.draining",
        "pool.deleted",
        "pool.created",
      ]),
    );
  });

  it("gives out nothing and keeps its name while it is emptied", async () => {
    const id = await aPool("emptying", { minSize: 1 });
    const { body } = await call<{ items: { id: string }[] }>("GET", path(id, "/containers"));
    simulation.for(body.items[0]?.id ?? "").slow("destroy", 300);
    const deleting = await call("DELETE", path(id));
    expect(deleting).toMatchObject({ status: 202, body: { state: "draining" } });
    const location = deleting.headers.get("location") ?? "";
    expect((await call("GET", location)).body).toMatchObject({ status: "running" });
    expect(await pool(id)).toMatchObject({ status: "draining", deletion: { failed: [] } });
    expect(await claim("late", id)).toMatchObject({ status: 409, body: { code: "invalid_transition" } });
    expect((await call("POST", "/api/v1/pools", { id, workloadId: id, maxSize: 1 })).status).toBe(409);
    expect((await call("DELETE", path(id))).body).toMatchObject({ operationId: deleting.body.operationId });
    await eventually(async () => expect((await call("GET", location)).body).toMatchObject({ status: "succeeded" }));
  });

  it("by force saves and releases its tenants; one that cannot be released keeps it, and is named", async () => {
    const id = await aPool("forced", { minSize: 2, maxSize: 5 });
    await claim("willing", id);
    await put("willing", "a.txt", "kept");
    await claim("guarded", id);
    for (const name of ["a", "b", "c", "d"]) await put("guarded", name, "text");
    await release("guarded");
    await claim("guarded", id);
    for (const name of ["a", "b", "c"]) await remove("guarded", name);
    const stuck = await call("DELETE", path(id, "?force=true&wait=10s"));
    expect(stuck).toMatchObject({
      status: 409,
      body: { code: "in_use", usedBy: ["tenant:guarded"], failed: [{ tenantId: "guarded", code: "guard_blocked" }] },
    });
    expect((await status("willing")).body).toMatchObject({ state: "idle", generation: 1 });
    expect(await pool(id)).toMatchObject({ status: "draining", deletion: { failed: [{ tenantId: "guarded" }] } });
    expect(await release("guarded", { force: true })).toMatchObject({ status: 200 });
    await eventually(async () => expect((await call("GET", path(id))).status).toBe(404));
    expect(await objectOf(id).tenants("", 10)).toEqual(["guarded", "willing"]);
    await objectOf(id).forget("willing" as never);
    expect(await objectOf(id).tenants("", 10)).toEqual(["guarded"]);
  });

  it("goes on after its object left memory", async () => {
    const id = await aPool("resumed", { minSize: 1 });
    const { body } = await call<{ items: { id: string }[] }>("GET", path(id, "/containers"));
    simulation.for(body.items[0]?.id ?? "").fail("destroy");
    expect((await call("DELETE", path(id))).status).toBe(202);
    await evictDurableObject(poolStub(id));
    await eventually(async () => {
      await ring(id);
      expect((await call("GET", path(id))).status).toBe(404);
    });
  });

  it("is kept by what synchronises it", async () => {
    const id = await aPool("synchronised", { minSize: 0 });
    await env.DB.prepare(
      "INSERT INTO sync_specs (id, pool_id, version, spec, created_at, updated_at) VALUES ('nightly', ?, 1, '{}', 0, 0)",
    )
      .bind(id)
      .run();
    const refused = await call("DELETE", path(id));
    expect(refused).toMatchObject({ status: 409, body: { code: "in_use", usedBy: ["sync-spec:nightly"] } });
  });
});

describe("a new version of a workload", () => {
  it("reaches waiting slots once one of it is warm, and leases that demand it pass over older ones", async () => {
    const id = await aPool("upgraded", { minSize: 1, maxSize: 4 });
    await call("POST", path(id, "/pause"));
    const { body } = await call<{ spec: object }>("GET", `/api/v1/workloads/${id}`);
    const workload = { image: "sandbox", port: 8080, volumes: { state: { containerPath: "/data" } } };
    expect(body).toMatchObject({ version: 1 });
    const replaced = await call("PUT", `/api/v1/workloads/${id}`, { ...workload, environment: { COLOUR: "red" } });
    expect(replaced).toMatchObject({ status: 200, body: { version: 2 } });
    const lease = await objectOf(id).lease({ tenantId: "modern" as never, epoch: 1 as never, minWorkloadVersion: 2 });
    expect(lease).toMatchObject({ ok: true, value: { launch: "cold", reason: "other_version", workloadVersion: 2 } });
    const old = await objectOf(id).lease({ tenantId: "frugal" as never, epoch: 1 as never });
    expect(old).toMatchObject({ ok: true, value: { launch: "warm", workloadVersion: 1 } });
    if (old.ok) expect(old.value.workload.environment).toEqual({});
    await call("POST", path(id, "/resume"));
    await eventually(async () => {
      const { items } = (await call<{ items: object[] }>("GET", path(id, "/containers?state=warm"))).body;
      expect(items).toMatchObject([{ workloadVersion: 2 }]);
    });
  });
});

describe("the fleet's cap", () => {
  it("does not open the breaker", async () => {
    vi.spyOn(Fleet.prototype, "admit").mockResolvedValue({ admitted: false, reason: "cap", retryAfterMs: 1 });
    const id = await aPool("capped", { minSize: 0, maxSize: 9 });
    for (let n = 0; n < 6; n += 1) expect((await claimAtOnce(`capped-${n}`, id)).status).toBe(503);
    expect(await pool(id)).toMatchObject({ breaker: { state: "closed", failures: 0 } });
  });
});
