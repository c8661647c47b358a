import { hasTable } from "../durable/document.ts";
import type { Epoch, Generation } from "../ids.ts";
import type { Outcome } from "../outcome.ts";
import type { SaveState } from "./lifecycle.ts";
import type { VaultRecord } from "./plan.ts";
import type { Kept } from "./retention.ts";
import { createTables, SCHEMA } from "./schema.ts";
import type { Committed, GenerationSummary, OpenOptions, SaveRef } from "./types.ts";

/** One save, from its first `open` to its outcome. */
export interface Save extends SaveRef {
  /** Its row in the tables. */
  save: number;
  state: SaveState;
  base: Generation | 0;
  /** When it was opened last, in ms since 1970. */
  at: number;
  /** Counts the tars of this save. */
  attempt: number;
  /** Whether contents come as one tar, and whether that has arrived whole. */
  bundle: "none" | "begun" | "complete";
  generation: Generation | null;
  outcome: Outcome<Committed> | null;
  options: OpenOptions;
}

export interface GenerationRow extends GenerationSummary, Kept {
  generation: Generation;
  status: "kept" | "quarantined" | "detached";
  saveId: string;
  epoch: Epoch;
  incarnation: string;
  changed: number;
}

/** The rows that decide: who may write, what was saved, which generations there are. Entries and contents are in `entries.ts` and `staging.ts`. */
export class VaultStore {
  readonly #sql: SqlStorage;
  #exists: boolean | null = null;
  /** The one row, kept in memory: this object is its only writer. */
  #record: VaultRecord | null = null;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
  }

  /** Null for a Vault that was never used; asking creates nothing. */
  record(): VaultRecord | null {
    this.#exists ??= hasTable(this.#sql, "vault");
    if (!this.#exists) return null;
    this.#record ??=
      (this.#sql
        .exec("SELECT epoch, incarnation, base, head, last, rebuilding FROM vault WHERE id = 1")
        .toArray()[0] as unknown as VaultRecord | undefined) ?? null;
    return this.#record;
  }

  /** Inside a commit. A rolled-back one must call `forget`. */
  writeRecord(record: VaultRecord): void {
    if (this.record() === null) {
      if (!this.#exists) createTables(this.#sql);
      this.#exists = true;
    }
    this.#sql.exec(
      "INSERT OR REPLACE INTO vault (id, schema, epoch, incarnation, base, head, last, rebuilding) VALUES (1, ?, ?, ?, ?, ?, ?, ?)",
      SCHEMA,
      record.epoch,
      record.incarnation,
      record.base,
      record.head,
      record.last,
      record.rebuilding,
    );
    this.#record = record;
  }

  /** Drops what is remembered in memory. */
  forget(): void {
    this.#exists = null;
    this.#record = null;
  }

  saveById(saveId: string): Save | null {
    return this.#saves("save_id = ?", saveId)[0] ?? null;
  }

  openSaves(): Save[] {
    return this.#saves("state = 'open'");
  }

  /** Saves that still have rows in `staged` or `manifests` although nothing will be added to them. */
  endedWithRows(limit: number): Save[] {
    return this.#saves(
      `state <> 'open' AND (EXISTS (SELECT 1 FROM staged WHERE staged.save = saves.save)
        OR EXISTS (SELECT 1 FROM manifests WHERE manifests.save = saves.save)) LIMIT ?`,
      limit,
    );
  }

  /** Inside a commit. */
  insertSave(ref: SaveRef & Pick<Save, "base" | "options"> & { at: number }): Save {
    const { save } = this.#sql
      .exec<{ save: number }>(
        `INSERT INTO saves (save_id, state, epoch, incarnation, base, attempt, bundle, at, options) VALUES (?, 'open', ?, ?, ?, 0, 'none', ?, ?) RETURNING save`,
        ref.saveId,
        ref.epoch,
        ref.incarnation,
        ref.base,
        ref.at,
        JSON.stringify(ref.options),
      )
      .one();
    return { ...ref, save, state: "open", attempt: 0, bundle: "none", generation: null, outcome: null };
  }

  /** Inside a commit. */
  updateSave(save: Save): void {
    this.#sql.exec(
      "UPDATE saves SET state = ?, epoch = ?, incarnation = ?, base = ?, at = ?, attempt = ?, bundle = ?, generation = ?, outcome = ?, options = ? WHERE save = ?",
      save.state,
      save.epoch,
      save.incarnation,
      save.base,
      save.at,
      save.attempt,
      save.bundle,
      save.generation,
      save.outcome === null ? null : JSON.stringify(save.outcome),
      JSON.stringify(save.options),
      save.save,
    );
  }

  /** Whether there are ended saves beside the last `keep`. */
  hasMore(keep: number): boolean {
    const older = "SELECT 1 FROM saves WHERE state <> 'open' AND save <= (SELECT max(save) FROM saves) - ? LIMIT 1";
    return this.#sql.exec(older, keep).toArray().length > 0;
  }

  /** Forgets ended saves but for the last `keep`; inside a commit. */
  forgetSaves(keep: number): void {
    this.#sql.exec("DELETE FROM saves WHERE state <> 'open' AND save <= (SELECT max(save) FROM saves) - ?", keep);
  }

  generations(): GenerationRow[] {
    if (this.record() === null) return [];
    return this.#generations("1 = 1");
  }

  generation(generation: number): GenerationRow | null {
    return this.#generations("generation = ?", generation)[0] ?? null;
  }

  /** Inside a commit. */
  writeGeneration(row: GenerationRow): void {
    this.#sql.exec(
      `INSERT OR REPLACE INTO generations (generation, status, save_id, epoch, incarnation, at, files, bytes, changed, tree_hash, pinned)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      row.generation,
      row.status,
      row.saveId,
      row.epoch,
      row.incarnation,
      row.at,
      row.files,
      row.bytes,
      row.changed,
      row.treeHash,
      row.pinned ? 1 : 0,
    );
  }

  /** Inside a commit. */
  deleteGenerations(generations: readonly number[]): void {
    this.#sql.exec(
      "DELETE FROM generations WHERE generation IN (SELECT value FROM json_each(?))",
      JSON.stringify(generations),
    );
  }

  #saves(where: string, ...bindings: (string | number)[]): Save[] {
    const rows = this.#sql
      .exec<SaveColumns>(
        `SELECT save, save_id AS saveId, state, epoch, incarnation, base, at, attempt, bundle, generation, outcome, options FROM saves WHERE ${where}`,
        ...bindings,
      )
      .toArray();
    return rows.map(({ outcome, options, ...row }) => {
      const parsed = { outcome: outcome === null ? null : JSON.parse(outcome), options: JSON.parse(options ?? "{}") };
      return { ...row, ...parsed } as unknown as Save;
    });
  }

  #generations(where: string, ...bindings: number[]): GenerationRow[] {
    return this.#sql
      .exec(
        `SELECT generation, status, save_id AS saveId, epoch, incarnation, at, files, bytes, changed, tree_hash AS treeHash, pinned
         FROM generations WHERE ${where} ORDER BY generation`,
        ...bindings,
      )
      .toArray()
      .map((row) => ({ ...row, pinned: row.pinned === 1 }) as unknown as GenerationRow);
  }
}

type SaveColumns = Record<"saveId" | "state" | "incarnation" | "bundle", string> &
  Record<"save" | "epoch" | "base" | "at" | "attempt", number> & {
    generation: number | null;
    outcome: string | null;
    options: string | null;
  };
