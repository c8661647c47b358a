import { commit } from "../durable/commit.ts";
import { hasTable } from "../durable/document.ts";
import { type Failure, failed } from "../outcome.ts";
import { SCHEMA } from "./schema.ts";

/** What leads from each schema to the next one; index 0 begins at schema 1. */
const STEPS: readonly (readonly string[])[] = [
  ["ALTER TABLE saves ADD COLUMN options TEXT", "ALTER TABLE generations ADD COLUMN pinned INTEGER NOT NULL DEFAULT 0"],
];

/**
 * Brings an older Vault's tables up to date, in one transaction; a Vault that was never used stays so. Answers null, or with a failure for
 * the tables of a newer Worker, of which nothing is known: nothing may be read or written then.
 */
export function migrate(storage: DurableObjectStorage): { ok: false; failure: Failure } | null {
  const { sql } = storage;
  if (!hasTable(sql, "vault")) return null;
  const [row] = sql.exec<{ schema: number }>("SELECT schema FROM vault WHERE id = 1").toArray();
  if (row === undefined || row.schema === SCHEMA) return null;
  if (row.schema > SCHEMA) {
    return failed(
      "internal",
      `This vault was written by a newer Worker (schema ${row.schema}; this one knows ${SCHEMA}): deploy that one again.`,
    );
  }
  commit(storage, () => {
    for (const statement of STEPS.slice(row.schema - 1).flat()) sql.exec(statement);
    sql.exec("UPDATE vault SET schema = ? WHERE id = 1", SCHEMA);
  });
  return null;
}
