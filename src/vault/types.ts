import type { Epoch, Generation } from "../ids.ts";
import type { Outcome } from "../outcome.ts";

/** What the rest of the system may ask of a Vault (one per tenant). Every call that writes carries the epoch and the incarnation that it acts for. */
export interface VaultApi {
  /**
   * Raises the epoch and aborts every staging generation of an older one; a lower epoch is refused (`stale_epoch`).
   * `incarnation` is the container id. Answers with what a restore needs: the head, or null where nothing was ever saved.
   * It also binds the incarnation to that head: only a save that began there may replace it.
   */
  fence(epoch: Epoch, incarnation: string): Promise<Outcome<{ head: GenerationSummary | null }>>;
  /**
   * Opens a staging generation on top of the head for one save. A known `saveId` answers with what was recorded (`done`).
   * `manifest` lists the state directory as it is now; the answer says how to send it.
   */
  open(save: SaveRef, manifest: ManifestEntry[]): Promise<Outcome<OpenAnswer>>;
  /** Makes the staging generation the head in one transaction, or keeps it as `quarantined` (guard) or `detached` (conflict). Idempotent by `saveId`. */
  commit(save: SaveRef, options: { force: boolean }): Promise<Outcome<Committed>>;
  /** Drops a staging generation; legal for unknown saves. */
  abort(save: SaveRef): Promise<Outcome<null>>;
  /** Makes the latest quarantined generation the head; `not_found` without one. */
  promote(epoch: Epoch): Promise<Outcome<Committed>>;
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

export type OpenAnswer =
  /** This save was decided before. */
  | { how: "done"; outcome: Outcome<Committed> }
  /** Most of the tree is new: send it as one tar. */
  | { how: "bundle" }
  /** Send the differences with rclone. */
  | { how: "incremental" };

export interface Committed extends GenerationSummary {
  /** Files that were added, replaced or removed. */
  changed: number;
}

export interface VaultDescription {
  epoch: Epoch;
  head: (GenerationSummary & { at: number }) | null;
  generations: (GenerationSummary & { status: "head" | "kept" | "quarantined" | "detached"; at: number; changed: number; epoch: Epoch })[];
}

/** What the storage gateway knows about a request: from the intercept's registration, never from the request. */
export interface StorageProps {
  tenantId: string;
  epoch: Epoch;
  incarnation: string;
  accessKeyId: string;
}
