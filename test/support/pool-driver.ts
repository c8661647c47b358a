import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { expect, vi } from "vitest";
import { poolOf } from "../../src/durable/stubs.ts";
import { epoch, type PoolId, type TenantId } from "../../src/ids.ts";
import { call, env, eventually, simulation } from "./fleet.ts";

/** What tests of pools do to them, beside what the API offers. */

export const path = (id: string, more = "") => `/api/v1/pools/${id}${more}`;
export const pool = async (id: string) => (await call("GET", path(id))).body;
export const poolObject = (id: string) => env.POOL.getByName(id) as unknown as DurableObjectStub;
export const poolStub = (id: string) => poolOf(env, id as PoolId);
export const ring = (id: string) => runDurableObjectAlarm(poolObject(id));
export const request = (tenant: string, at = 1) => ({ tenantId: tenant as TenantId, epoch: epoch(at) });
export const containersOf = async (id: string) =>
  (await call<{ items: { id: string; state: string; tenantId?: string }[] }>("GET", path(id, "/containers"))).body
    .items;

/** The details of what D1 has of a pool's own records. */
export async function recorded(id: string, action: string): Promise<Record<string, unknown>[]> {
  const { results } = await env.DB.prepare("SELECT detail FROM audit WHERE subject = ? AND action = ? ORDER BY seq")
    .bind(`pool:${id}`, action)
    .all<{ detail: string }>();
  return results.map(({ detail }) => JSON.parse(detail) as Record<string, unknown>);
}

/** D1's copy of the pool's chain is what the pool recorded. */
export const expectWhole = (id: string) =>
  eventually(async () => {
    const verified = await call("GET", `/api/v1/audit/verify?subject=pool:${id}`);
    expect(verified, JSON.stringify(verified.body)).toMatchObject({ status: 200, body: { valid: true } });
  });

/** Moves what `Date.now` says; timers go on as they were. */
let offset = 0;
export function later(ms: number): void {
  offset += ms;
  vi.spyOn(Date, "now").mockImplementation(() => performance.timeOrigin + performance.now() + offset);
}

/** As if the platform had lost everything that an object stored. */
export async function loseStorage(stub: DurableObjectStub): Promise<void> {
  await runInDurableObject(stub, async (_, state) => {
    await state.storage.deleteAlarm();
    await state.storage.deleteAll();
  });
  await evictDurableObject(stub);
}

/** After each test: it is now, nothing is mocked, and all goes well. */
export function asBefore(): void {
  vi.restoreAllMocks();
  offset = 0;
  simulation.every.faults.clear();
  simulation.images.add("sandbox");
}
