import { decodeName } from "../../../vault/names.ts";

/** One entry of a tar, as both directions see it. */
export interface TarEntry {
  /** Relative, without `./`, without a trailing slash; the root directory is the empty path. */
  path: string;
  kind: "file" | "directory" | "symlink";
  /** Permission bits. */
  mode: number;
  uid: number;
  gid: number;
  /** Bytes of content; 0 for everything but files. */
  size: number;
  /** Nanoseconds since 1970, as a decimal string. */
  mtimeNs: string;
  /** Where a symlink points; empty for the others. */
  target: string;
}

export const BLOCK = 512;
/** Bytes that `size` bytes of content take in a tar. */
export const padded = (size: number): number => Math.ceil(size / BLOCK) * BLOCK;

export type TarFault = "checksum" | "number" | "path" | "name_too_long" | "unsupported_type";

/** A tar that is refused; nothing of it may become visible. */
export class TarError extends Error {
  readonly fault: TarFault;
  constructor(fault: TarFault, message: string) {
    super(message);
    this.name = "TarError";
    this.fault = fault;
  }
}

/** What one 512-byte block says, before long names and pax records are applied. */
export interface RawHeader {
  name: string;
  mode: number;
  uid: number;
  gid: number;
  size: number;
  mtime: number;
  type: string;
  link: string;
}

/** Null for a block of zeros, which ends an archive. @throws TarError `checksum`, `number` */
export function parseHeader(block: Uint8Array): RawHeader | null {
  // The stored checksum counts its own eight bytes as spaces (POSIX ustar).
  let sum = 8 * 32;
  for (let i = 0; i < BLOCK; i++) sum += i < 148 || i >= 156 ? (block[i] as number) : 0;
  if (sum === 8 * 32 && block[148] === 0) return null;
  if (sum !== number(block, 148, 8)) throw new TarError("checksum", "A header's checksum does not match.");
  // Only POSIX ustar ("ustar" and NUL) has a prefix; GNU tar ("ustar" and a space) keeps times in those bytes.
  const prefix = block[257] === 0x75 && block[262] === 0 ? cString(block, 345, 155) : "";
  const name = cString(block, 0, 100);
  return {
    name: prefix === "" ? name : `${prefix}/${name}`,
    mode: number(block, 100, 8) & 0o7777,
    uid: number(block, 108, 8),
    gid: number(block, 116, 8),
    size: number(block, 124, 12),
    mtime: number(block, 136, 12),
    type: block[156] === 0 ? "0" : String.fromCharCode(block[156] as number),
    link: cString(block, 157, 100),
  };
}

/**
 * The path as the vault keeps it. Absolute paths and `..` are refused rather than repaired: an honest tar of a directory has none.
 * @throws TarError `path`, `name_too_long`
 */
export function safePath(name: string): string {
  if (name.length > 4096) throw new TarError("name_too_long", "A path is longer than 4096 characters.");
  if (name.startsWith("/")) throw new TarError("path", `The path ${JSON.stringify(name)} is absolute.`);
  if (name.includes("\0")) throw new TarError("path", "A path contains a NUL character.");
  const parts = name.split("/").filter((part) => part !== "" && part !== ".");
  if (parts.includes("..")) throw new TarError("path", `The path ${JSON.stringify(name)} leaves the directory.`);
  return parts.join("/");
}

/** Octal, or GNU's base-256 where the first bit is set. @throws TarError `number` */
function number(block: Uint8Array, at: number, length: number): number {
  const first = block[at] as number;
  if (first & 0x80) {
    // 0xff… is a negative number: only times before 1970 may be that.
    let value = first === 0xff ? -1 : first & 0x7f;
    for (let i = 1; i < length; i++) value = value * 256 + (block[at + i] as number);
    if (!Number.isSafeInteger(value)) throw new TarError("number", "A number in a header is too large.");
    return value;
  }
  let value = 0;
  let seen = false;
  for (let i = at; i < at + length; i++) {
    const byte = block[i] as number;
    if (byte >= 0x30 && byte <= 0x37) {
      value = value * 8 + byte - 0x30;
      seen = true;
    } else if (byte === 0 || byte === 0x20) {
      if (seen) break;
    } else throw new TarError("number", "A number in a header is not octal.");
  }
  return value;
}

function cString(block: Uint8Array, at: number, length: number): string {
  let name = "";
  for (let i = at; i < at + length; i++) {
    const byte = block[i] as number;
    if (byte === 0) return name;
    if (byte >= 0x80) return longString(block, at, length);
    name += String.fromCharCode(byte);
  }
  return name;
}

/** Beyond ASCII. */
function longString(block: Uint8Array, at: number, length: number): string {
  const end = block.subarray(at, at + length).indexOf(0);
  return decodeName(block.subarray(at, end === -1 ? at + length : at + end));
}
