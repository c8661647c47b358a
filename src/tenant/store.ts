import { type AuditEntry, audited, type ChainedEntry, documentHash } from "../audit/entry.ts";
import type { By } from "../auth/principal.ts";
import { Alarm } from "../durable/alarm.ts";
import { commit } from "../durable/commit.ts";
import { Document, hasTable } from "../durable/document.ts";
import { HISTORY, Journal } from "../durable/journal.ts";
import type { Epoch } from "../ids.ts";
import { Admissions } from "./admissions.ts";
import type { JournalEntry } from "./events.ts";
import { type TenantRecord, upgraded } from "./record.ts";
import { SyncHistory } from "./sync-history.ts";
import type { SyncRun } from "./syncs.ts";
import type { ConfigVersion, OperationView } from "./views.ts";

const KEPT_OPERATIONS = 20;
const KEPT_CONFIGS = 50;
/** Old rows go at every so many assignments: looking for them costs more than the claim's own writes. */
const PRUNE_EVERY = 8;

/** One durable change of a tenant: what it is after it, and the record of it. */
export interface TenantChange {
  record: TenantRecord;
  now: number;
  by: By;
  journal: readonly JournalEntry[];
  ended?: OperationView;
  /** Operations that ended with it. */
  also?: readonly OperationView[];
  newConfig?: { version: number; config: unknown };
  /** Lines for the history of syncs. */
  synced?: readonly SyncRun[];
  alarm: number | null;
}

/** The Tenant's tables (docs/storage.md): its record, ended operations, configs, and its journal. Reading creates nothing. */
export class TenantStore {
  readonly alarm: Alarm;
  readonly journal: Journal;
  readonly syncs: SyncHistory;
  readonly #storage: DurableObjectStorage;
  readonly #record: Document<TenantRecord>;
  /** What the row holds; this object is its only writer. `undefined` before the first read. */
  #cached: TenantRecord | null | undefined;
  /** Of the row, once it was written in this life of the object. */
  #hash: string | null = null;
  /** The operation that ended last, as its row says; whoever waited for it asks at once. */
  #ended: OperationView | null = null;

  constructor(storage: DurableObjectStorage) {
    this.#storage = storage;
    this.alarm = new Alarm(storage);
    this.journal = new Journal(storage.sql);
    this.syncs = new SyncHistory(storage.sql);
    this.#record = new Document(storage.sql, "tenant");
  }

  load(): TenantRecord | null {
    if (this.#cached === undefined) {
      const stored = this.#record.read();
      this.#cached = stored && upgraded(stored);
      if (stored === null) this.journal.begin();
    }
    return this.#cached;
  }

  /** Before the first commit of a record that is made anew: its chain goes on where D1 says that it was. */
  adopt(last: ChainedEntry): void {
    commit(this.#storage, () => this.journal.adopt(last));
  }

  /** One durable commit: the record, the operation that ended, the journal and the alarm. */
  save(change: TenantChange): void {
    const { record, now, by, ended, also = [], newConfig, synced = [], alarm } = change;
    const before = this.#cached ?? null;
    const text = JSON.stringify(record);
    const hash = documentHash(text);
    const states = { before: this.#hash ?? (before && documentHash(JSON.stringify(before))), after: hash };
    const entries = entriesOf(before, change, states);
    try {
      commit(this.#storage, () => {
        if (before === null) this.#createTables();
        this.#record.write(record, text);
        this.journal.append(entries);
        for (const each of also) this.#keepOperation(each, record.epoch, now);
        if (ended) this.#keepOperation(ended, record.epoch, now);
        if (newConfig) this.#keepConfig({ ...newConfig, at: now, actor: by.actor });
        this.syncs.append(synced);
        this.#withdraw(before, record);
        this.alarm.arm(alarm);
      });
    } catch (error) {
      this.journal.forget();
      this.alarm.rang();
      throw error;
    }
    this.#cached = record;
    this.#hash = hash;
    if (ended) this.#ended = ended;
  }

  /** D1 has the journal up to here. */
  confirm(seq: number): void {
    commit(this.#storage, () => this.journal.confirm(seq));
  }

  operation(id: string): OperationView | null {
    if (this.#ended?.id === id) return this.#ended;
    if (!hasTable(this.#storage.sql, "operations")) return null;
    const [row] = this.#storage.sql.exec<{ doc: string }>("SELECT doc FROM operations WHERE id = ?", id).toArray();
    return row ? (JSON.parse(row.doc) as OperationView) : null;
  }

  /** The newest first. */
  configs(): ConfigVersion[] {
    if (!hasTable(this.#storage.sql, "configs")) return [];
    return this.#storage.sql
      .exec<{ doc: string }>("SELECT doc FROM configs ORDER BY version DESC")
      .toArray()
      .map(({ doc }) => JSON.parse(doc) as ConfigVersion);
  }

  #keepConfig(config: ConfigVersion): void {
    const { sql } = this.#storage;
    sql.exec("CREATE TABLE IF NOT EXISTS configs (version INTEGER PRIMARY KEY, doc TEXT NOT NULL) STRICT");
    sql.exec("INSERT OR REPLACE INTO configs (version, doc) VALUES (?, ?)", config.version, JSON.stringify(config));
    sql.exec("DELETE FROM configs WHERE version <= ?", config.version - KEPT_CONFIGS);
  }

  /** What other tables hold ends with what the record says: codes and tickets with their token version, configs with the tenant. */
  #withdraw(before: TenantRecord | null, after: TenantRecord): void {
    const { sql } = this.#storage;
    if (before && after.tokenVersion > before.tokenVersion) new Admissions(sql).revokeAll();
    if (before?.delivery.config === undefined || after.delivery.config !== undefined) return;
    if (hasTable(sql, "configs")) sql.exec("DELETE FROM configs");
  }

  #keepOperation(ended: OperationView, epoch: Epoch, now: number): void {
    const { sql } = this.#storage;
    sql.exec(
      "INSERT OR REPLACE INTO operations (id, ended_at, doc) VALUES (?, ?, ?)",
      ended.id,
      now,
      JSON.stringify(ended),
    );
    // What neither comes nor goes may come often under one epoch.
    const stays = ended.kind === "sync" || ended.kind === "restart";
    if (!stays && epoch % PRUNE_EVERY !== 0) return;
    sql.exec(
      "DELETE FROM operations WHERE id NOT IN (SELECT id FROM operations ORDER BY ended_at DESC LIMIT ?)",
      KEPT_OPERATIONS,
    );
  }

  #createTables(): void {
    this.#storage.sql.exec(
      `CREATE TABLE IF NOT EXISTS operations (id TEXT PRIMARY KEY, ended_at INTEGER NOT NULL, doc TEXT NOT NULL) STRICT;
       ${HISTORY}`,
    );
    this.journal.began();
  }
}

/** What is recorded of a change. */
function entriesOf(
  before: TenantRecord | null,
  { record, now, by, journal }: TenantChange,
  states: { before: string | null; after: string },
): AuditEntry[] {
  const place = placeOf(before, record);
  return journal.map(({ type, detail = {} }) =>
    audited(by, now, type, `tenant:${record.tenantId}`, {
      result: typeof detail.code === "string" ? detail.code : "ok",
      ...states,
      detail: { ...place, ...detail },
    }),
  );
}

/** Where it happened: events are found by it. Of a container that was left, the one that was. */
function placeOf(before: TenantRecord | null, after: TenantRecord): Record<string, string> {
  const containerId = (after.held ?? before?.held)?.containerId;
  return { ...(after.poolId === null ? {} : { poolId: after.poolId }), ...(containerId ? { containerId } : {}) };
}
