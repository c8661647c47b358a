import { Unusable } from "../steps.ts";
import type { Stack } from "./stack.ts";

export const DEMO_POOL = "demo";

const WORKLOAD = {
  id: "sandbox",
  name: "Sandbox",
  image: "sandbox",
  port: 8080,
  volumes: { state: { containerPath: "/data" } },
  readiness: { path: "/healthz" },
};

const POOL = { id: DEMO_POOL, workloadId: WORKLOAD.id, minSize: 2, maxSize: 20, idleTimeoutMs: 600_000 };

/** Registers the demo workload and pool; ones that exist are fine as they are. */
export async function createDemo(stack: Stack): Promise<void> {
  await create(stack, "/api/v1/workloads", WORKLOAD);
  await create(stack, "/api/v1/pools", POOL);
}

async function create(stack: Stack, path: string, body: { readonly id: string }): Promise<void> {
  const response = await stack.api("POST", path, body, 30_000);
  const text = await response.text();
  if (response.ok || response.status === 409) return;
  throw new Unusable(`POST ${path} of "${body.id}" answered ${response.status}: ${text.slice(0, 500)}`);
}
