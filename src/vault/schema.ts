/**
 * Every table of a Vault, by name. `docs/storage.md` says what each is for; a test compares the two.
 * Created together by the first fence, never by a read.
 */
const CONTENT = "size INTEGER, sha256 TEXT, part_size INTEGER, etag TEXT, body INTEGER, object TEXT, metadata TEXT";
const ATTRIBUTES =
  "mode INTEGER NOT NULL, uid INTEGER NOT NULL, gid INTEGER NOT NULL, mtime_ns TEXT NOT NULL, target TEXT NOT NULL";

export const TABLES = {
  vault:
    "id INTEGER PRIMARY KEY CHECK (id = 1), schema INTEGER NOT NULL, epoch INTEGER NOT NULL, incarnation TEXT, base INTEGER NOT NULL, head INTEGER NOT NULL, last INTEGER NOT NULL, rebuilding INTEGER NOT NULL DEFAULT 0",
  saves:
    "save INTEGER PRIMARY KEY, save_id TEXT NOT NULL UNIQUE, state TEXT NOT NULL, epoch INTEGER NOT NULL, incarnation TEXT NOT NULL, base INTEGER NOT NULL, attempt INTEGER NOT NULL, bundle TEXT NOT NULL, at INTEGER NOT NULL, generation INTEGER, outcome TEXT, options TEXT",
  manifests: "save INTEGER NOT NULL, part INTEGER NOT NULL, entries TEXT NOT NULL, PRIMARY KEY (save, part)",
  staged: `save INTEGER NOT NULL, key TEXT NOT NULL, kind TEXT NOT NULL, removed INTEGER NOT NULL, mtime_ns TEXT, target TEXT NOT NULL, ${CONTENT}, PRIMARY KEY (save, key, kind)`,
  uploads:
    "object TEXT PRIMARY KEY, save INTEGER NOT NULL, at INTEGER NOT NULL, key TEXT, r2_upload_id TEXT, metadata TEXT",
  parts:
    "object TEXT NOT NULL, number INTEGER NOT NULL, size INTEGER NOT NULL, sha256 TEXT NOT NULL, md5 TEXT NOT NULL, r2_etag TEXT NOT NULL, PRIMARY KEY (object, number)",
  generations:
    "generation INTEGER PRIMARY KEY, status TEXT NOT NULL, save_id TEXT NOT NULL, epoch INTEGER NOT NULL, incarnation TEXT NOT NULL, at INTEGER NOT NULL, files INTEGER NOT NULL, bytes INTEGER NOT NULL, changed INTEGER NOT NULL, tree_hash TEXT NOT NULL, pinned INTEGER NOT NULL DEFAULT 0",
  entries: `key TEXT NOT NULL, kind TEXT NOT NULL, from_gen INTEGER NOT NULL, to_gen INTEGER NOT NULL, ${ATTRIBUTES}, ${CONTENT}, PRIMARY KEY (key, kind, from_gen)`,
  aside: `generation INTEGER NOT NULL, key TEXT NOT NULL, kind TEXT NOT NULL, ${ATTRIBUTES}, ${CONTENT}, PRIMARY KEY (generation, key, kind)`,
  bodies: "body INTEGER PRIMARY KEY, data BLOB NOT NULL",
  garbage: "body INTEGER, object TEXT",
  packs:
    "pack INTEGER PRIMARY KEY, object TEXT NOT NULL UNIQUE, generation INTEGER NOT NULL, manifest INTEGER NOT NULL, bytes INTEGER NOT NULL",
  packed: "body INTEGER PRIMARY KEY, pack INTEGER NOT NULL, start INTEGER NOT NULL, size INTEGER NOT NULL",
  outbox: "generation INTEGER PRIMARY KEY, stamp INTEGER NOT NULL, attempts INTEGER NOT NULL, due INTEGER NOT NULL",
  leases: "generation INTEGER PRIMARY KEY, until INTEGER NOT NULL",
} as const;

/** Keyed by what is looked up, so the rows live in their index. */
const WITHOUT_ROWID = new Set(["manifests", "staged", "uploads", "parts", "entries", "aside"]);

const INDEXES = [
  "CREATE INDEX saves_open ON saves (state) WHERE state = 'open'",
  "CREATE INDEX entries_body ON entries (body) WHERE body IS NOT NULL",
  "CREATE INDEX entries_object ON entries (object) WHERE object IS NOT NULL",
  "CREATE INDEX entries_ended ON entries (to_gen) WHERE to_gen < 9007199254740991",
  "CREATE INDEX aside_body ON aside (body) WHERE body IS NOT NULL",
  "CREATE INDEX aside_object ON aside (object) WHERE object IS NOT NULL",
  "CREATE INDEX staged_body ON staged (body) WHERE body IS NOT NULL",
  "CREATE INDEX packed_place ON packed (pack, start)",
  "CREATE INDEX staged_object ON staged (object) WHERE object IS NOT NULL",
];

export const SCHEMA = 2;
/** `to_gen` of an entry that is still current. */
export const CURRENT = Number.MAX_SAFE_INTEGER;

/** Inside a commit. */
export function createTables(sql: SqlStorage): void {
  for (const [name, columns] of Object.entries(TABLES)) {
    sql.exec(`CREATE TABLE ${name} (${columns}) ${WITHOUT_ROWID.has(name) ? "STRICT, WITHOUT ROWID" : "STRICT"}`);
  }
  for (const index of INDEXES) sql.exec(index);
}

/**
 * Rows as JSON arrays of at most about a megabyte each, for `INSERT … SELECT … FROM json_each(?)`: one statement for a thousand rows
 * (a bound value may have 2 MB, and a statement 100 values: platform limits).
 */
export function* jsonBatches(rows: Iterable<readonly (string | number | null)[]>): Generator<string> {
  let batch: string[] = [];
  let length = 0;
  for (const row of rows) {
    const json = JSON.stringify(row);
    if (length + json.length > 400_000 && batch.length > 0) {
      yield `[${batch.join(",")}]`;
      batch = [];
      length = 0;
    }
    batch.push(json);
    length += json.length + 1;
  }
  if (batch.length > 0) yield `[${batch.join(",")}]`;
}

/** `value->>0, value->>1, …` for `jsonBatches`. */
export const jsonColumns = (count: number): string =>
  Array.from({ length: count }, (_, i) => `value->>${i}`).join(", ");
