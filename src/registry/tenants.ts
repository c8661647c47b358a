import { type Page, SEPARATOR } from "./store.ts";

/**
 * A tenant as lists show it: the copy that its object sends after each change (src/tenant/projection.ts). `facts` is all
 * but the times, as the text of a JSON object; times are text of ms since 1970, empty for none.
 */
export interface TenantLine {
  id: string;
  facts: string;
  unsavedSince: string;
  lastActivityAt: string;
  createdAt: string;
  updatedAt: string;
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

/** All but the times as JSON; a list makes these the text of its item. */
const FACTS = `json_object('tenantId', tenant_id, 'state', state, 'desired', desired, 'poolId', pool_id, 'containerId', container_id,
  'tier', tier, 'epoch', epoch, 'generation', generation, 'lastError', last_error)`;
const TIMES = `coalesce(unsaved_since, '') || ' ' || coalesce(last_activity_at, '') || ' ' || created_at || ' ' || updated_at`;

/** `after` is the place that the page before ended at, as `next` said it. */
export async function listTenants(
  db: D1Database,
  filter: TenantFilter,
  order: TenantOrder,
  after: string | null,
  limit: number,
): Promise<Page<TenantLine>> {
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
  // One row for the whole page: a thousand of them would cost twice as much on their way out of the database.
  const row = await db
    .prepare(
      `SELECT group_concat(id, char(30)) AS ids, group_concat(facts, char(30)) AS facts, group_concat(times, char(30)) AS times FROM
        (SELECT tenant_id AS id, ${FACTS} AS facts, ${TIMES} AS times FROM tenants ${clause} ORDER BY ${by} LIMIT ?)`,
    )
    .bind(...bindings, limit + 1)
    .first<{ ids: string | null; facts: string | null; times: string | null }>();
  const ids = row?.ids?.split(SEPARATOR) ?? [];
  const [facts, times] = [row?.facts?.split(SEPARATOR) ?? [], row?.times?.split(SEPARATOR) ?? []];
  const items = ids.slice(0, limit).map((id, index): TenantLine => {
    const [unsavedSince = "", lastActivityAt = "", createdAt = "", updatedAt = ""] = (times[index] ?? "").split(" ");
    return { id, facts: facts[index] ?? "{}", unsavedSince, lastActivityAt, createdAt, updatedAt };
  });
  const last = items.at(-1);
  const place = last && (order === "tenantId" ? last.id : `${last.updatedAt} ${last.id}`);
  return { items, next: ids.length > limit && place !== undefined ? place : null };
}
