import { BLOCK, padded, type TarEntry } from "./header.ts";

const encoder = new TextEncoder();
const TYPE = { file: 0x30, symlink: 0x32, directory: 0x35 } as const;
const LARGEST_OCTAL_SIZE = 0o77777777777;
const LARGEST_OCTAL_ID = 0o7777777;

/** The two blocks of zeros that end an archive. */
export const END = new Uint8Array(2 * BLOCK);

/**
 * The header blocks of an entry: POSIX ustar, preceded by pax records for what ustar cannot hold (long or non-ASCII names, fractions of a second, huge sizes and ids).
 * Content and its padding are for the caller.
 */
export function headerOf(entry: TarEntry): Uint8Array {
  const path = entry.kind === "directory" ? `${entry.path}/` : entry.path;
  const seconds = floorSeconds(entry.mtimeNs);
  const pax = paxRecords(entry, path, seconds);
  if (pax === "") return ustar(entry, path, seconds, TYPE[entry.kind], entry.size);
  const records = encoder.encode(pax);
  const out = new Uint8Array(BLOCK + padded(records.length) + BLOCK);
  out.set(ustar(entry, "pax", 0, 0x78, records.length));
  out.set(records, BLOCK);
  out.set(ustar(entry, path, seconds, TYPE[entry.kind], entry.size), BLOCK + padded(records.length));
  return out;
}

function ustar(entry: TarEntry, path: string, seconds: number, type: number, size: number): Uint8Array {
  const block = new Uint8Array(BLOCK);
  // What does not fit is in the pax records, which win.
  encoder.encodeInto(path, block.subarray(0, 100));
  octal(block, 100, 7, entry.mode);
  octal(block, 108, 7, entry.uid <= LARGEST_OCTAL_ID ? entry.uid : 0);
  octal(block, 116, 7, entry.gid <= LARGEST_OCTAL_ID ? entry.gid : 0);
  octal(block, 124, 11, size <= LARGEST_OCTAL_SIZE ? size : 0);
  octal(block, 136, 11, seconds >= 0 && seconds <= LARGEST_OCTAL_SIZE ? seconds : 0);
  block[156] = type;
  if (type === TYPE.symlink) encoder.encodeInto(entry.target, block.subarray(157, 257));
  encoder.encodeInto("ustar\x0000", block.subarray(257, 265));
  let sum = 8 * 32;
  for (let i = 0; i < BLOCK; i++) sum += block[i] as number;
  octal(block, 148, 6, sum);
  block[155] = 0x20;
  return block;
}

function octal(block: Uint8Array, at: number, digits: number, value: number): void {
  let rest = value;
  for (let i = at + digits - 1; i >= at; i--) {
    block[i] = 0x30 + (rest % 8);
    rest = Math.floor(rest / 8);
  }
}

function paxRecords(entry: TarEntry, path: string, seconds: number): string {
  let out = "";
  if (needsPax(path, 100)) out += record("path", path);
  if (needsPax(entry.target, 100)) out += record("linkpath", entry.target);
  if (entry.size > LARGEST_OCTAL_SIZE) out += record("size", String(entry.size));
  if (entry.uid > LARGEST_OCTAL_ID) out += record("uid", String(entry.uid));
  if (entry.gid > LARGEST_OCTAL_ID) out += record("gid", String(entry.gid));
  if (!/^0$|000000000$/.test(entry.mtimeNs) || seconds < 0 || seconds > LARGEST_OCTAL_SIZE) {
    out += record("mtime", decimalSeconds(entry.mtimeNs));
  }
  return out;
}

const needsPax = (value: string, limit: number): boolean => value.length > limit || !/^[\x20-\x7e]*$/.test(value);

/** LENGTH counts itself, so it is the fixed point of its own number of digits. */
function record(key: string, value: string): string {
  const rest = encoder.encode(` ${key}=${value}\n`).length;
  let length = rest + String(rest).length;
  length = rest + String(length).length;
  return `${length} ${key}=${value}\n`;
}

function floorSeconds(ns: string): number {
  if (!ns.startsWith("-")) return ns.length <= 9 ? 0 : Number(ns.slice(0, -9));
  return Number((BigInt(ns) - 999_999_999n) / 1_000_000_000n);
}

/** `1700000000250000000` → `1700000000.250000000`. */
export function decimalSeconds(ns: string): string {
  const negative = ns.startsWith("-");
  const digits = (negative ? ns.slice(1) : ns).padStart(10, "0");
  return `${negative ? "-" : ""}${digits.slice(0, -9)}.${digits.slice(-9)}`;
}
