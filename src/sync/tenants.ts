import { atMost } from "../durable/at-most.ts";
import { within } from "../durable/deadline.ts";
import { poolOf, tenantOf } from "../durable/stubs.ts";
import { type PoolId, parseTenantId, type TenantId } from "../ids.ts";
import type { Outcome } from "../outcome.ts";
import type { SyncSpec } from "./spec.ts";

const ASK_MS = 10_000;
/** Tenants that are asked at a time. */
const AT_ONCE = 25;

export interface TenantsPage {
  tenants: TenantId[];
  /** The tenant after which the next page begins; null at the end. */
  next: string | null;
}

/** The tenants that hold a container of the pool, by id: asked of the pool itself, so that none is missed that was claimed just now. */
export async function holdersOf(env: Env, poolId: string, after: string, limit: number): Promise<Outcome<TenantsPage>> {
  const slots = await within(ASK_MS, "The pool's answer", poolOf(env, poolId as PoolId).containers());
  if (!slots.ok) return slots;
  const all = slots.value
    .flatMap(({ state, tenantId }) => (state === "assigned" && tenantId !== null && tenantId > after ? [tenantId] : []))
    .sort();
  const tenants = all.slice(0, limit);
  return { ok: true, value: { tenants, next: all.length > limit ? (tenants.at(-1) ?? null) : null } };
}

/** Who synchronises a spec now; one that does not answer in time counts as none. */
export async function syncingTenants(env: Env, { id, poolId }: Pick<SyncSpec, "id" | "poolId">): Promise<TenantId[]> {
  const holders = await holdersOf(env, poolId, "", Number.MAX_SAFE_INTEGER);
  if (!holders.ok) return []; // there is no such pool any more
  const { tenants } = holders.value;
  const syncing = new Set<TenantId>();
  await atMost(AT_ONCE, tenants, async (tenantId) => {
    const state = await within(ASK_MS, "state", tenantOf(env, tenantId).syncState(tenantId, id)).catch(() => null);
    if (state?.ok && state.value.running) syncing.add(tenantId);
  });
  return tenants.filter((tenantId) => syncing.has(tenantId));
}

/** Whoever is the pool's, from the copies that tenants send to D1: a moment old, and good enough to know whom to ask. */
export async function tenantsOf(db: D1Database, poolId: string, limit: number): Promise<TenantId[]> {
  const { results } = await db
    .prepare("SELECT tenant_id FROM tenants WHERE pool_id = ? ORDER BY tenant_id LIMIT ?")
    .bind(poolId, limit)
    .all<{ tenant_id: string }>();
  return results.flatMap((row) => parseTenantId(row.tenant_id) ?? []);
}

export async function countTenants(db: D1Database, poolId: string): Promise<number> {
  const count = await db
    .prepare("SELECT COUNT(*) AS count FROM tenants WHERE pool_id = ?")
    .bind(poolId)
    .first<number>("count");
  return count ?? 0;
}
