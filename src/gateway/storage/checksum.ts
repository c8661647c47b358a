import { createHash } from "node:crypto";
import { type Crc, newCrc32, newCrc32c, newCrc64Nvme } from "./crc.ts";
import { S3Error } from "./errors.ts";

/** The additional checksums of S3, by the end of their header's name, with their length in bytes. */
const LENGTHS = { crc32: 4, crc32c: 4, crc64nvme: 8, sha1: 20, sha256: 32 } as const;
export type Algorithm = keyof typeof LENGTHS;

const PREFIX = "x-amz-checksum-";
/** Headers that begin like a checksum and are none. */
const ABOUT = new Set(["algorithm", "mode", "type"]);

/** A checksum that a client announces: its base64 value, or null where it follows the body. */
export interface Announced {
  algorithm: Algorithm;
  value: string | null;
}

export const headerOf = (algorithm: Algorithm): string => PREFIX + algorithm;

/** `trailing`: the body is framed so that trailers can follow. @throws S3Error `InvalidRequest` */
export function announcedBy(headers: Headers, trailing: boolean): Announced | null {
  const given = [...headers.keys()].filter((name) => name.startsWith(PREFIX) && !ABOUT.has(name.slice(PREFIX.length)));
  const trailers = (headers.get("x-amz-trailer") ?? "").split(",").flatMap((name) => name.trim().toLowerCase() || []);
  if (given.length + trailers.length > 1) {
    throw invalid("Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.");
  }
  const wanted = headers.get("x-amz-sdk-checksum-algorithm");
  const sdk = wanted === null ? null : algorithmNamed(wanted);
  const [trailer] = trailers;
  if (trailer !== undefined && (!trailing || !trailer.startsWith(PREFIX))) {
    throw invalid("The value specified in the x-amz-trailer header is not supported");
  }
  const name = given[0] ?? trailer;
  if (name === undefined) {
    if (sdk === null) return null;
    throw invalid(
      "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers were found.",
    );
  }
  const algorithm = algorithmNamed(name.slice(PREFIX.length));
  if (sdk !== null && sdk !== algorithm) throw invalid("Value for x-amz-sdk-checksum-algorithm header is invalid.");
  const value = given.length > 0 ? headers.get(name) : null;
  if (value !== null) checkValue(algorithm, value);
  return { algorithm, value };
}

/** @throws S3Error `InvalidRequest` */
export function algorithmNamed(name: string): Algorithm {
  const lower = name.toLowerCase();
  if (Object.hasOwn(LENGTHS, lower)) return lower as Algorithm;
  throw invalid(
    "Checksum algorithm provided is unsupported. Please try again with any of the valid types: [CRC32, CRC32C, CRC64NVME, SHA1, SHA256]",
  );
}

/** @throws S3Error `InvalidRequest` */
export function checkValue(algorithm: Algorithm, value: string): void {
  const bytes = Buffer.from(value, "base64");
  if (bytes.length !== LENGTHS[algorithm] || bytes.toString("base64") !== value) {
    throw invalid(`Value for ${headerOf(algorithm)} header is invalid.`);
  }
}

/** @throws S3Error `BadDigest` */
export function compareChecksum(algorithm: Algorithm, expected: string, computed: string): void {
  if (expected === computed) return;
  throw new S3Error("BadDigest", `The ${algorithm.toUpperCase()} you specified did not match the calculated checksum.`);
}

export function newChecksum(algorithm: Algorithm): Crc {
  switch (algorithm) {
    case "crc32":
      return newCrc32();
    case "crc32c":
      return newCrc32c();
    case "crc64nvme":
      return newCrc64Nvme();
    case "sha1":
    case "sha256": {
      const hash = createHash(algorithm);
      return { update: (chunk) => void hash.update(chunk), digest: () => hash.digest() };
    }
  }
}

const invalid = (message: string): S3Error => new S3Error("InvalidRequest", message);
