import { readdirSync, readFileSync } from "node:fs";
import { DatabaseSync, type StatementSync } from "node:sqlite";
import { fileURLToPath } from "node:url";
import type { Network } from "./network.ts";
import { current } from "./owner.ts";
import { inward, outward } from "./sql.ts";

type Row = Record<string, unknown>;
interface Answer {
  success: true;
  results: Row[];
  meta: { changes: number; duration: number; last_row_id: number; rows_read: number; rows_written: number };
}

const MIGRATIONS = fileURLToPath(import.meta.resolve("../../../migrations/"));
const migrations = readdirSync(MIGRATIONS)
  .filter((name) => name.endsWith(".sql"))
  .sort()
  .map((name) => readFileSync(`${MIGRATIONS}${name}`, "utf8"));

/** The one D1 database of a world, with every migration applied. An operation happens whole at one moment. */
export class SimulatedD1 {
  readonly #database = new DatabaseSync(":memory:");
  readonly #statements = new Map<string, StatementSync>();
  readonly #network: Network;

  constructor(network: Network) {
    this.#network = network;
    this.#database.exec("PRAGMA foreign_keys = ON");
    for (const migration of migrations) this.#database.exec(migration);
  }

  readonly prepare = (sql: string): Statement => new Statement(this, sql, []);

  readonly batch = (statements: Statement[]): Promise<Answer[]> =>
    this.operation("batch", () => {
      this.#database.exec("BEGIN");
      try {
        const answers = statements.map((statement) => this.perform(statement));
        this.#database.exec("COMMIT");
        return answers;
      } catch (error) {
        this.#database.exec("ROLLBACK");
        throw error;
      }
    });

  operation<T>(op: string, perform: () => T): Promise<T> {
    const from = current().owner.label;
    return this.#network.operation(
      `d1 ${op}`,
      { before: { at: "d1", from, op }, after: { at: "d1-reply", from, op } },
      (verdict) => new Error(verdict.message ?? "D1_ERROR: Network connection lost."),
      perform,
    );
  }

  perform({ sql, bindings }: Statement): Answer {
    try {
      const prepared = this.#prepared(sql);
      const reads = /^\s*SELECT\b/i.test(sql);
      const before = reads ? 0 : this.#changes();
      const results = outward(prepared.all(...bindings.map(inward)) as Row[]);
      const changes = reads ? 0 : this.#changes() - before;
      const meta = { changes, duration: 0, last_row_id: 0, rows_read: results.length, rows_written: changes };
      return { success: true, results, meta };
    } catch (error) {
      throw new Error(`D1_ERROR: ${error instanceof Error ? error.message : String(error)}`);
    }
  }

  /** For whoever looks from outside. */
  rows<T>(sql: string, ...bindings: unknown[]): T[] {
    return outward(this.#prepared(sql).all(...bindings.map(inward)) as Row[]) as T[];
  }
  close(): void {
    this.#database.close();
  }

  #prepared(sql: string): StatementSync {
    const known = this.#statements.get(sql);
    if (known) return known;
    const prepared = this.#database.prepare(sql);
    this.#statements.set(sql, prepared);
    return prepared;
  }
  #changes(): number {
    return (this.#prepared("SELECT total_changes() AS n").get() as { n: number }).n;
  }
}

class Statement {
  readonly #d1: SimulatedD1;
  readonly sql: string;
  readonly bindings: readonly unknown[];

  constructor(d1: SimulatedD1, sql: string, bindings: readonly unknown[]) {
    this.#d1 = d1;
    this.sql = sql;
    this.bindings = bindings;
  }

  bind(...bindings: unknown[]): Statement {
    for (const value of bindings) {
      if (value === undefined) throw new Error("D1_TYPE_ERROR: Type 'undefined' not supported for value 'undefined'");
    }
    return new Statement(this.#d1, this.sql, bindings);
  }
  run(): Promise<Answer> {
    return this.#d1.operation("run", () => this.#d1.perform(this));
  }
  all(): Promise<Answer> {
    return this.#d1.operation("all", () => this.#d1.perform(this));
  }
  async first(column?: string): Promise<unknown> {
    const { results } = await this.#d1.operation("first", () => this.#d1.perform(this));
    const [row] = results;
    if (!row) return null;
    return column === undefined ? row : (row[column] ?? null);
  }
  async raw(): Promise<unknown[][]> {
    const { results } = await this.#d1.operation("raw", () => this.#d1.perform(this));
    return results.map((row) => Object.values(row));
  }
}
