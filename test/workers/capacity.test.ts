import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { afterEach, describe, expect, it, vi } from "vitest";
import { fleetOf, poolOf } from "../../src/durable/stubs.ts";
import { Fleet } from "../../src/fleet/object.ts";
import { START_BURST } from "../../src/fleet/plan.ts";
import { containerId, epoch, type PoolId, type TenantId } from "../../src/ids.ts";
import { Instance } from "../../src/instance/object.ts";
import type { Pool } from "../../src/pool/object.ts";
import { workloadSchema } from "../../src/registry/specs.ts";
import { aPool, call, claim, claimAtOnce, env, eventually, release, simulation, status } from "../support/fleet.ts";

/** Admission, waiting for room, fallbacks, and what pools and the fleet do when they lost one another or themselves. */

const path = (id: string, more = "") => `/api/v1/pools/${id}${more}`;
const pool = async (id: string) => (await call("GET", path(id))).body;
const poolObject = (id: string) => env.POOL.getByName(id) as unknown as DurableObjectStub;
const fleetObject = () => env.FLEET.getByName("fleet") as unknown as DurableObjectStub;
const ring = (id: string) => runDurableObjectAlarm(poolObject(id));
const poolStub = (id: string) => poolOf(env, id as PoolId);
const fleet = () => fleetOf(env);
const fresh = () => containerId(crypto.getRandomValues(new Uint8Array(20)));
const counts = async (tier: string) => (await fleet().counts())[tier] ?? 0;
const request = (tenant: string, at = 1) => ({ tenantId: tenant as TenantId, epoch: epoch(at) });
const containersOf = async (id: string) =>
  (await call<{ items: { id: string; state: string; tenantId?: string }[] }>("GET", path(id, "/containers"))).body
    .items;
const recorded = async (id: string, action: string) =>
  (
    await env.DB.prepare("SELECT detail FROM audit WHERE subject = ? AND action = ? ORDER BY seq")
      .bind(`pool:${id}`, action)
      .all<{ detail: string }>()
  ).results.map(({ detail }) => JSON.parse(detail) as Record<string, unknown>);

/** Moves what `Date.now` says; timers go on as they were. */
let offset = 0;
function later(ms: number): void {
  offset += ms;
  vi.spyOn(Date, "now").mockImplementation(() => performance.timeOrigin + performance.now() + offset);
}
/** As if the platform had lost everything that an object stored. */
async function loseStorage(stub: DurableObjectStub): Promise<void> {
  await runInDurableObject(stub, async (_, state) => {
    await state.storage.deleteAlarm();
    await state.storage.deleteAll();
  });
  await evictDurableObject(stub);
}

afterEach(() => {
  vi.restoreAllMocks();
  offset = 0;
  simulation.every.faults.clear();
  simulation.images.add("sandbox");
});

describe("the fleet", () => {
  it("counts what a pool has, also above the cap, and starts nothing more until it is below", async () => {
    const held = Array.from({ length: 7 }, () => ({ containerId: fresh(), tier: "standard-4" as const }));
    await fleet().renew("unheard" as PoolId, held);
    expect(await counts("standard-4")).toBe(7); // the cap is 6
    const next = fresh();
    for (const { containerId: id } of held.slice(0, 2)) {
      expect(await fleet().admit(next, "unheard" as PoolId, "standard-4")).toMatchObject({ admitted: false });
      await fleet().release(id);
    }
    expect(await fleet().admit(next, "unheard" as PoolId, "standard-4")).toEqual({ admitted: true });
  });

  it("frees an admission that nobody uses when its pool looks, and never because time passed", async () => {
    const id = await aPool("stray", { minSize: 1 });
    const stray = fresh();
    await fleet().admit(stray, id as PoolId, "standard-3"); // it arrived after its pool had given the start up
    const retire = vi.spyOn(Instance.prototype, "retire").mockRejectedValue(new Error("away"));
    later(300_000);
    await ring(id);
    expect(retire).toHaveBeenCalled();
    expect(await counts("standard-3")).toBe(1);
    retire.mockRestore();
    later(60_000);
    await ring(id);
    await eventually(async () => expect(await counts("standard-3")).toBe(0));
  });

  it("asks a pool that says nothing any more, also one that never was, and what is left of it ends", async () => {
    const stray = fresh();
    await fleet().admit(stray, "never-was" as PoolId, "standard-2");
    later(300_000);
    await runDurableObjectAlarm(fleetObject());
    await eventually(async () => expect(await counts("standard-2")).toBe(0));
  });

  it("that lost its storage admits nothing before it knows what runs", async () => {
    const id = await aPool("census", { minSize: 2 });
    await claim("counted", id);
    await eventually(async () => expect(await pool(id)).toMatchObject({ warm: 2, claimed: 1 }));
    const before = await counts("lite");
    await loseStorage(fleetObject());
    const batch = vi.spyOn(Object.getPrototypeOf(env.DB) as D1Database, "batch").mockRejectedValue(new Error("away"));
    const refused = await fleet().admit(fresh(), id as PoolId, "basic");
    expect(refused).toMatchObject({ admitted: false, reason: "rebuilding" });
    batch.mockRestore();
    expect(await fleet().admit(fresh(), id as PoolId, "basic")).toEqual({ admitted: true });
    expect(await counts("lite")).toBe(before);
  });

  it("has no more starts to give after it left memory", async () => {
    vi.spyOn(Date, "now").mockReturnValue(Date.now() + 60_000); // full, and nothing comes back meanwhile
    const admit = () => fleet().admit(fresh(), "burst" as PoolId, "lite");
    const admitted = async (n: number) =>
      (await Promise.all(Array.from({ length: n }, admit))).filter((admission) => admission.admitted).length;
    expect(await admitted(START_BURST + 5)).toBe(START_BURST);
    await evictDurableObject(fleetObject());
    expect(await admitted(5)).toBe(0);
    await loseStorage(fleetObject()); // these never started
  });
});

describe("a claim that waits for room", () => {
  it("gets what is released, first come, first served, and is refused when its time is over", async () => {
    const id = await aPool("line", { minSize: 0, maxSize: 1 });
    await claim("in-front", id);
    const wait = (tenant: string, time: string) =>
      call("POST", `/api/v1/tenants/${tenant}/claim?wait=${time}`, { poolId: id });
    const second = wait("second", "8s");
    await eventually(async () => expect(await pool(id)).toMatchObject({ waiting: 1 }));
    const third = wait("third", "3s");
    await eventually(async () => expect(await pool(id)).toMatchObject({ waiting: 2 }));
    await release("in-front");
    expect(await second).toMatchObject({ status: 201, body: { launch: "cold" } });
    const refused = await third;
    expect(refused).toMatchObject({ status: 503, body: { code: "capacity_exhausted", limit: "pool" } });
    expect(refused.headers.get("retry-after")).toBe("30");
    expect((await status("third")).body).toMatchObject({ state: "idle", assigned: false });
    expect(await pool(id)).toMatchObject({ waiting: 0, claimed: 1 });
    await release("second");
  });

  it("waits for a full tier in the fleet, and one that does not say so is refused at once", async () => {
    const id = await aPool("tier-line", { minSize: 0 });
    const { admit } = Fleet.prototype;
    let full = true;
    vi.spyOn(Fleet.prototype, "admit").mockImplementation(async function (this: Fleet, ...args) {
      return full ? { admitted: false, reason: "cap", retryAfterMs: 100 } : admit.apply(this, args);
    });
    expect(await claimAtOnce("hasty", id)).toMatchObject({ status: 503, body: { limit: "cap", tier: "lite" } });
    const waiting = claim("patient", id);
    await eventually(async () => expect(await pool(id)).toMatchObject({ starting: 1 }));
    full = false;
    expect(await waiting).toMatchObject({ status: 201 });
  });
});

describe("a fallback pool", () => {
  it("gives its containers to another's tenants while that has none, once each, and says so", async () => {
    const id = await aPool("own", { minSize: 0, maxSize: 1 });
    const more = { workloadId: id, minSize: 1, maxSize: 2, tier: "basic" };
    expect((await call("POST", "/api/v1/pools", { id: "spare", ...more })).status).toBe(201);
    expect((await call("PUT", path(id), { fallbackPoolId: "spare" })).body).toMatchObject({ fallbackPoolId: "spare" });
    await eventually(async () => expect(await pool("spare")).toMatchObject({ warm: 1 }));
    expect(await claim("at-home", id)).toMatchObject({ status: 201, body: { poolId: id } });
    const sent = await claimAtOnce("sent", id);
    expect(sent).toMatchObject({ status: 201, body: { poolId: "spare", launch: "warm", reason: "fallback_pool" } });
    expect((await status("sent")).body).toMatchObject({ poolId: id, state: "active" });
    expect(await pool("spare")).toMatchObject({ claimed: 1 });
    await release("at-home");
    const again = await poolStub(id).lease(request("sent", sent.body.epoch));
    expect(again).toMatchObject({ ok: true, value: { poolId: "spare", containerId: sent.body.containerId } });
    expect(await pool(id)).toMatchObject({ claimed: 0 });
    await release("sent");
    await eventually(async () => expect(await pool("spare")).toMatchObject({ claimed: 0, draining: 0 }));
    expect(await claim("sent")).toMatchObject({ status: 201, body: { poolId: id, launch: "cold" } });
    expect((await call("DELETE", path("spare", "?wait=10s"))).status).toBe(200);
    expect(await claimAtOnce("late", id)).toMatchObject({ status: 503, body: { code: "capacity_exhausted" } });
  });

  it("has to be there, run the same workload, and lead to an end", async () => {
    const [first, second] = [await aPool("chain-a", { minSize: 0 }), await aPool("chain-b", { minSize: 0 })];
    const put = (id: string, fallbackPoolId: string | null) => call("PUT", path(id), { fallbackPoolId });
    const wrong = { status: 422, body: { errors: [{ pointer: "/fallbackPoolId" }] } };
    for (const bad of ["no-such-pool", first, second]) expect(await put(first, bad), bad).toMatchObject(wrong);
    await call("POST", "/api/v1/pools", { id: "chain-c", workloadId: first, maxSize: 1, fallbackPoolId: first });
    expect(await pool("chain-c")).toMatchObject({ fallbackPoolId: first });
    expect(await put(first, "chain-c")).toMatchObject(wrong);
    expect((await put("chain-c", null)).body.fallbackPoolId).toBeUndefined();
    expect(await put(first, "chain-c")).toMatchObject({ status: 200 });
  });
});

describe("a pool's size", () => {
  it("follows its schedule from edge to edge", async () => {
    const noon = Date.parse("2026-11-26T12:00:00Z");
    later(noon - 60_000 - Date.now());
    const id = await aPool("scheduled", { minSize: 0, maxSize: 5, idleTimeoutMs: 1_000 });
    const schedule = [{ cron: "0 12 * * *", durationMs: 3_600_000, minSize: 2 }];
    expect((await call("PUT", path(id), { schedule })).body).toMatchObject({
      target: 0,
      scheduledMinSize: null,
      schedule,
    });
    expect(await call("PUT", path(id), { schedule: [{ cron: "x" }] })).toMatchObject({ status: 422 });
    later(60_000);
    await ring(id);
    await eventually(async () => expect(await pool(id)).toMatchObject({ target: 2, scheduledMinSize: 2, warm: 2 }));
    expect(await call("POST", path(id, "/scale"), { target: 1 })).toMatchObject({ status: 422 });
    await call("POST", path(id, "/scale"), { target: 3 });
    await eventually(async () => expect(await pool(id)).toMatchObject({ target: 3, warm: 3 }));
    later(3_600_000);
    await ring(id);
    await eventually(async () => expect(await pool(id)).toMatchObject({ target: 0, warm: 0, size: 0 }));
  });

  it("comes down to nothing, and the first claim after that is cold", async () => {
    const id = await aPool("to-zero", { minSize: 1, maxSize: 3, idleTimeoutMs: 1_000 });
    await call("PUT", path(id), { minSize: 0 });
    later(5_000);
    await ring(id);
    await eventually(async () => expect(await pool(id)).toMatchObject({ size: 0, draining: 0, status: "healthy" }));
    expect(await claim("woken", id)).toMatchObject({ status: 201, body: { launch: "cold", reason: "no_warm_slot" } });
    await release("woken");
    await eventually(async () => expect(await pool(id)).toMatchObject({ size: 0 }));
  });
});

describe("a pool", () => {
  it("replaces a warm container that ended by itself at once", async () => {
    const id = await aPool("crashed", { minSize: 1 });
    const [first] = await containersOf(id);
    simulation.for(first?.id ?? "").crash(1);
    await eventually(async () => {
      const now = await containersOf(id);
      expect(now).toMatchObject([{ state: "warm" }]);
      expect(now[0]?.id).not.toBe(first?.id);
    });
  });

  it("of two changes that cross on their way keeps the one that the registry took last", async () => {
    const id = await aPool("crossing", { minSize: 0, maxSize: 5 });
    const by = { actor: "key:test", requestId: null };
    const { body } = await call("GET", path(id));
    const workload = workloadSchema.parse({ id, image: "sandbox" });
    const createdAt = Date.parse(String(body.createdAt));
    const told = (version: number, maxSize: number) =>
      runInDurableObject(poolObject(id), (object) => {
        const given = object as unknown as Pool;
        const spec = { id, workloadId: id, minSize: 0, maxSize, idleTimeoutMs: 900_000 };
        return given.configure(spec, workload, 1, by, { version, createdAt });
      });
    await told(3, 9);
    await told(2, 7);
    expect(await pool(id)).toMatchObject({ maxSize: 9 });
    expect(await told(3, 9)).toMatchObject({ ok: true });
  });

  it("opens its breaker at once for an image that is not there, with an alert, and closes it when it is", async () => {
    const id = await aPool("imageless", { minSize: 0, maxSize: 5 });
    simulation.images.delete("sandbox");
    await call("POST", path(id, "/scale"), { target: 1 });
    await eventually(async () =>
      expect(await pool(id)).toMatchObject({
        status: "error",
        breaker: { state: "open", reason: "permanent", failures: 1 },
      }),
    );
    await eventually(async () =>
      expect(await recorded(id, "alert.raised")).toMatchObject([{ alert: "pool_breaker", reason: "permanent" }]),
    );
    simulation.images.add("sandbox");
    await call("POST", path(id, "/breaker/reset"));
    await eventually(async () =>
      expect(await pool(id)).toMatchObject({ warm: 1, breaker: { state: "closed", reason: null } }),
    );
    await eventually(async () =>
      expect(await recorded(id, "alert.cleared")).toMatchObject([{ alert: "pool_breaker" }]),
    );
  });

  it("that has nothing warm for 30 s raises an alert, and clears it with the first", async () => {
    const id = await aPool("dry", { minSize: 1, maxSize: 3 });
    simulation.every.fail("start", { times: 3, code: "capacity" });
    await claim("thirsty", id);
    await eventually(async () => expect(await pool(id)).toMatchObject({ warm: 0 }));
    await ring(id);
    later(35_000);
    await ring(id);
    await eventually(async () => {
      if (!(await recorded(id, "alert.raised")).length) await ring(id);
      expect(await recorded(id, "alert.raised")).toMatchObject([{ alert: "pool_exhausted", target: 1 }]);
    });
    simulation.every.faults.clear();
    for (let n = 0; n < 10; n += 1) {
      later(10_000);
      await ring(id);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    await eventually(async () =>
      expect(await recorded(id, "alert.cleared")).toMatchObject([{ alert: "pool_exhausted" }]),
    );
  });

  it("asks for an end that fails less and less often, calls it abandoned, counts it on, and ends it when it can", async () => {
    const id = await aPool("undying", { minSize: 1, maxSize: 3 });
    await call("POST", path(id, "/pause"));
    const [first] = await containersOf(id);
    const isCounted = async () => (await fleet().leases("", 1_000)).some(({ containerId: id }) => id === first?.id);
    simulation.for(first?.id ?? "").fail("destroy", { times: 60 });
    await call("DELETE", `/api/v1/containers/${first?.id}`);
    for (let n = 0; n < 55; n += 1) {
      later(800_000);
      await ring(id);
    }
    expect(await pool(id)).toMatchObject({ draining: 1, abandoned: 1 });
    expect(await isCounted()).toBe(true);
    await eventually(async () =>
      expect(await recorded(id, "alert.raised")).toMatchObject([
        { alert: "destroy_abandoned", containerId: first?.id },
      ]),
    );
    simulation.for(first?.id ?? "").faults.clear();
    later(5_000_000);
    await ring(id);
    await eventually(async () => expect(await pool(id)).toMatchObject({ draining: 0, abandoned: 0 }));
    await eventually(async () =>
      expect(await recorded(id, "alert.cleared")).toMatchObject([{ alert: "destroy_abandoned" }]),
    );
    expect(await isCounted()).toBe(false);
  });

  it("that lost its storage knows its tenants again, gives out nothing of which it is not sure, and its chain goes on", async () => {
    const id = await aPool("amnesiac", { minSize: 1, maxSize: 5 });
    const held = await claim("remembered", id);
    await eventually(async () => expect(await pool(id)).toMatchObject({ warm: 1, claimed: 1 }));
    const old = (await containersOf(id)).map((one) => one.id);
    const listed = () =>
      env.DB.prepare("SELECT COUNT(*) AS n FROM containers WHERE pool_id = ? AND state IN ('warm', 'assigned')").bind(
        id,
      );
    await eventually(async () => expect(await listed().first()).toEqual({ n: 2 }));
    await loseStorage(poolObject(id));
    expect(await claim("newcomer", id)).toMatchObject({ status: 201, body: { launch: "cold" } });
    await eventually(async () => {
      await ring(id);
      expect(await pool(id)).toMatchObject({ claimed: 2, warm: 1, draining: 0 });
    });
    const now = await containersOf(id);
    expect(now.find(({ tenantId }) => tenantId === "remembered")?.id).toBe(held.body.containerId);
    expect(now.filter(({ state }) => state === "warm").map((one) => one.id)).not.toContainEqual(expect.toBeOneOf(old));
    expect((await status("remembered")).body).toMatchObject({ state: "active", epoch: 1 });
    await eventually(async () => expect(await recorded(id, "pool.recovered")).toHaveLength(1));
    await eventually(async () => {
      const verified = await call("GET", `/api/v1/audit/verify?subject=pool:${id}`);
      expect(verified, JSON.stringify(verified.body)).toMatchObject({ status: 200, body: { valid: true } });
    });
  });
});
