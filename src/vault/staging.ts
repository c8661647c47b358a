import { createHash } from "node:crypto";
import type { Generation } from "../ids.ts";
import { contentOf, contentRow } from "./entries.ts";
import type { ScanFrom } from "./listing.ts";
import { jsonBatches, jsonColumns } from "./schema.ts";
import type { ListedObject } from "./storage.ts";
import type { Staged } from "./tree.ts";
import type { ManifestEntry } from "./types.ts";

const COLUMNS = "key, kind, removed, mtime_ns, target, size, sha256, part_size, etag, body, object, metadata";
const COUNT = 12;

/** What a listing looks through: the open save, laid over the generation that it began from. */
export interface View {
  /** Null outside a save. */
  save: number | null;
  /** 0 when nothing lies below: no generation yet, or a save that sends everything. */
  base: Generation | 0;
  /** For objects whose client sent no time. */
  nowNs: string;
}

/** The SQL of saves under way: what was sent, and the manifest to compare it with. */
export class Staging {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
  }

  /** Stages rows; a key that was staged before is replaced and what it held becomes garbage. Inside a commit. */
  put(save: number, rows: readonly Staged[]): void {
    for (const json of jsonBatches(rows.map((row) => [row.key]))) {
      const known = "save = ? AND key IN (SELECT value->>0 FROM json_each(?))";
      this.#sql.exec(
        `INSERT INTO garbage (body, object) SELECT body, object FROM staged WHERE ${known} AND (body IS NOT NULL OR object IS NOT NULL)`,
        save,
        json,
      );
      this.#sql.exec(`DELETE FROM staged WHERE ${known}`, save, json);
    }
    this.add(save, rows);
  }

  /** Stages rows of which a later one replaces an earlier one of the same key and kind. Inside a commit. */
  add(save: number, rows: readonly Staged[]): void {
    for (const json of jsonBatches(rows.map(toRow))) {
      this.#sql.exec(
        `INSERT OR REPLACE INTO staged (save, ${COLUMNS}) SELECT ?, ${jsonColumns(COUNT)} FROM json_each(?)`,
        save,
        json,
      );
    }
  }

  find(save: number, key: string): Staged | null {
    const [row] = this.#sql
      .exec(`SELECT ${COLUMNS} FROM staged WHERE save = ? AND key = ? ORDER BY kind LIMIT 1`, save, key)
      .raw();
    return row === undefined ? null : toStaged(row);
  }

  /** Whether anything was sent. */
  any(save: number): boolean {
    return this.#sql.exec("SELECT 1 FROM staged WHERE save = ? LIMIT 1", save).toArray().length > 0;
  }

  all(save: number): Staged[] {
    return Array.from(this.#sql.exec(`SELECT ${COLUMNS} FROM staged WHERE save = ?`, save).raw(), toStaged);
  }

  /** Drops everything that a save has sent; inside a commit. */
  clear(save: number): void {
    this.#sql.exec(
      "INSERT INTO garbage (body, object) SELECT body, object FROM staged WHERE save = ? AND (body IS NOT NULL OR object IS NOT NULL)",
      save,
    );
    this.#sql.exec("DELETE FROM staged WHERE save = ?", save);
  }

  /** Objects of a view in key order. */
  *scan(view: View, prefix: string, from: ScanFrom): Generator<ListedObject> {
    // One lower bound for the index; the unary plus keeps the other condition away from it.
    const within = `key >= max(?3, ?4) AND +key ${from.inclusive ? ">=" : ">"} ?3`;
    const rows = this.#sql
      .exec(
        `SELECT key, kind, size, coalesce(mtime_ns, (metadata->>'at') || '000000'), target, etag FROM staged
           WHERE save = ?1 AND removed = 0 AND ${within}
         UNION ALL
         SELECT key, kind, size, mtime_ns, target, etag FROM entries
           WHERE ${within} AND from_gen <= ?2 AND to_gen > ?2 AND kind <> 'directory'
             AND NOT EXISTS (SELECT 1 FROM staged WHERE save = ?1 AND staged.key = entries.key)
         ORDER BY key`,
        view.save ?? -1,
        view.base,
        from.key,
        prefix,
      )
      .raw();
    for (const row of rows) {
      const [key, kind, size, mtimeNs, target, etag] = row as [
        string,
        string,
        number | null,
        string | null,
        string,
        string | null,
      ];
      const link = kind === "symlink" ? linkContent(target) : null;
      yield { key, size: link?.size ?? size ?? 0, mtimeNs: mtimeNs ?? view.nowNs, etag: link?.etag ?? etag ?? "" };
    }
  }

  /** Inside a commit. */
  writeManifest(save: number, manifest: readonly ManifestEntry[]): void {
    this.dropManifest(save);
    this.addToManifest(save, manifest);
  }

  /** Inside a commit. */
  addToManifest(save: number, manifest: readonly ManifestEntry[]): void {
    const rows = manifest.map((e) => [
      e.path,
      e.kind,
      e.mode,
      e.uid,
      e.gid,
      e.size,
      e.mtimeNs,
      e.ctimeNs,
      e.inode,
      e.target ?? "",
    ]);
    const [row] = this.#sql.exec<{ last: number | null }>(
      "SELECT max(part) AS last FROM manifests WHERE save = ?",
      save,
    );
    let part = (row?.last ?? -1) + 1;
    for (const json of jsonBatches(rows)) {
      this.#sql.exec("INSERT INTO manifests (save, part, entries) VALUES (?, ?, ?)", save, part++, json);
    }
  }

  manifest(save: number): ManifestEntry[] {
    const parts = this.#sql
      .exec<{ entries: string }>("SELECT entries FROM manifests WHERE save = ? ORDER BY part", save)
      .toArray();
    return parts.flatMap((part) => (JSON.parse(part.entries) as ManifestRow[]).map(toManifestEntry));
  }

  /** Inside a commit. */
  dropManifest(save: number): void {
    this.#sql.exec("DELETE FROM manifests WHERE save = ?", save);
  }
}

/** A symlink is an object whose content is its target (rclone `--links`). */
export function linkContent(target: string): { size: number; etag: string; sha256: string } {
  const bytes = new TextEncoder().encode(target);
  const hash = (algorithm: string) => createHash(algorithm).update(bytes).digest("hex");
  return { size: bytes.length, etag: hash("md5"), sha256: hash("sha256") };
}

type ManifestRow = [string, ManifestEntry["kind"], number, number, number, number, string, string, string, string];

function toManifestEntry(row: ManifestRow): ManifestEntry {
  const [path, kind, mode, uid, gid, size, mtimeNs, ctimeNs, inode, target] = row;
  return { path, kind, mode, uid, gid, size, mtimeNs, ctimeNs, inode, ...(kind === "symlink" && { target }) };
}

function toRow(row: Staged): (string | number | null)[] {
  return [row.key, row.kind, row.removed ? 1 : 0, row.mtimeNs, row.target, ...contentRow(row.content), row.metadata];
}

function toStaged(row: readonly SqlStorageValue[]): Staged {
  return {
    key: row[0] as string,
    kind: row[1] as Staged["kind"],
    removed: row[2] === 1,
    mtimeNs: row[3] as string | null,
    target: row[4] as string,
    content: contentOf(row, 5),
    metadata: row[11] as string | null,
  };
}
