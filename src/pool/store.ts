import type { AuditEntry } from "../audit/entry.ts";
import { Alarm } from "../durable/alarm.ts";
import { commit } from "../durable/commit.ts";
import { Document, hasTable } from "../durable/document.ts";
import { Journal } from "../durable/journal.ts";
import type { ContainerId, Epoch, PoolId, TenantId } from "../ids.ts";
import { type LegacyRecord, type PoolRecord, readRecord, readSlot, type Slot } from "./record.ts";
import { NO_STATISTICS, type PoolStatistics } from "./statistics.ts";

export interface PoolChange {
  record?: PoolRecord;
  statistics?: PoolStatistics;
  put?: readonly Slot[];
  remove?: readonly ContainerId[];
  /** Whom a lease is given to. */
  tenants?: readonly TenantId[];
  entries?: readonly AuditEntry[];
  alarm?: number | null;
}

/** A tenant that another pool gave a container, for this epoch. */
export interface Diversion {
  epoch: Epoch;
  poolId: PoolId;
}

/**
 * The Pool's tables (docs/storage.md): its record, its statistics, one row for every slot, one for every tenant that ever
 * leased, and the journal. All but the tenants are kept in memory too: this object is the only writer.
 */
export class PoolStore {
  readonly alarm: Alarm;
  readonly journal: Journal;
  readonly #storage: DurableObjectStorage;
  readonly #document: Document<PoolRecord | LegacyRecord>;
  readonly #figures: Document<PoolStatistics>;
  readonly #slots = new Map<ContainerId, Slot>();
  readonly #onChange: () => void;
  #record: PoolRecord | null;
  #statistics: PoolStatistics;
  #created: boolean;
  #diverts: boolean;
  /** Slots that D1 has not heard of as they are. Everything, until this life of the object has sent everything once. */
  #unsent: Set<ContainerId> | "everything" = "everything";

  /** `onChange` is called after every commit of which D1 has to hear. */
  constructor(storage: DurableObjectStorage, onChange: () => void) {
    this.#storage = storage;
    this.#onChange = onChange;
    this.alarm = new Alarm(storage);
    this.journal = new Journal(storage.sql);
    this.#document = new Document(storage.sql, "pool");
    this.#figures = new Document(storage.sql, "statistics");
    const stored = this.#document.read();
    this.#record = stored && readRecord(stored);
    this.#statistics = this.#figures.read() ?? inherited(stored);
    this.#created = hasTable(storage.sql, "tenants");
    this.#diverts = hasTable(storage.sql, "diversions");
    if (!hasTable(storage.sql, "slots")) return;
    for (const { doc } of storage.sql.exec<{ doc: string }>("SELECT doc FROM slots")) {
      const slot = readSlot(JSON.parse(doc) as Slot);
      this.#slots.set(slot.containerId, slot);
    }
  }

  get record(): PoolRecord | null {
    return this.#record;
  }

  get statistics(): PoolStatistics {
    return this.#statistics;
  }

  get slots(): readonly Slot[] {
    return [...this.#slots.values()];
  }

  slot(containerId: ContainerId): Slot | null {
    return this.#slots.get(containerId) ?? null;
  }

  /** One durable commit. */
  save(change: PoolChange): void {
    const { record, statistics, put = [], remove = [], entries = [] } = change;
    try {
      commit(this.#storage, () => this.#write(change));
    } catch (error) {
      this.journal.forget();
      throw error;
    }
    if (record) this.#record = record;
    if (statistics) this.#statistics = statistics;
    for (const slot of put) this.#slots.set(slot.containerId, slot);
    for (const containerId of remove) this.#slots.delete(containerId);
    for (const id of [...put.map((slot) => slot.containerId), ...remove]) this.#mark(id);
    if (put.length + remove.length + entries.length > 0) this.#onChange();
  }

  /** What D1 has not heard of; counted as sent from now on. */
  takeUnsent(): readonly ContainerId[] | "everything" {
    const unsent = this.#unsent === "everything" ? this.#unsent : [...this.#unsent];
    this.#unsent = new Set();
    return unsent;
  }

  /** What was taken did not arrive, or nobody knows: everything is sent again. */
  resendEverything(): void {
    this.#unsent = "everything";
  }

  get hasUnsent(): boolean {
    const { seq, delivered } = this.journal.head();
    return seq > delivered || this.#unsent === "everything" || this.#unsent.size > 0;
  }

  /** Tenants that ever leased, by id. */
  tenants(after: string, limit: number): TenantId[] {
    if (!this.#created) return [];
    return this.#storage.sql
      .exec<{ tenant_id: string }>(
        "SELECT tenant_id FROM tenants WHERE tenant_id > ? ORDER BY tenant_id LIMIT ?",
        after,
        limit,
      )
      .toArray()
      .map(({ tenant_id }) => tenant_id as TenantId);
  }

  forget(tenantId: TenantId): void {
    if (!this.#created) return;
    commit(this.#storage, () => {
      this.#storage.sql.exec("DELETE FROM tenants WHERE tenant_id = ?", tenantId);
      if (this.#diverts) this.#storage.sql.exec("DELETE FROM diversions WHERE tenant_id = ?", tenantId);
    });
  }

  /** Where a tenant was last sent for a container; null where that is over, or never was. */
  diversion(tenantId: TenantId): Diversion | null {
    if (!this.#diverts) return null;
    const [row] = this.#storage.sql
      .exec<{ epoch: number; pool_id: string }>("SELECT epoch, pool_id FROM diversions WHERE tenant_id = ?", tenantId)
      .toArray();
    return row ? { epoch: row.epoch as Epoch, poolId: row.pool_id as PoolId } : null;
  }

  /** One commit, unless that is what is stored already. */
  divert(tenantId: TenantId, to: Diversion | null): void {
    const before = this.diversion(tenantId);
    if (before?.epoch === to?.epoch && before?.poolId === to?.poolId) return;
    commit(this.#storage, () => {
      const { sql } = this.#storage;
      if (!to) return void sql.exec("DELETE FROM diversions WHERE tenant_id = ?", tenantId);
      sql.exec(
        "CREATE TABLE IF NOT EXISTS diversions (tenant_id TEXT PRIMARY KEY, epoch INTEGER NOT NULL, pool_id TEXT NOT NULL) STRICT, WITHOUT ROWID",
      );
      const { epoch, poolId } = to;
      sql.exec(
        "INSERT OR REPLACE INTO diversions (tenant_id, epoch, pool_id) VALUES (?, ?, ?)",
        tenantId,
        epoch,
        poolId,
      );
    });
    this.#diverts = true;
  }

  /** D1 has the journal up to `seq`. */
  confirm(seq: number): void {
    commit(this.#storage, () => this.journal.confirm(seq));
  }

  #write({ record, statistics, put = [], remove = [], tenants = [], entries = [], alarm }: PoolChange): void {
    const { sql } = this.#storage;
    this.#create();
    if (record) this.#document.write(record);
    if (statistics) this.#figures.write(statistics);
    for (const slot of put) {
      const doc = JSON.stringify(slot);
      sql.exec("INSERT OR REPLACE INTO slots (container_id, doc) VALUES (?, ?)", slot.containerId, doc);
    }
    for (const containerId of remove) sql.exec("DELETE FROM slots WHERE container_id = ?", containerId);
    for (const tenant of tenants) {
      sql.exec("INSERT OR IGNORE INTO tenants (tenant_id) VALUES (?)", tenant);
      if (this.#diverts) sql.exec("DELETE FROM diversions WHERE tenant_id = ?", tenant);
    }
    this.journal.append(entries);
    this.alarm.arm(alarm ?? null);
  }

  #mark(id: ContainerId): void {
    if (this.#unsent !== "everything") this.#unsent.add(id);
  }

  #create(): void {
    if (this.#created) return;
    this.#storage.sql.exec(
      `CREATE TABLE IF NOT EXISTS slots (container_id TEXT PRIMARY KEY, doc TEXT NOT NULL) STRICT;
       CREATE TABLE IF NOT EXISTS tenants (tenant_id TEXT PRIMARY KEY) STRICT, WITHOUT ROWID`,
    );
    this.#created = true;
  }
}

/** A record of the first version kept its counts itself. */
function inherited(stored: PoolRecord | LegacyRecord | null): PoolStatistics {
  if (stored?.version !== 1) return NO_STATISTICS;
  return { ...NO_STATISTICS, claims: stored.claims, hits: stored.hits };
}
