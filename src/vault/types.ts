import type { Epoch, Generation } from "../ids.ts";
import type { Outcome } from "../outcome.ts";
import type { PageCursor } from "./storage.ts";

/**
 * What the rest of the system may ask of a Vault (one per tenant). Every call that writes carries the epoch and the
 * incarnation that it acts for, and compares them in the transaction of its effect. `storage.ts` is the storage gateway's side.
 */
export interface VaultApi {
  /**
   * Raises the epoch and aborts every staging generation of an older one; a lower epoch is refused (`stale_epoch`).
   * `incarnation` is the container id. Answers with what a restore needs: the head, or null where nothing was ever saved.
   * It also binds the incarnation to that head: only a save that began there may replace it. The same incarnation under a
   * higher epoch (a release that was called off) stays bound to what it restored or last committed.
   */
  fence(epoch: Epoch, incarnation: string): Promise<Outcome<{ head: GenerationSummary | null }>>;
  /**
   * Opens a staging generation on top of the head for one save. A known `saveId` answers with what was recorded (`done`);
   * one that is still open begins again with the new manifest. An older save of this incarnation that is still open is aborted.
   * `manifest` lists the state directory as it is now; the answer says how to send it.
   */
  open(save: SaveRef, manifest: ManifestEntry[], options?: OpenOptions): Promise<Outcome<OpenAnswer>>;
  /**
   * Makes the staging generation the head in one transaction, or keeps it as `quarantined` (guard) or `detached` (conflict).
   * Idempotent by `saveId`. `save_failed` (what arrived is not what the manifest lists) leaves the save open, to be opened and sent again.
   * `force` on a save that the guard had stopped promotes what it kept.
   */
  commit(save: SaveRef, options: CommitOptions): Promise<Outcome<Committed>>;
  /** Drops a staging generation; legal for unknown saves. */
  abort(save: SaveRef): Promise<Outcome<null>>;
  /**
   * Makes the latest quarantined generation the head; `not_found` when there is none newer than the head.
   * `generation` makes it safe to ask again after a lost answer: when that is the head already, the answer says so.
   */
  promote(epoch: Epoch, generation?: Generation): Promise<Outcome<Committed>>;
  /**
   * Makes a new generation with the tree of an earlier one (of any status) the head; the history goes on, nothing of it is moved.
   * Idempotent by `saveId`. A higher epoch than the Vault's raises it and ends every save under way; whoever began from another head
   * conflicts with this one. `not_found` for a generation that is not kept.
   */
  restoreTo(save: SaveRef, generation: Generation): Promise<Outcome<Committed>>;
  /** A pinned generation is never pruned. `not_found` for a generation that is not kept. */
  pin(generation: Generation, options: { pinned: boolean }): Promise<Outcome<null>>;
  /** What is different in `to`, in key order (src/vault/tree.ts `keyOf`), at most `limit` paths after `after`. `not_found` for a generation that is not kept. */
  diff(from: Generation, to: Generation, page: PageRequest): Promise<Outcome<DiffPage>>;

  /** One path of a generation (the head for null), without a container; `found` is null where there is no such path. `not_found` for a generation that is not kept. */
  stat(path: string, generation: Generation | null): Promise<Outcome<Looked<FileInfo | null>>>;
  /** The same with a file's content, or the R2 key where it is. */
  readFile(path: string, generation: Generation | null): Promise<Outcome<Looked<FileContent | null>>>;
  /** What lies in a directory ("" for the whole), in key order; `found` is null where there is no such directory. */
  listFiles(
    directory: string,
    page: PageRequest & { recursive: boolean },
    generation: Generation | null,
  ): Promise<Outcome<Looked<FilePage | null>>>;
  /**
   * Deletes everything that the tenant saved, here and in R2, and shuts out every epoch below this one. Done when it
   * answers well; what failed half-way is gone on with when it is asked for again.
   */
  erase(epoch: Epoch): Promise<Outcome<ErasureProof>>;
  /**
   * Compares the index with itself and with R2, both ways: one page of it, from `cursor` (the `next` of the page before, null to begin) on.
   * `repair` mends what can be mended without losing anything, and deletes what nobody refers to any more.
   */
  fsck(cursor: string | null, options: { repair: boolean }): Promise<Outcome<FsckPage>>;
  /**
   * Makes the index anew from what R2 has, some generations at a time: asked again with `after` = `next` until that is null; `after: null` begins.
   * `epoch` must be newer than any that ever wrote (the Tenant gives it out), so that nobody who acted for the lost index can write into this one.
   * A Vault that has an index refuses (`conflict`), unless `discard` gives up what is in it and not in R2. Until it ends, everything else
   * is refused. `not_found` where R2 has nothing.
   */
  rebuild(epoch: Epoch, options: { after: Generation | null; discard: boolean }): Promise<Outcome<RebuildPage>>;
  /** Reads only; a Vault that was never used stays unused. */
  describe(): Promise<VaultDescription>;
}

/** That nothing of a tenant is left: how many objects the call deleted, and when a listing of all its keys found none (ms since 1970). */
export interface ErasureProof {
  deleted: number;
  listed: 0;
  at: number;
}

export interface SaveRef {
  epoch: Epoch;
  incarnation: string;
  /** Chosen and stored by the Tenant before the first attempt. */
  saveId: string;
}

/** What the caller knows beside the manifest. */
export interface OpenOptions {
  /**
   * The container's clock, in ns, when its files were known to be those of the base; null when nobody knows. A file whose ctime is later may
   * have been rewritten with size and mod-time put back. Without this option such files are not looked for.
   */
  changedSinceNs?: string | null;
  /**
   * For a save of some mappings only: what of the base stays although the manifest does not list it. That is all that lies outside the scope
   * of every rule, or in that of a `copy` rule. Without this option nothing does.
   */
  keep?: KeepRule[];
}

/** One mapping of a sync spec, whose files are listed under `prefix`; globs as in src/sync/glob.ts, relative to it. */
export interface KeepRule {
  prefix: string;
  mode: "sync" | "copy";
  pattern?: string;
  exclude: string[];
}

export interface CommitOptions {
  force: boolean;
  /** Globs of what is not saved any more: that it is missing alarms no guard. */
  exclude?: readonly string[];
  /** A tree that is the head's in every respect becomes no generation: the answer is the head, `unchanged`. */
  skipUnchanged?: boolean;
}

/** One record of `find` (docs/container.md): the state directory itself has the empty path. Times are in nanoseconds, as decimal strings. */
export interface ManifestEntry {
  path: string;
  kind: "file" | "directory" | "symlink";
  /** Permission bits, e.g. 0o644. */
  mode: number;
  uid: number;
  gid: number;
  /** Bytes; 0 for directories and symlinks. */
  size: number;
  mtimeNs: string;
  ctimeNs: string;
  inode: string;
  target?: string;
}

export interface GenerationSummary {
  generation: Generation;
  /** Regular files and symlinks. */
  files: number;
  /** Of regular files. */
  bytes: number;
}

/** Counts of regular files and symlinks, and the bytes of regular files. */
export interface Size {
  files: number;
  bytes: number;
}

export type OpenAnswer =
  /** This save was decided before. */
  | { how: "done"; outcome: Outcome<Committed> }
  /** Most of the tree is new: send it as one tar. */
  | { how: "bundle" }
  /**
   * Send the differences with rclone; `send` is what there is to upload. `suspects` are paths whose size and mod-time are the base's
   * although they may have changed: they count in `send`, are to be sent whatever rclone thinks of them, and a commit misses them otherwise.
   * `paths` are all that `send` counts.
   */
  | { how: "incremental"; send: Size; suspects: string[]; paths: string[] }
  /** No file is new, changed or gone (by kind, size and mod-time): nothing to send, commit at once. */
  | { how: "unchanged" };

export interface Committed extends GenerationSummary {
  /** Files that were added, replaced or removed. */
  changed: number;
  /** It is the generation that was the head before. */
  unchanged?: true;
}

export type GenerationStatus = "head" | "kept" | "quarantined" | "detached";

export interface VaultDescription {
  epoch: Epoch;
  head: (GenerationSummary & { at: number }) | null;
  generations: (GenerationSummary & {
    status: GenerationStatus;
    at: number;
    changed: number;
    epoch: Epoch;
    pinned: boolean;
    /** Equal for equal trees (src/vault/manifest.ts). */
    treeHash: string;
  })[];
}

export interface FsckPage {
  /** How much of each kind this page looked at. */
  checked: { generations: number; contents: number; objects: number; packs: number; listed: number };
  problems: FsckProblem[];
  next: string | null;
}
export interface FsckProblem {
  what:
    | "index_missing" // R2 has generations and the Vault no index: rebuild it
    | "validity" // an entry whose generations make no sense
    | "counts" // files or bytes of a generation are not what its row says
    | "tree_hash" // the tree of a generation is not the one that was committed
    | "head" // the head is no generation of the history
    | "unpacked" // a generation that R2 could not bring back
    | "content_damaged" // a small content in the index is not what its hash says
    | "content_lost" // a small content is nowhere, or nowhere whole
    | "object_missing"
    | "object_damaged" // of another size, or with another MD5
    | "pack_missing"
    | "pack_damaged"
    | "ledger" // missing, or not what the index says
    | "orphan"; // an R2 object that nothing refers to, for longer than any save lasts
  /** One sentence: which, and what is wrong. */
  detail: string;
  /** Mended, or about to be by the Vault's alarm. */
  repaired: boolean;
}

export interface RebuildPage {
  /** Generations that this page brought back. */
  restored: Generation[];
  /** What could not be brought back, and why. */
  problems: string[];
  /** Where to go on; null when the Vault is whole again. */
  next: Generation | null;
  head: Generation | null;
}

/** `after` is the `next` of the page before, a place in key order; null for the first. */
export interface PageRequest {
  after: PageCursor | null;
  limit: number;
}

export interface DiffPage {
  entries: DiffEntry[];
  next: PageCursor | null;
}
/** A path that became another kind is removed as the one and added as the other. */
export interface DiffEntry {
  path: string;
  kind: ManifestEntry["kind"];
  /** `attributes`: the same content with another mode, owner or time. */
  change: "added" | "removed" | "content" | "attributes";
  /** Bytes of a file before and after; 0 for the others, null where it is not. */
  before: number | null;
  after: number | null;
}

/** What was found, and in which generation, of when (ms since 1970). */
export interface Looked<T> {
  generation: Generation;
  at: number;
  found: T;
}
export interface FileInfo {
  path: string;
  kind: ManifestEntry["kind"];
  /** Bytes; 0 for directories and symlinks. */
  size: number;
  mode: number;
  uid: number;
  gid: number;
  mtimeNs: string;
  /** Of a symlink; else empty. */
  target: string;
  /** Of a file: of the whole content, or with `partSize` the hash of its parts' hashes (docs/container.md, `parts`). */
  sha256: string | null;
  partSize: number | null;
}
export interface FileContent {
  info: FileInfo;
  /** A file's content, unless it is in R2 under the key `object`; both null for directories and symlinks. */
  body: Uint8Array | null;
  object: string | null;
}
export interface FilePage {
  entries: FileInfo[];
  next: PageCursor | null;
}

/** What the storage gateway knows about a request: from the intercept's registration, never from the request. */
export interface StorageProps {
  tenantId: string;
  epoch: Epoch;
  incarnation: string;
  accessKeyId: string;
  /** Of the container: sync specs of other pools are not for it. */
  poolId: string;
}
