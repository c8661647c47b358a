import type { FoundFile, Origin } from "./found.ts";
import { percentEncoded } from "./path.ts";
import type { FileFacts, ListedFile } from "./types.ts";

/** What answers say of files, as JSON and as headers. Pure. */

const isoOf = (mtimeNs: string): string => new Date(msOf(mtimeNs)).toISOString();
/** What Date cannot hold is shown as its beginning: a mod-time may be any number. */
function msOf(mtimeNs: string): number {
  const ms = Number(BigInt(mtimeNs) / 1_000_000n);
  return Math.abs(ms) <= 8.64e15 ? ms : 0;
}
const modeOf = (mode: number): string => (mode & 0o7777).toString(8).padStart(4, "0");

export const originView = ({ source, generation, asOf, stale, woke }: Origin, now: number) => ({
  source,
  generation,
  asOf: new Date(asOf).toISOString(),
  ageMs: Math.max(0, now - asOf),
  stale,
  ...(woke ? { woke: true as const } : {}),
});

export const fileView = ({
  size,
  mode,
  mtimeNs,
  sha256,
  tag,
}: Pick<FoundFile, "size" | "mode" | "mtimeNs" | "sha256" | "tag">) => ({
  size,
  mode: modeOf(mode),
  lastModified: isoOf(mtimeNs),
  sha256,
  etag: `"${tag}"`,
});

/** Text where it is UTF-8, byte for byte; else base64. */
export function contentView(bytes: Uint8Array): { content: string; encoding: "utf8" | "base64" } {
  try {
    const content = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    return { content, encoding: "utf8" };
  } catch {
    return { content: Buffer.from(bytes).toString("base64"), encoding: "base64" };
  }
}

/** `path` is what it can be asked for by; `href` the same in a URL, also where its name is no UTF-8. */
export function entryView(directory: string, { path, kind, size, mode, mtimeNs, sha256 }: ListedFile) {
  const full = directory === "" ? path : `${directory.replace(/\/$/, "")}/${path}`;
  return {
    path: full,
    href: percentEncoded(full),
    kind,
    size,
    mode: modeOf(mode),
    lastModified: isoOf(mtimeNs),
    ...(sha256 === null ? {} : { sha256 }),
  };
}

/** What a write left behind. */
export const writtenView = (how: "created" | "replaced", facts: FileFacts, tag: string, woke: boolean) => ({
  ...(({ kind: _, ...rest }) => fileView({ ...rest, tag }))(facts),
  created: how === "created",
  source: "container" as const,
  ...(woke ? { woke: true as const } : {}),
});

export function headersOf({ origin, tag, mtimeNs, mode, sha256 }: FoundFile, now: number): Headers {
  const { source, generation, asOf, ageMs, stale, woke } = originView(origin, now);
  const headers = new Headers({
    etag: `"${tag}"`,
    "last-modified": new Date(msOf(mtimeNs)).toUTCString(),
    "accept-ranges": "bytes",
    vary: "accept",
    "x-boilerhouse-source": source,
    "x-boilerhouse-as-of": asOf,
    "x-boilerhouse-age-ms": String(ageMs),
    "x-boilerhouse-stale": String(stale),
    "x-boilerhouse-mode": modeOf(mode),
  });
  if (generation !== null) headers.set("x-boilerhouse-generation", String(generation));
  if (sha256 !== null) headers.set("x-boilerhouse-sha256", sha256);
  if (woke) headers.set("x-boilerhouse-woke", "true");
  return headers;
}
