import { recordIfChanged } from "../audit/d1.ts";
import { audited, canonical, stateHash } from "../audit/entry.ts";
import type { By } from "../auth/principal.ts";
import { IMAGES } from "../runtime/images.ts";
import { storedWorkload, type Workload, workloadSchema } from "./specs.ts";
import { type Page, pageOf, type RegisteredWorkload, SEPARATOR } from "./store.ts";

/**
 * Workloads and their versions, in D1, which owns them: every change is one batch of a conditional statement, its record,
 * and its version. A statement that changed nothing is followed by nothing (`changes()`).
 */
export interface ListedWorkload extends RegisteredWorkload {
  /** How many pools run it. */
  pools: number;
}

export interface WorkloadVersion {
  version: number;
  spec: Workload;
  at: number;
  /** Null for one from before actors were known. */
  actor: string | null;
}

/** What became of a change that named the version it knows. */
export type Changed =
  | { kind: "changed"; workload: ListedWorkload }
  | { kind: "same"; workload: ListedWorkload }
  | { kind: "absent" }
  | { kind: "mismatch"; version: number };

export type Deleted =
  | { kind: "deleted" }
  | { kind: "absent" }
  | { kind: "mismatch"; version: number }
  | { kind: "in-use"; pools: string[] };

interface Row {
  id: string;
  version: number;
  spec: string;
  created_at: number;
  updated_at: number;
  pools: number;
}

const LISTED = `SELECT id, version, spec, created_at, updated_at,
  (SELECT COUNT(*) FROM pools WHERE workload_id = workloads.id) AS pools FROM workloads`;

const listedOf = (row: Row): ListedWorkload => ({
  spec: storedWorkload(row.spec),
  version: row.version,
  createdAt: row.created_at,
  updatedAt: row.updated_at,
  pools: row.pools,
});

export async function describeWorkload(db: D1Database, id: string): Promise<ListedWorkload | null> {
  const row = await db.prepare(`${LISTED} WHERE id = ?`).bind(id).first<Row>();
  return row && listedOf(row);
}

/** What a list shows of a workload beside its spec, and the spec as the JSON text that is stored. Times are text of ms. */
export interface WorkloadLine {
  id: string;
  version: string;
  createdAt: string;
  updatedAt: string;
  pools: string;
  spec: string;
}

/** Of what is stored now. It changes when a default is added or another, so that what was stored before is completed again. */
const SHAPE = stateHash(workloadSchema.parse({ id: "x", image: IMAGES[0] })).slice(0, 16);

/** D1 returns no text of more than 2 MB, and one specification may have 1 MB. A page ends early at 4 MB. */
const TOGETHER_BYTES = 900_000;
const PAGE_BYTES = 4_000_000;
const FACTS = `id || ' ' || version || ' ' || created_at || ' ' || updated_at || ' ' ||
  (SELECT count(*) FROM pools WHERE workload_id = workloads.id) || ' ' || (shape = '${SHAPE}')`;

/**
 * A page, as the JSON of its items where it can be: made in the database from what was made at each writing, because a
 * thousand rows that are handed over, taken apart and put together again take twice as long. A page that is too large for
 * one text, or has rows from before the present defaults, is put together here.
 */
export async function listWorkloads(
  db: D1Database,
  after: string,
  limit: number,
): Promise<{ text: string; next: string | null } | Page<WorkloadLine>> {
  const page = await db
    .prepare(
      `SELECT max(id) AS last, min(shape = '${SHAPE}') AS plain, (SELECT count(*) FROM (SELECT 1 FROM workloads WHERE id > ?1 LIMIT ?2 + 1)) AS found,
        group_concat('{"pools":' || (SELECT count(*) FROM pools WHERE workload_id = w.id) || ',' || substr(shown, 2), ',') AS text
       FROM (SELECT id, shape, shown FROM workloads WHERE id > ?1 AND ${TOGETHER_BYTES} >=
          (SELECT sum(bytes) FROM (SELECT length(shown) AS bytes FROM workloads WHERE id > ?1 ORDER BY id LIMIT ?2))
        ORDER BY id LIMIT ?2) AS w`,
    )
    .bind(after, limit)
    .first<{ last: string | null; plain: number | null; found: number; text: string | null }>();
  if (page?.found === 0) return { text: "", next: null };
  if (!page?.plain || page.text === null) return listInParts(db, after, limit);
  return { text: page.text, next: page.found > limit ? page.last : null };
}

async function listInParts(db: D1Database, after: string, limit: number): Promise<Page<WorkloadLine>> {
  const { results } = await db
    .prepare(
      `WITH page AS (SELECT id, length(spec) AS bytes FROM workloads WHERE id > ? ORDER BY id LIMIT ?),
        placed AS (SELECT id, row_number() OVER w AS place, sum(bytes) OVER w AS total FROM page WINDOW w AS (ORDER BY id))
       SELECT (SELECT count(*) FROM page) AS count, group_concat(spec, char(30)) AS specs, group_concat(${FACTS}, char(30)) AS facts
       FROM placed CROSS JOIN workloads USING (id) WHERE total <= ${PAGE_BYTES} OR place = 1 GROUP BY total / ${TOGETHER_BYTES}`,
    )
    .bind(after, limit + 1)
    .all<{ count: number; facts: string; specs: string }>();
  const lines = results.flatMap(({ facts, specs }) => linesOf(facts, specs));
  const page = pageOf(lines, limit, (line) => line);
  const isCut = page.next === null && lines.length < (results[0]?.count ?? 0);
  return isCut ? { ...page, next: lines.at(-1)?.id ?? null } : page;
}

function linesOf(facts: string, specs: string): WorkloadLine[] {
  const stored = specs.split(SEPARATOR);
  return facts.split(SEPARATOR).map((fact, index) => {
    const [id = "", version = "", createdAt = "", updatedAt = "", pools = "", isPresent] = fact.split(" ");
    const text = stored[index] ?? "{}";
    const spec = isPresent === "1" ? text : JSON.stringify(storedWorkload(text));
    return { id, version, createdAt, updatedAt, pools, spec };
  });
}

/** What a list shows of a workload, but for its pools. */
const shownAs = (spec: Workload, version: number, createdAt: number, updatedAt: number): string =>
  JSON.stringify({
    ...spec,
    version,
    createdAt: new Date(createdAt).toISOString(),
    updatedAt: new Date(updatedAt).toISOString(),
  });

/** The newest first; `before` is the version that the page before ended with. */
export async function listVersions(
  db: D1Database,
  id: string,
  before: number | null,
  limit: number,
): Promise<{ items: WorkloadVersion[]; next: number | null }> {
  const { results } = await db
    .prepare(
      "SELECT version, spec, at, actor FROM workload_versions WHERE workload_id = ? AND version < ? ORDER BY version DESC LIMIT ?",
    )
    .bind(id, before ?? Number.MAX_SAFE_INTEGER, limit + 1)
    .all<{ version: number; spec: string; at: number; actor: string | null }>();
  const items = results.slice(0, limit).map((row) => ({ ...row, spec: storedWorkload(row.spec) }));
  return { items, next: results.length > limit ? (items.at(-1)?.version ?? null) : null };
}

/** What a version said; null where there never was such a one. */
export async function findVersion(db: D1Database, id: string, version: number): Promise<Workload | null> {
  const row = await db
    .prepare("SELECT spec FROM workload_versions WHERE workload_id = ? AND version = ?")
    .bind(id, version)
    .first<{ spec: string }>();
  return row && storedWorkload(row.spec);
}

/** The pools that run it, by id. */
export async function poolsRunning(db: D1Database, workloadId: string): Promise<string[]> {
  const { results } = await db
    .prepare("SELECT id FROM pools WHERE workload_id = ? ORDER BY id")
    .bind(workloadId)
    .all<{ id: string }>();
  return results.map(({ id }) => id);
}

/** Null when the id is taken. */
export async function insertWorkload(
  db: D1Database,
  spec: Workload,
  by: By,
  now: number,
): Promise<ListedWorkload | null> {
  const json = JSON.stringify(spec);
  const [inserted] = await db.batch([
    db
      .prepare(
        "INSERT OR IGNORE INTO workloads (id, version, spec, shape, shown, created_at, updated_at) VALUES (?, 1, ?, ?, ?, ?, ?)",
      )
      .bind(spec.id, json, SHAPE, shownAs(spec, 1, now, now), now, now),
    recordIfChanged(
      db,
      audited(by, now, "workload.created", subject(spec.id), { after: stateHash(spec), detail: { version: 1 } }),
    ),
    versionIfRecorded(db, { id: spec.id, version: 1, json, now, by }),
  ]);
  return inserted?.meta.changes === 1 ? { spec, version: 1, createdAt: now, updatedAt: now, pools: 0 } : null;
}

/** How often a change without a demanded version begins again, because another came between reading and writing. */
const ATTEMPTS = 5;

/**
 * Makes `spec` the next version; the same spec again is no change. `ifMatch`: the only version that it may replace.
 * `rolledBackTo`: the earlier version whose spec it is.
 */
export async function replaceWorkload(
  db: D1Database,
  spec: Workload,
  ifMatch: number | null,
  by: By,
  now: number,
  rolledBackTo?: number,
): Promise<Changed> {
  for (let attempt = 1; ; attempt += 1) {
    const before = await describeWorkload(db, spec.id);
    if (!before) return { kind: "absent" };
    if (ifMatch !== null && ifMatch !== before.version) return { kind: "mismatch", version: before.version };
    if (canonical(before.spec) === canonical(spec)) return { kind: "same", workload: before };
    const version = before.version + 1;
    const detail = { version, ...(rolledBackTo === undefined ? {} : { rolledBackTo }) };
    if (await writeVersion(db, { spec, version, before: before.spec, createdAt: before.createdAt, detail, by, now })) {
      return { kind: "changed", workload: { ...before, spec, version, updatedAt: now } };
    }
    if (attempt === ATTEMPTS) return { kind: "mismatch", version };
  }
}

interface NextVersion {
  spec: Workload;
  version: number;
  before: Workload;
  createdAt: number;
  detail: Record<string, unknown>;
  by: By;
  now: number;
}

async function writeVersion(
  db: D1Database,
  { spec, version, before, createdAt, detail, by, now }: NextVersion,
): Promise<boolean> {
  const json = JSON.stringify(spec);
  const [updated] = await db.batch([
    db
      .prepare(
        "UPDATE workloads SET version = ?, spec = ?, shape = ?, shown = ?, updated_at = ? WHERE id = ? AND version = ?",
      )
      .bind(version, json, SHAPE, shownAs(spec, version, createdAt, now), now, spec.id, version - 1),
    recordIfChanged(
      db,
      audited(by, now, "workload.updated", subject(spec.id), {
        before: stateHash(before),
        after: stateHash(spec),
        detail,
      }),
    ),
    versionIfRecorded(db, { id: spec.id, version, json, now, by }),
  ]);
  return updated?.meta.changes === 1;
}

/** With all of its versions, unless a pool runs it: decided by the statement that deletes, so that no pool can come between. */
export async function deleteWorkload(
  db: D1Database,
  id: string,
  ifMatch: number | null,
  by: By,
  now: number,
): Promise<Deleted> {
  const before = await describeWorkload(db, id);
  if (!before) return { kind: "absent" };
  if (ifMatch !== null && ifMatch !== before.version) return { kind: "mismatch", version: before.version };
  const [deleted] = await db.batch([
    db
      .prepare(
        "DELETE FROM workloads WHERE id = ?1 AND version = ?2 AND NOT EXISTS (SELECT 1 FROM pools WHERE workload_id = ?1)",
      )
      .bind(id, before.version),
    recordIfChanged(
      db,
      audited(by, now, "workload.deleted", subject(id), {
        before: stateHash(before.spec),
        detail: { version: before.version },
      }),
    ),
  ]);
  if (deleted && deleted.meta.changes > 0) return { kind: "deleted" }; // D1 counts the versions that went along
  const pools = await poolsRunning(db, id);
  if (pools.length > 0) return { kind: "in-use", pools };
  const after = await describeWorkload(db, id);
  return after ? { kind: "mismatch", version: after.version } : { kind: "absent" };
}

const subject = (id: string): string => `workload:${id}`;

/** Behind `recordIfChanged` in the batch: a recorded change has its version. */
const versionIfRecorded = (
  db: D1Database,
  { id, version, json, now, by }: { id: string; version: number; json: string; now: number; by: By },
): D1PreparedStatement =>
  db
    .prepare(
      "INSERT INTO workload_versions (workload_id, version, spec, at, actor) SELECT ?, ?, ?, ?, ? WHERE changes() = 1",
    )
    .bind(id, version, json, now, by.actor);
