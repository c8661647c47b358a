import { abortAllDurableObjects, evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { afterEach, describe, expect, it, vi } from "vitest";
import { tenantOf } from "../../src/durable/stubs.ts";
import { Fleet } from "../../src/fleet/object.ts";
import type { TenantId } from "../../src/ids.ts";
import { Instance } from "../../src/instance/object.ts";
import { Pool } from "../../src/pool/object.ts";
import { Vault } from "../../src/vault/object.ts";
import { atCall, stopAt } from "../support/broken-calls.ts";
import { aPool, call, claim, env, eventually, get, put, release, simulation, status } from "../support/fleet.ts";

/**
 * Whatever a tenant is about, at any effect of it: everything in memory ends, or the container does. Afterwards alarms
 * alone, each of which rings twice, bring it to rest: with what was acknowledged as saved, one container, and none that
 * nobody counts. The same is done at random, with much more, in test/simulation.
 */

/** `Pool.lease`: the class whose object is called, and the method. */
type Point = keyof typeof POINTS;
const POINTS = {
  "Fleet.admit": Fleet,
  "Instance.boot": Instance,
  "Pool.lease": Pool,
  "Instance.assign": Instance,
  "Vault.fence": Vault,
  "Instance.quiesce": Instance,
  "Instance.save": Instance,
  "Vault.open": Vault,
  "Vault.commit": Vault,
  "Vault.restoreTo": Vault,
  "Pool.retire": Pool,
  "Instance.retire": Instance,
  "Fleet.release": Fleet,
} as const;
const START: readonly Point[] = ["Pool.lease", "Instance.assign", "Vault.fence"];
const SAVE: readonly Point[] = ["Instance.quiesce", "Instance.save", "Vault.open", "Vault.commit"];
const END: readonly Point[] = ["Pool.retire", "Instance.retire", "Fleet.release"];

interface Operation {
  from: "active" | "asleep" | "idle";
  points: readonly Point[];
  ask: (tenant: string) => Promise<unknown>;
  /** The pool keeps no container warm. */
  cold?: true;
}

const act = (tenant: string, action: string, body: object = {}) =>
  call("POST", `/api/v1/tenants/${tenant}/${action}?wait=10s`, body);

const OPERATIONS: Readonly<Record<string, Operation>> = {
  claim: { from: "idle", points: START, ask: (tenant) => claim(tenant) },
  "cold claim": { from: "idle", points: ["Fleet.admit", "Instance.boot"], ask: (tenant) => claim(tenant), cold: true },
  wake: { from: "asleep", points: START, ask: (tenant) => read(tenant, "kept") },
  release: { from: "active", points: [...SAVE, ...END], ask: (tenant) => release(tenant) },
  sleep: { from: "active", points: SAVE, ask: (tenant) => act(tenant, "stop") },
  restart: {
    from: "active",
    points: ["Vault.commit", ...START],
    ask: (tenant) => act(tenant, "restart", { scope: "container" }),
  },
  restore: {
    from: "active",
    points: ["Vault.commit", "Vault.restoreTo", ...START],
    ask: (tenant) => act(tenant, "restore", { generation: 1 }),
  },
  "save of a running tenant": {
    from: "active",
    points: ["Instance.save", "Vault.open", "Vault.commit"],
    ask: (tenant) => act(tenant, "sync", { direction: "outward" }),
  },
  destroy: {
    from: "active",
    points: ["Instance.save", "Vault.commit", ...END],
    ask: (tenant) => act(tenant, "destroy"),
  },
};
const RECOVERY: Operation = {
  from: "active",
  points: START,
  ask: async (tenant) => {
    crash(await containerOf(tenant));
    return read(tenant, "kept");
  },
};

const stubOf = (namespace: "TENANT" | "POOL", name: string) =>
  env[namespace].getByName(name) as unknown as DurableObjectStub;
const containerOf = async (tenant: string) => String((await status(tenant)).body.containerId);
const read = async (tenant: string, path: string) =>
  new TextDecoder().decode(await (await get(tenant, path)).arrayBuffer());

function crash(containerId: string): void {
  if (simulation.running.includes(containerId)) simulation.for(containerId).crash();
}

let drawn = 0;
/** A tenant in a pool of its own, the same name for both. `kept` is saved; `new` of an active one is not. */
async function aTenant({ from, cold }: Operation): Promise<string> {
  drawn += 1;
  const name = `heals-${drawn}`;
  await aPool(name, { minSize: cold ? 0 : 1, maxSize: 4 });
  await claim(name, name);
  await put(name, "kept", "kept");
  expect(await release(name)).toMatchObject({ status: 200, body: { saved: { generation: 1 } } });
  if (from !== "idle") expect(await claim(name)).toMatchObject({ status: 201 });
  if (from === "asleep") expect(await act(name, "stop")).toMatchObject({ body: { state: "asleep" } });
  if (from === "active") await put(name, "new", "new");
  return name;
}

/** Nothing but alarms, until nobody has anything to do. */
async function settle(name: string): Promise<void> {
  const ring = (namespace: "TENANT" | "POOL") => runDurableObjectAlarm(stubOf(namespace, name));
  await eventually(async () => {
    await Promise.all([ring("TENANT"), ring("TENANT")]);
    await Promise.all([ring("POOL"), ring("POOL")]);
    const { body } = await status(name);
    expect(body.operation).toBeUndefined();
    expect(["active", "idle", "asleep", "destroyed"], String(body.state)).toContain(body.state);
    const pool = (await call("GET", `/api/v1/pools/${name}`)).body;
    const claimed = body.state === "active" ? 1 : 0;
    const warm = Number(pool.minSize);
    expect(pool).toMatchObject({ claimed, starting: 0, draining: 0, warm, size: warm + claimed });
  }, 15_000);
}

/** It serves what was saved, by one container; and every container that runs is its pool's, and counted. */
async function isWhole(name: string): Promise<void> {
  const again = await claim(name, name);
  expect(again.body, JSON.stringify(again.body)).toMatchObject({ state: "active" });
  expect(await read(name, "kept")).toBe("kept");
  await settle(name);
  const { body } = await call<{ items: { id: string; tenantId?: string }[] }>(
    "GET",
    `/api/v1/pools/${name}/containers`,
  );
  expect(body.items.filter(({ tenantId }) => tenantId === name).map(({ id }) => id)).toEqual([again.body.containerId]);
  await put(name, "after", "after");
  expect(await release(name)).toMatchObject({ status: 200, body: { state: "idle", saved: expect.anything() } });
  await settle(name);
  const counts = await (env.FLEET.getByName("fleet") as unknown as Fleet).counts();
  expect(simulation.running.length, "containers that run, and those that are counted").toBe(counts.lite ?? 0);
}

const methodOf = (point: Point): [object, string] => [POINTS[point].prototype, point.split(".")[1] ?? ""];

afterEach(() => {
  vi.restoreAllMocks();
  simulation.every.faults.clear();
});

describe.each(Object.entries({ ...OPERATIONS, "recovery after a crash": RECOVERY }))("a %s", (_, operation) => {
  const { points, ask } = operation;

  it.each(points.flatMap((point) => [["before", point] as const, ["after", point] as const]))(
    "ends by itself when everything in memory ends %s %s",
    async (when, point) => {
      const name = await aTenant(operation);
      const stopped = stopAt(...methodOf(point), when);
      const asked = ask(name).catch(() => null);
      await eventually(async () => expect(stopped.reached).toBe(true));
      await abortAllDurableObjects();
      await asked;
      await settle(name);
      await isWhole(name);
    },
  );
});

describe.each(Object.entries(OPERATIONS))("a %s", (_, operation) => {
  const { points, ask, from } = operation;
  const fatal = points.filter((point) => !END.includes(point) && point !== "Fleet.admit" && point !== "Pool.lease");

  it.each(fatal)("ends by itself when the container dies at %s", async (point) => {
    const name = await aTenant(operation);
    const held = from === "active" ? await containerOf(name) : null;
    const isOfFresh = point === "Instance.boot" || point === "Instance.assign" || point === "Vault.fence";
    const died = atCall(...methodOf(point), point === "Instance.boot" ? "after" : "before", async (self) => {
      const containers = isOfFresh ? await theOthers(name, held, self) : [held ?? ""];
      for (const container of containers) crash(container);
    });
    await ask(name).catch(() => null);
    expect(died.reached).toBe(true);
    await settle(name);
    await isWhole(name);
  });
});

/** The container that is being given to the tenant, as its Instance, or else as the pool knows it. */
async function theOthers(name: string, held: string | null, self: object): Promise<string[]> {
  if (self instanceof Instance) return [String((self as unknown as { ctx: DurableObjectState }).ctx.id.name)];
  const { body } = await call<{ items: { id: string; tenantId?: string }[] }>(
    "GET",
    `/api/v1/pools/${name}/containers`,
  );
  return body.items.filter(({ tenantId, id }) => tenantId === name && id !== held).map(({ id }) => id);
}

describe("an alarm that is lost in the middle of an operation", () => {
  it.each(["claim", "release", "destroy"] as const)("of a %s is armed again by whoever looks", async (which) => {
    const operation = OPERATIONS[which] as Operation;
    const name = await aTenant(operation);
    const stopped = stopAt(...methodOf(operation.points[1] as Point), "before");
    const asked = operation.ask(name).catch(() => null);
    await eventually(async () => expect(stopped.reached).toBe(true));
    await runInDurableObject(stubOf("TENANT", name), (_, { storage }) => storage.deleteAlarm());
    await abortAllDurableObjects();
    await asked;
    expect(await runDurableObjectAlarm(stubOf("TENANT", name)), "an alarm").toBe(false);
    await status(name);
    await eventually(async () => expect(await runDurableObjectAlarm(stubOf("TENANT", name)), "an alarm").toBe(true));
    await settle(name);
    await isWhole(name);
  });
});

describe("an alarm that is lost while a tenant serves", () => {
  it("is armed again by a claim that finds nothing to change", async () => {
    const name = await aTenant(OPERATIONS.release as Operation);
    await claim(name); // the latest activity is known
    await runInDurableObject(stubOf("TENANT", name), (_, { storage }) => storage.deleteAlarm());
    await evictDurableObject(stubOf("TENANT", name));
    expect((await claim(name)).status).toBe(200);
    await eventually(async () => {
      const alarm = await runInDurableObject(stubOf("TENANT", name), (_, { storage }) => storage.getAlarm());
      expect(alarm).toBeGreaterThan(Date.now());
    });
  });
});

describe("an alarm that is lost while D1 lacks what a tenant became", () => {
  it("is set again by a sweep, though nothing else of the tenant is due", async () => {
    const name = await aTenant(OPERATIONS.release as Operation);
    const inD1 = () => env.DB.prepare("SELECT state FROM tenants WHERE tenant_id = ?").bind(name).first();
    await eventually(async () => expect(await inD1()).toEqual({ state: "active" }));
    const batch = vi.spyOn(Object.getPrototypeOf(env.DB) as D1Database, "batch").mockRejectedValue(new Error("away"));
    await release(name);
    await eventually(async () => expect((await status(name)).body).toMatchObject({ state: "idle" }));
    await runInDurableObject(stubOf("TENANT", name), (_, { storage }) => storage.deleteAlarm());
    await evictDurableObject(stubOf("TENANT", name));
    batch.mockRestore();
    expect(await inD1()).toEqual({ state: "active" });
    const tenant = tenantOf(env, name as TenantId);
    expect(await tenant.touch("mend")).toMatchObject({ state: "idle", alarm: "lost" });
    expect(await runDurableObjectAlarm(stubOf("TENANT", name)), "an alarm").toBe(true);
    await eventually(async () => expect(await inD1()).toEqual({ state: "idle" }));
    expect(await tenant.touch("mend")).toMatchObject({ state: "idle", alarm: "none" });
  });
});
