import { Kept } from "./kept.ts";
import { findPool, findWorkload, type RegisteredPool, type RegisteredWorkload } from "./store.ts";

export interface PoolAndWorkload {
  pool: RegisteredPool;
  workload: RegisteredWorkload;
}

const kept = new Kept<PoolAndWorkload>({ freshMs: 5_000, besideMs: 60_000, most: 1_000 });

/**
 * A pool and its workload, from memory where they were read a moment ago: a claim costs no query of D1 in the hot path.
 * Null for an unknown pool, which is never remembered. `background` keeps the Worker alive for a look that nobody waits for.
 */
export const poolAndWorkload = (
  db: D1Database,
  id: string,
  now: number,
  background: (work: Promise<unknown>) => void,
): Promise<PoolAndWorkload | null> => kept.get(id, now, () => read(db, id), background);

/** After a change of a pool's registration, in the isolate that made it; the others notice within seconds. */
export const forgetPool = (id: string): void => kept.forget(id);

/** After a change of a workload. */
export const forgetWorkload = (id: string): void => kept.forgetAll(({ workload }) => workload.spec.id === id);

async function read(db: D1Database, id: string): Promise<PoolAndWorkload | null> {
  const pool = await findPool(db, id);
  const workload = pool && (await findWorkload(db, pool.spec.workloadId));
  return pool && workload ? { pool, workload } : null;
}
