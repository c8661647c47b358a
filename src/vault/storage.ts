import type { Epoch, Generation } from "../ids.ts";
import type { Outcome } from "../outcome.ts";
import type { ManifestEntry } from "./types.ts";

/** For whom the storage gateway acts; from its props. The Vault compares it in the transaction of every effect, and before every read. */
export interface Actor {
  epoch: Epoch;
  incarnation: string;
}

/** Contents up to this many bytes live in the Vault's SQLite, larger ones in R2. */
export const INLINE_LIMIT = 64 * 1024;
/** The largest payload of one call between gateway and Vault, in bytes (an RPC message may have 32 MiB, design §4). */
export const PAGE_LIMIT = 4 * 1024 * 1024;
/** What a symlink's name ends with on the S3 side (rclone `--links`). */
export const LINK_SUFFIX = ".rclonelink";

/**
 * The Vault as the storage gateway sees it. Reads see the staging view of the actor's open save, else the generation that its incarnation began from.
 * Writes need an open save (`save_failed` without). A superseded actor gets `stale_epoch` from all of them.
 */
export interface VaultStorage {
  list(actor: Actor, query: ListQuery): Promise<Outcome<ListPage>>;
  /** Metadata, and the content itself where it is inline; null where there is no such key. */
  read(actor: Actor, key: string): Promise<Outcome<ObjectRead | null>>;
  /** Stages one object; `body` is its content when `content.object` is null. */
  put(actor: Actor, object: NewObject, body: Uint8Array | null, onlyIf?: OnlyIf[]): Promise<Outcome<ObjectInfo>>;
  /** Server-side copy: an index change. Null where the source does not exist. `metadata` replaces the source's. */
  copy(
    actor: Actor,
    from: string,
    to: string,
    metadata: ObjectMetadata | null,
    onlyIf?: OnlyIf[],
  ): Promise<Outcome<ObjectInfo | null>>;
  /** Stages the removal of keys; unknown ones are fine. */
  remove(actor: Actor, keys: string[], onlyIf?: OnlyIf[]): Promise<Outcome<null>>;

  /** Reserves R2 keys (`tenants/{id}/objects/{uuid}`) before their first byte, so that they are collected if they are never staged. */
  reserve(actor: Actor, count: number): Promise<Outcome<{ objects: string[] }>>;
  /** Records a multipart upload on a reserved key. */
  beginUpload(actor: Actor, upload: NewUpload): Promise<Outcome<null>>;
  upload(actor: Actor, object: string): Promise<Outcome<NewUpload | null>>;
  /** The multipart uploads that the open save has begun, in order of their keys, then of their beginning; none outside a save. */
  uploads(actor: Actor): Promise<Outcome<OpenUpload[]>>;
  /** The parts that arrived, in order of their numbers. */
  parts(actor: Actor, object: string): Promise<Outcome<UploadPart[]>>;
  /** Records a part; the same number again replaces it. */
  putPart(actor: Actor, object: string, part: UploadPart): Promise<Outcome<null>>;
  /** Forgets a multipart upload; its R2 key is collected. Answers whether it existed. */
  dropUpload(actor: Actor, object: string): Promise<Outcome<boolean>>;

  /** Starts the tar of a save: what was staged before is dropped. The answer marks this attempt; a late batch of an earlier one is refused. */
  beginBundle(actor: Actor): Promise<Outcome<{ attempt: number }>>;
  /** Stages entries of the tar, in one transaction. Inline contents lie in `packed`, one after another, in the order of `entries`. `last` completes the bundle. */
  stageBundle(actor: Actor, batch: BundleBatch): Promise<Outcome<null>>;

  /** Entries of a generation in key order after `after`, with inline contents, as many as fit in `PAGE_LIMIT` bytes. `not_found` for an unknown generation. */
  page(actor: Actor, generation: Generation, after: PageCursor | null): Promise<Outcome<GenerationPage>>;
  /** The same for the API, which acts for no container. */
  exported(generation: Generation, after: PageCursor | null): Promise<Outcome<GenerationPage>>;
}

export interface ListQuery {
  prefix: string;
  delimiter: string;
  /** Only keys (and common prefixes) after this one. */
  after: string;
  /** `after` is a common prefix: everything under it is done. */
  afterIsPrefix: boolean;
  limit: number;
}
export interface ListPage {
  objects: ListedObject[];
  prefixes: string[];
  /** Where the next page begins, or null at the end. */
  next: { after: string; afterIsPrefix: boolean } | null;
}
export interface ListedObject {
  key: string;
  size: number;
  mtimeNs: string;
  etag: string;
}

/** What S3 clients attach to an object: `content-type` and the like under their header names, and `x-amz-meta-*` without the prefix. */
export interface ObjectMetadata {
  headers: Record<string, string>;
  user: Record<string, string>;
  /** When it was sent, in ms since 1970, where the client names no time of the file's own. */
  at?: number;
}
export interface ObjectInfo extends ListedObject {
  metadata: ObjectMetadata;
}
export interface ObjectRead {
  info: ObjectInfo;
  /** The content, or the R2 key where it is. */
  body: Uint8Array | null;
  object: string | null;
}

/** What is known of a content: its size, SHA-256 (of the whole, or of parts of `partSize` bytes as in docs/container.md) and where it is. */
export interface ContentRef {
  size: number;
  sha256: string;
  partSize: number | null;
  etag: string;
  /** The R2 key; null for inline. */
  object: string | null;
}
export interface NewObject {
  key: string;
  content: ContentRef;
  metadata: ObjectMetadata;
}

/**
 * What must be true of a key in the transaction of a write, else nothing is written: `version_mismatch`, or `not_found` where a key that
 * must exist does not. `is` lists entity tags of which the key must have one; empty: it must not exist; `*`: any.
 */
export interface OnlyIf {
  key: string;
  is: string[];
}

export interface OpenUpload {
  object: string;
  key: string;
  /** When it began, in ms since 1970. */
  at: number;
}
export interface NewUpload {
  object: string;
  key: string;
  r2UploadId: string;
  metadata: ObjectMetadata;
}
export interface UploadPart {
  number: number;
  size: number;
  sha256: string;
  md5: string;
  r2Etag: string;
}

export interface BundleEntry {
  path: string;
  kind: "file" | "symlink";
  mtimeNs: string;
  target: string;
  /** Null for symlinks. */
  content: ContentRef | null;
}
export interface BundleBatch {
  attempt: number;
  entries: BundleEntry[];
  packed: Uint8Array;
  last: boolean;
  /** What is to be added to the save's manifest, where that is known only as the tar comes (an import opens with an empty one). */
  manifest?: ManifestEntry[];
}

export interface PageCursor {
  key: string;
  kind: ManifestEntry["kind"];
}
export interface PageEntry {
  path: string;
  kind: ManifestEntry["kind"];
  mode: number;
  uid: number;
  gid: number;
  mtimeNs: string;
  target: string;
  content: ContentRef | null;
}
export interface GenerationPage {
  entries: PageEntry[];
  /** Inline contents, one after another, in the order of `entries`. */
  packed: Uint8Array;
  next: PageCursor | null;
}
