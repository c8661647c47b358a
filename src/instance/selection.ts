import { filterRules, literalGlob, ruleFilter } from "../sync/glob.ts";
import { keyOf } from "../vault/tree.ts";
import type { ManifestEntry, Size } from "../vault/types.ts";

/** What of a state directory is saved. */
export interface Selection {
  kept: ManifestEntry[];
  /** Files and symlinks that the workload's `exclude` left out. */
  excluded: Size;
  /** The same as globs of rclone. */
  exclude: string[];
}

/**
 * Leaves out what `exclude` names, what the file API is still writing, and SQLite's files that mean nothing without their
 * database (docs/sqlite.md): the shared memory of a running one, and a write-ahead log or shared memory whose database is
 * not saved. A database that came back beside the log of another life of it would be recovered from that.
 */
export function selectionOf(manifest: readonly ManifestEntry[], exclude: readonly string[]): Selection {
  const filter = ruleFilter(filterRules({ exclude }));
  const excluded = { files: 0, bytes: 0 };
  const passed = manifest.filter((entry) => {
    if (entry.path === "") return true;
    const passes =
      entry.kind === "directory" ? filter.directory(entry.path) : filter.file(keyOf(entry.path, entry.kind));
    if (!passes && entry.kind !== "directory") {
      excluded.files += 1;
      excluded.bytes += entry.size;
    }
    return passes;
  });
  const all = filesOf(manifest);
  const saved = filesOf(passed);
  const kept = passed.filter((entry) => !isStray(entry, all, saved));
  const strays = passed.filter((entry) => isStray(entry, all, saved));
  return { kept, excluded, exclude: [...exclude, ...strays.map(({ path }) => literalGlob(path))] };
}

const filesOf = (entries: readonly ManifestEntry[]): ReadonlyMap<string, ManifestEntry> =>
  new Map(entries.filter(({ kind }) => kind === "file").map((entry) => [entry.path, entry]));

/** What the file API has not moved into its place yet (containers/base, files/write). */
const HALF_WRITTEN = /(?:^|\/)\.boilerhouse-\d+-\d+\.\d+$/;
const SIDE = /^(.+)-(wal|shm)$/su;
/** SQLite itself gives no names; these are the usual ones. */
const DATABASE_NAME = /\.(?:db3?|sqlite3?|s3db|sl3)$/i;
/** What a log begins with, and the least size of a page. */
const WAL_HEADER = 32;
const PAGE = 512;
const SHM_UNIT = 32_768;

function isStray(
  entry: ManifestEntry,
  all: ReadonlyMap<string, ManifestEntry>,
  saved: ReadonlyMap<string, ManifestEntry>,
): boolean {
  if (entry.kind === "file" && HALF_WRITTEN.test(entry.path)) return true;
  const [, name = "", kind] = (entry.kind === "file" && SIDE.exec(entry.path)) || [];
  if (!kind || !looksLike(kind, entry.size)) return false;
  const database = all.get(name);
  if (!database) return DATABASE_NAME.test(name);
  if (database.size % PAGE !== 0) return false;
  return kind === "shm" || !saved.has(name);
}

const looksLike = (kind: string, size: number): boolean =>
  kind === "shm" ? size % SHM_UNIT === 0 : size === 0 || size >= WAL_HEADER;
