/**
 * One JSON document in a table of one row: the state of an object that is always read and written whole.
 * Nothing is created by reading, so that asking after something that never was leaves no trace.
 */
export class Document<T extends object> {
  readonly #sql: SqlStorage;
  readonly #table: string;
  #exists: boolean | null = null;

  constructor(sql: SqlStorage, table: string) {
    this.#sql = sql;
    this.#table = table;
  }

  read(): T | null {
    this.#exists ??= hasTable(this.#sql, this.#table);
    if (!this.#exists) return null;
    const [row] = this.#sql.exec<{ doc: string }>(`SELECT doc FROM ${this.#table} WHERE id = 1`).toArray();
    return row ? (JSON.parse(row.doc) as T) : null;
  }

  /** Inside a commit. `text` is the value's JSON, where the caller has it already. */
  write(value: T, text = JSON.stringify(value)): void {
    if (!this.#exists) {
      this.#sql.exec(
        `CREATE TABLE IF NOT EXISTS ${this.#table} (id INTEGER PRIMARY KEY CHECK (id = 1), doc TEXT NOT NULL) STRICT`,
      );
      this.#exists = true;
    }
    this.#sql.exec(
      `INSERT INTO ${this.#table} (id, doc) VALUES (1, ?) ON CONFLICT (id) DO UPDATE SET doc = excluded.doc`,
      text,
    );
  }
}

export function hasTable(sql: SqlStorage, table: string): boolean {
  return sql.exec("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", table).toArray().length > 0;
}
