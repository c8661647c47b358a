import { describe, expect, it } from "vitest";
import { DeadlineError } from "../../src/durable/deadline.ts";
import type { Upload } from "../../src/gateway/storage/body.ts";
import { decodeChunked } from "../../src/gateway/storage/chunked.ts";
import { S3Error } from "../../src/gateway/storage/errors.ts";
import type { Pull } from "../../src/gateway/storage/source.ts";
import { readWhole } from "../../src/gateway/storage/transfer.ts";

const pulling = (...chunks: (string | Error)[]): Pull => {
  const rest = [...chunks];
  return async () => {
    const next = rest.shift();
    if (next instanceof Error) throw next;
    return next === undefined ? null : Buffer.from(next);
  };
};
const upload = (pull: Pull, length: number): Upload => ({
  pull,
  length,
  contentMd5: null,
  sha256: null,
  checksum: null,
});
const outcome = async (work: Promise<{ bytes: Uint8Array }>) => {
  try {
    return Buffer.from((await work).bytes).toString();
  } catch (error) {
    return error instanceof S3Error ? error.code : String(error);
  }
};

describe("a body", () => {
  it("is exactly as long as announced", async () => {
    expect(await outcome(readWhole(upload(pulling("he", "llo"), 5)))).toBe("hello");
    expect(await outcome(readWhole(upload(pulling("he", "llo"), 6)))).toBe("IncompleteBody");
    expect(await outcome(readWhole(upload(pulling(), 1)))).toBe("IncompleteBody");
  });

  it("that stops coming is a timeout of the client's, not a fault of ours", async () => {
    const stalls = pulling("he", new DeadlineError("reading the body", 60_000));
    expect(await outcome(readWhole(upload(stalls, 5)))).toBe("RequestTimeout");
  });

  it("in chunks is the same however the network cuts it", async () => {
    const framed = "5;chunk-signature=ab\r\nhello\r\n6\r\n world\r\n0\r\nx-amz-checksum-crc32:AAAA\r\n\r\n";
    for (let size = 1; size <= framed.length; size++) {
      const pieces = framed.match(new RegExp(`[\\s\\S]{1,${size}}`, "g")) ?? [];
      const trailers: [string, string][] = [];
      const pull = decodeChunked(pulling(...pieces), (sent) => trailers.push(...sent));
      expect(await outcome(readWhole(upload(pull, 11)))).toBe("hello world");
      expect(trailers).toEqual([["x-amz-checksum-crc32", "AAAA"]]);
    }
  });
});
