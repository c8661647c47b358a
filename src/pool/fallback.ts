import { invalid } from "../errors/problem.ts";
import type { PoolSpec } from "../registry/specs.ts";
import { findPool } from "../registry/store.ts";
import { syncSpecsOf } from "./registry.ts";

/** So many pools may follow one another; a lease goes no further either (src/pool/leases.ts). */
const LONGEST_CHAIN = 3;

/**
 * Whether a pool's fallback can stand in for it: it is there, runs the same workload (so that a tenant's state, config and
 * secrets fit), and asking on from it leads to an end. Tiers may differ: that is what fallbacks are for. What sync specs
 * name belongs to one pool, so a pool that has some has no fallback. @throws Problem `invalid`
 */
export async function checkFallback(db: D1Database, spec: PoolSpec): Promise<void> {
  if (spec.fallbackPoolId === undefined) return;
  const wrong = (detail: string) => invalid([{ pointer: "/fallbackPoolId", detail }]);
  const [synchronised] = await syncSpecsOf(db, spec.id);
  if (synchronised !== undefined) throw wrong(`is not for a pool with sync specs; this one has ${synchronised}`);
  let next: string | undefined = spec.fallbackPoolId;
  for (let length = 1; next !== undefined; length += 1) {
    if (next === spec.id) throw wrong("leads back to the pool itself");
    if (length > LONGEST_CHAIN) throw wrong(`leads through more than ${LONGEST_CHAIN} pools`);
    const pool = await findPool(db, next);
    if (!pool && length > 1) return; // one behind it was deleted: the chain ends there
    if (!pool) throw wrong(`is no pool: there is no ${next}`);
    if (pool.spec.workloadId !== spec.workloadId) throw wrong(`runs another workload, ${pool.spec.workloadId}`);
    next = pool.spec.fallbackPoolId;
  }
}

/** Tenants of the pool that another pool's containers serve, as they told D1 a moment ago: what its sync specs name is not reached from there. */
export async function tenantsElsewhere(db: D1Database, poolId: string, limit: number): Promise<string[]> {
  const { results } = await db
    .prepare(
      `SELECT tenants.tenant_id AS id FROM tenants JOIN containers USING (container_id)
       WHERE tenants.pool_id = ?1 AND containers.pool_id <> ?1 ORDER BY 1 LIMIT ?2`,
    )
    .bind(poolId, limit)
    .all<{ id: string }>();
  return results.map(({ id }) => id);
}
