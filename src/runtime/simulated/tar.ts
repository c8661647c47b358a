import { decodeName, encodeName } from "../../vault/names.ts";
import { concat, TAR_BLOCK, type TarHeader, tarEnd, tarHeader, tarPadding } from "../tar-header.ts";

/** One entry of a tar, read whole. */
export interface TarEntry {
  name: string;
  type: "file" | "directory" | "symlink" | "hardlink";
  mode: number;
  uid: number;
  gid: number;
  mtimeNs: bigint;
  linkName: string;
  body: Uint8Array<ArrayBuffer>;
}

const TYPES: Readonly<Record<string, TarEntry["type"]>> = {
  "\0": "file",
  "0": "file",
  "1": "hardlink",
  "2": "symlink",
  "5": "directory",
};
const decoder = new TextDecoder();

/** All entries of a tar in ustar, GNU or pax format. @throws SyntaxError when it is truncated or damaged */
export function readTar(tar: Uint8Array<ArrayBuffer>): TarEntry[] {
  const entries: TarEntry[] = [];
  let overrides = new Map<string, string>();
  let offset = 0;
  while (offset + TAR_BLOCK <= tar.length) {
    const block = tar.subarray(offset, offset + TAR_BLOCK);
    if (block.every((byte) => byte === 0)) return entries;
    checkSum(block);
    const size = Number(overrides.get("size") ?? number(block, 124, 12));
    const body = tar.subarray(offset + TAR_BLOCK, offset + TAR_BLOCK + size);
    if (body.length < size) break;
    offset += TAR_BLOCK + size + tarPadding(size);
    const flag = String.fromCharCode(block[156] ?? 0);
    if (flag === "L") overrides.set("path", text(body));
    else if (flag === "K") overrides.set("linkpath", text(body));
    else if (flag === "x" || flag === "g") readPax(body, overrides);
    else {
      const type = TYPES[flag];
      if (!type) throw new SyntaxError(`tar: an entry of type ${flag}`);
      entries.push(entryOf(block, type, body, overrides));
      overrides = new Map();
    }
  }
  throw new SyntaxError("tar: unexpected end");
}

export type TarInput = Omit<TarHeader, "size" | "type"> & {
  type: "0" | "2" | "5";
  body?: Uint8Array;
  /** In a pax record, which says it more exactly. */
  mtimeNs?: bigint;
};

/** A tar in GNU format, but for exact mod-times. */
export function writeTar(entries: Iterable<TarInput>): Uint8Array<ArrayBuffer> {
  const chunks: Uint8Array[] = [];
  const add = (header: TarHeader, body: Uint8Array) =>
    chunks.push(tarHeader(header), body, new Uint8Array(tarPadding(body.length)));
  const addLong = (type: "L" | "K", value: string) => {
    const body = encodeName(`${value}\0`);
    if (body.length <= 101) return;
    add({ name: "././@LongLink", type, mode: 0, uid: 0, gid: 0, size: body.length, mtime: 0 }, body);
  };
  const addExact = (mtimeNs: bigint) => {
    const fraction = String(mtimeNs % 1_000_000_000n).padStart(9, "0");
    const record = ` mtime=${mtimeNs / 1_000_000_000n}.${fraction}\n`;
    const body = encodeName(`${record.length + 2}${record}`); // two digits: it has 26 characters or so
    add({ name: "pax", type: "x", mode: 0, uid: 0, gid: 0, size: body.length, mtime: 0 }, body);
  };
  for (const entry of entries) {
    const body = entry.body ?? new Uint8Array();
    if (entry.mtimeNs !== undefined) addExact(entry.mtimeNs);
    addLong("L", entry.name);
    if (entry.linkName !== undefined) addLong("K", entry.linkName);
    add({ ...entry, size: body.length }, body);
  }
  chunks.push(tarEnd());
  return concat(chunks);
}

function entryOf(
  block: Uint8Array,
  type: TarEntry["type"],
  body: Uint8Array<ArrayBuffer>,
  overrides: ReadonlyMap<string, string>,
): TarEntry {
  const ustarPrefix = block[263] === 0x30 ? text(block.subarray(345, 500)) : "";
  const plainName = text(block.subarray(0, 100));
  return {
    name: overrides.get("path") ?? (ustarPrefix ? `${ustarPrefix}/${plainName}` : plainName),
    type,
    mode: number(block, 100, 8) & 0o7777,
    uid: Number(overrides.get("uid") ?? number(block, 108, 8)),
    gid: Number(overrides.get("gid") ?? number(block, 116, 8)),
    mtimeNs: decimalNs(overrides.get("mtime") ?? String(number(block, 136, 12))),
    linkName: overrides.get("linkpath") ?? text(block.subarray(157, 257)),
    body: type === "file" ? body.slice() : new Uint8Array(),
  };
}

/** Records of `LENGTH KEY=VALUE\n`. */
function readPax(body: Uint8Array, into: Map<string, string>): void {
  let offset = 0;
  while (offset < body.length) {
    const space = body.indexOf(0x20, offset);
    const length = Number(decoder.decode(body.subarray(offset, space)));
    if (space < 0 || !Number.isInteger(length) || length <= 0) throw new SyntaxError("tar: a damaged pax record");
    const record = decodeName(body.subarray(space + 1, offset + length - 1));
    const equals = record.indexOf("=");
    into.set(record.slice(0, equals), record.slice(equals + 1));
    offset += length;
  }
}

function number(block: Uint8Array, offset: number, length: number): number {
  const field = block.subarray(offset, offset + length);
  if (((field[0] ?? 0) & 0x80) === 0) return Number.parseInt(text(field).trim() || "0", 8);
  let value = 0n;
  for (const [index, byte] of field.entries()) value = (value << 8n) | BigInt(index === 0 ? byte & 0x7f : byte);
  return Number(BigInt.asIntN(8 * length - 1, value));
}

function text(field: Uint8Array): string {
  const end = field.indexOf(0);
  return decodeName(end < 0 ? field : field.subarray(0, end));
}

/** `-1.5` is one and a half seconds before 1970. */
function decimalNs(decimal: string): bigint {
  const [, sign = "", whole = "0", fraction = ""] = /^(-?)(\d+)(?:\.(\d+))?$/.exec(decimal) ?? [];
  const ns = BigInt(whole) * 1_000_000_000n + BigInt(fraction.slice(0, 9).padEnd(9, "0"));
  return sign === "-" ? -ns : ns;
}

function checkSum(block: Uint8Array): void {
  const stated = number(block, 148, 8);
  let sum = 0;
  for (let i = 0; i < TAR_BLOCK; i++) sum += i >= 148 && i < 156 ? 0x20 : (block[i] ?? 0);
  if (sum !== stated) throw new SyntaxError("tar: a damaged header");
}
