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
  const specs = await syncSpecsOf(db, spec.id);
  if (specs.length > 0) throw wrong(`is not for a pool with sync specs; this one has ${specs[0]}`);
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
