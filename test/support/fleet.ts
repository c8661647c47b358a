import { env, exports } from "cloudflare:workers";
import { expect } from "vitest";
import { simulation } from "../../src/runtime/simulated/simulation.ts";

/** The whole system in workerd on simulated containers, spoken to over its API. */
const KEY = "test-admin-key-0123456789";
const ORIGIN = "http://localhost:8787";

export interface Answer<T = Record<string, unknown>> {
  status: number;
  body: T;
  headers: Headers;
}

export async function call<T = Record<string, unknown>>(
  method: string,
  path: string,
  body?: unknown,
): Promise<Answer<T>> {
  const response = await request(method, path, body === undefined ? undefined : JSON.stringify(body), {
    "content-type": "application/json",
  });
  return { status: response.status, body: (await response.json()) as T, headers: response.headers };
}

export function request(
  method: string,
  path: string,
  body?: BodyInit,
  headers: Record<string, string> = {},
  signal?: AbortSignal,
): Promise<Response> {
  const target = path.startsWith("http") ? path : `${ORIGIN}${path}`;
  const more = { ...(body === undefined ? {} : { body }), ...(signal ? { signal } : {}) };
  const init = { method, headers: { authorization: `Bearer ${KEY}`, ...headers }, ...more };
  return (exports as unknown as { default: Fetcher }).default.fetch(new Request(target, init));
}

/** Registers a workload and a pool of it, and waits until the pool is warm. */
export async function aPool(
  id: string,
  pool: { minSize?: number; maxSize?: number; idleTimeoutMs?: number } = {},
  workload: Record<string, unknown> = {},
): Promise<string> {
  const registered = await call("POST", "/api/v1/workloads", {
    id,
    image: "sandbox",
    port: 8080,
    volumes: { state: { containerPath: "/data" } },
    ...workload,
  });
  expect(registered.status, JSON.stringify(registered.body)).toBe(201);
  const minSize = pool.minSize ?? 1;
  const created = await call("POST", "/api/v1/pools", {
    id,
    workloadId: id,
    maxSize: 20,
    idleTimeoutMs: 900_000,
    ...pool,
    minSize,
  });
  expect(created.status, JSON.stringify(created.body)).toBe(201);
  await eventually(async () =>
    expect((await call("GET", `/api/v1/pools/${id}`)).body).toMatchObject({ warm: minSize }),
  );
  return id;
}

export const claim = (tenant: string, poolId?: string, more: object = {}) =>
  call<ClaimBody>("POST", `/api/v1/tenants/${tenant}/claim?wait=10s`, { ...(poolId ? { poolId } : {}), ...more });
/** The same, refused at once where there is no room. */
export const claimAtOnce = (tenant: string, poolId: string) =>
  call<ClaimBody>("POST", `/api/v1/tenants/${tenant}/claim`, { poolId });
export const release = (tenant: string, body: object = {}) =>
  call("POST", `/api/v1/tenants/${tenant}/release?wait=10s`, body);
export const status = (tenant: string) => call("GET", `/api/v1/tenants/${tenant}/status`);
export const put = (tenant: string, path: string, text: string) =>
  read(request("PUT", `/t/${tenant}/files/${path}`, text));
export const remove = (tenant: string, path: string) => read(request("DELETE", `/t/${tenant}/files/${path}`));
export const get = (tenant: string, path: string) => request("GET", `/t/${tenant}/files/${path}`);

/** A body that nobody reads keeps its request open, and with it the objects that it passes. */
async function read(pending: Promise<Response>): Promise<Response> {
  const response = await pending;
  const body = await response.arrayBuffer();
  return new Response(body.byteLength > 0 ? body : null, response);
}

export interface ClaimBody {
  tenantId: string;
  containerId: string;
  poolId: string;
  state: string;
  launch: string;
  reason?: string;
  epoch: number;
  endpoints: { http: string; ws: string };
  restored: null | { generation: number; files: number; bytes: number };
  timings: Record<string, number>;
  pendingRestart?: boolean;
  code?: string;
}

export async function eventually(check: () => Promise<unknown>, withinMs = 5_000): Promise<void> {
  const deadline = Date.now() + withinMs;
  for (;;) {
    try {
      await check();
      return;
    } catch (error) {
      if (Date.now() > deadline) throw error;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

export { env, simulation };
