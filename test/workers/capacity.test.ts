import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { afterEach, describe, expect, it, vi } from "vitest";
import { fleetOf } from "../../src/durable/stubs.ts";
import { Fleet } from "../../src/fleet/object.ts";
import { START_BURST } from "../../src/fleet/plan.ts";
import { containerId, type PoolId } from "../../src/ids.ts";
import { Instance } from "../../src/instance/object.ts";
import type { Pool } from "../../src/pool/object.ts";
import { workloadSchema } from "../../src/registry/specs.ts";
import { aPool, call, claim, claimAtOnce, env, eventually, release, simulation, status } from "../support/fleet.ts";
import {
  asBefore,
  containersOf,
  later,
  loseStorage,
  path,
  pool,
  poolObject,
  poolStub,
  recorded,
  request,
  ring,
} from "../support/pool-driver.ts";

/** Admission, waiting for room, and what pools make of both. */

const fleetObject = () => env.FLEET.getByName("fleet") as unknown as DurableObjectStub;
const fleet = () => fleetOf(env);
const fresh = () => containerId(crypto.getRandomValues(new Uint8Array(20)));
const counts = async (tier: string) => (await fleet().counts())[tier] ?? 0;

afterEach(asBefore);

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

  it("keeps nobody from what they have already, nor from putting another in its place", async () => {
    const id = await aPool("full-line", { minSize: 0, maxSize: 1 });
    const first = await poolStub(id).lease(request("holder", 1));
    const waiting = poolStub(id).lease({ ...request("waiter"), waitMs: 2_000 });
    await eventually(async () => expect(await pool(id)).toMatchObject({ waiting: 1 }));
    expect(await poolStub(id).lease(request("holder", 1))).toEqual(first);
    expect(await poolStub(id).lease(request("holder", 2))).toMatchObject({ ok: true, value: { launch: "cold" } });
    expect(await waiting).toMatchObject({ ok: false, failure: { extra: { limit: "pool" } } });
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

  it("for its whole time also where it takes a start that was begun for the pool, and met a full tier", async () => {
    const id = await aPool("reserved", { minSize: 0 });
    const { admit } = Fleet.prototype;
    let standings: (readonly [id: string, standing: unknown])[] = [];
    let reason: "rate" | "cap" | null = "rate";
    vi.spyOn(Fleet.prototype, "admit").mockImplementation(async function (this: Fleet, ...args) {
      standings.push([args[0], args[3]]);
      return reason === null ? admit.apply(this, args) : { admitted: false, reason, retryAfterMs: 50 };
    });
    await call("POST", path(id, "/scale"), { target: 1 });
    await eventually(async () => expect(standings.length).toBeGreaterThan(1));
    const waiting = claim("reserves", id);
    const [first = ""] = standings[0] ?? [];
    await eventually(async () => expect(standings).toContainEqual([first, "waiting-claim"]));
    reason = "cap";
    standings = [];
    const ofFirst = () => standings.flatMap(([id, standing]) => (id === first ? [standing] : []));
    await eventually(async () => expect(ofFirst().length).toBeGreaterThan(3));
    reason = null;
    expect(await waiting).toMatchObject({ status: 201, body: { containerId: first, reason: "no_warm_slot" } });
    expect(new Set(ofFirst())).toEqual(new Set(["waiting-claim"]));
  });
});

describe("a tenant's share of starts", () => {
  it("is three containers that begin or end: more are refused, a wait for them holds up nobody, and it goes on", async () => {
    const id = await aPool("shared", { minSize: 0, maxSize: 9 });
    simulation.every.fail("destroy", { times: 30 });
    for (let n = 1; n <= 4; n += 1) {
      expect(await poolStub(id).lease(request("greedy", n)), String(n)).toMatchObject({ ok: true });
    }
    await eventually(async () => expect(await pool(id)).toMatchObject({ draining: 3, claimed: 1 }));
    const refused = await poolStub(id).lease(request("greedy", 5));
    expect(refused).toMatchObject({
      ok: false,
      failure: { code: "capacity_exhausted", retryAfterMs: 30_000, extra: { limit: "tenant" } },
    });
    const waiting = poolStub(id).lease({ ...request("greedy", 5), waitMs: 15_000 });
    await eventually(async () => expect(await pool(id)).toMatchObject({ waiting: 1 }));
    expect(await claimAtOnce("modest", id)).toMatchObject({ status: 201, body: { launch: "cold" } });
    expect(await pool(id)).toMatchObject({ waiting: 1, claimed: 1 });
    await call("POST", path(id, "/scale"), { target: 1 }); // what is warm costs no start
    expect(await waiting).toMatchObject({ ok: true, value: { launch: "warm" } });
    await call("POST", path(id, "/pause"));
    const last = poolStub(id).lease({ ...request("greedy", 6), waitMs: 15_000 });
    await eventually(async () => expect(await pool(id)).toMatchObject({ waiting: 1 }));
    simulation.every.faults.clear();
    later(60_000);
    await ring(id);
    expect(await last).toMatchObject({ ok: true, value: { launch: "cold" } });
  });

  it("is not had again from the fallback pool", async () => {
    const id = await aPool("greedy-home", { minSize: 0, maxSize: 9 });
    await call("POST", "/api/v1/pools", { id: "greedy-spare", workloadId: id, minSize: 1, maxSize: 3 });
    await call("PUT", path(id), { fallbackPoolId: "greedy-spare" });
    simulation.every.fail("destroy", { times: 30 });
    for (let n = 1; n <= 4; n += 1) await poolStub(id).lease(request("glutton", n));
    expect(await poolStub(id).lease(request("glutton", 5))).toMatchObject({
      ok: false,
      failure: { extra: { limit: "tenant" } },
    });
    expect(await pool("greedy-spare")).toMatchObject({ claimed: 0 });
  });
});

describe("what a claim of another tier comes to", () => {
  it("holds up no refill, and opens no breaker", async () => {
    const id = await aPool("mixed", { minSize: 1, maxSize: 9 });
    const { admit } = Fleet.prototype;
    vi.spyOn(Fleet.prototype, "admit").mockImplementation(async function (this: Fleet, ...args) {
      return args[2] === "basic" ? { admitted: false, reason: "cap", retryAfterMs: 30_000 } : admit.apply(this, args);
    });
    const other = (tenant: string) => poolStub(id).lease({ ...request(tenant), tier: "basic" });
    expect(await other("full-tier")).toMatchObject({ ok: false, failure: { extra: { limit: "cap" } } });
    vi.restoreAllMocks();
    simulation.every.fail("start", { code: "bad_start" });
    expect(await other("no-such-tier")).toMatchObject({ ok: false });
    expect(await pool(id)).toMatchObject({ breaker: { state: "closed", failures: 0 }, lastError: null });
    expect(await claimAtOnce("usual", id)).toMatchObject({ body: { launch: "warm" } });
    await eventually(async () => expect(await pool(id)).toMatchObject({ warm: 1 }));
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
  it("gives out nothing that it decided to end, however many others are ended before", async () => {
    const id = await aPool("shrinks", { minSize: 0, maxSize: 60, idleTimeoutMs: 1_000 });
    await call("POST", path(id, "/scale"), { target: 40 });
    await eventually(async () => expect(await pool(id)).toMatchObject({ warm: 40 }), 15_000);
    simulation.every.slow("destroy", 300, { times: 40 });
    await call("POST", path(id, "/scale"), { target: 0 });
    later(5_000);
    const rung = ring(id);
    await eventually(async () => expect((await pool(id)).draining).toBeGreaterThan(0));
    const { body } = await claimAtOnce("lucky", id);
    await rung;
    await eventually(async () => expect(await pool(id)).toMatchObject({ draining: 0, warm: 0, claimed: 1 }));
    expect(body).toMatchObject({ launch: "cold" });
    expect((await status("lucky")).body).toMatchObject({ state: "active", containerId: body.containerId, epoch: 1 });
  });

  it("whose network is changed gives out nothing that was started on the one before", async () => {
    const id = await aPool("networked", { minSize: 1, maxSize: 4 });
    await call("POST", path(id, "/pause"));
    const [open] = await containersOf(id);
    await call("PUT", path(id), { network: { name: "none" } });
    const leased = await poolStub(id).lease(request("enclosed"));
    expect(leased).toMatchObject({
      ok: true,
      value: { launch: "cold", reason: "other_network", workload: { network: "none" } },
    });
    await call("POST", path(id, "/resume"));
    await eventually(async () => {
      const now = (await containersOf(id)).filter(({ state }) => state !== "assigned");
      expect(now).toMatchObject([{ state: "warm" }]);
      expect(now[0]?.id).not.toBe(open?.id);
    });
  });

  it("does not take a fleet that is away for a fault of its image, and starts when it is back", async () => {
    const id = await aPool("fleetless", { minSize: 0, maxSize: 9 });
    let away = true;
    const { admit } = Fleet.prototype;
    vi.spyOn(Fleet.prototype, "admit").mockImplementation(async function (this: Fleet, ...args) {
      if (away) throw new Error("Durable Object reset because its code was updated.");
      return admit.apply(this, args);
    });
    const claims = [1, 2, 3, 4, 5, 6].map((n) => claim(`fleetless-${n}`, id));
    await eventually(async () => expect(await pool(id)).toMatchObject({ starting: 6 }));
    away = false;
    for (const one of claims) expect(await one).toMatchObject({ status: 201 });
    expect(await pool(id)).toMatchObject({ breaker: { state: "closed", failures: 0 } });
  });

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

  it("whose claims are refused at the cap of their tier raises an alert, until one is admitted or none comes for minutes", async () => {
    const tier = "standard-1";
    const id = await aPool("capped", { minSize: 0 }, { resources: { tier } });
    const others = Array.from({ length: 50 }, () => ({ containerId: fresh(), tier }) as const);
    await fleet().renew("crowd" as PoolId, others); // 50 is the cap
    const refusedFor = async (tenant: string) =>
      expect(await claimAtOnce(tenant, id)).toMatchObject({ status: 503, body: { limit: "cap", tier } });
    const raised = (times: number) =>
      eventually(async () => {
        const alert = { alert: "tier_exhausted", poolId: id, tier, since: expect.any(Number) };
        expect(await recorded(id, "alert.raised")).toEqual(Array.from({ length: times }, () => alert));
      });
    const cleared = (times: number) =>
      eventually(async () => {
        const alert = { alert: "tier_exhausted", poolId: id, tier };
        expect(await recorded(id, "alert.cleared")).toEqual(Array.from({ length: times }, () => alert));
      });
    await refusedFor("crowded-1");
    await refusedFor("crowded-2");
    await raised(1);
    const [{ containerId: left } = { containerId: fresh() }] = others;
    await fleet().release(left);
    expect(await claim("let-in", id)).toMatchObject({ status: 201, body: { launch: "cold" } });
    await cleared(1);
    await refusedFor("crowded-1");
    await raised(2);
    later(400_000);
    await ring(id);
    await cleared(2);
    for (const { containerId } of others) await fleet().release(containerId);
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

  it("takes its alerts with it when it is deleted", async () => {
    const id = await aPool("alarmed", { minSize: 0, maxSize: 3 });
    await call("POST", path(id, "/pause"));
    await runInDurableObject(poolObject(id), async (_, state) => {
      const [row] = state.storage.sql.exec<{ doc: string }>("SELECT doc FROM pool WHERE id = 1").toArray();
      const halted = { at: 1, actor: "system", reason: "it exits" };
      const rollout = { to: 1, startedAt: 1, endedAt: null, moving: [], upgraded: 0, failed: [], halted };
      const fullTiers = [{ tier: "lite", since: 1, refusedAt: Date.now() }];
      const record = { ...JSON.parse(row?.doc ?? "{}"), rollout, exhaustedAt: 1, fullTiers };
      state.storage.sql.exec("UPDATE pool SET doc = ? WHERE id = 1", JSON.stringify(record));
    });
    await evictDurableObject(poolObject(id));
    expect((await call("DELETE", path(id, "?wait=10s"))).status).toBe(200);
    await eventually(async () => {
      const cleared = (await recorded(id, "alert.cleared")).map(({ alert }) => alert);
      expect(cleared.sort()).toEqual(["pool_exhausted", "rollout_halted", "tier_exhausted"]);
    });
  });
});
