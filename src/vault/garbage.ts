import { CURRENT } from "./schema.ts";

const UNUSED_BODY = `NOT EXISTS (SELECT 1 FROM entries e WHERE e.body = garbage.body)
  AND NOT EXISTS (SELECT 1 FROM aside a WHERE a.body = garbage.body)
  AND NOT EXISTS (SELECT 1 FROM staged s WHERE s.body = garbage.body)`;
const UNUSED_OBJECT = `NOT EXISTS (SELECT 1 FROM entries e WHERE e.object = garbage.object)
  AND NOT EXISTS (SELECT 1 FROM aside a WHERE a.object = garbage.object)
  AND NOT EXISTS (SELECT 1 FROM staged s WHERE s.object = garbage.object)
  AND NOT EXISTS (SELECT 1 FROM uploads u WHERE u.object = garbage.object)
  AND NOT EXISTS (SELECT 1 FROM packs p WHERE p.object = garbage.object)`;

/**
 * The SQL of what may be thrown away. A row in `garbage` is a suspicion, never a sentence: content is deleted only when
 * no generation, no save and no upload refers to it at that moment, since copies and unchanged files share contents.
 */
export class Garbage {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
  }

  /** Inside a commit. */
  suspect(object: string): void {
    this.#sql.exec("INSERT INTO garbage (object) VALUES (?)", object);
  }

  /** Ends entries that no generation of `stay` needs; inside a commit. */
  prune(stay: readonly number[]): void {
    const dead = `to_gen < ${CURRENT} AND NOT EXISTS (SELECT 1 FROM json_each(?1) WHERE from_gen <= value AND value < to_gen)`;
    const json = JSON.stringify(stay);
    this.#suspectRows("entries", dead, json);
    this.#sql.exec(`DELETE FROM entries WHERE ${dead}`, json);
  }

  /** Drops the copies of generations that are kept beside the history no more; inside a commit. */
  dropAside(generation: number): void {
    this.#suspectRows("aside", "generation = ?1", generation);
    this.#sql.exec("DELETE FROM aside WHERE generation = ?", generation);
  }

  /** Whether anything is suspected, of each kind. */
  suspected(): { bodies: boolean; objects: boolean } {
    const any = (which: string) => this.#sql.exec(`SELECT 1 FROM garbage WHERE ${which} LIMIT 1`).toArray().length > 0;
    return { bodies: any("object IS NULL"), objects: any("object IS NOT NULL") };
  }

  /** Deletes inline contents that nothing refers to, and forgets suspicions that were wrong; inside a commit. */
  sweepBodies(): void {
    this.#sql.exec(
      `DELETE FROM bodies WHERE body IN (SELECT body FROM garbage WHERE body IS NOT NULL AND ${UNUSED_BODY})`,
    );
    this.#sql.exec(
      `DELETE FROM packed WHERE body IN (SELECT body FROM garbage WHERE body IS NOT NULL AND ${UNUSED_BODY})`,
    );
    this.#sql.exec("DELETE FROM garbage WHERE object IS NULL");
    this.#sql.exec(`DELETE FROM garbage WHERE NOT (${UNUSED_OBJECT})`);
  }

  /** R2 keys that nothing refers to, to be deleted there first and then here by `deleted`. */
  objects(limit: number): string[] {
    return this.#sql
      .exec<{ object: string }>(
        `SELECT DISTINCT object FROM garbage WHERE object IS NOT NULL AND ${UNUSED_OBJECT} LIMIT ?`,
        limit,
      )
      .toArray()
      .map((row) => row.object);
  }

  /** Inside a commit. */
  deleted(objects: readonly string[]): void {
    this.#sql.exec("DELETE FROM garbage WHERE object IN (SELECT value FROM json_each(?))", JSON.stringify(objects));
  }

  #suspectRows(table: "entries" | "aside", where: string, binding: string | number): void {
    this.#sql.exec(
      `INSERT INTO garbage (body, object) SELECT body, object FROM ${table} WHERE (body IS NOT NULL OR object IS NOT NULL) AND ${where}`,
      binding,
    );
  }
}
