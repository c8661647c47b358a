import { recordIfChanged } from "../audit/d1.ts";
import { audited, canonical, stateHash } from "../audit/entry.ts";
import type { By } from "../auth/principal.ts";
import { storedWorkload, type Workload } from "./specs.ts";
import type { RegisteredWorkload } from "./store.ts";
import { SHAPE, shownAs } from "./workload-list.ts";
import { versionIfRecorded } from "./workload-versions.ts";

/**
 * Workloads and their versions, in D1, which owns them: every change is one batch of a conditional statement, its record,
 * and its version. A statement that changed nothing is followed by nothing (`changes()`).
 */
export interface ListedWorkload extends RegisteredWorkload {
  /** How many pools run it. */
  pools: number;
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
