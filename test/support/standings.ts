import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { expect, vi } from "vitest";
import { POOL, SPEC, STANDINGS, type StandingName, standingOf } from "../../scripts/states/standings.ts";
import { TenantStore } from "../../src/tenant/store.ts";
import {
  type Answer,
  aPool,
  call,
  claim,
  env,
  eventually,
  put,
  release,
  remove,
  request,
  simulation,
  status,
} from "./fleet.ts";

/**
 * Brings real tenants to where scripts/states/standings.ts says that they can be, by the API, with containers that do
 * not answer where a state would pass by itself.
 */

/** What makes one body of a claim: a config and a secret that calls of the table change. */
const GIVEN = { config: { a: 1 }, secrets: { TOKEN: "a" } };
export const FILES = ["a", "b", "c", "d"];

/** A tenant of which others are copied. */
export const SOURCE = "standing-source";

export async function theirPool(): Promise<void> {
  await aPool(POOL, { minSize: 0, maxSize: 5_000, idleTimeoutMs: 3_600_000 });
  const spec = await call("POST", "/api/v1/sync-specs", {
    id: SPEC.id,
    poolId: POOL,
    mappings: [{ containerPath: "/data/out", sinkPath: "out/", direction: "upload", mode: "copy" }],
    sink: { type: "r2" },
    policy: { allowManualTrigger: true },
  });
  expect(spec.status, JSON.stringify(spec.body)).toBe(201);
  await idle(SOURCE);
}

let drawn = 0;
export function aName(): string {
  drawn += 1;
  return `standing-${drawn}`;
}

const act = (tenant: string, action: string, body: object = {}, wait = "10s"): Promise<Answer> =>
  call("POST", `/api/v1/tenants/${tenant}/${action}?wait=${wait}`, body);

async function idle(tenant = aName()): Promise<string> {
  expect(await claim(tenant, POOL, GIVEN)).toMatchObject({ status: 201 });
  for (const name of FILES) await put(tenant, name, name);
  expect(await release(tenant)).toMatchObject({ status: 200, body: { saved: { generation: 1 } } });
  return tenant;
}

async function active(): Promise<string> {
  const tenant = await idle();
  expect(await claim(tenant)).toMatchObject({ status: 201 });
  return tenant;
}

async function asleep(): Promise<string> {
  const tenant = await active();
  expect(await act(tenant, "stop")).toMatchObject({ body: { state: "asleep" } });
  return tenant;
}

/** The container of an active tenant does not answer at one point from now on. */
async function stuck(tenant: string, at: "stop" | "manifest"): Promise<string> {
  const { body } = await status(tenant);
  simulation.for(String(body.containerId)).hang(at);
  return tenant;
}

/** Asks for what will not end: whichever container comes does not answer what it is given. */
async function starting(tenant: string, ask: () => Promise<unknown>): Promise<string> {
  const taken = vi.spyOn(simulation, "take");
  simulation.every.hang("claim");
  await ask();
  // Not before a container met the fault, so that no other one does.
  await eventually(async () => expect(taken.mock.results).toContainEqual({ type: "return", value: { how: "hang" } }));
  taken.mockRestore();
  return tenant;
}

/** Its container serves for so long that another one takes its place at once. */
async function ranWell(tenant: string): Promise<void> {
  const stub = env.TENANT.getByName(tenant) as unknown as DurableObjectStub;
  await runInDurableObject(stub, (_, { storage }) => {
    storage.sql.exec("UPDATE tenant SET doc = json_set(doc, '$.held.since', ?)", Date.now() - 3_600_000);
  });
  await evictDurableObject(stub);
}

const leaving = async (action: string, body: object = {}): Promise<string> => {
  const tenant = await stuck(await active(), "stop");
  expect(await act(tenant, action, body, "0s")).toMatchObject({ status: 202 });
  return tenant;
};

/** Never ends; whoever reads it waits until the world ends. */
const endless = (): ReadableStream<Uint8Array> => new ReadableStream({ pull: () => new Promise(() => {}) });

const ways: { readonly [Name in StandingName]: () => Promise<string> } = {
  "never seen": async () => aName(),
  idle: () => idle(),
  "idle, importing": async () => {
    const tenant = await idle();
    const headers = { "content-type": "application/x-tar" };
    request("POST", `/api/v1/tenants/${tenant}/import`, endless(), headers).catch(() => {});
    await eventually(async () => expect((await status(tenant)).body).toMatchObject({ operation: { kind: "import" } }));
    return tenant;
  },
  claiming: async () => {
    const tenant = await idle();
    return starting(tenant, () => act(tenant, "claim", {}, "0s"));
  },
  active,
  "active, syncing": async () => {
    const tenant = await stuck(await active(), "manifest");
    expect(await act(tenant, "sync", { direction: "outward" }, "0s")).toMatchObject({ status: 202 });
    return tenant;
  },
  saving: () => leaving("restart", { scope: "container" }),
  sleeping: () => leaving("stop"),
  asleep,
  waking: async () => {
    const tenant = await asleep();
    return starting(tenant, () => act(tenant, "start", {}, "0s"));
  },
  recovering: async () => {
    const tenant = await active();
    const { body } = await status(tenant);
    await ranWell(tenant);
    return starting(tenant, async () => {
      simulation.for(String(body.containerId)).crash();
      await act(tenant, "claim", {}, "0s"); // looks
    });
  },
  releasing: () => leaving("release"),
  release_failed: async () => {
    const tenant = await active();
    const { body } = await status(tenant);
    simulation.for(String(body.containerId)).fail("manifest", { times: 1 });
    await release(tenant);
    return tenant;
  },
  "release_failed, guarded": async () => {
    const tenant = await active();
    for (const name of FILES.slice(1)) await remove(tenant, name);
    expect(await release(tenant)).toMatchObject({ body: { code: "guard_blocked" } });
    return tenant;
  },
  error: async () => {
    const tenant = await idle();
    simulation.every.truncate("restore", { times: 10 });
    expect((await claim(tenant)).status).toBeGreaterThanOrEqual(400);
    simulation.every.faults.clear();
    return tenant;
  },
  suspended: async () => {
    const tenant = await idle();
    await act(tenant, "suspend");
    return tenant;
  },
  destroying: () => leaving("destroy"),
  destroyed: async () => {
    const tenant = await idle();
    expect(await act(tenant, "destroy")).toMatchObject({ body: { state: "destroyed" } });
    return tenant;
  },
};

/** A fresh tenant that stands so: in all that its answers may depend on, it is as the one of the table. */
export async function standing(name: StandingName): Promise<string> {
  const tenant = await ways[name]();
  const wanted = STANDINGS.find((one) => one.name === name)?.record;
  if (!wanted) return tenant;
  const stub = env.TENANT.getByName(tenant) as unknown as DurableObjectStub;
  await eventually(async () => {
    const record = await runInDurableObject(stub, (_, { storage }) => new TenantStore(storage).load());
    expect(record && standingOf(record)).toEqual(standingOf(wanted));
  });
  return tenant;
}
