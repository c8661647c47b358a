import { type Filter, ruleFilter } from "../../sync/glob.ts";
import { messageOf } from "../classify.ts";
import { parent, ROOT, type VirtualFile, type VirtualFiles, type VirtualSymlink } from "./files.ts";
import { type ListedObject, md5, type S3Client } from "./s3.ts";

/** The part of `sync/sync` and `sync/copy` that the Instance uses; names as rclone's `_config` and `_filter` have them. */
export interface SyncOptions {
  deleteExtra: boolean;
  ignoreTimes: boolean;
  transfers: number;
  /** As `--filter` takes them. */
  rules: readonly string[];
  deleteExcluded: boolean;
  /** `--links`; without it symlinks are passed over. */
  links: boolean;
  /** `--checksum`: by size and hash, not by mod-time. */
  checkSum: boolean;
  /** `--backup-dir`: a prefix of the same bucket. */
  backup: string | null;
  /** `--max-delete`. */
  maxDelete: number;
}

/** As `core/stats` shows it. */
export interface SyncStats {
  bytes: number;
  checks: number;
  deletes: number;
  errors: number;
  lastError: string;
  listed: number;
  serverSideCopies: number;
  totalBytes: number;
  totalTransfers: number;
  transfers: number;
}

export const noStats = (): SyncStats => ({
  bytes: 0,
  checks: 0,
  deletes: 0,
  errors: 0,
  lastError: "",
  listed: 0,
  serverSideCopies: 0,
  totalBytes: 0,
  totalTransfers: 0,
  transfers: 0,
});

type Leaf = VirtualFile | VirtualSymlink;
interface Difference {
  key: string;
  node: Leaf;
  /** Of the same size on the other side: perhaps only the mod-time differs. */
  sameSize: boolean;
  /** There is something by that name. */
  replaces: boolean;
}

const LINK_SUFFIX = ".rclonelink";

/** Makes a bucket like a directory, with the requests that rclone sends for it. @throws Error with rclone's own sentence */
export async function syncUp(
  files: VirtualFiles,
  directory: string,
  bucket: S3Client,
  prefix: string,
  options: SyncOptions,
  stats: SyncStats,
  signal: AbortSignal,
): Promise<void> {
  const source = files.stat(directory);
  if (source?.kind !== "directory") throw new Error("directory not found");
  const listed = await bucket.list(prefix);
  const wanted = ruleFilter(options.rules);
  const there = new Map(listed.map((object) => [object.key.slice(prefix.length), object]));
  const here = leaves(files, directory, wanted, options.links);
  stats.listed += there.size + here.size;

  const differences = compare(here, there, options, stats);
  const transfer = async (difference: Difference) => {
    try {
      await send(bucket, prefix, difference, options, stats);
    } catch (error) {
      stats.errors += 1;
      stats.lastError = messageOf(error);
    }
  };
  await inParallel(differences, options.transfers, signal, transfer);
  // Nothing is deleted on the other side unless everything arrived there.
  if (stats.errors > 0) throw new Error(stats.lastError);
  if (!options.deleteExtra) return;
  const extra = [...there.keys()].filter((key) => (options.deleteExcluded || wanted.file(key)) && !here.has(key));
  await inParallel(extra, options.transfers, signal, async (key) => {
    if (stats.deletes >= options.maxDelete) throw new Error("--max-delete threshold reached");
    stats.deletes += 1;
    if (options.backup !== null) await bucket.copy(prefix + key, options.backup + key);
    await bucket.delete(prefix + key);
  });
}

/** Makes a directory of root's like a bucket, but for what `compareDest` has already. @throws Error with rclone's own sentence */
export async function copyDown(
  files: VirtualFiles,
  bucket: S3Client,
  prefix: string,
  to: { directory: string; compareDest: string | null },
  options: SyncOptions,
  stats: SyncStats,
  signal: AbortSignal,
): Promise<void> {
  const wanted = ruleFilter(options.rules);
  const there = (await bucket.list(prefix)).filter(({ key }) => wanted.file(key.slice(prefix.length)));
  const missing = there.filter(({ key, size, etag, modifiedNs }) => {
    const node = to.compareDest === null ? null : files.stat(`${to.compareDest}/${key.slice(prefix.length)}`);
    if (node?.kind !== "file" || node.body.length !== size) return true;
    return options.checkSum ? md5(node.body).toString("hex") !== etag : node.mtimeNs !== modifiedNs;
  });
  stats.checks += there.length - missing.length;
  stats.totalTransfers += missing.length;
  stats.totalBytes += missing.reduce((sum, { size }) => sum + size, 0);
  files.makeDirectory(to.directory, ROOT, 0o700);
  await inParallel(missing, options.transfers, signal, async ({ key, modifiedNs }) => {
    const { body, metadata } = await bucket.get(key);
    const path = `${to.directory}/${key.slice(prefix.length)}`;
    files.makeDirectory(parent(path), ROOT, 0o755);
    files.write(path, body, ROOT, Number.parseInt(metadata.mode ?? "644", 8) & 0o7777);
    files.change(path, { mtimeNs: metadata.mtime === undefined ? modifiedNs : secondsNs(metadata.mtime) });
    stats.transfers += 1;
    stats.bytes += body.length;
  });
}

/** What `operations/list` says of files, as it names things. */
export function listed(files: VirtualFiles, directory: string, rules: readonly string[]): Record<string, unknown>[] {
  if (files.stat(directory)?.kind !== "directory") throw new Error("error in ListJSON: directory not found");
  return [...leaves(files, directory, ruleFilter(rules), false)].map(([path, node]) => ({
    Path: path,
    Size: contentOf(node).length,
    ModTime: timeOf(node.mtimeNs),
    IsDir: false,
    Metadata: metadataOf(node),
  }));
}

export async function listedThere(bucket: S3Client, prefix: string, rules: readonly string[]) {
  const wanted = ruleFilter(rules);
  const objects = await bucket.list(prefix);
  return objects
    .map(({ key, size, modifiedNs }) => ({ Path: key.slice(prefix.length), Size: size, ModTime: timeOf(modifiedNs) }))
    .filter(({ Path }) => wanted.file(Path));
}

const timeOf = (ns: bigint): string => {
  const text = new Date(Number(ns / 1_000_000n)).toISOString();
  return `${text.slice(0, 20)}${String(ns % 1_000_000_000n).padStart(9, "0")}Z`;
};

function secondsNs(text: string): bigint {
  const [seconds = "0", fraction = ""] = text.split(".");
  return BigInt(seconds) * 1_000_000_000n + BigInt(fraction.slice(0, 9).padEnd(9, "0"));
}

function leaves(files: VirtualFiles, directory: string, wanted: Filter, links: boolean): Map<string, Leaf> {
  const found = new Map<string, Leaf>();
  for (const { path, node } of files.walk(directory)) {
    if (node.kind === "directory" || (node.kind === "symlink" && !links)) continue;
    const key = node.kind === "symlink" ? `${path}${LINK_SUFFIX}` : path;
    if (wanted.file(key)) found.set(key, node);
  }
  return found;
}

function compare(
  here: ReadonlyMap<string, Leaf>,
  there: ReadonlyMap<string, ListedObject>,
  options: SyncOptions,
  stats: SyncStats,
): Difference[] {
  const differences: Difference[] = [];
  for (const [key, node] of here) {
    const object = there.get(key);
    const sameSize = object?.size === contentOf(node).length;
    if (object) stats.checks += 1;
    if (sameSize && !options.ignoreTimes && isSame(node, object, options)) continue;
    differences.push({ key, node, sameSize, replaces: object !== undefined });
  }
  stats.totalTransfers += differences.length;
  return differences;
}

async function send(
  bucket: S3Client,
  prefix: string,
  { key, node, sameSize, replaces }: Difference,
  options: SyncOptions,
  stats: SyncStats,
): Promise<void> {
  const body = contentOf(node);
  const metadata = metadataOf(node);
  if (replaces && options.backup !== null) {
    await bucket.copy(prefix + key, options.backup + key);
    stats.transfers += 1;
    stats.serverSideCopies += 1;
  }
  if (
    sameSize &&
    !options.ignoreTimes &&
    !options.checkSum &&
    (await bucket.hash(prefix + key)) === md5(body).toString("hex")
  ) {
    await bucket.touch(prefix + key, metadata);
    stats.serverSideCopies += 1;
    return;
  }
  await bucket.put(prefix + key, body, metadata);
  stats.transfers += 1;
  stats.bytes += body.length;
  stats.totalBytes += body.length;
}

const isSame = (node: Leaf, object: ListedObject | undefined, { checkSum }: SyncOptions): boolean =>
  checkSum ? md5(contentOf(node)).toString("hex") === object?.etag : object?.modifiedNs === node.mtimeNs;

const contentOf = (node: Leaf): Uint8Array<ArrayBuffer> =>
  node.kind === "file" ? node.body : new Uint8Array(new TextEncoder().encode(node.target));

/** What `--metadata` sends: the mod-time in seconds with the trailing zeros cut off, the mode with the type's bits, in octal. */
function metadataOf(node: Leaf): Record<string, string> {
  const fraction = String(node.mtimeNs % 1_000_000_000n)
    .padStart(9, "0")
    .replace(/0+$/, "");
  const seconds = node.mtimeNs / 1_000_000_000n;
  const type = node.kind === "file" ? 0o100000 : 0o120000;
  return {
    mtime: fraction === "" ? `${seconds}` : `${seconds}.${fraction}`,
    mode: (type | node.mode).toString(8),
    uid: String(node.uid),
    gid: String(node.gid),
  };
}

async function inParallel<T>(
  items: readonly T[],
  width: number,
  signal: AbortSignal,
  perform: (item: T) => Promise<void>,
): Promise<void> {
  const queue = items.values();
  const worker = async () => {
    for (const item of queue) {
      if (signal.aborted) throw new Error("context canceled");
      await perform(item);
    }
  };
  await Promise.all(Array.from({ length: Math.min(width, items.length) }, worker));
}
