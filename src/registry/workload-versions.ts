import type { By } from "../auth/principal.ts";
import { storedWorkload, type Workload } from "./specs.ts";

/** What a workload said in each of its versions, in D1: written with the change that makes one, and never again. */
export interface WorkloadVersion {
  version: number;
  spec: Workload;
  at: number;
  /** Null for one from before actors were known. */
  actor: string | null;
}

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

/** Behind `recordIfChanged` in the batch: a recorded change has its version. */
export const versionIfRecorded = (
  db: D1Database,
  { id, version, json, now, by }: { id: string; version: number; json: string; now: number; by: By },
): D1PreparedStatement =>
  db
    .prepare(
      "INSERT INTO workload_versions (workload_id, version, spec, at, actor) SELECT ?, ?, ?, ?, ? WHERE changes() = 1",
    )
    .bind(id, version, json, now, by.actor);
