import { recordIfChanged } from "../audit/d1.ts";
import { audited, stateHash } from "../audit/entry.ts";
import type { TenantId } from "../ids.ts";
import type { ApiKey } from "./api-key.ts";
import type { By, Role } from "./principal.ts";

/** The `api_keys` table. Each change and its record are one batch. */
interface Row {
  id: string;
  name: string;
  role: string;
  tenant_id: string | null;
  hash: string;
  prefix: string;
  previous_hash: string | null;
  previous_until: number | null;
  requests_per_minute: number | null;
  created_at: number;
  created_by: string;
  expires_at: number | null;
  last_used_at: number | null;
  revoked_at: number | null;
}

const of = (row: Row): ApiKey => ({
  id: row.id,
  name: row.name,
  role: row.role as Role,
  tenantId: row.tenant_id as TenantId | null,
  hash: row.hash,
  prefix: row.prefix,
  previousHash: row.previous_hash,
  previousUntil: row.previous_until,
  requestsPerMinute: row.requests_per_minute,
  createdAt: row.created_at,
  createdBy: row.created_by,
  expiresAt: row.expires_at,
  lastUsedAt: row.last_used_at,
  revokedAt: row.revoked_at,
});

/** The key that a hash belongs to, or belonged to before its last rotation. */
export async function findKeyByHash(db: D1Database, hash: string): Promise<ApiKey | null> {
  const row = await db.prepare("SELECT * FROM api_keys WHERE hash = ?1 OR previous_hash = ?1").bind(hash).first<Row>();
  return row && of(row);
}

export async function findKey(db: D1Database, id: string): Promise<ApiKey | null> {
  const row = await db.prepare("SELECT * FROM api_keys WHERE id = ?").bind(id).first<Row>();
  return row && of(row);
}

/** In the order of creation; `next` is the id after which the next page begins. */
export async function listKeys(
  db: D1Database,
  after: string,
  limit: number,
): Promise<{ items: ApiKey[]; next: string | null }> {
  const { results } = await db
    .prepare("SELECT * FROM api_keys WHERE id > ? ORDER BY id LIMIT ?")
    .bind(after, limit + 1)
    .all<Row>();
  const items = results.slice(0, limit).map(of);
  return { items, next: results.length > limit ? (items.at(-1)?.id ?? null) : null };
}

/** Of one tenant, and not revoked. */
export async function keysOfTenant(db: D1Database, tenantId: TenantId, limit: number): Promise<ApiKey[]> {
  const { results } = await db
    .prepare("SELECT * FROM api_keys WHERE tenant_id = ? AND revoked_at IS NULL ORDER BY id LIMIT ?")
    .bind(tenantId, limit)
    .all<Row>();
  return results.map(of);
}

export async function insertKey(db: D1Database, key: ApiKey, by: By): Promise<void> {
  const insert = db
    .prepare(
      `INSERT INTO api_keys (id, name, role, tenant_id, hash, prefix, requests_per_minute, created_at, created_by, expires_at)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    )
    .bind(
      key.id,
      key.name,
      key.role,
      key.tenantId,
      key.hash,
      key.prefix,
      key.requestsPerMinute,
      key.createdAt,
      key.createdBy,
      key.expiresAt,
    );
  await db.batch([insert, record(db, by, key.createdAt, "key.created", null, key)]);
}

/** False when it was rotated or revoked meanwhile: nothing changed. */
export async function rotateKey(db: D1Database, before: ApiKey, after: ApiKey, now: number, by: By): Promise<boolean> {
  const update = db
    .prepare(
      `UPDATE api_keys SET hash = ?, prefix = ?, previous_hash = ?, previous_until = ?
       WHERE id = ? AND hash = ? AND revoked_at IS NULL`,
    )
    .bind(after.hash, after.prefix, after.previousHash, after.previousUntil, before.id, before.hash);
  const [result] = await db.batch([update, record(db, by, now, "key.rotated", before, after)]);
  return result?.meta.changes === 1;
}

/** A key that is revoked already stays as it is. */
export async function revokeKey(db: D1Database, before: ApiKey, now: number, by: By): Promise<void> {
  const update = db
    .prepare("UPDATE api_keys SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL")
    .bind(now, before.id);
  await db.batch([update, record(db, by, now, "key.revoked", before, { ...before, revokedAt: now })]);
}

/** Not a change that is recorded: it says nothing of who may do what. */
export async function recordUse(db: D1Database, id: string, now: number): Promise<void> {
  await db
    .prepare("UPDATE api_keys SET last_used_at = ?1 WHERE id = ?2 AND (last_used_at IS NULL OR last_used_at < ?1)")
    .bind(now, id)
    .run();
}

function record(db: D1Database, by: By, at: number, action: string, before: ApiKey | null, after: ApiKey) {
  const { name, role, tenantId } = after;
  const states = { before: before && stateHash(stateOf(before)), after: stateHash(stateOf(after)) };
  return recordIfChanged(
    db,
    audited(by, at, action, `key:${after.id}`, { ...states, detail: { name, role, tenantId } }),
  );
}

/** What a change is about; not when it was last used. */
const stateOf = ({ lastUsedAt: _, ...state }: ApiKey) => state;
