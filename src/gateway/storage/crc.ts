import { crc32 } from "node:zlib";

/** A checksum over chunks; `digest` ends it. */
export interface Crc {
  update(chunk: Uint8Array): void;
  /** Big-endian, as S3 writes it. */
  digest(): Buffer;
}

/** IEEE 802.3; the platform's own, 2 GB/s. */
export function newCrc32(): Crc {
  let crc = 0;
  return {
    update: (chunk) => {
      crc = crc32(chunk, crc);
    },
    digest: () => bigEndian(crc),
  };
}

/**
 * Castagnoli (RFC 3720). The platform has none, and the library of the AWS SDK goes byte by byte at 90 MB/s; eight bytes at a time by eight
 * tables ("slicing by 8") is some 400 MB/s.
 */
export function newCrc32c(): Crc {
  castagnoli ??= tables(0n, 0x82f63b78n).low;
  const [t0, t1, t2, t3, t4, t5, t6, t7] = castagnoli;
  let crc = -1;
  return {
    update: (chunk) => {
      let c = crc;
      let at = 0;
      for (const end = chunk.length - 7; at < end; at += 8) {
        c ^= word(chunk, at);
        c =
          (t7[c & 0xff] as number) ^
          (t6[(c >>> 8) & 0xff] as number) ^
          (t5[(c >>> 16) & 0xff] as number) ^
          (t4[c >>> 24] as number) ^
          (t3[chunk[at + 4] as number] as number) ^
          (t2[chunk[at + 5] as number] as number) ^
          (t1[chunk[at + 6] as number] as number) ^
          (t0[chunk[at + 7] as number] as number);
      }
      for (; at < chunk.length; at++) c = (c >>> 8) ^ (t0[(c ^ (chunk[at] as number)) & 0xff] as number);
      crc = c;
    },
    digest: () => bigEndian(~crc),
  };
}

/** NVM Express's, the default of newer AWS clients, in two halves of 32 bits. */
export function newCrc64Nvme(): Crc {
  nvme ??= tables(0x9a6c9329n, 0xac4bc9b5n);
  const [l0, l1, l2, l3, l4, l5, l6, l7] = nvme.low;
  const [h0, h1, h2, h3, h4, h5, h6, h7] = nvme.high;
  let low = -1;
  let high = -1;
  return {
    update: (chunk) => {
      let l = low;
      let h = high;
      let at = 0;
      for (const end = chunk.length - 7; at < end; at += 8) {
        const a = l ^ word(chunk, at);
        const b = h ^ word(chunk, at + 4);
        const i7 = a & 0xff;
        const i6 = (a >>> 8) & 0xff;
        const i5 = (a >>> 16) & 0xff;
        const i4 = a >>> 24;
        const i3 = b & 0xff;
        const i2 = (b >>> 8) & 0xff;
        const i1 = (b >>> 16) & 0xff;
        const i0 = b >>> 24;
        l =
          at64(l7, i7) ^
          at64(l6, i6) ^
          at64(l5, i5) ^
          at64(l4, i4) ^
          at64(l3, i3) ^
          at64(l2, i2) ^
          at64(l1, i1) ^
          at64(l0, i0);
        h =
          at64(h7, i7) ^
          at64(h6, i6) ^
          at64(h5, i5) ^
          at64(h4, i4) ^
          at64(h3, i3) ^
          at64(h2, i2) ^
          at64(h1, i1) ^
          at64(h0, i0);
      }
      for (; at < chunk.length; at++) {
        const index = (l ^ (chunk[at] as number)) & 0xff;
        l = ((l >>> 8) | (h << 24)) ^ at64(l0, index);
        h = (h >>> 8) ^ at64(h0, index);
      }
      low = l;
      high = h;
    },
    digest: () => Buffer.concat([bigEndian(~high), bigEndian(~low)]),
  };
}

const at64 = (table: Int32Array, index: number): number => table[index] as number;

const word = (bytes: Uint8Array, at: number): number =>
  (bytes[at] as number) |
  ((bytes[at + 1] as number) << 8) |
  ((bytes[at + 2] as number) << 16) |
  ((bytes[at + 3] as number) << 24);

function bigEndian(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value | 0);
  return bytes;
}

type Eight = [Int32Array, Int32Array, Int32Array, Int32Array, Int32Array, Int32Array, Int32Array, Int32Array];
let castagnoli: Eight | undefined;
let nvme: { low: Eight; high: Eight } | undefined;

/** For a reflected polynomial: table k holds what a byte does to the register k + 1 bytes later. */
function tables(high: bigint, low: bigint): { low: Eight; high: Eight } {
  const polynomial = (high << 32n) | low;
  const values: bigint[] = Array.from({ length: 256 }, (_, index) => BigInt(index));
  const out = { low: [] as Int32Array[], high: [] as Int32Array[] };
  for (let k = 0; k < 8; k++) {
    for (const [index, value] of values.entries()) {
      let crc = value;
      for (let bit = 0; bit < 8; bit++) crc = crc & 1n ? (crc >> 1n) ^ polynomial : crc >> 1n;
      values[index] = crc;
    }
    out.low.push(Int32Array.from(values, (value) => Number(BigInt.asIntN(32, value))));
    out.high.push(Int32Array.from(values, (value) => Number(BigInt.asIntN(32, value >> 32n))));
  }
  return out as { low: Eight; high: Eight };
}
