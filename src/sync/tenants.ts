import { parseTenantId, type TenantId } from "../ids.ts";

/** The tenants of a pool, from the copies that they send to D1: a moment old, and good enough to know whom to ask. */
export async function tenantsOf(
  db: D1Database,
  poolId: string,
  which: "active" | "all",
  after: string,
  limit: number,
): Promise<{ tenants: TenantId[]; next: string | null }> {
  const { results } = await db
    .prepare(
      `SELECT tenant_id FROM tenants WHERE pool_id = ? AND tenant_id > ? ${which === "active" ? "AND state = 'active'" : ""}
       ORDER BY tenant_id LIMIT ?`,
    )
    .bind(poolId, after, limit + 1)
    .all<{ tenant_id: string }>();
  const shown = results.slice(0, limit).map((row) => row.tenant_id);
  const tenants = shown.flatMap((id) => parseTenantId(id) ?? []);
  return { tenants, next: results.length > limit ? (shown.at(-1) ?? null) : null };
}

export async function countTenants(db: D1Database, poolId: string): Promise<number> {
  const count = await db
    .prepare("SELECT COUNT(*) AS count FROM tenants WHERE pool_id = ?")
    .bind(poolId)
    .first<number>("count");
  return count ?? 0;
}
