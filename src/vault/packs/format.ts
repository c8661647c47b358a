import { createHash } from "node:crypto";
import type { Entry } from "../tree.ts";
import { keyOf, pathOf } from "../tree.ts";

/**
 * A pack: one R2 object with the small contents that were new in a generation, and its manifest, from which alone (and the objects that
 * it names) the generation can be brought back. A header of fixed length, the contents one after another, then the manifest: lines of JSON,
 * gzipped. A generation with very many new contents has further packs, without a manifest, before its own.
 */
export const HEADER_LENGTH = 256;
const FORMAT = "boilerhouse-pack-1";

export interface PackName {
  generation: number;
  /** Of the save's id. */
  save: string;
  number: number;
  what: "manifest" | "contents";
}

export const packName = (prefix: string, { generation, save, number, what }: PackName): string =>
  `${prefix}packs/${String(generation).padStart(12, "0")}-${save}-${number}-${what}`;

/** Null for what is no name of a pack. */
export function parsePackName(object: string): PackName | null {
  const match = /\/packs\/(\d{12})-([0-9a-f]{8})-(\d+)-(manifest|contents)$/.exec(object);
  if (match === null) return null;
  const [, generation, save = "", number, what] = match;
  return { generation: Number(generation), save, number: Number(number), what: what as PackName["what"] };
}

/** Where the manifest is in its pack; a length of 0: there is none. */
export interface Header {
  manifestStart: number;
  manifestLength: number;
  /** Of the gzipped manifest. */
  sha256: string;
}

export function encodeHeader(header: Header): Uint8Array {
  const text = JSON.stringify({ format: FORMAT, ...header });
  return new TextEncoder().encode(`${text.padEnd(HEADER_LENGTH - 1, " ")}\n`);
}

/** Null for what no pack begins with. */
export function decodeHeader(bytes: Uint8Array): Header | null {
  if (bytes.length < HEADER_LENGTH) return null;
  try {
    const header = JSON.parse(new TextDecoder().decode(bytes.subarray(0, HEADER_LENGTH)));
    const { manifestStart, manifestLength, sha256 } = header;
    const numbers = [manifestStart, manifestLength].every((one) => Number.isSafeInteger(one) && one >= 0);
    return header.format === FORMAT && numbers && typeof sha256 === "string"
      ? { manifestStart, manifestLength, sha256 }
      : null;
  } catch {
    return null;
  }
}

export const sha256Of = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

/** Where a content is, as a manifest says it: an R2 key of its own, a pack (by its place in the head's list) and the first byte in it, or null for no bytes. */
export type Placed = string | [pack: number, start: number] | null;

/** The first line of a manifest; `G` is the generation's row as it was when the pack was written. */
export interface ManifestHead<G> {
  generation: G;
  /** R2 keys of the packs that contents are in. */
  packs: string[];
}

/** An entry without where its content is; `content` has neither `body` nor `object`. */
export function encodeEntry(entry: Entry, placed: Placed): string {
  const { path, kind, mode, uid, gid, mtimeNs, target, content, metadata } = entry;
  const known = content === null ? [] : [content.size, content.sha256, content.partSize, content.etag, placed];
  return JSON.stringify([keyOf(path, kind), kind, mode, uid, gid, mtimeNs, target, metadata, ...known]);
}

/** The entry with its content's place still to be filled in. @throws SyntaxError for what is no line of a manifest */
export function decodeEntry(line: string): { entry: Entry; placed: Placed } {
  const [key, kind, mode, uid, gid, mtimeNs, target, metadata, size, sha256, partSize, etag, placed] = JSON.parse(line);
  const content =
    size === undefined
      ? null
      : { size, sha256, partSize, etag, body: null, object: typeof placed === "string" ? placed : null };
  const entry: Entry = { path: pathOf(key, kind), kind, mode, uid, gid, mtimeNs, target, content, metadata };
  return { entry, placed: placed ?? null };
}

/** Gzips text that comes piece by piece; each piece is asked for when the one before is through. */
export async function gzip(pieces: Iterable<string>): Promise<Uint8Array> {
  const { readable, writable } = new CompressionStream("gzip");
  const reading = new Response(readable).bytes();
  reading.catch(() => {}); // awaited below
  const writer = writable.getWriter();
  const encoder = new TextEncoder();
  try {
    for (const piece of pieces) await writer.write(encoder.encode(piece));
    await writer.close();
  } catch (error) {
    writer.abort(error).catch(() => {}); // nobody gets what it holds
    throw error;
  }
  return reading;
}

/** The lines of gzipped text, without holding all of it. */
export async function* gunzipLines(bytes: Uint8Array): AsyncGenerator<string> {
  const text = new Blob([bytes as Uint8Array<ArrayBuffer>])
    .stream()
    .pipeThrough(new DecompressionStream("gzip"))
    .pipeThrough(new TextDecoderStream());
  let rest = "";
  for await (const chunk of text) {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop() ?? "";
    yield* lines;
  }
  if (rest !== "") yield rest;
}
