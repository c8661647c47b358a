import { type Api, pause } from "../harness/tenants.ts";
import type { Multiply } from "../inside/multiply.ts";

export const TENANTS = 10_000;
const ROWS = 1_000;

/** A full registry: thousands of rows like ones that the product made, and `active` tenants that have a container. */
export async function seed(api: Api, active: number): Promise<void> {
  const volumes = { state: { containerPath: "/data" } };
  await api.workload({ id: "seed", volumes, environment: { LOG_LEVEL: "info" } });
  await api.pool("seed", "seed", active);
  await api.fill("seed", active);
  for (let index = 0; index < active; index += 1) await api.claim(`active-${index}`, { poolId: "seed" });
  await multiplied(api, { table: "workloads", from: "seed", times: ROWS - 1 });
  await multiplied(api, { table: "tenants", from: "active-0", times: TENANTS - active });
}

/** A tenant comes to D1 a moment after its claim was answered. */
async function multiplied(api: Api, multiply: Multiply): Promise<void> {
  const deadline = Date.now() + 30_000;
  for (;;) {
    const answer = await api.client.must("POST", "/bench/multiply", multiply, [200, 404]);
    if (answer.status === 200) return;
    if (Date.now() > deadline) throw new Error(`${multiply.table} has no row ${multiply.from}`);
    await pause(100);
  }
}
