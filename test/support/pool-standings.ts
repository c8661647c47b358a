import { expect } from "vitest";
import type { ContainerStandingName } from "../../scripts/states/containers.ts";
import { type PoolStandingName, SIZES } from "../../scripts/states/pools.ts";
import { aPool, call, claim, eventually, simulation } from "./fleet.ts";

/** Real pools and containers that stand as those of scripts/states do. */

let drawn = 0;
function aName(): string {
  drawn += 1;
  return `stands-${drawn}`;
}

interface Slot {
  id: string;
  state: string;
  tenantId?: string;
}

async function slotOf(pool: string): Promise<Slot> {
  const { body } = await call<{ items: Slot[] }>("GET", `/api/v1/pools/${pool}/containers`);
  const [slot] = body.items;
  if (!slot) throw new Error(`the pool ${pool} has no container`);
  return slot;
}

/** A pool with one warm slot, of the same name as its workload. */
const warm = (): Promise<string> => aPool(aName(), SIZES);

/** One whose only container serves a tenant of its name; nothing is refilled. */
async function serving(): Promise<string> {
  const pool = await warm();
  await call("POST", `/api/v1/pools/${pool}/pause`);
  expect(await claim(pool, pool)).toMatchObject({ status: 201 });
  return pool;
}

/** The workload of the tenant's container does not stop. */
async function saving(): Promise<string> {
  const pool = await serving();
  const { id } = await slotOf(pool);
  simulation.for(id).hang("stop");
  await call("POST", `/api/v1/tenants/${pool}/release?wait=0s`, {});
  return pool;
}

const pools: { readonly [Name in PoolStandingName]: () => Promise<string> } = {
  "not registered": async () => aName(),
  warm,
  serving,
  paused: async () => {
    const pool = await warm();
    await call("POST", `/api/v1/pools/${pool}/pause`);
    return pool;
  },
  "being deleted": async () => {
    const pool = await saving(); // the release that the deletion waits for
    expect(await call("DELETE", `/api/v1/pools/${pool}?force=true&wait=0s`)).toMatchObject({ status: 202 });
    return pool;
  },
};

const containers: { readonly [Name in ContainerStandingName]: () => Promise<string> } = {
  "never there": async () => "c-aaaaaaaaaaaaaaaaaaaa",
  starting: async () => {
    simulation.every.hang("ready");
    const pool = await aPool(aName(), { minSize: 0 });
    await call("PUT", `/api/v1/pools/${pool}`, SIZES);
    await eventually(async () => expect(simulation.running).toContain((await slotOf(pool)).id));
    return (await slotOf(pool)).id;
  },
  warm: async () => (await slotOf(await warm())).id,
  assigned: async () => (await slotOf(await serving())).id,
  saving: async () => (await slotOf(await saving())).id,
  draining: async () => {
    const { id } = await slotOf(await warm());
    simulation.for(id).fail("destroy", { times: 1_000 });
    expect(await call("DELETE", `/api/v1/containers/${id}`)).toMatchObject({ status: 202 });
    return id;
  },
  gone: async () => {
    const { id } = await slotOf(await warm());
    expect(await call("DELETE", `/api/v1/containers/${id}`)).toMatchObject({ status: 200 });
    await untilForgotten(id);
    return id;
  },
};

/** Gone from the copy in D1, by which a container without an Instance is found. */
const untilForgotten = (id: string): Promise<void> =>
  eventually(async () => expect((await call("DELETE", `/api/v1/containers/${id}`)).status).toBe(404));

/** A fresh one that stands so, by its id; `stateOf` says later whether it still does. */
export async function standingOf(kind: "pool" | "container", name: string): Promise<string> {
  if (kind === "pool") return pools[name as PoolStandingName]();
  const id = await containers[name as ContainerStandingName]();
  if (name === "never there" || name === "gone") return id;
  await eventually(async () =>
    expect((await call("GET", `/api/v1/containers/${id}`)).body).toMatchObject({ state: name }),
  );
  return id;
}

/** What of it calls may change. */
export async function stateOf(kind: "pool" | "container", id: string): Promise<string> {
  const { status, body } = await call("GET", `/api/v1/${kind}s/${id}`);
  const { state, paused, claimed, warm, deletion } = body as Record<string, unknown>;
  return JSON.stringify([status, state, paused, claimed, warm, status, deletion]);
}
