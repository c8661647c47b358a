import { encodeName } from "../vault/names.ts";

/** One 512-byte header of a tar in GNU format, as docs/container.md asks for. */
export interface TarHeader {
  /** At most 100 bytes; longer ones go before it as an entry of type "L". */
  name: string;
  type: TarType;
  mode: number;
  uid: number;
  gid: number;
  /** Bytes of the body that follows. */
  size: number;
  /** Seconds since 1970. */
  mtime: number;
  linkName?: string;
}
/** File, hard link, symlink, directory, GNU long name, GNU long link. */
export type TarType = "0" | "1" | "2" | "5" | "L" | "K" | "x";

export const TAR_BLOCK = 512;
const encoder = new TextEncoder();

export function tarHeader(entry: TarHeader): Uint8Array {
  const block = new Uint8Array(TAR_BLOCK);
  block.set(encodeName(entry.name).subarray(0, 100), 0);
  number(block, 100, 8, entry.mode);
  number(block, 108, 8, entry.uid);
  number(block, 116, 8, entry.gid);
  number(block, 124, 12, entry.size);
  number(block, 136, 12, entry.mtime);
  block.set(encoder.encode("        "), 148);
  block.set(encoder.encode(entry.type), 156);
  block.set(encodeName(entry.linkName ?? "").subarray(0, 100), 157);
  block.set(encoder.encode("ustar  \0"), 257);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.set(encoder.encode(`${sum.toString(8).padStart(6, "0")}\0 `), 148);
  return block;
}

/** How many bytes bring a body of this size to the next block. */
export const tarPadding = (size: number): number => (TAR_BLOCK - (size % TAR_BLOCK)) % TAR_BLOCK;

/** The two empty blocks that end a tar. */
export const tarEnd = (): Uint8Array => new Uint8Array(2 * TAR_BLOCK);

export function concat(chunks: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(chunks.reduce((total, chunk) => total + chunk.length, 0));
  let offset = 0;
  for (const chunk of chunks) {
    out.set(chunk, offset);
    offset += chunk.length;
  }
  return out;
}

/** Octal digits where they fit, else GNU's big-endian bytes with the first bit set. */
function number(block: Uint8Array, offset: number, length: number, value: number): void {
  const digits = value.toString(8);
  if (value >= 0 && digits.length < length) {
    block.set(encoder.encode(`${digits.padStart(length - 1, "0")}\0`), offset);
    return;
  }
  let rest = BigInt.asUintN(8 * length, BigInt(value));
  for (let i = length - 1; i >= 0; i--) {
    block[offset + i] = Number(rest & 0xffn);
    rest >>= 8n;
  }
  block[offset] = (block[offset] ?? 0) | 0x80;
}
