import { decodeName } from "../../../vault/names.ts";
import type { ByteSource } from "../source.ts";
import { BLOCK, padded, parseHeader, type RawHeader, safePath, type TarEntry, TarError } from "./header.ts";

/** What a reader does with an entry. It must take exactly `entry.size` bytes from the source, or none and return false. */
export type OnEntry = (entry: TarEntry, content: ByteSource) => Promise<void> | void;

/** An entry that no directory should be made of, and why; told instead of thrown, its content is passed over. */
export type OnRefused = (name: string, error: TarError) => void;

const LONGEST_NAME = 64 * 1024;
const LONGEST_PAX = 1024 * 1024;

/**
 * Reads a whole tar: ustar, GNU long names and base-256 numbers, pax records. Devices, pipes and sockets are left out, as they have no content to keep;
 * with `onRefused` they are told as all that is refused is, and the rest is read on.
 * @throws TarError for anything that an honest `tar` of one directory does not produce
 */
export async function readTar(source: ByteSource, onEntry: OnEntry, onRefused?: OnRefused): Promise<void> {
  let extended: Extended = {};
  for (;;) {
    const taken = source.take(BLOCK);
    const header = parseHeader(taken instanceof Uint8Array ? taken : await taken);
    if (header === null) return source.drain();
    switch (header.type) {
      case "L":
        extended.path = trimNul(await metadata(source, header, LONGEST_NAME));
        continue;
      case "K":
        extended.link = trimNul(await metadata(source, header, LONGEST_NAME));
        continue;
      case "x":
        extended = { ...extended, ...parsePax(await metadata(source, header, LONGEST_PAX)) };
        continue;
      case "g":
        await metadata(source, header, LONGEST_PAX);
        continue;
    }
    const entry = onRefused ? acceptable(header, extended, onRefused) : toEntry(header, extended);
    const size = extended.size ?? header.size;
    extended = {};
    if (entry === null) {
      if (onRefused && !WITHOUT_CONTENT.has(header.type)) await source.skip(padded(size));
      continue;
    }
    const going = onEntry(entry, source);
    if (going !== undefined) await going;
    const padding = padded(entry.size) - entry.size;
    if (padding > 0) {
      const rest = source.take(padding);
      if (!(rest instanceof Uint8Array)) await rest;
    }
  }
}

interface Extended {
  path?: string;
  link?: string;
  size?: number;
  uid?: number;
  gid?: number;
  mtimeNs?: string;
}

function toEntry(header: RawHeader, extended: Extended): TarEntry | null {
  const kind = kindOf(header.type);
  if (kind === null) return null;
  const size = extended.size ?? header.size;
  return {
    path: safePath(extended.path ?? header.name),
    kind,
    mode: header.mode,
    uid: extended.uid ?? header.uid,
    gid: extended.gid ?? header.gid,
    size: kind === "file" ? size : 0,
    mtimeNs: extended.mtimeNs ?? String(BigInt(header.mtime) * 1_000_000_000n),
    target: kind === "symlink" ? (extended.link ?? header.link) : "",
  };
}

/** Links, devices, directories and pipes: whatever their size says, nothing follows (POSIX ustar). */
const WITHOUT_CONTENT: ReadonlySet<string> = new Set(["1", "2", "3", "4", "5", "6"]);

/** Null, and told, for what is refused by itself; what makes the rest unreadable is thrown. */
function acceptable(header: RawHeader, extended: Extended, onRefused: OnRefused): TarEntry | null {
  const name = extended.path ?? header.name;
  try {
    const entry = toEntry(header, extended);
    if (entry === null) onRefused(name, new TarError("unsupported_type", "It is a device or a pipe."));
    return entry;
  } catch (error) {
    if (!(error instanceof TarError)) throw error;
    onRefused(name, error);
    return null;
  }
}

function kindOf(type: string): TarEntry["kind"] | null {
  switch (type) {
    case "0":
    case "7":
      return "file";
    case "5":
      return "directory";
    case "2":
      return "symlink";
    case "3": // character device
    case "4": // block device
    case "6": // pipe
      return null;
    default:
      // Hard links come dereferenced (docs/container.md); sparse and multi-volume files would be misread.
      throw new TarError("unsupported_type", `An entry has the unsupported type ${JSON.stringify(type)}.`);
  }
}

async function metadata(source: ByteSource, header: RawHeader, longest: number): Promise<Uint8Array> {
  if (header.size > longest) throw new TarError("name_too_long", "A header extension is too long.");
  const all = await source.take(padded(header.size));
  return all.subarray(0, header.size);
}

function trimNul(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return decodeName(end === -1 ? bytes : bytes.subarray(0, end));
}

/** Records of `LENGTH KEY=VALUE\n`, LENGTH counting itself (POSIX pax). @throws TarError `number` */
function parsePax(bytes: Uint8Array): Extended {
  const out: Extended = {};
  for (let at = 0; at < bytes.length; ) {
    const space = bytes.indexOf(0x20, at);
    const length = space === -1 ? Number.NaN : Number(decodeName(bytes.subarray(at, space)));
    if (!Number.isSafeInteger(length) || length <= space - at || at + length > bytes.length) {
      throw new TarError("number", "A pax record has a wrong length.");
    }
    const record = bytes.subarray(space + 1, at + length - 1);
    const equals = record.indexOf(0x3d);
    if (equals === -1) throw new TarError("number", "A pax record has no value.");
    const key = decodeName(record.subarray(0, equals));
    if (key === "path") out.path = decodeName(record.subarray(equals + 1));
    else if (key === "linkpath") out.link = decodeName(record.subarray(equals + 1));
    else if (key === "size") out.size = integer(record.subarray(equals + 1));
    else if (key === "uid") out.uid = integer(record.subarray(equals + 1));
    else if (key === "gid") out.gid = integer(record.subarray(equals + 1));
    else if (key === "mtime") out.mtimeNs = nanoseconds(decodeName(record.subarray(equals + 1)));
    else if (key.startsWith("GNU.sparse.")) throw new TarError("unsupported_type", "Sparse files must be sent whole.");
    at += length;
  }
  return out;
}

function integer(bytes: Uint8Array): number {
  const value = Number(decodeName(bytes));
  if (!Number.isSafeInteger(value) || value < 0) throw new TarError("number", "A pax number is not a whole number.");
  return value;
}

/** `1700000000.25` → `1700000000250000000`. @throws TarError `number` */
export function nanoseconds(decimal: string): string {
  const match = /^(-?)(\d{1,15})(?:\.(\d*))?$/.exec(decimal);
  if (!match) throw new TarError("number", "A time is not a decimal number.");
  const [, sign, whole, fraction = ""] = match;
  const value = BigInt(whole as string) * 1_000_000_000n + BigInt(fraction.slice(0, 9).padEnd(9, "0"));
  return String(sign === "-" ? -value : value);
}
