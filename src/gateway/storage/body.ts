import { messageOf, within } from "../../durable/deadline.ts";
import { log } from "../../log.ts";
import { type Algorithm, type Announced, announcedBy, checkValue, headerOf } from "./checksum.ts";
import { decodeChunked, malformedTrailer } from "./chunked.ts";
import { S3Error } from "./errors.ts";
import type { Pull } from "./source.ts";

/** A peer that takes or sends nothing for this long is gone; the save's own deadline is for its owner. */
export const STALL_MS = 60_000;
/** Large enough that a thousand small files cost two dozen reads. */
const READ_SIZE = 512 * 1024;

/** Chunks of a request's body, large ones where the stream allows; `length` where it is known. @throws DeadlineError when it stalls */
export function pullFrom(stream: ReadableStream<Uint8Array> | null, length = READ_SIZE): Pull {
  if (stream === null) return async () => null;
  const byob = byobReader(stream);
  if (byob === null) {
    const reader = stream.getReader();
    return async () => nonEmpty(() => within(STALL_MS, "reading the body", reader.read()));
  }
  // A buffer that is filled whole is not zeroed for nothing; at its end the stream answers with less.
  const size = Math.min(Math.max(length, 1), READ_SIZE);
  return async () => {
    const { value } = await within(STALL_MS, "reading the body", byob.readAtLeast(size, new Uint8Array(size)));
    return value === undefined || value.length === 0 ? null : value;
  };
}

/** Bytes that are read for nothing before a refusal is answered, where the caller says no other. */
const MOST_READ_OUT = 256 * 1024 * 1024;

/** Reads on to the end: a client that is still sending would see a broken connection instead of the refusal that follows. */
export async function readOut(pull: Pull, most = MOST_READ_OUT): Promise<void> {
  try {
    for (let left = most; left > 0; ) {
      const chunk = await pull();
      if (chunk === null) return;
      left -= chunk.length;
    }
  } catch (error) {
    log.warn("storage: a refused body could not be read to its end", { error: messageOf(error) });
  }
}

/** Null for a stream made by JavaScript, which has no bytes to fill a buffer with. */
function byobReader(stream: ReadableStream<Uint8Array>): ReadableStreamBYOBReader | null {
  try {
    return stream.getReader({ mode: "byob" });
  } catch {
    return null;
  }
}

async function nonEmpty(read: () => Promise<ReadableStreamReadResult<Uint8Array>>): Promise<Uint8Array | null> {
  for (;;) {
    const { done, value } = await read();
    if (done) return null;
    if (value.length > 0) return value;
  }
}

/** What a client sends as the content of an object or a part, and what it says about it. */
export interface Upload {
  pull: Pull;
  /** Bytes of content. */
  length: number;
  /** Base64, as sent. */
  contentMd5: string | null;
  /** Hex, where the client signed its content. */
  sha256: string | null;
  /** An additional checksum; its value is known when the content has been read. */
  checksum: { algorithm: Algorithm; value: () => string } | null;
}

/** A single put, and a part. */
export const LARGEST_UPLOAD = 5 * 1024 ** 3;

/** @throws S3Error `MissingContentLength`, `InvalidDigest`, `InvalidArgument`, `InvalidRequest`, `EntityTooLarge` */
export function uploadOf(request: Request): Upload {
  const { headers } = request;
  const framing = framingOf(headers);
  const length = lengthOf(headers.get(framing === "plain" ? "content-length" : "x-amz-decoded-content-length"));
  const contentMd5 = contentMd5Of(headers);
  const announced = announcedBy(headers, framing === "chunks and trailers");
  const upload: Upload = {
    pull: pullFrom(request.body, framing === "plain" ? length : READ_SIZE),
    length,
    contentMd5,
    sha256: signedSha256(headers),
    checksum: null,
  };
  let trailers: ReadonlyMap<string, string> = new Map();
  if (framing !== "plain") {
    upload.pull = decodeChunked(upload.pull, (sent) => {
      trailers = sent;
      checkTrailers(trailers, announced);
    });
  }
  if (announced !== null) {
    const { algorithm, value } = announced;
    upload.checksum = { algorithm, value: () => value ?? trailers.get(headerOf(algorithm)) ?? "" };
  }
  return upload;
}

type Framing = "plain" | "chunks" | "chunks and trailers";

/** @throws S3Error `InvalidArgument` */
function framingOf(headers: Headers): Framing {
  const declared = headers.get("x-amz-content-sha256") ?? "UNSIGNED-PAYLOAD";
  const streaming =
    /^STREAMING-(?:AWS4-(?:HMAC|ECDSA-P256)-SHA256-PAYLOAD(-TRAILER)?|UNSIGNED-PAYLOAD(-TRAILER))$/.exec(declared);
  if (streaming !== null) return streaming[1] || streaming[2] ? "chunks and trailers" : "chunks";
  if (declared !== "UNSIGNED-PAYLOAD" && !/^[0-9a-f]{64}$/.test(declared)) {
    throw new S3Error(
      "InvalidArgument",
      "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, one of STREAMING-…, or a valid sha256 value.",
    );
  }
  return /\baws-chunked\b/.test(headers.get("content-encoding") ?? "") ? "chunks" : "plain";
}

/** @throws S3Error `MissingContentLength`, `EntityTooLarge` */
function lengthOf(header: string | null): number {
  const length = /^\d{1,15}$/.test(header ?? "") ? Number(header) : Number.NaN;
  if (Number.isNaN(length)) {
    throw new S3Error("MissingContentLength", "You must provide the Content-Length HTTP header.");
  }
  if (length > LARGEST_UPLOAD)
    throw new S3Error("EntityTooLarge", "Your proposed upload exceeds the maximum allowed size.");
  return length;
}

/** @throws S3Error `InvalidDigest` */
function contentMd5Of(headers: Headers): string | null {
  const contentMd5 = headers.get("content-md5");
  if (contentMd5 !== null && !/^[A-Za-z0-9+/]{22}==$/.test(contentMd5)) {
    throw new S3Error("InvalidDigest", "The Content-MD5 you specified is not valid.");
  }
  return contentMd5;
}

const signedSha256 = (headers: Headers): string | null =>
  /^[0-9a-f]{64}$/.exec(headers.get("x-amz-content-sha256") ?? "")?.[0] ?? null;

/** Exactly the trailer that was announced, beside a signature. @throws S3Error `MalformedTrailerError`, `InvalidRequest` */
function checkTrailers(trailers: ReadonlyMap<string, string>, announced: Announced | null): void {
  const expected = announced !== null && announced.value === null ? headerOf(announced.algorithm) : null;
  for (const name of trailers.keys())
    if (name !== expected && name !== "x-amz-trailer-signature") throw malformedTrailer();
  if (expected === null || announced === null) return;
  const value = trailers.get(expected);
  if (value === undefined) throw malformedTrailer();
  checkValue(announced.algorithm, value);
}
