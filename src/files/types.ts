import type { WriteCondition } from "./etag.ts";
import type { FilePath } from "./path.ts";

export type FileKind = "file" | "directory" | "symlink" | "special";

export interface FileFacts {
  kind: FileKind;
  /** Bytes; 0 for all but files. */
  size: number;
  /** Permission bits. */
  mode: number;
  /** Nanoseconds since 1970, as a decimal string. */
  mtimeNs: string;
  /** Of a file of at most `HASHED_BYTES`, where it was asked for; else null. */
  sha256: string | null;
}

/** In the bytes of a file. */
export interface ByteRange {
  offset: number;
  length: number;
}

/** One of a listing; `path` is below the directory that is listed. */
export interface ListedFile extends FileFacts {
  path: string;
}
export interface ListQuery {
  recursive: boolean;
  limit: number;
  /** The name that a page before ended with, that of a directory with a slash at its end; empty for the first. */
  after: string;
}

/** What an Instance is asked for in its container's volumes; it acts as the workload's user. */
export type FileRequest =
  | { op: "stat"; at: FilePath }
  | { op: "read"; at: FilePath; range: ByteRange | null }
  | { op: "list"; at: FilePath; query: ListQuery }
  | WriteRequest
  | { op: "delete"; at: FilePath; condition: WriteCondition; name?: string }
  /** Puts in place what was staged, all of it or nothing. */
  | { op: "commit"; changes: StagedChange[]; name?: string };

export interface WriteRequest {
  op: "write";
  at: FilePath;
  size: number;
  body: ReadableStream<Uint8Array> | Uint8Array<ArrayBuffer>;
  condition: WriteCondition;
  /** Left beside its place under this name, for `commit`. */
  stage?: string;
  /** What is sent again under its name happens once. */
  name?: string;
}

export interface StagedChange {
  how: "put" | "delete";
  at: FilePath;
  stage: string;
}

export interface FileAnswers {
  stat: FileFacts;
  /** `sent` bytes follow in `body`; `facts.sha256` is null. */
  read: { facts: FileFacts; sent: number; body: ReadableStream<Uint8Array> };
  list: { entries: ListedFile[]; more: boolean };
  write: { how: "created" | "replaced"; facts: FileFacts; replayed?: true };
  delete: { replayed?: true };
  commit: { replayed?: true };
}
