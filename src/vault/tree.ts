import { LINK_SUFFIX } from "./storage.ts";
import type { ManifestEntry, Size } from "./types.ts";

/** Where a content is and what is known of it; `body` is a row of inline contents, `object` an R2 key, both null for no bytes. */
export interface Content {
  size: number;
  sha256: string;
  partSize: number | null;
  etag: string;
  body: number | null;
  object: string | null;
}

/** One path of a generation. Its identity within a tree is the path; within the tables it is key and kind. */
export interface Entry {
  path: string;
  kind: ManifestEntry["kind"];
  mode: number;
  uid: number;
  gid: number;
  mtimeNs: string;
  /** Of a symlink; else empty. */
  target: string;
  /** Null for directories and symlinks. */
  content: Content | null;
  /** What an S3 client attached, as JSON; null where nothing. */
  metadata: string | null;
}

/** Path → entry. */
export type Tree = ReadonlyMap<string, Entry>;

/** One name that the S3 side or the tar of a save has staged. */
export interface Staged {
  key: string;
  kind: "file" | "symlink";
  removed: boolean;
  /** Null where the client sent none. */
  mtimeNs: string | null;
  /** Text of a symlink. */
  target: string;
  content: Content | null;
  metadata: string | null;
}

/**
 * The name on the S3 side, and what orders an archive: a directory's ends with a slash, so that it comes before everything in it.
 * The root is empty, so that it comes first. Only a file named `x.rclonelink` beside a symlink `x` shares a key.
 */
export function keyOf(path: string, kind: ManifestEntry["kind"]): string {
  switch (kind) {
    case "file":
      return path;
    case "symlink":
      return path + LINK_SUFFIX;
    case "directory":
      return path === "" ? "" : `${path}/`;
  }
}

export function pathOf(key: string, kind: ManifestEntry["kind"]): string {
  switch (kind) {
    case "file":
      return key;
    case "symlink":
      return key.slice(0, -LINK_SUFFIX.length);
    case "directory":
      return key === "" ? "" : key.slice(0, -1);
  }
}

/** Regular files and symlinks, and bytes of regular files: what the guard counts. */
export function sizeOf(tree: Iterable<Entry>): Size {
  let files = 0;
  let bytes = 0;
  for (const entry of tree) {
    if (entry.kind === "directory") continue;
    files += 1;
    bytes += entry.content?.size ?? 0;
  }
  return { files, bytes };
}

/** Whether two entries stand for the same content; modes, owners and times aside. */
export function sameContent(a: Entry, b: Entry): boolean {
  if (a.kind !== b.kind || a.target !== b.target) return false;
  return (
    a.content?.sha256 === b.content?.sha256 &&
    a.content?.size === b.content?.size &&
    a.content?.partSize === b.content?.partSize
  );
}

function sameEntry(a: Entry, b: Entry): boolean {
  return (
    sameContent(a, b) &&
    a.mode === b.mode &&
    a.uid === b.uid &&
    a.gid === b.gid &&
    a.mtimeNs === b.mtimeNs &&
    a.metadata === b.metadata &&
    a.content?.etag === b.content?.etag
  );
}

export interface Difference {
  /** Entries of the old tree that end, and of the new one that begin. A changed path is in both. */
  ended: Entry[];
  begun: Entry[];
  /** Files and symlinks that were added, replaced or removed. */
  changed: number;
}

export function difference(from: Tree, to: Tree): Difference {
  const ended: Entry[] = [];
  const begun: Entry[] = [];
  let changed = 0;
  for (const [path, next] of to) {
    const before = from.get(path);
    if (before !== undefined && sameEntry(before, next)) continue;
    begun.push(next);
    if (before !== undefined) ended.push(before);
    const wasFile = before !== undefined && before.kind !== "directory";
    if (next.kind === "directory" ? wasFile : !(before !== undefined && sameContent(before, next))) changed += 1;
  }
  for (const [path, before] of from) {
    if (to.has(path)) continue;
    ended.push(before);
    if (before.kind !== "directory") changed += 1;
  }
  return { ended, begun, changed };
}
