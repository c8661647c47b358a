import { beforeAll, describe, expect, it } from "vitest";
import { type Algorithm, newChecksum } from "../../src/gateway/storage/checksum.ts";
import { itAnswers, type Row } from "./s3-table.ts";
import { type Container, errorOf, keysOf, md5, put, r2Keys, random, saving } from "./vault-kit.ts";

/** How bodies are framed and what is said about them: lengths, MD5, SHA-256, chunks, trailers, checksums. */

let container: Container;
beforeAll(async () => {
  container = await saving();
});
const here = async () => container;

const ALGORITHMS: Algorithm[] = ["crc32", "crc32c", "crc64nvme", "sha1", "sha256"];
const sum = (algorithm: Algorithm, bytes: Uint8Array | string): string => {
  const checksum = newChecksum(algorithm);
  checksum.update(Buffer.from(bytes as Uint8Array));
  return checksum.digest().toString("base64");
};

const signed = { "x-amz-content-sha256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "x-amz-decoded-content-length": "11" };
const trailing = (name: string, length = 11) => ({
  "x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
  "content-encoding": "aws-chunked",
  "x-amz-decoded-content-length": String(length),
  "x-amz-trailer": name,
});
const HELLO = "hello world";
const FRAMES = "5;chunk-signature=0a\r\nhello\r\n6;chunk-signature=0b\r\n world\r\n0;chunk-signature=0c\r\n";
const framed = (trailers: string) => `b\r\n${HELLO}\r\n0\r\n${trailers}\r\n`;
const crc32 = `x-amz-checksum-crc32:${sum("crc32", HELLO)}\r\n`;

const ok = (clause: string, headers: Record<string, string>, body: string): Row => ({
  clause,
  ask: "PUT /state/x",
  headers,
  body,
  answer: [200],
  has: { etag: `"${md5(HELLO)}"` },
});
const refused = (clause: string, code: string, headers: Record<string, string>, body = HELLO): Row => ({
  clause,
  ask: "PUT /state/refused",
  headers,
  body,
  answer: [code === "MissingContentLength" ? 411 : 400, code],
});

const framing: Row[] = [
  ok("chunks with signatures", signed, `${FRAMES}\r\n`),
  ok("chunks in another encoding", { ...signed, "content-encoding": "aws-chunked,gzip" }, `${FRAMES}\r\n`),
  ok(
    "chunks with a signed trailer",
    { ...trailing("x-amz-checksum-crc32"), "x-amz-content-sha256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER" },
    `${FRAMES}${crc32}x-amz-trailer-signature:00\r\n\r\n`,
  ),
  ok("chunks with a plain trailer", trailing("x-amz-checksum-crc32"), framed(crc32)),
  {
    ...ok(
      "an empty body in chunks",
      { ...trailing("x-amz-checksum-crc32", 0) },
      `0\r\nx-amz-checksum-crc32:${sum("crc32", "")}\r\n\r\n`,
    ),
    has: { etag: `"${md5("")}"` },
  },
  refused(
    "chunks without the length of the content",
    "MissingContentLength",
    { "x-amz-content-sha256": signed["x-amz-content-sha256"] },
    `${FRAMES}\r\n`,
  ),
  refused(
    "a length that is no number",
    "MissingContentLength",
    { ...signed, "x-amz-decoded-content-length": "1e1" },
    `${FRAMES}\r\n`,
  ),
  refused(
    "more than 5 GiB",
    "EntityTooLarge",
    { ...signed, "x-amz-decoded-content-length": String(5 * 1024 ** 3 + 1) },
    `${FRAMES}\r\n`,
  ),
  refused("chunks that break off", "IncompleteBody", signed, FRAMES.slice(0, 30)),
  refused("chunks without an end", "IncompleteBody", signed, FRAMES),
  refused("a chunk longer than it says", "IncompleteBody", signed, FRAMES.replace("5;", "4;")),
  refused("a chunk without a length", "IncompleteBody", signed, FRAMES.replace("5;", "x;")),
  refused(
    "less content than announced",
    "IncompleteBody",
    { ...signed, "x-amz-decoded-content-length": "12" },
    `${FRAMES}\r\n`,
  ),
  refused(
    "more content than announced",
    "IncompleteBody",
    { ...signed, "x-amz-decoded-content-length": "10" },
    `${FRAMES}\r\n`,
  ),
  refused("bytes behind the end", "IncompleteBody", signed, `${FRAMES}\r\nmore`),
  refused("a trailer that was not announced", "MalformedTrailerError", signed, `${FRAMES}${crc32}\r\n`),
  refused(
    "an announced trailer that does not come",
    "MalformedTrailerError",
    trailing("x-amz-checksum-crc32"),
    framed(""),
  ),
  refused("another trailer than announced", "MalformedTrailerError", trailing("x-amz-checksum-crc32c"), framed(crc32)),
  refused("a trailer without a name", "MalformedTrailerError", trailing("x-amz-checksum-crc32"), framed("AAAA\r\n")),
  refused(
    "a trailer that is no checksum",
    "InvalidRequest",
    trailing("x-amz-checksum-crc32"),
    framed("x-amz-checksum-crc32:AA==\r\n"),
  ),
  refused("a trailer of an unknown kind", "InvalidRequest", trailing("x-amz-meta-a"), framed(crc32)),
  refused(
    "a trailer that does not match",
    "BadDigest",
    trailing("x-amz-checksum-crc32"),
    framed("x-amz-checksum-crc32:AAAAAA==\r\n"),
  ),
  refused("an unknown way of signing", "InvalidArgument", { "x-amz-content-sha256": "STREAMING-FOO" }),
];

const sums: Row[] = [
  ok("MD5", { "content-md5": md5(HELLO, "base64") }, HELLO),
  refused("a wrong MD5", "BadDigest", { "content-md5": md5("other", "base64") }),
  refused("an MD5 that is none", "InvalidDigest", { "content-md5": "nonsense" }),
  refused("a wrong SHA-256", "XAmzContentSHA256Mismatch", { "x-amz-content-sha256": "0".repeat(64) }),
  ...ALGORITHMS.flatMap((algorithm): Row[] => {
    const name = `x-amz-checksum-${algorithm}`;
    const value = sum(algorithm, HELLO);
    return [
      { ...ok(`${algorithm}, which is answered`, { [name]: value }, HELLO), has: { [name]: value } },
      { ...ok(`${algorithm} behind the body`, trailing(name), framed(`${name}:${value}\r\n`)), has: { [name]: value } },
      refused(`a wrong ${algorithm}`, "BadDigest", { [name]: sum(algorithm, "other") }),
      refused(
        `a wrong ${algorithm} behind the body`,
        "BadDigest",
        trailing(name),
        framed(`${name}:${sum(algorithm, "other")}\r\n`),
      ),
      refused(`a ${algorithm} that is none`, "InvalidRequest", { [name]: "AA==" }),
    ];
  }),
  refused("two checksums", "InvalidRequest", {
    "x-amz-checksum-crc32": sum("crc32", HELLO),
    "x-amz-checksum-sha1": sum("sha1", HELLO),
  }),
  refused("an unknown checksum", "InvalidRequest", { "x-amz-checksum-crc16": "AAA=" }),
  refused("an algorithm without its checksum", "InvalidRequest", { "x-amz-sdk-checksum-algorithm": "CRC32" }),
  refused("an unknown algorithm", "InvalidRequest", {
    "x-amz-sdk-checksum-algorithm": "CRC16",
    "x-amz-checksum-crc32": sum("crc32", HELLO),
  }),
];

describe("framing", () => itAnswers(framing, here));
describe("what is said about a body", () => itAnswers(sums, here));

describe("large bodies", () => {
  it("are compared in the same ways, and nothing of a wrong one stays in R2", async () => {
    const body = random(300_000);
    const frames = (bytes: Uint8Array): Uint8Array[] => [
      Buffer.from(`${bytes.length.toString(16)}\r\n`),
      bytes,
      Buffer.from("\r\n"),
    ];
    for (const algorithm of ALGORITHMS) {
      const name = `x-amz-checksum-${algorithm}`;
      const send = (value: string) => {
        const parts = [...frames(body.subarray(0, 65_536)), ...frames(body.subarray(65_536))];
        return put(
          container,
          "large",
          Buffer.concat([...parts, Buffer.from(`0\r\n${name}:${value}\r\n\r\n`)]),
          trailing(name, body.length),
        );
      };
      expect((await send(sum(algorithm, body))).status).toBe(200);
      const [keys, objects] = [await keysOf(container), await r2Keys(container)];
      expect(await errorOf(await send(sum(algorithm, "other")))).toEqual([400, "BadDigest"]);
      expect([await keysOf(container), await r2Keys(container)]).toEqual([keys, objects]);
    }
    const got = await container.fetch("/state/large");
    expect(Buffer.from(await got.bytes()).equals(body)).toBe(true);
  });

  it("keep their own encoding, not that of their transfer", async () => {
    const headers = { ...trailing("x-amz-checksum-crc32"), "content-encoding": "aws-chunked,br" };
    expect((await put(container, "encoded", framed(crc32), headers)).status).toBe(200);
    const head = await container.fetch("/state/encoded", { method: "HEAD" });
    expect([head.headers.get("content-encoding"), head.headers.get("content-length")]).toEqual(["br", "11"]);
    await put(container, "plain", framed(crc32), trailing("x-amz-checksum-crc32"));
    expect((await container.fetch("/state/plain", { method: "HEAD" })).headers.get("content-encoding")).toBeNull();
  });
});
