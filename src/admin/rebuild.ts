import { messageOf, within } from "../durable/deadline.ts";
import { poolOf, tenantOf } from "../durable/stubs.ts";
import { type PoolId, parseTenantId } from "../ids.ts";
import type { Outcome } from "../outcome.ts";
import { inTurns, listPoolIds, tenantsAfter } from "./pages.ts";

/** Where a rebuild is: pools first, since a tenant's container is shown by its pool. */
export interface Place {
  of: "pools" | "tenants";
  after: string;
}

export interface Rebuilt {
  pools: number;
  tenants: number;
  /** Rows of what there never was. */
  removed: number;
  failed: { id: string; detail: string }[];
  /** Where to go on; null: this was the end. */
  next: Place | null;
}

const PROJECT_MS = 15_000;

/** Makes the next page of projections anew, from what the objects themselves say. */
export const rebuild = (env: Env, { of, after }: Place, limit: number): Promise<Rebuilt> =>
  of === "pools" ? rebuildPools(env, after, limit) : rebuildTenants(env, after, limit);

async function rebuildPools(env: Env, after: string, limit: number): Promise<Rebuilt> {
  const ids = await listPoolIds(env.DB, after, limit);
  // A copy replaces an older one only; now every copy is older.
  await outdate(env.DB, "UPDATE containers SET updated_at = 0 WHERE pool_id IN (SELECT value FROM json_each(?))", ids);
  const answers = await inTurns(ids, (id) => projected(id, () => poolOf(env, id).project()));
  const end = ids.length < limit;
  const orphans = end
    ? await env.DB.prepare("DELETE FROM containers WHERE pool_id NOT IN (SELECT id FROM pools)").run()
    : null;
  const next: Place = end ? { of: "tenants", after: "" } : { of: "pools", after: ids.at(-1) ?? after };
  const pools = answers.filter((answer) => answer.kind === "projected").length;
  return { pools, tenants: 0, removed: orphans?.meta.changes ?? 0, failed: failures(answers), next };
}

async function rebuildTenants(env: Env, after: string, limit: number): Promise<Rebuilt> {
  const ids = await tenantsAfter(env, after, limit);
  await outdate(env.DB, "UPDATE tenants SET seq = 0 WHERE tenant_id IN (SELECT value FROM json_each(?))", ids);
  const answers = await inTurns(ids, async (id): Promise<Answer> => {
    const tenantId = parseTenantId(id);
    return tenantId ? projected(id, () => tenantOf(env, tenantId).project()) : { kind: "unknown", id };
  });
  const gone = answers.filter((answer) => answer.kind === "unknown").map((answer) => answer.id);
  const removed = await removeTenants(env.DB, gone);
  const last = ids.at(-1);
  const next: Place | null = ids.length < limit || last === undefined ? null : { of: "tenants", after: last };
  const tenants = answers.filter((answer) => answer.kind === "projected").length;
  return { pools: 0, tenants, removed, failed: failures(answers), next };
}

type Answer =
  | { kind: "projected"; id: string }
  | { kind: "unknown"; id: string }
  | { kind: "failed"; id: string; detail: string };

async function projected(id: string, project: () => Promise<Outcome<null>>): Promise<Answer> {
  try {
    const outcome = await within(PROJECT_MS, `the projection of ${id}`, project());
    if (outcome.ok) return { kind: "projected", id };
    const { code, detail } = outcome.failure;
    return code === "not_found" ? { kind: "unknown", id } : { kind: "failed", id, detail };
  } catch (error) {
    return { kind: "failed", id, detail: messageOf(error) };
  }
}

const failures = (answers: readonly Answer[]): Rebuilt["failed"] =>
  answers.flatMap((answer) => (answer.kind === "failed" ? [{ id: answer.id, detail: answer.detail }] : []));

async function outdate(db: D1Database, sql: string, ids: readonly (string | PoolId)[]): Promise<void> {
  if (ids.length > 0) await db.prepare(sql).bind(JSON.stringify(ids)).run();
}

/** A row that was written since then is that of a tenant that came into being meanwhile, and stays. */
async function removeTenants(db: D1Database, ids: readonly string[]): Promise<number> {
  if (ids.length === 0) return 0;
  const { meta } = await db
    .prepare("DELETE FROM tenants WHERE seq = 0 AND tenant_id IN (SELECT value FROM json_each(?))")
    .bind(JSON.stringify(ids))
    .run();
  return meta.changes;
}
