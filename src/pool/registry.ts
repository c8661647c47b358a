import { canonical } from "../audit/entry.ts";
import type { PoolSpec } from "../registry/specs.ts";
import { findPool, type RegisteredPool } from "../registry/store.ts";

export type Replaced =
  | { kind: "replaced"; pool: RegisteredPool }
  | { kind: "absent" }
  | { kind: "mismatch"; version: number };

/** A pool has a fallback or sync specs (src/registry/sync-specs.ts has the other half): decided by the statements that write. */
const getsFallback = (before: PoolSpec, { fallbackPoolId }: PoolSpec): boolean =>
  fallbackPoolId !== undefined && fallbackPoolId !== before.fallbackPoolId;

/** Two changes at once: the second is made to what the first left, unless it demanded a version. */
const ATTEMPTS = 5;

/**
 * Changes a pool's registration by `change`, as a new version; the same spec again is none. The record of it is the pool's
 * own, which hears of the change next, or with its next alarm. @throws what `change` throws
 */
export async function replacePool(
  db: D1Database,
  id: string,
  ifMatch: number | null,
  change: (before: PoolSpec) => Promise<PoolSpec>,
  now: number,
): Promise<Replaced> {
  for (let attempt = 1; ; attempt += 1) {
    const before = await findPool(db, id);
    if (!before) return { kind: "absent" };
    const { version } = before;
    if (ifMatch !== null && ifMatch !== version) return { kind: "mismatch", version };
    const spec = await change(before.spec);
    if (canonical(spec) === canonical(before.spec)) return { kind: "replaced", pool: before };
    const { meta } = await db
      .prepare(
        `UPDATE pools SET spec = ?1, version = version + 1, updated_at = ?2 WHERE id = ?3 AND version = ?4
         AND (?5 = 0 OR NOT EXISTS (SELECT 1 FROM sync_specs WHERE pool_id = ?3))`,
      )
      .bind(JSON.stringify(spec), now, id, version, getsFallback(before.spec, spec) ? 1 : 0)
      .run();
    if (meta.changes === 1)
      return { kind: "replaced", pool: { ...before, spec, version: version + 1, updatedAt: now } };
    if (attempt >= ATTEMPTS) return { kind: "mismatch", version };
  }
}

/** The sync specs that say what of a pool is synchronised, by id. */
export async function syncSpecsOf(db: D1Database, poolId: string): Promise<string[]> {
  const { results } = await db
    .prepare("SELECT id FROM sync_specs WHERE pool_id = ? ORDER BY id LIMIT 100")
    .bind(poolId)
    .all<{ id: string }>();
  return results.map(({ id }) => id);
}
