import { type PoolSpec, poolSchema, type Workload, workloadSchema } from "../../../src/registry/specs.ts";
import { insertPool } from "../../../src/registry/store.ts";
import { insertWorkload } from "../../../src/registry/workloads.ts";
import type { World } from "./types.ts";

export const BY = { actor: "simulation", requestId: null };

/** Registers a workload and a pool of it as the API does, and waits for the pool object's answer. */
export async function registerPool(
  world: World,
  workload: Record<string, unknown> & { id: string },
  pool: Record<string, unknown> & { id: string },
): Promise<{ workload: Workload; pool: PoolSpec }> {
  const spec = poolSchema.parse({ workloadId: workload.id, ...pool });
  const known = workloadSchema.parse({ image: "sandbox", ...workload });
  const { poolOf } = world.modules.stubs;
  const call = world.worker(`register ${spec.id}`, async (env) => {
    await insertWorkload(env.DB, known, BY, Date.now());
    await insertPool(env.DB, spec, Date.now());
    return poolOf(env, spec.id as never).configure(spec, known, 1, BY);
  });
  const outcome = await world.finish(call);
  if (!outcome.ok) throw new Error(`the pool was refused: ${outcome.failure.detail}`);
  return { workload: known, pool: spec };
}
