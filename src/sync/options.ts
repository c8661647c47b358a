import type { Size } from "../vault/types.ts";
import { filterRules } from "./glob.ts";

/** One run of rclone from a directory of the container to its bucket. */
export interface SyncJob {
  /** Absolute path in the container. */
  directory: string;
  /** Where it goes in the bucket; empty: the whole of it. */
  prefix?: string;
  /** `sync` also deletes what is not in the directory any more; `copy` never does. */
  mode: "sync" | "copy";
  /** The vault lists each file's own mod-time; other buckets do not. */
  backend: "vault" | "s3";
  /** What there is to send, as far as it is known. */
  send?: Size;
  /** Globs, relative to `directory`: only what one of these names, if there are any. */
  include?: readonly string[];
  /** And nothing that one of these names. */
  exclude?: readonly string[];
  /** What is left out here goes there, too, if it was sent before. */
  deleteExcluded?: boolean;
  /** Sends what looks the same as well. */
  ignoreTimes?: boolean;
}

/** A call of rclone's remote control. */
export interface RcCall {
  path: string;
  body: Record<string, unknown>;
}

const SMALL_FILE = 1_048_576;
const TRANSFERS_OF_SMALL = 32;
/** With 32 at once, thirty-two files of 30 MB took 473 MiB of memory; with 4, 65 MiB and less time (lab). */
const TRANSFERS_OF_LARGE = 4;

/**
 * Options of the s3 backend travel in the remote's name, because the remote control has no other place for them. In the
 * words of the command line: `--s3-no-check-bucket --s3-no-head --s3-list-version 2 --s3-list-url-encode
 * --s3-upload-concurrency 1 --s3-chunk-size 16Mi --s3-upload-cutoff 4Gi --s3-encoding Slash,Dot`. With that encoding a name
 * goes up byte for byte, also where it is not UTF-8. Two kinds of names rclone cannot send at all (tried with 1.75.2): those
 * with its own quote character U+201B, and those of files that end in `.rclonelink`.
 */
const BACKEND = [
  "no_check_bucket=true",
  "no_head=true",
  "list_version=2",
  "list_url_encode=true",
  "upload_concurrency=1",
  "chunk_size=16Mi",
  // In one piece where R2 takes it: parts are hashed twice (rclone wants the whole file's MD5 before the first), wait for
  // each other, and are 64 MiB of buffers; read back from the local R2 they are ten times as slow.
  "upload_cutoff=4Gi",
  "encoding='Slash,Dot'",
].join(",");

/**
 * The job as a call. There is no `_group`: rclone counts errors per group, and one of an earlier job keeps a later one of
 * the same group from deleting (tried); without it every job has its own, `job/ID`.
 */
export function syncCall(job: SyncJob): RcCall {
  const rules = filterRules(job);
  return {
    path: `sync/${job.mode}`,
    body: {
      srcFs: job.directory,
      dstFs: `sink,${BACKEND}:state/${job.prefix ?? ""}`,
      _async: true,
      _config: globalOptions(job),
      ...(rules.length > 0 && { _filter: { FilterRule: rules, ...(job.deleteExcluded && { DeleteExcluded: true }) } }),
    },
  };
}

/** Keys of rclone's `main` option block; the command line's words behind each. */
function globalOptions(job: SyncJob): Record<string, unknown> {
  return {
    Metadata: true, // --metadata
    Links: true, // --links
    UseListR: true, // --fast-list
    // An unchanged save then needs neither HEAD nor hashing: one listing and nothing else (tried with 1.75.2).
    ...(job.backend === "vault" ? { UseServerModTime: true } : { CheckSum: true }), // --use-server-modtime, --checksum
    ...(job.ignoreTimes && { IgnoreTimes: true }), // --ignore-times
    NoUnicodeNormalization: true, // --no-unicode-normalization: names are bytes
    Checkers: 32, // --checkers
    Transfers: transfersFor(job.send), // --transfers
    BufferSize: 0, // --buffer-size
    MultiThreadStreams: 0, // --multi-thread-streams: parts of one file would be held in memory
    LowLevelRetries: 3, // --low-level-retries: the caller's deadline is nearer than ten
    LogLevel: "ERROR", // --log-level
  };
}

/** By the average, which is what is known before the run. */
export function transfersFor(send: Size | undefined): number {
  if (!send || send.files === 0) return TRANSFERS_OF_LARGE;
  return send.bytes / send.files <= SMALL_FILE ? TRANSFERS_OF_SMALL : TRANSFERS_OF_LARGE;
}
