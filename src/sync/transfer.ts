import type { Size } from "../vault/types.ts";
import { filterOf } from "./filter.ts";
import { type RcCall, transfersFor } from "./options.ts";
import type { ExtraFlags } from "./rclone-flags.ts";
import type { SyncMapping } from "./spec.ts";

/** Calls of rclone's remote control that a sync spec is made of. Pure. */

/** The other end of a mapping: a place in the bucket of its spec (docs/container.md). */
export interface SinkSide {
  specId: string;
  /** Of every key: empty, or with a slash at its end, so that rclone does not ask whether it is a file. */
  prefix: string;
  /** The vault lists each file's own mod-time; a bucket of S3 knows hashes. */
  backend: "vault" | "s3";
}

export interface Transfer {
  mapping: SyncMapping;
  sink: SinkSide;
  extra: ExtraFlags;
}

/** As for saves (options.ts), but that names which are no UTF-8 are spelt out, since S3 has no others. */
const REMOTE = {
  no_check_bucket: "true",
  no_head: "true",
  list_version: "2",
  list_url_encode: "true",
  upload_concurrency: "1",
  chunk_size: "16Mi",
  upload_cutoff: "64Mi",
};
const ENCODING = { vault: "'Slash,Dot'", s3: "'Slash,InvalidUtf8,Dot'" };

function remote({ specId, prefix, backend }: SinkSide, extra: ExtraFlags): string {
  const options = Object.entries({ ...REMOTE, ...extra.remote, encoding: ENCODING[backend] });
  return `sink,${options.map(([name, value]) => `${name}=${value}`).join(",")}:spec-${specId}/${prefix}`;
}

/** Lists what is meant of a directory of the container, or of the mapping's place in the sink. */
export function listCall({ mapping, sink, extra }: Transfer, where: { directory: string } | "sink"): RcCall {
  const here = where !== "sink";
  return {
    path: "operations/list",
    body: {
      fs: here ? where.directory : remote(sink, extra),
      remote: "",
      opt: { recurse: true, filesOnly: true, noMimeType: true, metadata: here && sink.backend === "vault" },
      // A bucket's own times: each file's would cost a request (and are not needed to tell names and sizes).
      _config: {
        UseListR: true,
        UseServerModTime: true,
        NoUnicodeNormalization: true,
        Metadata: here,
        LogLevel: "ERROR",
      },
      _filter: filterOf(mapping, extra),
    },
  };
}

export interface Upload {
  directory: string;
  deletes: boolean;
  /** Where what is replaced or deleted goes; null: nowhere. */
  versions: string | null;
  /** More deletions than this end it. */
  maxDelete: number | null;
  send: Size;
}

export function uploadCall(transfer: Transfer, upload: Upload): RcCall {
  const { mapping, sink, extra } = transfer;
  const { versions, maxDelete, deletes } = upload;
  return {
    path: `sync/${deletes ? "sync" : "copy"}`,
    body: {
      srcFs: upload.directory,
      dstFs: remote(sink, extra),
      _async: true,
      _config: {
        ...common(sink, upload.send),
        ...extra.config,
        ...(versions === null ? {} : { BackupDir: remote({ ...sink, prefix: versions }, extra) }),
        ...(maxDelete === null ? {} : { MaxDelete: Math.min(maxDelete, numberOf(extra.config.MaxDelete)) }),
      },
      _filter: filterOf(mapping, extra),
    },
  };
}

export interface Download {
  /** An empty directory of root's, from which the workload's user takes it. */
  staging: string;
  /** What is there already is not fetched again. */
  directory: string;
  /** Names that are newer here. */
  besides: readonly string[];
  fetch: Size;
}

export function downloadCall(transfer: Transfer, { staging, directory, besides, fetch }: Download): RcCall {
  const { mapping, sink, extra } = transfer;
  const { MaxDelete: _guard, ...config } = extra.config;
  return {
    path: "sync/copy",
    body: {
      srcFs: remote(sink, extra),
      dstFs: staging,
      _async: true,
      _config: { ...common(sink, fetch), ...config, CompareDest: [directory] },
      _filter: filterOf(mapping, extra, besides),
    },
  };
}

/** No `Links`: what a sink says of symlinks is not believed while root writes. */
function common({ backend }: SinkSide, size: Size): Record<string, unknown> {
  return {
    Metadata: true, // --metadata
    UseListR: true, // --fast-list
    ...(backend === "vault" ? { UseServerModTime: true } : { CheckSum: true }), // --use-server-modtime, --checksum
    NoUnicodeNormalization: true, // --no-unicode-normalization
    Checkers: 32, // --checkers
    Transfers: transfersFor(size), // --transfers
    BufferSize: 0, // --buffer-size
    MultiThreadStreams: 0, // --multi-thread-streams
    LowLevelRetries: 3, // --low-level-retries
    LogLevel: "ERROR", // --log-level
  };
}

const numberOf = (value: unknown): number => (typeof value === "number" ? value : Number.POSITIVE_INFINITY);
