import { createHash, type Hash } from "node:crypto";
import { within } from "../../durable/deadline.ts";
import { S3Error } from "./errors.ts";
import { ByteSource, type Pull, TruncatedError } from "./source.ts";

/** A peer that sends nothing for this long is gone; the save's own deadline is for its owner. */
const STALL_MS = 60_000;
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

/** What a client sends as the content of an object or a part. */
export interface Upload {
  pull: Pull;
  /** Bytes of content. */
  length: number;
  /** Base64, as sent. */
  contentMd5: string | null;
  /** Hex, where the client signed its content. */
  sha256: string | null;
}

/** @throws S3Error `MissingContentLength`, `InvalidDigest`, `EntityTooLarge` */
export function uploadOf(request: Request): Upload {
  const { headers } = request;
  const declared = headers.get("x-amz-content-sha256") ?? "";
  const chunked = declared.startsWith("STREAMING-") || /\baws-chunked\b/.test(headers.get("content-encoding") ?? "");
  const length = Number(headers.get(chunked ? "x-amz-decoded-content-length" : "content-length") ?? Number.NaN);
  if (!Number.isSafeInteger(length) || length < 0) {
    throw new S3Error("MissingContentLength", "You must provide the Content-Length HTTP header.");
  }
  if (length > 5 * 1024 ** 3)
    throw new S3Error("EntityTooLarge", "Your proposed upload exceeds the maximum allowed size.");
  const contentMd5 = headers.get("content-md5");
  if (contentMd5 !== null && !/^[A-Za-z0-9+/]{22}==$/.test(contentMd5)) {
    throw new S3Error("InvalidDigest", "The Content-MD5 you specified is not valid.");
  }
  const pull = pullFrom(request.body, chunked ? READ_SIZE : length);
  return {
    pull: chunked ? decodeChunked(pull) : pull,
    length,
    contentMd5,
    sha256: /^[0-9a-f]{64}$/.test(declared) ? declared : null,
  };
}

export interface Digests {
  sha256: string;
  md5: string;
}

/** A content whole in memory, with its digests checked. Only for small ones. @throws S3Error `IncompleteBody`, `BadDigest`, `XAmzContentSHA256Mismatch` */
export async function readWhole(upload: Upload): Promise<Digests & { bytes: Uint8Array }> {
  const bytes = new Uint8Array(upload.length);
  const hashes = new Hashes();
  let at = 0;
  for await (const chunk of exactly(upload)) {
    bytes.set(chunk, at);
    at += chunk.length;
    hashes.update(chunk);
  }
  return { bytes, ...hashes.checked(upload) };
}

/**
 * Passes a content on as a stream of known length, hashing on the way, never holding more than one chunk. `store` gets the stream;
 * its result counts only if this resolves, since the digests are known at the end. @throws S3Error as `readWhole`
 */
export async function streamThrough<T>(
  upload: Upload,
  store: (content: ReadableStream) => Promise<T>,
): Promise<Digests & { stored: T }> {
  const { readable, writable } = new FixedLengthStream(upload.length);
  const storing = store(readable);
  // A store that refuses without reading on would leave the writer waiting for nobody.
  const refused = storing.then(() => new Promise<never>(() => {}));
  refused.catch(() => {}); // its reason is found below
  const writer = writable.getWriter();
  const hashes = new Hashes();
  try {
    for await (const chunk of exactly(upload)) {
      hashes.update(chunk);
      await within(STALL_MS, "storing the body", Promise.race([writer.write(chunk), refused]));
    }
    const digests = hashes.checked(upload);
    await within(STALL_MS, "storing the body", Promise.race([writer.close(), refused]));
    return { ...digests, stored: await within(STALL_MS, "storing the body", storing) };
  } catch (error) {
    // Whatever is wrong, the stream must not end as if it were whole.
    await writer.abort(error).catch(() => {});
    throw await causeOf(storing, error);
  }
}

/** When the store itself refused, its reason says more than the broken pipe that it left. */
async function causeOf(storing: Promise<unknown>, error: unknown): Promise<unknown> {
  if (error instanceof S3Error) return error;
  return storing.then(
    () => error,
    (reason: unknown) => reason,
  );
}

/** Exactly as many bytes as were announced. @throws S3Error `IncompleteBody` */
async function* exactly(upload: Upload): AsyncGenerator<Uint8Array> {
  let left = upload.length;
  try {
    for (;;) {
      const chunk = await upload.pull();
      if (chunk === null) break;
      left -= chunk.length;
      if (left < 0) throw new S3Error("IncompleteBody", "The body is longer than announced.");
      yield chunk;
    }
  } catch (error) {
    if (error instanceof TruncatedError) throw new S3Error("IncompleteBody", error.message);
    throw error;
  }
  if (left > 0)
    throw new S3Error(
      "IncompleteBody",
      "You did not provide the number of bytes specified by the Content-Length HTTP header.",
    );
}

class Hashes {
  readonly #sha256: Hash = createHash("sha256");
  readonly #md5: Hash = createHash("md5");

  update(chunk: Uint8Array): void {
    this.#sha256.update(chunk);
    this.#md5.update(chunk);
  }

  checked(upload: Upload): Digests {
    const sha256 = this.#sha256.digest("hex");
    const md5 = this.#md5.digest();
    if (upload.contentMd5 !== null && upload.contentMd5 !== md5.toString("base64")) {
      throw new S3Error("BadDigest", "The Content-MD5 you specified did not match what we received.");
    }
    if (upload.sha256 !== null && upload.sha256 !== sha256) {
      throw new S3Error(
        "XAmzContentSHA256Mismatch",
        "The provided 'x-amz-content-sha256' header does not match what was computed.",
      );
    }
    return { sha256, md5: md5.toString("hex") };
  }
}

/** `SIZE[;chunk-signature=…]\r\n…\r\n`, ended by a chunk of no bytes and trailers (AWS "aws-chunked"). @throws S3Error `IncompleteBody` */
function decodeChunked(pull: Pull): Pull {
  const source = new ByteSource(pull);
  let left = 0;
  let ended = false;
  return async () => {
    if (ended) return null;
    if (left === 0) {
      left = Number.parseInt(await line(source), 16);
      if (!Number.isSafeInteger(left) || left < 0) throw new S3Error("IncompleteBody", "A chunk has no length.");
      if (left === 0) {
        ended = true;
        while ((await line(source)) !== "");
        await source.drain();
        return null;
      }
    }
    const chunk = await source.some(left);
    left -= chunk.length;
    if (left === 0 && (await line(source)) !== "")
      throw new S3Error("IncompleteBody", "A chunk is longer than announced.");
    return chunk;
  };
}

async function line(source: ByteSource): Promise<string> {
  let text = "";
  while (!text.endsWith("\r\n")) {
    if (text.length > 1024) throw new S3Error("IncompleteBody", "A chunk's header is too long.");
    text += String.fromCharCode((await source.take(1))[0] as number);
  }
  return text.slice(0, -2);
}
