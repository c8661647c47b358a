import { DatabaseSync, type SQLInputValue, type StatementSync } from "node:sqlite";

type Row = Record<string, unknown>;

/** An object's database, with the SQL interface that the platform gives. */
export class SimulatedSql {
  readonly #database = new DatabaseSync(":memory:");
  readonly #statements = new Map<string, Statement>();
  readonly #looks = new Map<string, StatementSync>();
  readonly #controls = new Map<string, StatementSync>();
  /** Throws where this copy of the object may not touch the database any more. */
  readonly #enter: (kind: "read" | "write") => void;

  constructor(enter: (kind: "read" | "write") => void) {
    this.#enter = enter;
  }

  readonly exec = (query: string, ...bindings: unknown[]): Cursor => {
    const statement = this.#prepared(query);
    if (statement === null) {
      this.#enter("write");
      this.#database.exec(query);
      return new Cursor([], null, 0);
    }
    this.#enter(statement.kind);
    const values = bindings.map(inward);
    if (statement.kind === "read") return Cursor.of(statement, values);
    if (statement.returns) return Cursor.of(statement, values);
    const { changes } = statement.prepared.run(...values);
    return new Cursor([], null, Number(changes));
  };

  get databaseSize(): number {
    this.#enter("read");
    const pages = this.#database.prepare("PRAGMA page_count").get() as { page_count: number };
    const size = this.#database.prepare("PRAGMA page_size").get() as { page_size: number };
    return pages.page_count * size.page_size;
  }

  /** Behind the gate, for the platform itself. */
  control(statement: string): void {
    let prepared = this.#controls.get(statement);
    if (!prepared) {
      prepared = this.#database.prepare(statement);
      this.#controls.set(statement, prepared);
    }
    prepared.run();
  }
  /** For whoever looks from outside; no rows where there is no such table. */
  look(query: string, ...bindings: unknown[]): Row[] {
    try {
      let prepared = this.#looks.get(query);
      if (!prepared) {
        prepared = this.#database.prepare(query);
        this.#looks.set(query, prepared);
      }
      return outward(prepared.all(...bindings.map(inward)) as Row[]);
    } catch (error) {
      if (error instanceof Error && /no such table/.test(error.message)) return [];
      throw error;
    }
  }
  tables(): string[] {
    return this.look("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'").map(
      ({ name }) => String(name),
    );
  }
  dropAll(): void {
    for (const name of this.tables()) this.#database.exec(`DROP TABLE "${name}"`);
    this.#statements.clear();
  }
  close(): void {
    this.#statements.clear();
    this.#looks.clear();
    this.#controls.clear();
    this.#database.close();
  }

  /** Null for several statements in one text: they are run as they are, without bindings. */
  #prepared(query: string): Statement | null {
    const known = this.#statements.get(query);
    if (known) return known;
    const text = query.trim().replace(/;\s*$/, "");
    if (text.includes(";") && severalIn(text)) return null;
    const prepared = this.#database.prepare(text);
    const kind =
      /^(SELECT|WITH|VALUES|EXPLAIN|PRAGMA)\b/i.test(text) && !/\b(INSERT|UPDATE|DELETE)\b/i.test(text)
        ? "read"
        : "write";
    const statement: Statement = { prepared, kind, returns: kind === "read" || /\bRETURNING\b/i.test(text) };
    if (kind === "read" || !/^(CREATE|DROP|ALTER)\b/i.test(text)) this.#statements.set(query, statement);
    return statement;
  }
}

interface Statement {
  prepared: StatementSync;
  kind: "read" | "write";
  returns: boolean;
}

const severalIn = (text: string): boolean => text.replace(/'[^']*'/g, "").includes(";");

/** Read whole when it is made: the platform reads on, but nothing here could tell the two apart within one event. */
class Cursor implements Iterable<Row> {
  readonly rowsWritten: number;
  readonly #rows: Row[];
  readonly #statement: StatementSync | null;
  #at = 0;

  constructor(rows: Row[], statement: StatementSync | null, rowsWritten: number) {
    this.#rows = rows;
    this.#statement = statement;
    this.rowsWritten = rowsWritten;
  }

  static of({ prepared }: Statement, values: SQLInputValue[]): Cursor {
    return new Cursor(outward(prepared.all(...values) as Row[]), prepared, 0);
  }

  get columnNames(): string[] {
    return this.#statement?.columns().map(({ name }) => name) ?? [];
  }
  get rowsRead(): number {
    return this.#rows.length;
  }
  toArray(): Row[] {
    const left = this.#at === 0 ? this.#rows : this.#rows.slice(this.#at);
    this.#at = this.#rows.length;
    return left;
  }
  one(): Row {
    const [row, more] = this.toArray();
    if (!row) throw new Error("Expected exactly one result from SQL query, but got no results.");
    if (more) throw new Error("Expected exactly one result from SQL query, but got multiple results.");
    return row;
  }
  next(): IteratorResult<Row> {
    const row = this.#rows[this.#at];
    if (row === undefined) return { done: true, value: undefined };
    this.#at += 1;
    return { done: false, value: row };
  }
  *raw(): Generator<unknown[]> {
    for (const row of this) yield Object.values(row);
  }
  [Symbol.iterator](): Iterator<Row> {
    return this;
  }
}

export function inward(value: unknown): SQLInputValue {
  if (value === undefined) return null;
  if (typeof value === "boolean") return value ? 1 : 0;
  if (value instanceof ArrayBuffer) return new Uint8Array(value);
  if (typeof value === "bigint") throw new TypeError("BigInt is not a supported SQL value.");
  return value as SQLInputValue;
}

/** Blobs as ArrayBuffers. */
export function outward(rows: Row[]): Row[] {
  for (const row of rows) {
    for (const name in row) {
      const value = row[name];
      if (value instanceof Uint8Array) row[name] = value.buffer;
    }
  }
  return rows;
}
