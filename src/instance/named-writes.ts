import { hasTable } from "../durable/document.ts";

/** Names are kept for as long as anyone may reasonably ask again. */
const KEPT_MS = 24 * 3_600_000;

/** What became of a named write: nobody knows while it has begun and has no answer. */
export type Standing = { kind: "first" } | { kind: "unknown" } | { kind: "answered"; answer: string };

/**
 * Writes that carry a name happen at most once in this container: who sends one again gets the first one's answer. Another
 * container never had it, and begins from what is saved.
 */
export class NamedWrites {
  readonly #sql: SqlStorage;
  #exists: boolean | null = null;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
  }

  /** Notes that it begins now, unless it did before. Stored before the answer of this object leaves it. */
  begin(name: string, now: number): Standing {
    this.#create();
    const [row] = this.#sql.exec<{ answer: string | null }>("SELECT answer FROM file_writes WHERE name = ?", name);
    if (row) return row.answer === null ? { kind: "unknown" } : { kind: "answered", answer: row.answer };
    this.#sql.exec("DELETE FROM file_writes WHERE at < ?", now - KEPT_MS);
    this.#sql.exec("INSERT INTO file_writes (name, at) VALUES (?, ?)", name, now);
    return { kind: "first" };
  }

  end(name: string, answer: string): void {
    this.#sql.exec("UPDATE file_writes SET answer = ? WHERE name = ?", answer, name);
  }

  /** It certainly did not happen, and may be sent again. */
  forget(name: string): void {
    this.#sql.exec("DELETE FROM file_writes WHERE name = ?", name);
  }

  #create(): void {
    this.#exists ??= hasTable(this.#sql, "file_writes");
    if (this.#exists) return;
    this.#sql.exec(
      "CREATE TABLE IF NOT EXISTS file_writes (name TEXT PRIMARY KEY, at INTEGER NOT NULL, answer TEXT) STRICT",
    );
    this.#exists = true;
  }
}
