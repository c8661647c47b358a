import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { announcedBy, newChecksum } from "../../src/gateway/storage/checksum.ts";
import type { S3Error } from "../../src/gateway/storage/errors.ts";

const ALGORITHMS = ["crc32", "crc32c", "crc64nvme", "sha1", "sha256"] as const;

describe("checksums", () => {
  // The check values of the CRC catalogue for "123456789", and known digests of the SHA family.
  const table: [(typeof ALGORITHMS)[number], string][] = [
    ["crc32", "cbf43926"],
    ["crc32c", "e3069283"],
    ["crc64nvme", "ae8b14860a799888"],
    ["sha1", "f7c3bc1d808e04732adf679965ccc34ca7ae3441"],
    ["sha256", "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225"],
  ];
  it.each(table)("%s of 123456789 is %s", (algorithm, hex) => {
    const checksum = newChecksum(algorithm);
    checksum.update(Buffer.from("123456789"));
    expect(checksum.digest().toString("hex")).toBe(hex);
  });

  it.each(ALGORITHMS)("%s is the same however the content is cut", (algorithm) => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), fc.nat(100), (bytes, cut) => {
        const [whole, pieces] = [newChecksum(algorithm), newChecksum(algorithm)];
        whole.update(bytes);
        pieces.update(bytes.subarray(0, cut));
        pieces.update(bytes.subarray(cut));
        expect(pieces.digest()).toEqual(whole.digest());
      }),
    );
  });
});

describe("what a request announces", () => {
  const answer = (headers: Record<string, string>, trailing = false) => {
    try {
      return announcedBy(new Headers(headers), trailing);
    } catch (error) {
      return (error as S3Error).code;
    }
  };
  const crc32 = "AAAAAA==";

  it("is one checksum, in a header or behind the body", () => {
    expect(answer({})).toBeNull();
    expect(answer({ "x-amz-checksum-mode": "ENABLED", "x-amz-checksum-type": "FULL_OBJECT" })).toBeNull();
    expect(answer({ "x-amz-checksum-crc32": crc32 })).toEqual({ algorithm: "crc32", value: crc32 });
    expect(answer({ "x-amz-checksum-crc32": crc32, "x-amz-sdk-checksum-algorithm": "CRC32" })).not.toBe(
      "InvalidRequest",
    );
    expect(answer({ "x-amz-trailer": "x-amz-checksum-crc64nvme" }, true)).toEqual({
      algorithm: "crc64nvme",
      value: null,
    });
  });

  const wrong: [string, Record<string, string>, boolean][] = [
    ["two checksums", { "x-amz-checksum-crc32": crc32, "x-amz-checksum-crc32c": crc32 }, false],
    ["a header and a trailer", { "x-amz-checksum-crc32": crc32, "x-amz-trailer": "x-amz-checksum-crc32" }, true],
    ["an unknown algorithm", { "x-amz-checksum-crc16": crc32 }, false],
    ["an unknown trailer", { "x-amz-trailer": "x-amz-meta-a" }, true],
    ["an unknown algorithm behind the body", { "x-amz-trailer": "x-amz-checksum-md4" }, true],
    ["a trailer without frames", { "x-amz-trailer": "x-amz-checksum-crc32" }, false],
    ["a value of another length", { "x-amz-checksum-crc32c": "AAAA" }, false],
    ["a value that is no base64", { "x-amz-checksum-crc32c": "!!!!!!==" }, false],
    ["an algorithm without its checksum", { "x-amz-sdk-checksum-algorithm": "CRC32" }, false],
    [
      "an unknown name of an algorithm",
      { "x-amz-sdk-checksum-algorithm": "CRC16", "x-amz-checksum-crc32": crc32 },
      false,
    ],
    ["two algorithms", { "x-amz-sdk-checksum-algorithm": "SHA1", "x-amz-checksum-crc32": crc32 }, false],
  ];
  it.each(wrong)("is refused: %s", (_, headers, trailing) => expect(answer(headers, trailing)).toBe("InvalidRequest"));
});
