import { hasTable } from "../durable/document.ts";
import type { SyncRun } from "./syncs.ts";

/** The latest of each spec. */
const KEPT_RUNS = 100;

/** The runs of a tenant's sync specs that did something or failed (docs/storage.md). Reading creates nothing. */
export class SyncHistory {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
  }

  /** Inside a commit. */
  append(runs: readonly SyncRun[]): void {
    if (runs.length === 0) return;
    this.#sql.exec(
      "CREATE TABLE IF NOT EXISTS sync_runs (seq INTEGER PRIMARY KEY AUTOINCREMENT, spec_id TEXT NOT NULL, doc TEXT NOT NULL) STRICT",
    );
    for (const run of runs) {
      this.#sql.exec("INSERT INTO sync_runs (spec_id, doc) VALUES (?, ?)", run.specId, JSON.stringify(run));
      this.#sql.exec(
        `DELETE FROM sync_runs WHERE spec_id = ?1 AND seq NOT IN
           (SELECT seq FROM sync_runs WHERE spec_id = ?1 ORDER BY seq DESC LIMIT ?2)`,
        run.specId,
        KEPT_RUNS,
      );
    }
  }

  /** The newest first, of those that ended by `until` (ms since 1970). */
  list(specId: string, until: number, limit: number): SyncRun[] {
    if (!hasTable(this.#sql, "sync_runs")) return [];
    return this.#sql
      .exec<{ doc: string }>(
        `SELECT doc FROM sync_runs WHERE spec_id = ? AND json_extract(doc, '$.endedAt') <= ?
         ORDER BY json_extract(doc, '$.endedAt') DESC, seq DESC LIMIT ?`,
        specId,
        until,
        limit,
      )
      .toArray()
      .map(({ doc }) => JSON.parse(doc) as SyncRun);
  }
}
