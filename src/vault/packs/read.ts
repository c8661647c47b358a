import { ContentError, readRange } from "../contents.ts";
import type { VaultParts } from "../parts.ts";
import type { Entry } from "../tree.ts";
import {
  decodeEntry,
  decodeHeader,
  gunzipLines,
  HEADER_LENGTH,
  type ManifestHead,
  type Placed,
  sha256Of,
} from "./format.ts";
import type { PackedGeneration } from "./write.ts";

export interface Manifest {
  head: ManifestHead<PackedGeneration>;
  entries: { entry: Entry; placed: Placed }[];
}

/** The gzipped manifest of a pack, which is what its header says it is; empty for one without. @throws ContentError */
export async function readPack(parts: VaultParts, object: string): Promise<Uint8Array> {
  const bucket = parts.bucket();
  const header = decodeHeader(await readRange(bucket, { object, start: 0, end: HEADER_LENGTH }));
  if (header === null) throw new ContentError("internal", `${object} does not begin as a pack does.`);
  const { manifestStart, manifestLength, sha256 } = header;
  const manifest =
    manifestLength === 0
      ? new Uint8Array(0)
      : await readRange(bucket, { object, start: manifestStart, end: manifestStart + manifestLength });
  if (sha256Of(manifest) !== sha256) throw new ContentError("internal", `${object} has a damaged manifest.`);
  return manifest;
}

/** @throws ContentError for a pack that is not there, not whole, or has no manifest */
export async function readManifest(parts: VaultParts, object: string): Promise<Manifest> {
  const gzipped = await readPack(parts, object);
  if (gzipped.length === 0) throw new ContentError("internal", `${object} has no manifest.`);
  let head: ManifestHead<PackedGeneration> | null = null;
  const entries: Manifest["entries"] = [];
  for await (const line of gunzipLines(gzipped)) {
    if (head === null) head = JSON.parse(line) as ManifestHead<PackedGeneration>;
    else entries.push(decodeEntry(line));
  }
  if (head === null) throw new ContentError("internal", `${object} has an empty manifest.`);
  return { head, entries };
}
