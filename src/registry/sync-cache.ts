import { within } from "../durable/deadline.ts";
import { isStateSpec, type SyncSpec } from "../sync/spec.ts";
import { Kept } from "./kept.ts";

/** A pool's sync specs, as whoever runs them needs them. */
export interface PoolSpec {
  spec: SyncSpec;
  version: number;
  /** Of the workload's state volume as a whole: its syncs are saves. */
  isState: boolean;
}

const READ_MS = 5_000;
const kept = new Kept<PoolSpec[]>({ freshMs: 3_000, besideMs: 10_000, failingMs: 60_000, most: 1_000 });

/**
 * By id. From memory where they were read a moment ago, so that a claim of a pool without any costs nothing more.
 * @throws when D1 does not answer, and nothing is known
 */
export async function specsOfPool(db: D1Database, poolId: string, now: number): Promise<PoolSpec[]> {
  const specs = await kept.get(poolId, now, () => within(READ_MS, "the registry", read(db, poolId)));
  return specs ?? [];
}

/** After a change, in the isolate that made it; the others notice within seconds. */
export const forgetSpecs = (): void => kept.forgetAll();

async function read(db: D1Database, poolId: string): Promise<PoolSpec[]> {
  const { results } = await db
    .prepare(
      `SELECT s.spec, s.version, json_extract(w.spec, '$.volumes.state.containerPath') AS state_dir
       FROM sync_specs s JOIN pools p ON p.id = s.pool_id JOIN workloads w ON w.id = p.workload_id
       WHERE s.pool_id = ? ORDER BY s.id`,
    )
    .bind(poolId)
    .all<{ spec: string; version: number; state_dir: string | null }>();
  return results.map((row) => {
    const spec = JSON.parse(row.spec) as SyncSpec;
    return { spec, version: row.version, isState: isStateSpec(spec, row.state_dir) };
  });
}
