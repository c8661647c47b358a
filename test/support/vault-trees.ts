import type { Content, Entry, Staged, Tree } from "../../src/vault/tree.ts";
import type { ManifestEntry } from "../../src/vault/types.ts";

let bodies = 0;

export const aContent = (size: number, sha256 = `${size}`): Content => ({
  size,
  sha256,
  partSize: null,
  etag: sha256,
  body: size === 0 ? null : ++bodies,
  object: null,
});

export const aFile = (path: string, size: number, over: Partial<Entry> = {}): Entry => ({
  path,
  kind: "file",
  mode: 0o644,
  uid: 1,
  gid: 1,
  mtimeNs: "1",
  target: "",
  content: aContent(size),
  metadata: null,
  ...over,
});

export const aLink = (path: string, target: string, over: Partial<Entry> = {}): Entry => ({
  ...aFile(path, 0),
  kind: "symlink",
  content: null,
  target,
  ...over,
});

export const aDirectory = (path: string, over: Partial<Entry> = {}): Entry => ({
  ...aFile(path, 0),
  kind: "directory",
  content: null,
  ...over,
});

export const aTree = (entries: readonly Entry[]): Tree => new Map(entries.map((entry) => [entry.path, entry]));

/** What the manifest says of an entry. */
export function listed(entry: Entry, over: Partial<ManifestEntry> = {}): ManifestEntry {
  const { path, kind, mode, uid, gid, mtimeNs, target } = entry;
  const size = entry.content?.size ?? 0;
  return {
    path,
    kind,
    mode,
    uid,
    gid,
    size,
    mtimeNs,
    ctimeNs: mtimeNs,
    inode: "1",
    ...(kind === "symlink" && { target }),
    ...over,
  };
}

/** What a client sends of an entry. */
export function sent(entry: Entry, over: Partial<Staged> = {}): Staged {
  const { path, kind, mtimeNs, target, content } = entry;
  const symlink = kind === "symlink";
  return {
    key: symlink ? `${path}.rclonelink` : path,
    kind: symlink ? "symlink" : "file",
    removed: false,
    mtimeNs,
    target,
    content,
    metadata: null,
    ...over,
  };
}

export const gone = (key: string): Staged => ({
  key,
  kind: "file",
  removed: true,
  mtimeNs: null,
  target: "",
  content: null,
  metadata: null,
});
