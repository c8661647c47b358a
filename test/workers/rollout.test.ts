import { evictDurableObject, runDurableObjectAlarm } from "cloudflare:test";
import { afterEach, describe, expect, it, vi } from "vitest";
import { Tenant } from "../../src/tenant/object.ts";
import { aPool, call, claim, env, eventually, get, put, release, simulation, status } from "../support/fleet.ts";

const path = (id: string, more = "") => `/api/v1/pools/${id}${more}`;
const rollout = async (id: string) => (await call("GET", path(id, "/rollout"))).body;
const poolStub = (id: string) => env.POOL.getByName(id) as unknown as DurableObjectStub;
const workload = (more: object = {}) => ({
  image: "sandbox",
  port: 8080,
  volumes: { state: { containerPath: "/data" } },
  ...more,
});
const update = async (id: string, more: object) => {
  const answer = await call("PUT", `/api/v1/workloads/${id}`, workload(more));
  expect(answer.status, JSON.stringify(answer.body)).toBe(200);
};
const policy = async (id: string, upgrade: object | null) => {
  const answer = await call("PUT", path(id), { upgrade });
  expect(answer.status, JSON.stringify(answer.body)).toBe(200);
  return answer.body;
};
const act = (tenant: string, what: string, body: object = {}) =>
  call("POST", `/api/v1/tenants/${tenant}/${what}?wait=10s`, body);
/** What a tenant shows after a look at its container. */
async function driftSeenOf(tenant: string): Promise<unknown> {
  const later = Date.now() + 60_000;
  vi.spyOn(Date, "now").mockReturnValue(later);
  await runDurableObjectAlarm(env.TENANT.getByName(tenant) as unknown as DurableObjectStub);
  vi.restoreAllMocks();
  return (await status(tenant)).body.drift;
}
const recorded = async (id: string) => {
  const rows = env.DB.prepare("SELECT action, actor, detail FROM audit WHERE subject = ? ORDER BY seq").bind(
    `pool:${id}`,
  );
  const { results } = await rows.all<{ action: string; actor: string; detail: string }>();
  return results.filter(({ action }) => action.startsWith("pool.rollout") || action.startsWith("alert."));
};

afterEach(() => {
  vi.restoreAllMocks();
  simulation.every.faults.clear();
});

describe("a new version of a workload", () => {
  it("drains its warm slots only after one of it is ready", async () => {
    const id = await aPool("drains", { minSize: 2, maxSize: 6 });
    simulation.every.slow("ready", 300, { times: 4 });
    await update(id, { name: "second" });
    const seen: string[] = [];
    await eventually(async () => {
      const { body } = await call<{ items: { state: string; workloadVersion: number }[] }>(
        "GET",
        path(id, "/containers"),
      );
      const warm = body.items.filter(({ state }) => state === "warm").map(({ workloadVersion }) => workloadVersion);
      if (!warm.includes(2)) expect(warm.filter((version) => version === 1)).toHaveLength(2);
      expect(warm.length).toBeGreaterThanOrEqual(1);
      seen.push(warm.sort().join());
      expect(body.items.map(({ state, workloadVersion }) => `${state} ${workloadVersion}`)).toEqual([
        "warm 2",
        "warm 2",
      ]);
    });
    expect(seen).toContain("1,1");
  });

  it("reaches a tenant with its next start, by default", async () => {
    const id = await aPool("on-restart", { minSize: 1, maxSize: 6 });
    await claim("onr", id);
    await update(id, { name: "second" });
    expect((await status("onr")).body).toMatchObject({ version: 1, state: "active" });
    expect(await rollout(id)).toMatchObject({ policy: "onRestart", state: "idle", outdated: 1, to: 2 });
    await eventually(async () => expect(await driftSeenOf("onr")).toEqual(["image"]));
    await act("onr", "stop");
    await act("onr", "start");
    expect((await status("onr")).body).toMatchObject({ version: 2, state: "active" });
    const refused = await call("POST", path(id, "/rollout"), { action: "resume" });
    expect(refused).toMatchObject({ status: 409, body: { code: "invalid_transition" } });
  });
});

describe("a rolling upgrade", () => {
  it("moves active tenants with their files, wakes nobody, and says so in its records", async () => {
    const id = await aPool("rolls", { minSize: 1, maxSize: 9 });
    const upgraded = await policy(id, { policy: "rolling", concurrency: 2, healthyMs: 0 });
    expect(upgraded).toMatchObject({ upgrade: { policy: "rolling", concurrency: 2, maxFailures: 1, healthyMs: 0 } });
    const awake = ["roll-a", "roll-b", "roll-c"];
    for (const tenant of [...awake, "roll-asleep"]) {
      await claim(tenant, id);
      await put(tenant, "mine.txt", tenant);
    }
    await act("roll-asleep", "stop");
    await update(id, { name: "second" });
    await eventually(
      async () => expect(await rollout(id)).toMatchObject({ state: "done", outdated: 0, upgraded: 3 }),
      15_000,
    );
    for (const tenant of awake) {
      expect((await status(tenant)).body).toMatchObject({
        version: 2,
        state: "active",
        unsavedSince: expect.anything(),
      });
      expect(await (await get(tenant, "mine.txt")).text()).toBe(tenant);
    }
    expect((await status("roll-asleep")).body).toMatchObject({ state: "asleep", epoch: 1 });
    await act("roll-asleep", "start");
    expect((await status("roll-asleep")).body).toMatchObject({ version: 2 });
    await eventually(async () =>
      expect((await recorded(id)).map(({ action }) => action)).toEqual(["pool.rollout_started", "pool.rollout_ended"]),
    );
  });

  it("leaves who is busy for later: nobody is lost, moved twice, or taken for a failure", async () => {
    const id = await aPool("rolls-busy", { minSize: 1, maxSize: 9 });
    await policy(id, { policy: "rolling", concurrency: 3, healthyMs: 0 });
    const busy = { "busy-save": "sync", "busy-release": "release", "busy-restart": "restart" };
    for (const tenant of [...Object.keys(busy), "busy-free"]) {
      const { body } = await claim(tenant, id);
      await put(tenant, "mine.txt", tenant);
      if (tenant !== "busy-free") simulation.for(body.containerId).slow("manifest", 5_000);
    }
    const asked: [string, string][] = [];
    const { upgrade } = Tenant.prototype;
    vi.spyOn(Tenant.prototype, "upgrade").mockImplementation(async function (this: Tenant, to) {
      const answer = await upgrade.call(this, to);
      asked.push([(this as unknown as { ctx: DurableObjectState }).ctx.id.name ?? "", answer.kind]);
      return answer;
    });
    const operations = Object.entries(busy).map(([tenant, what]) =>
      act(tenant, what, what === "sync" ? { direction: "outward" } : {}),
    );
    await eventually(async () => {
      for (const tenant of Object.keys(busy)) expect((await status(tenant)).body.operation).toBeDefined();
    });
    await update(id, { name: "second" });
    await eventually(async () => expect(await rollout(id)).toMatchObject({ upgraded: 1, moving: [], failed: [] }));
    for (const tenant of Object.keys(busy)) expect(asked).toContainEqual([tenant, "later"]);
    for (const operation of operations) expect((await operation).status).toBe(200);
    expect(await rollout(id)).toMatchObject({ state: "rolling", outdated: 1, failed: [], halted: null });
    const later = Date.now() + 16_000;
    vi.spyOn(Date, "now").mockImplementation(() => later);
    await runDurableObjectAlarm(poolStub(id));
    await eventually(async () => expect(await rollout(id)).toMatchObject({ state: "done", upgraded: 2, failed: [] }));
    for (const tenant of ["busy-save", "busy-restart", "busy-free"]) {
      expect((await status(tenant)).body, tenant).toMatchObject({ version: 2, state: "active", epoch: 2 });
      expect(await (await get(tenant, "mine.txt")).text()).toBe(tenant);
    }
    expect((await status("busy-release")).body).toMatchObject({ state: "idle", epoch: 1 });
    expect(asked.filter(([, kind]) => kind === "begun").map(([tenant]) => tenant)).toEqual(["busy-free", "busy-save"]);
  });

  it("takes a restart that finds no room, or is cancelled, for no fault of the version, and asks again later", async () => {
    const id = await aPool("rolls-roomless", { minSize: 1, maxSize: 9 });
    await policy(id, { policy: "rolling", healthyMs: 0 });
    for (const tenant of ["no-room", "cancelled"]) await claim(tenant, id);
    const ended = {
      "no-room": { status: "failed", error: { code: "capacity_exhausted", detail: "Tier lite is at its cap." } },
      cancelled: { status: "cancelled" },
    };
    const nameOf = (tenant: Tenant) => (tenant as unknown as { ctx: DurableObjectState }).ctx.id.name ?? "";
    const asked: string[] = [];
    vi.spyOn(Tenant.prototype, "upgrade").mockImplementation(async function (this: Tenant) {
      asked.push(nameOf(this));
      return { kind: "begun", operationId: "top-1" };
    });
    vi.spyOn(Tenant.prototype, "operation").mockImplementation(async function (this: Tenant) {
      return { ok: true, value: ended[nameOf(this) as keyof typeof ended] as never };
    });
    await update(id, { name: "second" });
    await eventually(async () => expect(asked).toHaveLength(2));
    await runDurableObjectAlarm(poolStub(id));
    await eventually(async () => expect(await rollout(id)).toMatchObject({ state: "rolling", moving: [], failed: [] }));
    expect(asked.sort()).toEqual(["cancelled", "no-room"]);
    vi.restoreAllMocks();
    const later = Date.now() + 16_000;
    vi.spyOn(Date, "now").mockImplementation(() => later);
    await runDurableObjectAlarm(poolStub(id));
    await eventually(async () => expect(await rollout(id)).toMatchObject({ state: "done", upgraded: 2 }), 15_000);
  });

  it("is gone on with after its pool left memory in the middle", async () => {
    const id = await aPool("rolls-on", { minSize: 1, maxSize: 9 });
    await policy(id, { policy: "rolling", healthyMs: 0 });
    for (const tenant of ["on-a", "on-b"]) await claim(tenant, id);
    await update(id, { name: "second" });
    await eventually(async () =>
      expect(await rollout(id)).toMatchObject({ moving: [{ tenantId: expect.any(String) }] }),
    );
    await evictDurableObject(poolStub(id));
    await runDurableObjectAlarm(poolStub(id));
    await eventually(
      async () => expect(await rollout(id)).toMatchObject({ state: "done", upgraded: 2, failed: [] }),
      15_000,
    );
    for (const tenant of ["on-a", "on-b"]) expect((await status(tenant)).body).toMatchObject({ version: 2, epoch: 2 });
  });

  it("moves nobody onto a version that never becomes ready: the pool's breaker halts it, with an alert", async () => {
    const id = await aPool("rolls-broken", { minSize: 1, maxSize: 9 });
    await policy(id, { policy: "rolling", healthyMs: 0 });
    for (const tenant of ["bro-a", "bro-b"]) await claim(tenant, id);
    await eventually(async () => expect((await call("GET", path(id))).body).toMatchObject({ warm: 1 }));
    simulation.every.fail("start", { times: 100, detail: "exec format error" });
    let later = 0;
    vi.spyOn(Date, "now").mockImplementation(() => performance.timeOrigin + performance.now() + later);
    await update(id, { name: "broken" });
    for (let n = 0; n < 40 && (await rollout(id)).state !== "halted"; n += 1) {
      later += 15_000;
      await runDurableObjectAlarm(poolStub(id));
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    expect(await rollout(id)).toMatchObject({
      state: "halted",
      halted: { actor: "system", reason: expect.stringContaining("exec format error") },
      outdated: 2,
      upgraded: 0,
    });
    vi.restoreAllMocks();
    for (const tenant of ["bro-a", "bro-b"]) {
      expect((await status(tenant)).body).toMatchObject({ version: 1, state: "active", epoch: 1 });
    }
    await eventually(async () =>
      expect((await recorded(id)).map(({ action }) => action)).toEqual([
        "pool.rollout_started",
        "alert.raised", // the breaker's
        "pool.rollout_halted",
        "alert.raised",
      ]),
    );
    simulation.every.faults.clear();
    await call("POST", `/api/v1/workloads/${id}/rollback`, { version: 1 });
    await eventually(
      async () => expect(await rollout(id)).toMatchObject({ state: "done", to: 3, upgraded: 2 }),
      15_000,
    );
    expect((await recorded(id)).map(({ action }) => action)).toContain("alert.cleared");
  });

  it("halts after the first tenant that fails where the pool has no room to try it before, and loses nothing", async () => {
    const id = await aPool("rolls-full", { minSize: 0, maxSize: 2 });
    await policy(id, { policy: "rolling", healthyMs: 0 });
    for (const tenant of ["full-a", "full-b"]) {
      await claim(tenant, id);
      await put(tenant, "mine.txt", tenant);
    }
    simulation.every.fail("start", { times: 100, detail: "exec format error" });
    await update(id, { name: "broken" });
    await eventually(async () => expect(await rollout(id)).toMatchObject({ state: "halted", upgraded: 0 }), 15_000);
    const { failed } = (await rollout(id)) as { failed: { tenantId: string; detail: string }[] };
    expect(failed).toMatchObject([{ detail: expect.stringContaining("exec format error") }]);
    const [other = ""] = ["full-a", "full-b"].filter((tenant) => tenant !== failed[0]?.tenantId);
    expect((await status(other)).body).toMatchObject({ version: 1, state: "active", epoch: 1 });
    simulation.every.faults.clear();
    const first = failed[0]?.tenantId ?? "";
    await act(first, "start");
    expect(await (await get(first, "mine.txt")).text()).toBe(first);
    const resumed = await call("POST", path(id, "/rollout"), { action: "resume" });
    expect(resumed).toMatchObject({ status: 200, body: { state: "rolling", failed: [] } });
    await eventually(async () => expect(await rollout(id)).toMatchObject({ state: "done", outdated: 0 }), 15_000);
    expect(await (await get(other, "mine.txt")).text()).toBe(other);
  });

  it("is halted by hand, and goes on by hand", async () => {
    const id = await aPool("rolls-by-hand", { minSize: 1, maxSize: 9 });
    await policy(id, { policy: "rolling", healthyMs: 600_000 });
    for (const tenant of ["hand-a", "hand-b"]) await claim(tenant, id);
    await update(id, { name: "second" });
    await eventually(async () => expect(await rollout(id)).toMatchObject({ moving: [{ step: "watched" }] }), 15_000);
    const halted = await call("POST", path(id, "/rollout"), { action: "halt" });
    expect(halted).toMatchObject({ status: 200, body: { state: "halted", halted: { actor: "admin-key" } } });
    await policy(id, { policy: "rolling", healthyMs: 0 });
    await runDurableObjectAlarm(poolStub(id));
    await eventually(async () => expect(await rollout(id)).toMatchObject({ moving: [], upgraded: 1, outdated: 1 }));
    await call("POST", path(id, "/rollout"), { action: "resume" });
    await eventually(async () => expect(await rollout(id)).toMatchObject({ state: "done", upgraded: 2 }), 15_000);
    expect(await call("POST", path(id, "/rollout"), { action: "stop" })).toMatchObject({ status: 422 });
    expect(await call("POST", path("no-such-pool", "/rollout"), {})).toMatchObject({ status: 404 });
    expect(await call("GET", path("no-such-pool", "/rollout"))).toMatchObject({ status: 404 });
  });
});

describe("a pinned tenant", () => {
  it("keeps its version over restarts and sleeps, also when its pool has forgotten it, until its image is restarted", async () => {
    const id = await aPool("pins", { minSize: 1, maxSize: 9 });
    await policy(id, { policy: "pinned" });
    await claim("pin-a", id);
    await update(id, { name: "second" });
    await act("pin-a", "restart", { scope: "container" });
    expect((await status("pin-a")).body).toMatchObject({ version: 1, state: "active", epoch: 2 });
    expect(await driftSeenOf("pin-a")).toBeUndefined();
    await act("pin-a", "stop");
    // Nothing runs version 1 now, and the next version makes the pool forget it.
    await eventually(async () => {
      const { body } = await call<{ items: { workloadVersion: number }[] }>("GET", path(id, "/containers"));
      expect(body.items.map(({ workloadVersion }) => workloadVersion)).toEqual([2]);
    });
    await update(id, { name: "third" });
    await evictDurableObject(poolStub(id));
    await act("pin-a", "start");
    expect((await status("pin-a")).body).toMatchObject({ version: 1, state: "active", epoch: 3 });
    const { body } = await call<{ items: { tenantId?: string; workloadVersion: number }[] }>(
      "GET",
      path(id, "/containers"),
    );
    expect(body.items.find(({ tenantId }) => tenantId === "pin-a")).toMatchObject({ workloadVersion: 1 });
    expect(await rollout(id)).toMatchObject({ state: "idle", outdated: 1 });
    await act("pin-a", "restart", { scope: "image" });
    expect((await status("pin-a")).body).toMatchObject({ version: 3, epoch: 4 });
    await act("pin-a", "restart", { scope: "container" });
    expect((await status("pin-a")).body).toMatchObject({ version: 3 });
  });

  it("begins anew on the present version once it was released", async () => {
    const id = await aPool("pins-released", { minSize: 1, maxSize: 9 });
    await policy(id, { policy: "pinned" });
    await claim("pin-b", id);
    await release("pin-b");
    await update(id, { name: "second" });
    await claim("pin-b");
    expect((await status("pin-b")).body).toMatchObject({ version: 2, state: "active" });
  });
});
