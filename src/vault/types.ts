import type { Epoch, Generation } from "../ids.ts";
import type { Outcome } from "../outcome.ts";

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
  open(save: SaveRef, manifest: ManifestEntry[]): Promise<Outcome<OpenAnswer>>;
  /**
   * Makes the staging generation the head in one transaction, or keeps it as `quarantined` (guard) or `detached` (conflict).
   * Idempotent by `saveId`. `save_failed` (what arrived is not what the manifest lists) leaves the save open, to be opened and sent again.
   * `force` on a save that the guard had stopped promotes what it kept.
   */
  commit(save: SaveRef, options: { force: boolean }): Promise<Outcome<Committed>>;
  /** Drops a staging generation; legal for unknown saves. */
  abort(save: SaveRef): Promise<Outcome<null>>;
  /**
   * Makes the latest quarantined generation the head; `not_found` when there is none newer than the head.
   * `generation` makes it safe to ask again after a lost answer: when that is the head already, the answer says so.
   */
  promote(epoch: Epoch, generation?: Generation): Promise<Outcome<Committed>>;
  /**
   * Deletes everything that the tenant saved, here and in R2, and shuts out every epoch below this one. Done when it
   * answers well; what failed half-way is gone on with when it is asked for again.
   */
  erase(epoch: Epoch): Promise<Outcome<null>>;
  /** Reads only; a Vault that was never used stays unused. */
  describe(): Promise<VaultDescription>;
}

export interface SaveRef {
  epoch: Epoch;
  incarnation: string;
  /** Chosen and stored by the Tenant before the first attempt. */
  saveId: string;
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
  /** Send the differences with rclone; `send` is what it will find to upload. */
  | { how: "incremental"; send: Size }
  /** No file is new, changed or gone (by kind, size and mod-time): nothing to send, commit at once. */
  | { how: "unchanged" };

export interface Committed extends GenerationSummary {
  /** Files that were added, replaced or removed. */
  changed: number;
}

export type GenerationStatus = "head" | "kept" | "quarantined" | "detached";

export interface VaultDescription {
  epoch: Epoch;
  head: (GenerationSummary & { at: number }) | null;
  generations: (GenerationSummary & { status: GenerationStatus; at: number; changed: number; epoch: Epoch })[];
}

/** What the storage gateway knows about a request: from the intercept's registration, never from the request. */
export interface StorageProps {
  tenantId: string;
  epoch: Epoch;
  incarnation: string;
  accessKeyId: string;
}
