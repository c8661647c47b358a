import { CURRENT } from "../schema.ts";

/** The SQL of a check: what entries say of contents and objects, and entries that cannot be. */
export class Queries {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
  }

  /** Entries that begin or end where no generation is, or overlap with another of the same path. */
  broken(last: number, limit: number): string[] {
    const rows = this.#sql.exec<{ key: string; from: number; to: number }>(
      `SELECT key, from_gen AS "from", to_gen AS "to" FROM (
         SELECT key, from_gen, to_gen, lag(to_gen) OVER (PARTITION BY key, kind ORDER BY from_gen) AS before FROM entries)
       WHERE before > from_gen OR from_gen < 1 OR from_gen >= to_gen OR from_gen > ?1 OR (to_gen < ${CURRENT} AND to_gen > ?1) LIMIT ?2`,
      last,
      limit,
    );
    return rows.toArray().map(({ key, from, to }) => `${JSON.stringify(key)} from ${from} to ${to}`);
  }

  /** Small contents in the order of their rows, after one. */
  contents(after: number, limit: number): { body: number; size: number; sha256: string; key: string }[] {
    return this.#sql
      .exec(
        `SELECT body, min(size) AS size, min(sha256) AS sha256, min(key) AS key FROM (
           SELECT body, size, sha256, key FROM entries WHERE body > ?1 UNION ALL SELECT body, size, sha256, key FROM aside WHERE body > ?1)
         GROUP BY body ORDER BY body LIMIT ?2`,
        after,
        limit,
      )
      .toArray() as { body: number; size: number; sha256: string; key: string }[];
  }

  /** R2 objects of large files in the order of their keys, after one. */
  objects(after: string, limit: number): { object: string; size: number; etag: string; key: string }[] {
    return this.#sql
      .exec(
        `SELECT object, min(size) AS size, min(etag) AS etag, min(key) AS key FROM (
           SELECT object, size, etag, key FROM entries WHERE object > ?1 UNION ALL SELECT object, size, etag, key FROM aside WHERE object > ?1)
         GROUP BY object ORDER BY object LIMIT ?2`,
        after,
        limit,
      )
      .toArray() as { object: string; size: number; etag: string; key: string }[];
  }

  /** R2 keys that nothing here refers to. */
  unknown(objects: readonly string[]): string[] {
    const known = ["entries", "aside", "staged", "uploads", "garbage", "packs"]
      .map((table) => `NOT EXISTS (SELECT 1 FROM ${table} t WHERE t.object = value)`)
      .join(" AND ");
    const rows = this.#sql.exec(`SELECT value FROM json_each(?) WHERE ${known}`, JSON.stringify(objects)).raw();
    return Array.from(rows, ([object]) => object as string);
  }
}
