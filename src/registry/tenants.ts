import type { Page } from "./store.ts";

/** A tenant as lists show it: the copy that its object sends after each change (src/tenant/projection.ts). Times are ms since 1970. */
export interface ListedTenant {
  tenantId: string;
  state: string;
  desired: string;
  poolId: string | null;
  containerId: string | null;
  tier: string | null;
  epoch: number;
  generation: number;
  unsavedSince: number | null;
  lastActivityAt: number | null;
  lastError: string | null;
  createdAt: number;
  updatedAt: number;
}

export interface TenantFilter {
  /** A part of the id. */
  q?: string;
  state?: string;
  poolId?: string;
  /** Only this one: what a tenant may see. */
  tenantId?: string;
}

/** `updatedAt`: the latest change first. */
export type TenantOrder = "tenantId" | "updatedAt";

const COLUMNS = `tenant_id AS tenantId, state, desired, pool_id AS poolId, container_id AS containerId, tier, epoch,
  generation, unsaved_since AS unsavedSince, last_activity_at AS lastActivityAt, last_error AS lastError,
  created_at AS createdAt, updated_at AS updatedAt`;

/** `after` is the place that the page before ended at, as `next` said it. */
export async function listTenants(
  db: D1Database,
  filter: TenantFilter,
  order: TenantOrder,
  after: string | null,
  limit: number,
): Promise<Page<ListedTenant>> {
  const conditions: string[] = [];
  const bindings: (string | number)[] = [];
  const where = (condition: string, ...values: (string | number)[]) => {
    conditions.push(condition);
    bindings.push(...values);
  };
  if (filter.tenantId !== undefined) where("tenant_id = ?", filter.tenantId);
  if (filter.state !== undefined) where("state = ?", filter.state);
  if (filter.poolId !== undefined) where("pool_id = ?", filter.poolId);
  if (filter.q !== undefined) where("instr(lower(tenant_id), lower(?)) > 0", filter.q);
  if (after !== null && order === "tenantId") where("tenant_id > ?", after);
  if (after !== null && order === "updatedAt") {
    const [at = "", ...id] = after.split(" ");
    where("(updated_at, tenant_id) < (?, ?)", Number(at), id.join(" "));
  }
  const by = order === "tenantId" ? "tenant_id" : "updated_at DESC, tenant_id DESC";
  const clause = conditions.length > 0 ? `WHERE ${conditions.join(" AND ")}` : "";
  const { results } = await db
    .prepare(`SELECT ${COLUMNS} FROM tenants ${clause} ORDER BY ${by} LIMIT ?`)
    .bind(...bindings, limit + 1)
    .all<ListedTenant>();
  const items = results.slice(0, limit);
  const last = items.at(-1);
  const place = last && (order === "tenantId" ? last.tenantId : `${last.updatedAt} ${last.tenantId}`);
  return { items, next: results.length > limit && place !== undefined ? place : null };
}
