import { type Line, sha256Of, textOf } from "../../support/directory-text.ts";
import type { SeenGeneration, SeenVault } from "../audit/saves.ts";
import type { BucketView, ObjectView } from "../world/types.ts";

/** What a vault holds, read from its tables and from the bucket, and believed only where a content has the hash that its entry says. */

interface EntryRow {
  key: string;
  kind: "file" | "directory" | "symlink";
  mode: number;
  uid: number;
  gid: number;
  mtime_ns: string;
  target: string;
  size: number | null;
  sha256: string | null;
  part_size: number | null;
  body: number | null;
  object: string | null;
}

export type Bucket = Pick<BucketView, "bytes">;

export const seenVault = (view: ObjectView): SeenVault | null => {
  const [record] = view.rows<{ epoch: number; head: number }>("SELECT epoch, head FROM vault");
  if (!record) return null;
  const generations = view.rows<SeenGeneration>(
    "SELECT generation, status, save_id AS saveId, epoch, incarnation, files, bytes FROM generations ORDER BY generation",
  );
  return { tenantId: view.name, ...record, generations };
};

/** A whole generation as a directory. @throws Error where anything of it is missing or is not what its hash says */
export function generationText(view: ObjectView, { generation, status }: SeenGeneration, bucket: Bucket): string {
  const rows =
    status === "kept"
      ? view.rows<EntryRow>("SELECT * FROM entries WHERE from_gen <= ?1 AND to_gen > ?1", generation)
      : view.rows<EntryRow>("SELECT * FROM aside WHERE generation = ?", generation);
  return textOf(rows.map((row) => lineOf(view, row, bucket)));
}

function lineOf(view: ObjectView, row: EntryRow, bucket: Bucket): Line {
  const { kind, mode, uid, gid, mtime_ns: mtimeNs, target } = row;
  const path =
    kind === "directory" ? row.key.replace(/\/$/, "") : kind === "symlink" ? row.key.slice(0, -LINK.length) : row.key;
  const line = { path, kind, mode, uid, gid, mtimeNs, target, sha256: "" };
  if (kind !== "file") return line;
  const bytes = row.size === 0 ? new Uint8Array() : contentOf(view, row, bucket);
  if (bytes === null) throw new Error(`${path} has no content`);
  if (bytes.length !== row.size) throw new Error(`${path} has ${bytes.length} of ${row.size} bytes`);
  const sha256 = sha256Of(bytes);
  // Of a content in parts the hash is over the parts' hashes; its length has to do.
  if (row.part_size === null && sha256 !== row.sha256) throw new Error(`${path} is not what its hash says`);
  return { ...line, sha256 };
}

const LINK = ".rclonelink";

function contentOf(view: ObjectView, { body, object }: EntryRow, bucket: Bucket): Uint8Array | null {
  if (object !== null) return bucket.bytes(object);
  if (body === null) return null;
  const [inline] = view.rows<{ data: ArrayBuffer | Uint8Array }>("SELECT data FROM bodies WHERE body = ?", body);
  if (inline) return new Uint8Array(inline.data);
  const [packed] = view.rows<{ object: string; start: number; size: number }>(
    "SELECT packs.object, start, size FROM packed JOIN packs USING (pack) WHERE body = ?",
    body,
  );
  const pack = packed && bucket.bytes(packed.object);
  return pack ? pack.subarray(packed.start, packed.start + packed.size) : null;
}
