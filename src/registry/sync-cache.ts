import { isStateSpec, type SyncSpec } from "../sync/spec.ts";

/** A pool's sync specs, as whoever runs them needs them. */
export interface PoolSpec {
  spec: SyncSpec;
  version: number;
  /** Of the workload's state volume as a whole: its syncs are saves. */
  isState: boolean;
}

/** How long they are taken from memory without looking, and how long while D1 does not answer (ms). */
const FRESH_MS = 3_000;
const USABLE_MS = 60_000;
const MAX_ENTRIES = 1_000;
const entries = new Map<string, { specs: Promise<PoolSpec[]>; readAt: number; before: PoolSpec[] | null }>();

/**
 * By id. From memory where they were read a moment ago, so that a claim of a pool without any costs nothing more.
 * @throws when D1 does not answer, and nothing is known
 */
export function specsOfPool(db: D1Database, poolId: string, now: number): Promise<PoolSpec[]> {
  const entry = entries.get(poolId);
  if (entry && now - entry.readAt <= FRESH_MS) return entry.specs;
  const before = entry && now - entry.readAt <= USABLE_MS ? entry.before : null;
  const specs = read(db, poolId).then(
    (found) => {
      const kept = entries.get(poolId);
      if (kept?.specs === specs) kept.before = found;
      return found;
    },
    (error) => {
      if (entries.get(poolId)?.specs === specs) entries.delete(poolId);
      if (before) return before;
      throw error;
    },
  );
  if (entries.size >= MAX_ENTRIES) entries.clear();
  entries.set(poolId, { specs, readAt: now, before });
  return specs;
}

/** After a change, in the isolate that made it; the others notice within seconds. */
export function forgetSpecs(): void {
  entries.clear();
}

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
