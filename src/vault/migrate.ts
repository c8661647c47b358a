import { commit } from "../durable/commit.ts";
import { hasTable } from "../durable/document.ts";
import { type Failure, failed } from "../outcome.ts";
import { SCHEMA } from "./schema.ts";

/** What leads from each schema to the next one; index 0 begins at schema 1. */
const STEPS: readonly (readonly string[])[] = [
  [
    "ALTER TABLE saves ADD COLUMN options TEXT",
    "ALTER TABLE generations ADD COLUMN pinned INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE vault ADD COLUMN rebuilding INTEGER NOT NULL DEFAULT 0",
    "CREATE TABLE packs (pack INTEGER PRIMARY KEY, object TEXT NOT NULL UNIQUE, generation INTEGER NOT NULL, manifest INTEGER NOT NULL, bytes INTEGER NOT NULL) STRICT",
    "CREATE TABLE packed (body INTEGER PRIMARY KEY, pack INTEGER NOT NULL, start INTEGER NOT NULL, size INTEGER NOT NULL) STRICT",
    "CREATE TABLE outbox (generation INTEGER PRIMARY KEY, stamp INTEGER NOT NULL, attempts INTEGER NOT NULL, due INTEGER NOT NULL) STRICT",
    "CREATE TABLE leases (generation INTEGER PRIMARY KEY, until INTEGER NOT NULL) STRICT",
    "CREATE INDEX packed_place ON packed (pack, start)",
    // Whatever was committed before there were packs gets its own.
    "INSERT INTO outbox (generation, stamp, attempts, due) SELECT generation, 1, 0, 0 FROM generations",
    "INSERT INTO outbox (generation, stamp, attempts, due) SELECT 0, 1, 0, 0 FROM vault WHERE head > 0",
  ],
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
