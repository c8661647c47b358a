import { type AuditEntry, CHAIN_START, type ChainedEntry, chained } from "../audit/entry.ts";
import { hasTable } from "./document.ts";

/** Delivered entries that stay with their owner, for whoever asks it and not D1. */
const KEPT = 500;
const PRUNE_EVERY = 50;
/** The row that says up to where D1 has the entries; a table of its own would cost every new object two more writes. */
const DELIVERED = 0;

export const HISTORY = "CREATE TABLE IF NOT EXISTS history (seq INTEGER PRIMARY KEY, doc TEXT NOT NULL) STRICT";

/**
 * An object's own record of what happened to it: a hash chain, written in the transaction of each change, and the outbox
 * from which D1 gets its copy. An entry is never changed; a delivered one goes when 500 newer ones are there.
 */
export class Journal {
  readonly #sql: SqlStorage;
  #created: boolean | null = null;
  /** The end of the chain, and up to where D1 has it. */
  #head: { seq: number; hash: string; delivered: number } | null = null;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
  }

  /** Inside a commit. If that is rolled back, so must this object's memory be: call `forget`. */
  append(entries: readonly AuditEntry[]): void {
    if (entries.length === 0) return;
    const head = this.head();
    this.#create();
    let { seq, hash } = head;
    for (const entry of entries) {
      seq += 1;
      const link = chained(entry, seq, hash);
      hash = link.hash;
      this.#sql.exec("INSERT INTO history (seq, doc) VALUES (?, ?)", seq, JSON.stringify(link));
    }
    this.#head = { ...head, seq, hash };
    if (Math.floor(seq / PRUNE_EVERY) !== Math.floor(head.seq / PRUNE_EVERY)) this.#prune(head.delivered);
  }

  /** What D1 has not confirmed, the oldest first. */
  pending(limit: number): ChainedEntry[] {
    const { seq, delivered } = this.head();
    if (seq === delivered) return [];
    return this.#read("AND seq > ? ORDER BY seq LIMIT ?", delivered, limit);
  }

  /** The latest entries, the newest first. */
  latest(limit: number): ChainedEntry[] {
    return this.head().seq === 0 ? [] : this.#read("ORDER BY seq DESC LIMIT ?", limit);
  }

  /** Inside a commit: D1 has everything up to `seq`. */
  confirm(seq: number): void {
    const head = this.head();
    if (seq <= head.delivered) return;
    this.#sql.exec("INSERT OR REPLACE INTO history (seq, doc) VALUES (?, ?)", DELIVERED, String(seq));
    this.#head = { ...head, delivered: seq };
  }

  head(): { seq: number; hash: string; delivered: number } {
    this.#head ??= this.#load();
    return this.#head;
  }

  /** An object that lost its storage goes on where D1's copy of its chain ends: call it just before the first `append`. */
  continueFrom({ seq, hash }: { seq: number; hash: string }): void {
    if (this.head().seq === 0) this.#head = { seq, hash, delivered: seq };
  }

  /** Inside a commit: goes on where this chain was, as D1 has it, after its owner lost it. */
  adopt(last: ChainedEntry): void {
    this.#create();
    const sql = "INSERT OR REPLACE INTO history (seq, doc) VALUES (?, ?)";
    this.#sql.exec(sql, last.seq, JSON.stringify(last));
    this.#sql.exec(sql, DELIVERED, String(last.seq));
    this.#head = { seq: last.seq, hash: last.hash, delivered: last.seq };
  }

  /** For an object that never stored anything: saves looking. */
  begin(): void {
    this.#created = false;
  }

  /** The same, inside the commit that creates the object's tables with `HISTORY` among them. */
  began(): void {
    this.#created = true;
    this.#head ??= { seq: 0, hash: CHAIN_START, delivered: 0 };
  }

  /** After a transaction that was rolled back. */
  forget(): void {
    this.#head = null;
    this.#created = null;
  }

  #load() {
    if (!this.#there()) return { seq: 0, hash: CHAIN_START, delivered: 0 };
    const [last] = this.#read("ORDER BY seq DESC LIMIT 1");
    const [row] = this.#sql.exec<{ doc: string }>("SELECT doc FROM history WHERE seq = ?", DELIVERED).toArray();
    return { seq: last?.seq ?? 0, hash: last?.hash ?? CHAIN_START, delivered: Number(row?.doc ?? 0) };
  }

  #read(clause: string, ...bindings: number[]): ChainedEntry[] {
    return this.#sql
      .exec<{ doc: string }>(`SELECT doc FROM history WHERE seq > ${DELIVERED} ${clause}`, ...bindings)
      .toArray()
      .map(({ doc }) => JSON.parse(doc) as ChainedEntry);
  }

  #prune(delivered: number): void {
    this.#sql.exec(
      "DELETE FROM history WHERE seq > 0 AND seq <= ? AND seq <= (SELECT MAX(seq) FROM history) - ?",
      delivered,
      KEPT,
    );
  }

  #there(): boolean {
    this.#created ??= hasTable(this.#sql, "history");
    return this.#created;
  }

  #create(): void {
    if (this.#there()) return;
    this.#sql.exec(HISTORY);
    this.#created = true;
  }
}
