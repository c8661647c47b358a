import { type PoolSpec, storedWorkload, type Workload } from "./specs.ts";

/** What is registered, in D1. Specs are stored as the schemas of `specs.ts` made them. Times are ms since 1970. */
export interface Registered<Spec> {
  spec: Spec;
  version: number;
  createdAt: number;
  updatedAt: number;
}
export type RegisteredWorkload = Registered<Workload>;
export type RegisteredPool = Registered<PoolSpec>;

export interface Page<T> {
  items: T[];
  /** The id after which the next page begins; null at the end. */
  next: string | null;
}

interface Row {
  version: number;
  spec: string;
  created_at: number;
  updated_at: number;
}

const of = <Spec>(row: Row, specOf: (json: string) => Spec): Registered<Spec> => ({
  spec: specOf(row.spec),
  version: row.version,
  createdAt: row.created_at,
  updatedAt: row.updated_at,
});

const poolSpecOf = (json: string) => JSON.parse(json) as PoolSpec;

export async function findWorkload(db: D1Database, id: string): Promise<RegisteredWorkload | null> {
  const row = await find(db, "workloads", id);
  return row && of(row, storedWorkload);
}

export async function findPool(db: D1Database, id: string): Promise<RegisteredPool | null> {
  const row = await find(db, "pools", id);
  return row && of(row, poolSpecOf);
}

export async function listPools(db: D1Database, after: string, limit: number): Promise<Page<RegisteredPool>> {
  const { results } = await db
    .prepare("SELECT id, version, spec, created_at, updated_at FROM pools WHERE id > ? ORDER BY id LIMIT ?")
    .bind(after, limit + 1)
    .all<Row & { id: string }>();
  return pageOf(results, limit, (row) => of(row, poolSpecOf));
}

const find = (db: D1Database, table: "workloads" | "pools", id: string): Promise<Row | null> =>
  db.prepare(`SELECT version, spec, created_at, updated_at FROM ${table} WHERE id = ?`).bind(id).first<Row>();

/** Between texts that are joined in SQL: JSON has no bare control characters in it, and no id has. */
export const SEPARATOR = "\x1e";

/** One row more than a page was asked for, so that its end is known. Pure. */
export function pageOf<R extends { id: string }, T>(rows: readonly R[], limit: number, itemOf: (row: R) => T): Page<T> {
  const shown = rows.slice(0, limit);
  return { items: shown.map(itemOf), next: rows.length > limit ? (shown.at(-1)?.id ?? null) : null };
}

/** Null when the id is taken, or there is no such workload (any more). */
export async function insertPool(db: D1Database, spec: PoolSpec, now: number): Promise<RegisteredPool | null> {
  const { meta } = await db
    .prepare(
      `INSERT OR IGNORE INTO pools (id, workload_id, version, spec, created_at, updated_at)
       SELECT ?1, ?2, 1, ?3, ?4, ?4 WHERE EXISTS (SELECT 1 FROM workloads WHERE id = ?2)`,
    )
    .bind(spec.id, spec.workloadId, JSON.stringify(spec), now)
    .run();
  return meta.changes === 0 ? null : { spec, version: 1, createdAt: now, updatedAt: now };
}

export async function deletePool(db: D1Database, id: string): Promise<void> {
  await db.prepare("DELETE FROM pools WHERE id = ?").bind(id).run();
}
