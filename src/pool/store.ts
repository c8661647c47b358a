import { Alarm } from "../durable/alarm.ts";
import { commit } from "../durable/commit.ts";
import { Document, hasTable } from "../durable/document.ts";
import type { ContainerId } from "../ids.ts";
import type { PoolRecord, Slot } from "./record.ts";

/** The Pool's tables (docs/storage.md): its record, and one row for every slot. Kept in memory too: this object is the only writer. */
export class PoolStore {
  readonly alarm: Alarm;
  readonly #storage: DurableObjectStorage;
  readonly #document: Document<PoolRecord>;
  readonly #slots = new Map<ContainerId, Slot>();
  #record: PoolRecord | null;
  #created: boolean;

  constructor(storage: DurableObjectStorage) {
    this.#storage = storage;
    this.alarm = new Alarm(storage);
    this.#document = new Document(storage.sql, "pool");
    this.#record = this.#document.read();
    this.#created = hasTable(storage.sql, "slots");
    if (!this.#created) return;
    for (const { doc } of storage.sql.exec<{ doc: string }>("SELECT doc FROM slots")) {
      const slot = JSON.parse(doc) as Slot;
      this.#slots.set(slot.containerId, slot);
    }
  }

  get record(): PoolRecord | null {
    return this.#record;
  }

  get slots(): readonly Slot[] {
    return [...this.#slots.values()];
  }

  slot(containerId: ContainerId): Slot | null {
    return this.#slots.get(containerId) ?? null;
  }

  /** One durable commit. */
  save(change: { record?: PoolRecord; put?: readonly Slot[]; remove?: readonly ContainerId[]; alarm?: number }): void {
    const { sql } = this.#storage;
    commit(this.#storage, () => {
      this.#create();
      if (change.record) this.#document.write(change.record);
      for (const slot of change.put ?? []) {
        sql.exec(
          "INSERT OR REPLACE INTO slots (container_id, doc) VALUES (?, ?)",
          slot.containerId,
          JSON.stringify(slot),
        );
      }
      for (const containerId of change.remove ?? []) sql.exec("DELETE FROM slots WHERE container_id = ?", containerId);
      this.alarm.arm(change.alarm ?? null);
    });
    if (change.record) this.#record = change.record;
    for (const slot of change.put ?? []) this.#slots.set(slot.containerId, slot);
    for (const containerId of change.remove ?? []) this.#slots.delete(containerId);
  }

  #create(): void {
    if (this.#created) return;
    this.#storage.sql.exec(
      "CREATE TABLE IF NOT EXISTS slots (container_id TEXT PRIMARY KEY, doc TEXT NOT NULL) STRICT",
    );
    this.#created = true;
  }
}
