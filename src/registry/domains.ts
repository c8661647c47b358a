import { recordIfChanged } from "../audit/d1.ts";
import { audited, stateHash } from "../audit/entry.ts";
import type { By } from "../auth/principal.ts";
import { parseTenantId, type TenantId } from "../ids.ts";

/** Hosts of tenants' own, in D1, which owns them: every change is one batch of a statement and its record. */
export interface Domain {
  host: string;
  tenantId: TenantId;
  /** ms since 1970. */
  createdAt: number;
}

interface Row {
  host: string;
  tenant_id: string;
  created_at: number;
}

const of = ({ host, tenant_id, created_at }: Row): Domain => ({
  host,
  tenantId: tenant_id as TenantId,
  createdAt: created_at,
});
const subject = (host: string): string => `domain:${host}`;

/** Null for a host that nobody has. */
export async function tenantOfDomain(db: D1Database, host: string): Promise<TenantId | null> {
  const text = await db.prepare("SELECT tenant_id FROM domains WHERE host = ?").bind(host).first<string>("tenant_id");
  return text === null ? null : parseTenantId(text);
}

export async function findDomain(db: D1Database, host: string): Promise<Domain | null> {
  const row = await db
    .prepare("SELECT host, tenant_id, created_at FROM domains WHERE host = ?")
    .bind(host)
    .first<Row>();
  return row && of(row);
}

/** By host. `next`: after which the next page begins; null at the end. */
export async function listDomains(
  db: D1Database,
  tenantId: TenantId | null,
  after: string,
  limit: number,
): Promise<{ items: Domain[]; next: string | null }> {
  const where = tenantId === null ? "host > ?" : "host > ? AND tenant_id = ?";
  const { results } = await db
    .prepare(`SELECT host, tenant_id, created_at FROM domains WHERE ${where} ORDER BY host LIMIT ?`)
    .bind(after, ...(tenantId === null ? [] : [tenantId]), limit + 1)
    .all<Row>();
  const rows = results.slice(0, limit);
  return { items: rows.map(of), next: results.length > limit ? (rows.at(-1)?.host ?? null) : null };
}

/** Null when somebody has the host already. */
export async function insertDomain(
  db: D1Database,
  host: string,
  tenantId: TenantId,
  by: By,
  now: number,
): Promise<Domain | null> {
  const [inserted] = await db.batch([
    db
      .prepare("INSERT OR IGNORE INTO domains (host, tenant_id, created_at) VALUES (?, ?, ?)")
      .bind(host, tenantId, now),
    recordIfChanged(
      db,
      audited(by, now, "domain.created", subject(host), { after: stateHash({ host, tenantId }), detail: { tenantId } }),
    ),
  ]);
  return inserted?.meta.changes === 1 ? { host, tenantId, createdAt: now } : null;
}

/** False when there was none any more. */
export async function deleteDomain(db: D1Database, { host, tenantId }: Domain, by: By, now: number): Promise<boolean> {
  const [deleted] = await db.batch([
    db.prepare("DELETE FROM domains WHERE host = ? AND tenant_id = ?").bind(host, tenantId),
    recordIfChanged(
      db,
      audited(by, now, "domain.deleted", subject(host), {
        before: stateHash({ host, tenantId }),
        detail: { tenantId },
      }),
    ),
  ]);
  return deleted?.meta.changes === 1;
}
