import { Alarm } from "../durable/alarm.ts";
import { commit } from "../durable/commit.ts";
import { Document, hasTable } from "../durable/document.ts";
import type { Epoch } from "../ids.ts";
import type { JournalEntry } from "./events.ts";
import type { TenantRecord } from "./record.ts";
import type { OperationView } from "./types.ts";

const KEPT_OPERATIONS = 20;
const KEPT_JOURNAL = 500;
/** Old rows go at every so many assignments: looking for them costs more than the claim's own writes. */
const PRUNE_EVERY = 8;

/** The Tenant's tables (docs/storage.md): its record, its ended operations, its journal. Reading creates nothing. */
export class TenantStore {
  readonly alarm: Alarm;
  readonly #storage: DurableObjectStorage;
  readonly #record: Document<TenantRecord>;
  /** What the row holds; this object is its only writer. `undefined` before the first read. */
  #cached: TenantRecord | null | undefined;
  /** The operation that ended last, as its row says; whoever waited for it asks at once. */
  #ended: OperationView | null = null;

  constructor(storage: DurableObjectStorage) {
    this.#storage = storage;
    this.alarm = new Alarm(storage);
    this.#record = new Document(storage.sql, "tenant");
  }

  load(): TenantRecord | null {
    if (this.#cached === undefined) this.#cached = this.#record.read();
    return this.#cached;
  }

  /** One durable commit: the record, the operation that ended, the journal and the alarm. */
  save(
    record: TenantRecord,
    now: number,
    journal: readonly JournalEntry[],
    ended: OperationView | undefined,
    alarm: number | null,
  ): void {
    const { sql } = this.#storage;
    commit(this.#storage, () => {
      if (this.#cached === null) this.#createTables();
      this.#record.write(record);
      for (const entry of journal) {
        sql.exec(
          "INSERT INTO journal (at, type, detail) VALUES (?, ?, ?)",
          now,
          entry.type,
          JSON.stringify(entry.detail ?? {}),
        );
      }
      if (ended) this.#keepOperation(ended, record.epoch, now);
      this.alarm.arm(alarm);
    });
    this.#cached = record;
    if (ended) this.#ended = ended;
  }

  operation(id: string): OperationView | null {
    if (this.#ended?.id === id) return this.#ended;
    if (!hasTable(this.#storage.sql, "operations")) return null;
    const [row] = this.#storage.sql.exec<{ doc: string }>("SELECT doc FROM operations WHERE id = ?", id).toArray();
    return row ? (JSON.parse(row.doc) as OperationView) : null;
  }

  #keepOperation(ended: OperationView, epoch: Epoch, now: number): void {
    const { sql } = this.#storage;
    sql.exec(
      "INSERT OR REPLACE INTO operations (id, ended_at, doc) VALUES (?, ?, ?)",
      ended.id,
      now,
      JSON.stringify(ended),
    );
    if (epoch % PRUNE_EVERY !== 0) return;
    sql.exec(
      "DELETE FROM operations WHERE id NOT IN (SELECT id FROM operations ORDER BY ended_at DESC LIMIT ?)",
      KEPT_OPERATIONS,
    );
    sql.exec("DELETE FROM journal WHERE seq <= (SELECT MAX(seq) FROM journal) - ?", KEPT_JOURNAL);
  }

  #createTables(): void {
    this.#storage.sql.exec(
      `CREATE TABLE IF NOT EXISTS operations (id TEXT PRIMARY KEY, ended_at INTEGER NOT NULL, doc TEXT NOT NULL) STRICT;
       CREATE TABLE IF NOT EXISTS journal (seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, type TEXT NOT NULL, detail TEXT NOT NULL) STRICT`,
    );
  }
}
