import { linkContent, type View } from "./staging.ts";
import { LINK_SUFFIX, type ObjectInfo, type ObjectMetadata } from "./storage.ts";
import type { Entry, Staged } from "./tree.ts";

/** How what is saved or staged looks as an S3 object, and the other way round. */
export type Found = (Staged | Entry) & { key: string };

export function infoOf(found: Found | Staged, within: View): ObjectInfo {
  const stored: ObjectMetadata = found.metadata === null ? { headers: {}, user: {} } : JSON.parse(found.metadata);
  const sentAt = stored.at === undefined ? within.nowNs : `${stored.at}000000`;
  const { size, etag } = found.content ?? linkContent(found.target);
  return {
    key: found.key,
    size,
    etag,
    mtimeNs: found.mtimeNs ?? sentAt,
    metadata: "mode" in found ? { ...stored, user: { ...stored.user, ...attributes(found) } } : stored,
  };
}

const TYPE_BITS = { file: 0o100000, symlink: 0o120000, directory: 0o040000 } as const;

/** What rclone `--metadata` would have sent; the manifest knows it better than the upload did. */
function attributes({ kind, mode, uid, gid, mtimeNs }: Entry): Record<string, string> {
  const padded = mtimeNs.padStart(10, "0");
  return {
    mtime: `${padded.slice(0, -9)}.${padded.slice(-9)}`,
    mode: (TYPE_BITS[kind] | mode).toString(8),
    uid: String(uid),
    gid: String(gid),
  };
}

/** The target of what rclone sends for a symlink: the suffix in the name and the type in the mode; else null. */
export function linkTarget(key: string, metadata: ObjectMetadata, body: Uint8Array | null): string | null {
  if (body === null || !key.endsWith(LINK_SUFFIX) || !/^0?12\d{4}$/.test(metadata.user.mode ?? "")) return null;
  return new TextDecoder().decode(body);
}

/** What a client that sends no time of the file's is shown as its time is when it sent it; the manifest knows better once it is saved. */
export function plain(nowMs: number, key: string, metadata: ObjectMetadata): Omit<Staged, "content"> {
  const mtimeNs = toNanoseconds(metadata.user.mtime);
  const kept = mtimeNs === null ? { ...metadata, at: nowMs } : metadata;
  return { key, kind: "file", removed: false, mtimeNs, target: "", metadata: JSON.stringify(kept) };
}

/** rclone's `mtime` metadata, seconds with up to nine decimals; null when it is anything else. */
function toNanoseconds(mtime: string | undefined): string | null {
  const match = /^(\d{1,12})(?:\.(\d{1,9}))?$/.exec(mtime ?? "");
  if (match === null) return null;
  return String(BigInt(`${match[1]}${(match[2] ?? "").padEnd(9, "0")}`));
}
