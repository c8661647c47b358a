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
    return this.#rows("body", "size, sha256", after, limit) as {
      body: number;
      size: number;
      sha256: string;
      key: string;
    }[];
  }

  /** R2 objects of large files in the order of their keys, after one. */
  objects(after: string, limit: number): { object: string; size: number; etag: string; key: string }[] {
    return this.#rows("object", "size, etag", after, limit) as {
      object: string;
      size: number;
      etag: string;
      key: string;
    }[];
  }

  /** One row for each content. First which, by the indexes alone; a check of many pages reads the tables once, not for each. */
  #rows(by: "body" | "object", columns: string, after: number | string, limit: number): unknown[] {
    const some = (table: string) =>
      `SELECT * FROM (SELECT DISTINCT ${by} AS one FROM ${table} WHERE ${by} > ?1 ORDER BY ${by} LIMIT ?2)`;
    const query = `SELECT one FROM (${some("entries")} UNION ${some("aside")}) ORDER BY one LIMIT ?2`;
    const wanted = Array.from(this.#sql.exec(query, after, limit).raw(), ([one]) => one);
    const rows = (table: string) =>
      `SELECT ${by}, ${columns}, key FROM ${table} WHERE ${by} IN (SELECT value FROM json_each(?1))`;
    return this.#sql
      .exec(
        `SELECT *, min(key) FROM (${rows("entries")} UNION ALL ${rows("aside")}) GROUP BY ${by} ORDER BY ${by}`,
        JSON.stringify(wanted),
      )
      .toArray();
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
