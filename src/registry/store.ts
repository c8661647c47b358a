import type { PoolSpec, Workload } from "./specs.ts";

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

type Table = "workloads" | "pools";

const of = <Spec>(row: Row): Registered<Spec> => ({
  spec: JSON.parse(row.spec) as Spec,
  version: row.version,
  createdAt: row.created_at,
  updatedAt: row.updated_at,
});

async function find<Spec>(db: D1Database, table: Table, id: string): Promise<Registered<Spec> | null> {
  const row = await db
    .prepare(`SELECT version, spec, created_at, updated_at FROM ${table} WHERE id = ?`)
    .bind(id)
    .first<Row>();
  return row && of<Spec>(row);
}

async function list<Spec>(db: D1Database, table: Table, after: string, limit: number): Promise<Page<Registered<Spec>>> {
  const { results } = await db
    .prepare(`SELECT id, version, spec, created_at, updated_at FROM ${table} WHERE id > ? ORDER BY id LIMIT ?`)
    .bind(after, limit + 1)
    .all<Row & { id: string }>();
  const rows = results.slice(0, limit);
  return { items: rows.map((row) => of<Spec>(row)), next: results.length > limit ? (rows.at(-1)?.id ?? null) : null };
}

export const findWorkload = (db: D1Database, id: string) => find<Workload>(db, "workloads", id);
export const findPool = (db: D1Database, id: string) => find<PoolSpec>(db, "pools", id);
export const listWorkloads = (db: D1Database, after: string, limit: number) =>
  list<Workload>(db, "workloads", after, limit);
export const listPools = (db: D1Database, after: string, limit: number) => list<PoolSpec>(db, "pools", after, limit);

/** Null when the id is taken. */
export async function insertWorkload(db: D1Database, spec: Workload, now: number): Promise<RegisteredWorkload | null> {
  const { meta } = await db
    .prepare("INSERT OR IGNORE INTO workloads (id, version, spec, created_at, updated_at) VALUES (?, 1, ?, ?, ?)")
    .bind(spec.id, JSON.stringify(spec), now, now)
    .run();
  return meta.changes === 0 ? null : { spec, version: 1, createdAt: now, updatedAt: now };
}

/** Null when the id is taken. */
export async function insertPool(db: D1Database, spec: PoolSpec, now: number): Promise<RegisteredPool | null> {
  const { meta } = await db
    .prepare(
      "INSERT OR IGNORE INTO pools (id, workload_id, version, spec, created_at, updated_at) VALUES (?, ?, 1, ?, ?, ?)",
    )
    .bind(spec.id, spec.workloadId, JSON.stringify(spec), now, now)
    .run();
  return meta.changes === 0 ? null : { spec, version: 1, createdAt: now, updatedAt: now };
}

export async function deletePool(db: D1Database, id: string): Promise<void> {
  await db.prepare("DELETE FROM pools WHERE id = ?").bind(id).run();
}
