import type { AuditEntry, ChainedEntry } from "./entry.ts";

/** The `audit` table: every record of every owner, once. */
const COLUMNS = "subject, at, action, actor, request_id, result, before, after, detail";
const LINK_COLUMNS = "seq, prev, hash";

/**
 * The record of a change that D1 itself owns: the statement behind the conditional update in one `batch`, which records
 * it if and only if the update changed a row.
 */
export const recordIfChanged = (db: D1Database, entry: AuditEntry): D1PreparedStatement =>
  db
    .prepare(`INSERT INTO audit (${COLUMNS}) SELECT ?, ?, ?, ?, ?, ?, ?, ?, ? WHERE changes() = 1`)
    .bind(...valuesOf(entry));

/** The record of an action that changed no row of D1. */
export const record = (db: D1Database, entry: AuditEntry): D1PreparedStatement =>
  db.prepare(`INSERT INTO audit (${COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`).bind(...valuesOf(entry));

/** The records of a Durable Object on their way from its journal; one that came already changes nothing. */
export const recordDelivered = (db: D1Database, entry: ChainedEntry): D1PreparedStatement =>
  db
    .prepare(`INSERT OR IGNORE INTO audit (${COLUMNS}, ${LINK_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`)
    .bind(...valuesOf(entry), entry.seq, entry.prev, entry.hash);

const valuesOf = (entry: AuditEntry) => [
  entry.subject,
  entry.at,
  entry.action,
  entry.actor,
  entry.requestId,
  entry.result,
  entry.before,
  entry.after,
  JSON.stringify(entry.detail),
];
