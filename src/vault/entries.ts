import type { Generation } from "../ids.ts";
import { CURRENT, jsonBatches, jsonColumns } from "./schema.ts";
import { INLINE_LIMIT, PAGE_LIMIT, type PageCursor, type PageEntry } from "./storage.ts";
import { type Content, type Difference, type Entry, keyOf, pathOf, type Tree } from "./tree.ts";

const COLUMNS = "key, kind, mode, uid, gid, mtime_ns, target, size, sha256, part_size, etag, body, object, metadata";
const COUNT = 14;

/** Entries of a tree that is kept in memory: about 10 MB. */
const REMEMBERED = 20_000;

/** Where the rows of a generation are: in the history, or aside. */
export interface Source {
  generation: Generation;
  aside: boolean;
}

/** Before everything in key order. */
export const START: PageCursor = { key: "", kind: "" as PageCursor["kind"] };

/** A page of entries; its contents in their order, those that are in packs only by their rows. */
export interface EntriesPage {
  entries: PageEntry[];
  contents: (Uint8Array | number)[];
  next: PageCursor | null;
}

/** The SQL of generations: the history as rows valid in [from_gen, to_gen), what was kept beside it as whole copies, and inline contents. */
export class Entries {
  readonly #sql: SqlStorage;
  /** The tree that was read last: opening and committing a save look at the same one. A generation never changes, so it cannot be stale. */
  #last: { generation: Generation; tree: Tree } | null = null;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
  }

  /** The whole tree of a generation of the history. */
  tree(generation: Generation | 0): Tree {
    if (generation === 0) return new Map();
    if (this.#last?.generation === generation) return this.#last.tree;
    const tree = this.#treeOf(`SELECT ${COLUMNS} FROM entries WHERE from_gen <= ?1 AND to_gen > ?1`, generation);
    this.#last = tree.size <= REMEMBERED ? { generation, tree } : null;
    return tree;
  }

  /** The whole tree of a generation that was kept beside the history. */
  asideTree(generation: Generation): Tree {
    return this.#treeOf(`SELECT ${COLUMNS} FROM aside WHERE generation = ?`, generation);
  }

  /** One file or symlink of the history by its S3 key; a file before a symlink of the same key. */
  find(generation: Generation | 0, key: string): Entry | null {
    if (generation === 0) return null;
    const [row] = this.#sql
      .exec(
        `SELECT ${COLUMNS} FROM entries WHERE key = ?1 AND kind <> 'directory' AND from_gen <= ?2 AND to_gen > ?2 ORDER BY kind LIMIT 1`,
        key,
        generation,
      )
      .raw();
    return row === undefined ? null : toEntry(row);
  }

  /** Makes `generation` the current tree; inside a commit. */
  apply(difference: Difference, generation: Generation): void {
    for (const json of jsonBatches(difference.ended.map((entry) => [keyOf(entry.path, entry.kind), entry.kind]))) {
      this.#sql.exec(
        `UPDATE entries SET to_gen = ? WHERE to_gen = ${CURRENT} AND (key, kind) IN (SELECT value->>0, value->>1 FROM json_each(?))`,
        generation,
        json,
      );
    }
    for (const json of jsonBatches(difference.begun.map(toRow))) {
      this.#sql.exec(
        `INSERT INTO entries (from_gen, to_gen, ${COLUMNS}) SELECT ?, ${CURRENT}, ${jsonColumns(COUNT)} FROM json_each(?)`,
        generation,
        json,
      );
    }
  }

  /** Keeps a whole tree beside the history; inside a commit. */
  keepAside(tree: Tree, generation: Generation): void {
    for (const json of jsonBatches([...tree.values()].map(toRow))) {
      this.#sql.exec(
        `INSERT INTO aside (generation, ${COLUMNS}) SELECT ?, ${jsonColumns(COUNT)} FROM json_each(?)`,
        generation,
        json,
      );
    }
  }

  /** Entries in key order after a place; not to be held across an await. `but` leaves out rows that a generation of the history shares. */
  *rows(of: Source, after: PageCursor, but: Generation | null = null): Generator<Entry> {
    const shared = but === null || of.aside ? "" : "AND NOT (from_gen <= ?4 AND to_gen > ?4)";
    const source = of.aside ? "aside WHERE generation = ?1" : "entries WHERE from_gen <= ?1 AND to_gen > ?1";
    const bindings = [of.generation, after.key, after.kind, ...(shared === "" ? [] : [but])];
    const rows = this.#sql
      .exec(`SELECT ${COLUMNS} FROM ${source} AND (key, kind) > (?2, ?3) ${shared} ORDER BY key, kind`, ...bindings)
      .raw();
    for (const row of rows) yield toEntry(row);
  }

  /** At most `limit` entries in key order after a place. */
  some(of: Source, after: PageCursor, limit: number): Entry[] {
    const source = of.aside ? "aside WHERE generation = ?1" : "entries WHERE from_gen <= ?1 AND to_gen > ?1";
    const query = `SELECT ${COLUMNS} FROM ${source} AND (key, kind) > (?2, ?3) ORDER BY key, kind LIMIT ?4`;
    return Array.from(this.#sql.exec(query, of.generation, after.key, after.kind, limit).raw(), toEntry);
  }

  /** What a path is in a generation: a file, a symlink or a directory. */
  at(of: Source, path: string): Entry | null {
    const keys = (["file", "symlink", "directory"] as const).map((kind) => [keyOf(path, kind), kind]);
    const source = of.aside ? "aside WHERE generation = ?1" : "entries WHERE from_gen <= ?1 AND to_gen > ?1";
    const [row] = this.#sql
      .exec(
        `SELECT ${COLUMNS} FROM ${source} AND (key, kind) IN (SELECT value->>0, value->>1 FROM json_each(?2)) LIMIT 1`,
        of.generation,
        JSON.stringify(keys),
      )
      .raw();
    return row === undefined ? null : toEntry(row);
  }

  /** Entries in key order with their inline contents, as many as fit in one message; of a content that was moved to its pack the row alone. */
  page({ generation, aside }: Source, after: PageCursor | null): EntriesPage {
    const source = aside
      ? "aside AS e LEFT JOIN bodies USING (body) WHERE generation = ?1"
      : "entries AS e LEFT JOIN bodies USING (body) WHERE from_gen <= ?1 AND to_gen > ?1";
    const entries: PageEntry[] = [];
    const contents: EntriesPage["contents"] = [];
    let bytes = 0;
    let next: PageCursor | null = null;
    const rows = this.#sql
      .exec(
        `SELECT ${COLUMNS}, data FROM ${source} AND (key, kind) > (?2, ?3) ORDER BY key, kind`,
        generation,
        after?.key ?? "",
        after?.kind ?? "",
      )
      .raw();
    for (const row of rows) {
      const entry = toEntry(row);
      const data = row[COUNT] instanceof ArrayBuffer ? (row[COUNT] as ArrayBuffer) : null;
      const body = entry.content?.body ?? null;
      // 300 is about what an entry without its names and content takes on the wire.
      bytes += (body === null ? 0 : (entry.content?.size ?? 0)) + 300 + 2 * (entry.path.length + entry.target.length);
      entries.push(toPageEntry(entry));
      if (body !== null) contents.push(data === null ? body : new Uint8Array(data));
      if (bytes > PAGE_LIMIT - 2 * INLINE_LIMIT) {
        next = { key: keyOf(entry.path, entry.kind), kind: entry.kind };
        break;
      }
    }
    return { entries, contents, next };
  }

  /** After a commit that was rolled back, or when the index is made anew. */
  forget(): void {
    this.#last = null;
  }

  #treeOf(query: string, generation: Generation): Tree {
    const tree = new Map<string, Entry>();
    for (const row of this.#sql.exec(query, generation).raw()) {
      const entry = toEntry(row);
      tree.set(entry.path, entry);
    }
    return tree;
  }
}

type Row = readonly SqlStorageValue[];

function toEntry(row: Row): Entry {
  const kind = row[1] as Entry["kind"];
  return {
    path: pathOf(row[0] as string, kind),
    kind,
    mode: row[2] as number,
    uid: row[3] as number,
    gid: row[4] as number,
    mtimeNs: row[5] as string,
    target: row[6] as string,
    content: contentOf(row, 7),
    metadata: row[13] as string | null,
  };
}

/** Size, SHA-256, part size, etag, body and object, from column `at` on; null where there is no size. */
export function contentOf(row: Row, at: number): Content | null {
  if (row[at] === null) return null;
  return {
    size: row[at] as number,
    sha256: row[at + 1] as string,
    partSize: row[at + 2] as number | null,
    etag: row[at + 3] as string,
    body: row[at + 4] as number | null,
    object: row[at + 5] as string | null,
  };
}

/** The columns that `contentOf` reads. */
export function contentRow(content: Content | null): (string | number | null)[] {
  if (content === null) return [null, null, null, null, null, null];
  return [content.size, content.sha256, content.partSize, content.etag, content.body, content.object];
}

function toRow(entry: Entry): (string | number | null)[] {
  const { path, kind, mode, uid, gid, mtimeNs, target, content, metadata } = entry;
  return [keyOf(path, kind), kind, mode, uid, gid, mtimeNs, target, ...contentRow(content), metadata];
}

function toPageEntry(entry: Entry): PageEntry {
  const { path, kind, mode, uid, gid, mtimeNs, target, content } = entry;
  if (content === null) return { path, kind, mode, uid, gid, mtimeNs, target, content };
  const { size, sha256, partSize, etag, object } = content;
  return { path, kind, mode, uid, gid, mtimeNs, target, content: { size, sha256, partSize, etag, object } };
}
