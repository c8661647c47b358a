import type { AuditEntry, ChainedEntry } from "./entry.ts";

/** A record as D1 has it. */
export interface AuditRow extends AuditEntry {
  /** Order of arrival: grows with every record. */
  id: number;
  /** Place in its owner's chain, and the links; null for what D1 itself owns. */
  seq: number | null;
  prev: string | null;
  hash: string | null;
}

/** What is asked for; all of it together. Times are ms since 1970. */
export interface AuditFilter {
  subject?: string;
  actor?: string;
  /** How it begins. */
  action?: string;
  /** One of these exactly. */
  actions?: readonly string[];
  requestId?: string;
  result?: string;
  /** Of the pool itself, and of tenants in it. */
  poolId?: string;
  from?: number;
  /** Up to, but without. */
  to?: number;
  /** Ids beyond these bounds. */
  after?: number;
  before?: number;
}

const COLUMNS = "id, subject, seq, at, action, actor, request_id, result, before, after, detail, prev, hash";
const LAST = "\u{10ffff}";

export async function readAudit(
  db: D1Database,
  filter: AuditFilter,
  order: "newest" | "oldest",
  limit: number,
): Promise<AuditRow[]> {
  const { conditions, values } = where(filter);
  const clause = conditions.length === 0 ? "" : `WHERE ${conditions.join(" AND ")}`;
  const { results } = await db
    .prepare(`SELECT ${COLUMNS} FROM audit ${clause} ORDER BY id ${order === "newest" ? "DESC" : "ASC"} LIMIT ?`)
    .bind(...values, limit)
    .all<Row>();
  return results.map(rowOf);
}

/** The id of the latest record; 0 before the first. */
export const latestId = async (db: D1Database): Promise<number> =>
  (await db.prepare("SELECT MAX(id) AS id FROM audit").first<number | null>("id")) ?? 0;

/** The next links of a subject's chain, in its order. */
export async function readChain(
  db: D1Database,
  subject: string,
  after: number,
  limit: number,
): Promise<ChainedEntry[]> {
  const { results } = await db
    .prepare(`SELECT ${COLUMNS} FROM audit WHERE subject = ? AND seq > ? ORDER BY seq LIMIT ?`)
    .bind(subject, after, limit)
    .all<Row>();
  return results.map((row) => linkOf(rowOf(row)));
}

export async function countRecords(db: D1Database, subject: string): Promise<{ chained: number; unchained: number }> {
  const row = await db
    .prepare("SELECT COUNT(*) AS records, COUNT(seq) AS chained FROM audit WHERE subject = ?")
    .bind(subject)
    .first<{ records: number; chained: number }>();
  const { records = 0, chained = 0 } = row ?? {};
  return { chained, unchained: records - chained };
}

/** A record as its hash covers it. A link that lacks its hash is one that does not hold. */
export const linkOf = ({ id: _, seq, prev, hash, ...entry }: AuditRow): ChainedEntry => ({
  ...entry,
  seq: seq ?? 0,
  prev: prev ?? "",
  hash: hash ?? "",
});

function where(filter: AuditFilter): { conditions: string[]; values: (string | number)[] } {
  const conditions: string[] = [];
  const values: (string | number)[] = [];
  const add = (condition: string, ...bound: (string | number)[]) => {
    conditions.push(condition);
    values.push(...bound);
  };
  const { subject, actor, action, actions, requestId, result, poolId, from, to, after, before } = filter;
  if (subject !== undefined) add("subject = ?", subject);
  if (actor !== undefined) add("actor = ?", actor);
  if (action !== undefined) add("action >= ? AND action < ?", action, action + LAST);
  if (actions !== undefined) add(`action IN (${actions.map(() => "?").join(", ")})`, ...actions);
  if (requestId !== undefined) add("request_id = ?", requestId);
  if (result !== undefined) add("result = ?", result);
  // One record that somebody made unreadable does not hide the others.
  const ofPool = "(subject = ? OR CASE WHEN json_valid(detail) THEN json_extract(detail, '$.poolId') = ? END)";
  if (poolId !== undefined) add(ofPool, `pool:${poolId}`, poolId);
  if (from !== undefined) add("at >= ?", from);
  if (to !== undefined) add("at < ?", to);
  if (after !== undefined) add("id > ?", after);
  if (before !== undefined) add("id < ?", before);
  return { conditions, values };
}

interface Row {
  id: number;
  subject: string;
  seq: number | null;
  at: number;
  action: string;
  actor: string;
  request_id: string | null;
  result: string;
  before: string | null;
  after: string | null;
  detail: string;
  prev: string | null;
  hash: string | null;
}

const rowOf = ({ request_id: requestId, detail, ...row }: Row): AuditRow => ({
  ...row,
  requestId,
  detail: parsed(detail),
});

/** What somebody wrote over so that it is no JSON any more is shown as it is, and breaks its chain. */
function parsed(detail: string): Record<string, unknown> {
  try {
    return JSON.parse(detail) as Record<string, unknown>;
  } catch {
    return { unreadable: detail };
  }
}
