import { record } from "../audit/d1.ts";
import { audited } from "../audit/entry.ts";
import { findKey, revokeKey } from "../auth/key-store.ts";
import { tenantOf } from "../durable/stubs.ts";
import { parseTenantId } from "../ids.ts";
import { deleteDomain, findDomain } from "../registry/domains.ts";
import { nothingFound, type Part, type Sweep } from "./types.ts";
import { examine, type Verdict } from "./verdict.ts";

/** What D1 registers for tenants, and what it keeps for a while only. */

const GRACE_MS = 7 * 86_400_000;

/** Whose tenant D1 does not show, or shows as destroyed. The tenant itself says whether anything is kept, with which it may come back. */
const GONE = `LEFT JOIN tenants t ON t.tenant_id = r.tenant_id
  WHERE (t.tenant_id IS NULL OR (t.state = 'destroyed' AND t.updated_at < ?1)) AND r.created_at < ?1`;

export async function sweepDomains(sweep: Sweep, after: string): Promise<Part> {
  const { results } = await sweep.env.DB.prepare(
    `SELECT r.host AS id, r.tenant_id FROM domains r ${GONE} AND r.host > ?2 ORDER BY r.host LIMIT ?3`,
  )
    .bind(sweep.now - GRACE_MS, after, sweep.limit)
    .all<Row>();
  const mend = async ({ id, tenant_id: of }: Row) => {
    const domain = await findDomain(sweep.env.DB, id);
    if (domain === null) return true;
    // Registered anew meanwhile, it is somebody's.
    return domain.tenantId === of && deleteDomain(sweep.env.DB, domain, sweep.by, sweep.now);
  };
  const part = await examine(sweep, "domains", named(results), (row) => judge(sweep, row), mend);
  return { ...part, after: afterOf(results, sweep.limit) };
}

export async function sweepKeys(sweep: Sweep, after: string): Promise<Part> {
  const { results } = await sweep.env.DB.prepare(
    `SELECT r.id, r.tenant_id FROM api_keys r ${GONE}
     AND r.tenant_id IS NOT NULL AND r.revoked_at IS NULL AND r.id > ?2 ORDER BY r.id LIMIT ?3`,
  )
    .bind(sweep.now - GRACE_MS, after, sweep.limit)
    .all<Row>();
  const mend = async ({ id }: Row) => {
    const key = await findKey(sweep.env.DB, id);
    if (key) await revokeKey(sweep.env.DB, key, sweep.now, sweep.by);
    return true;
  };
  const part = await examine(sweep, "keys", named(results), (row) => judge(sweep, row), mend);
  return { ...part, after: afterOf(results, sweep.limit) };
}

interface Row {
  id: string;
  tenant_id: string;
}

const named = (rows: readonly Row[]) => rows.map((row) => ({ id: row.id, thing: row }));
const afterOf = (rows: readonly Row[], limit: number): string | null =>
  rows.length < limit ? null : (rows.at(-1)?.id ?? null);

async function judge({ env }: Sweep, { tenant_id: text }: Row): Promise<Verdict> {
  const orphan = `its tenant, ${text}, does not exist`;
  const tenantId = parseTenantId(text);
  const standing = tenantId && (await tenantOf(env, tenantId).touch("look"));
  return standing && (standing.state !== "destroyed" || standing.keepsData) ? null : { orphan };
}

/** Answers of idempotent requests whose day is over, where no later request came to remove them. */
export async function sweepRows({ env, mode, now, limit, by }: Sweep): Promise<Part> {
  const old = "SELECT id FROM idempotency WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2";
  const { results } = await env.DB.prepare(old).bind(now, limit).all<{ id: string }>();
  if (results.length === 0) return nothingFound();
  const finding = { kind: "rows" as const, id: "idempotency", detail: `${results.length} answers are past their time` };
  const part = { ...nothingFound(), checked: results.length, found: [finding] };
  if (mode === "look") return part;
  await env.DB.batch([
    env.DB.prepare(`DELETE FROM idempotency WHERE id IN (${old})`).bind(now, limit),
    record(
      env.DB,
      audited({ ...by, requestId: null }, now, "platform.rows_swept", "platform:sweep", {
        detail: { idempotency: results.length },
      }),
    ),
  ]);
  return { ...part, removed: [finding], after: results.length < limit ? null : "more" };
}
