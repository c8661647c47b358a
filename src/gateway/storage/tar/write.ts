import { encodeName } from "../../../vault/names.ts";
import { BLOCK, padded, type TarEntry } from "./header.ts";

const TYPE = { file: 0x30, symlink: 0x32, directory: 0x35, pax: 0x78 } as const;
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
  const records = paxRecords(entry, path, seconds);
  if (records === "") {
    const out = new Uint8Array(BLOCK);
    ustar(out, 0, { ...entry, path, seconds, type: TYPE[entry.kind] });
    return out;
  }
  const bytes = encodeName(records);
  const { length } = bytes;
  const out = new Uint8Array(BLOCK + padded(length) + BLOCK);
  ustar(out, 0, { path: "pax", mode: 0, uid: 0, gid: 0, size: length, target: "", seconds: 0, type: TYPE.pax });
  out.set(bytes, BLOCK);
  ustar(out, BLOCK + padded(length), { ...entry, path, seconds, type: TYPE[entry.kind] });
  return out;
}

interface Block extends Pick<TarEntry, "path" | "mode" | "uid" | "gid" | "size" | "target"> {
  seconds: number;
  type: number;
}

/** Writes one block at `at`, where there are zeros. What does not fit is in the pax records, which win. */
function ustar(out: Uint8Array, at: number, block: Block): void {
  text(out, at, 100, block.path);
  octal(out, at + 100, 7, block.mode);
  octal(out, at + 108, 7, block.uid <= LARGEST_OCTAL_ID ? block.uid : 0);
  octal(out, at + 116, 7, block.gid <= LARGEST_OCTAL_ID ? block.gid : 0);
  octal(out, at + 124, 11, block.size <= LARGEST_OCTAL_SIZE ? block.size : 0);
  octal(out, at + 136, 11, block.seconds >= 0 && block.seconds <= LARGEST_OCTAL_SIZE ? block.seconds : 0);
  out[at + 156] = block.type;
  text(out, at + 157, 100, block.target);
  text(out, at + 257, 8, "ustar\x0000");
  // The checksum counts its own eight bytes as spaces; behind the version there are only zeros.
  let sum = 8 * 32;
  for (let i = at; i < at + 265; i++) sum += out[i] as number;
  octal(out, at + 148, 6, sum);
  out[at + 155] = 0x20;
}

/** As many bytes as fit. A name that is cut or not ASCII is in the pax records. */
function text(out: Uint8Array, at: number, limit: number, value: string): void {
  const end = Math.min(value.length, limit);
  for (let i = 0; i < end; i++) {
    const code = value.charCodeAt(i);
    out[at + i] = code < 0x80 ? code : 0x5f;
  }
}

function octal(out: Uint8Array, at: number, digits: number, value: number): void {
  let rest = value;
  for (let i = at + digits - 1; i >= at; i--) {
    const next = Math.floor(rest / 8);
    out[i] = 0x30 + (rest - next * 8);
    rest = next;
  }
}

function paxRecords(entry: TarEntry, path: string, seconds: number): string {
  let out = "";
  if (needsPax(path)) out += record("path", path);
  if (needsPax(entry.target)) out += record("linkpath", entry.target);
  if (entry.size > LARGEST_OCTAL_SIZE) out += record("size", String(entry.size));
  if (entry.uid > LARGEST_OCTAL_ID) out += record("uid", String(entry.uid));
  if (entry.gid > LARGEST_OCTAL_ID) out += record("gid", String(entry.gid));
  if (!/^0$|000000000$/.test(entry.mtimeNs) || seconds < 0 || seconds > LARGEST_OCTAL_SIZE) {
    out += record("mtime", decimalSeconds(entry.mtimeNs));
  }
  return out;
}

const PLAIN = /^[\x20-\x7e]*$/;
const needsPax = (value: string): boolean => value.length > 100 || !PLAIN.test(value);
const byteLength = (value: string): number => (PLAIN.test(value) ? value.length : encodeName(value).length);

/** LENGTH counts itself, so it is the fixed point of its own number of digits. */
function record(key: string, value: string): string {
  const rest = key.length + byteLength(value) + 3;
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
