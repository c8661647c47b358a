import { createHash, type Hash } from "node:crypto";
import { DeadlineError, within } from "../../durable/deadline.ts";
import { STALL_MS, type Upload, uploadOf } from "./body.ts";
import { compareChecksum, headerOf, newChecksum } from "./checksum.ts";
import type { Crc } from "./crc.ts";
import { malformedXml, S3Error } from "./errors.ts";
import { TruncatedError } from "./source.ts";

/** A request's document, of at most `limit` bytes, with all that its headers say about it checked. @throws S3Error */
export async function readDocument(request: Request, limit: number): Promise<string> {
  const upload = uploadOf(request);
  if (upload.length > limit) throw new S3Error("MaxMessageLengthExceeded", "Your request was too big.");
  const { bytes } = await readWhole(upload);
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw malformedXml();
  }
}

export interface Digests {
  sha256: string;
  md5: string;
  /** The additional checksum, if one was asked for: its header, and the base64 that was computed. */
  checksum: { header: string; value: string } | null;
}

/** A content whole in memory, with its digests checked. Only for small ones. @throws S3Error `IncompleteBody`, `BadDigest`, `XAmzContentSHA256Mismatch` */
export async function readWhole(upload: Upload): Promise<Digests & { bytes: Uint8Array }> {
  const bytes = new Uint8Array(upload.length);
  const hashes = new Hashes(upload);
  let at = 0;
  for await (const chunk of exactly(upload)) {
    bytes.set(chunk, at);
    at += chunk.length;
    hashes.update(chunk);
  }
  return { bytes, ...hashes.checked() };
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
  const hashes = new Hashes(upload);
  try {
    for await (const chunk of exactly(upload)) {
      hashes.update(chunk);
      await within(STALL_MS, "storing the body", Promise.race([writer.write(chunk), refused]));
    }
    const digests = hashes.checked();
    await within(STALL_MS, "storing the body", Promise.race([writer.close(), refused]));
    return { ...digests, stored: await within(STALL_MS, "storing the body", storing) };
  } catch (error) {
    // Whatever is wrong, the stream must not end as if it were whole. That it ends is not waited for: a write that nobody reads holds it up.
    writer.abort(error).catch(() => {});
    throw await causeOf(storing, error);
  }
}

/** When the store itself refused, its reason says more than the broken pipe that it left. */
async function causeOf(storing: Promise<unknown>, error: unknown): Promise<unknown> {
  if (error instanceof S3Error) return error;
  return within(STALL_MS, "the store's reason", storing).then(
    () => error,
    (reason: unknown) => (reason instanceof DeadlineError ? error : reason),
  );
}

/** Exactly as many bytes as were announced. @throws S3Error `IncompleteBody`, `RequestTimeout` when they stop coming */
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
    if (error instanceof DeadlineError) {
      throw new S3Error(
        "RequestTimeout",
        "Your socket connection to the server was not read from or written to within the timeout period. Idle connections will be closed.",
      );
    }
    throw error;
  }
  if (left > 0)
    throw new S3Error(
      "IncompleteBody",
      "You did not provide the number of bytes specified by the Content-Length HTTP header.",
    );
}

class Hashes {
  readonly #upload: Upload;
  readonly #sha256: Hash = createHash("sha256");
  readonly #md5: Hash = createHash("md5");
  /** Null also for SHA-256, which is computed anyway. */
  readonly #checksum: Crc | null;

  constructor(upload: Upload) {
    this.#upload = upload;
    const algorithm = upload.checksum?.algorithm;
    this.#checksum = algorithm === undefined || algorithm === "sha256" ? null : newChecksum(algorithm);
  }

  update(chunk: Uint8Array): void {
    this.#sha256.update(chunk);
    this.#md5.update(chunk);
    this.#checksum?.update(chunk);
  }

  /** @throws S3Error `BadDigest`, `XAmzContentSHA256Mismatch` */
  checked(): Digests {
    const { contentMd5, sha256: signed, checksum } = this.#upload;
    const sha256 = this.#sha256.digest();
    const md5 = this.#md5.digest();
    if (contentMd5 !== null && contentMd5 !== md5.toString("base64")) {
      throw new S3Error("BadDigest", "The Content-MD5 you specified did not match what we received.");
    }
    if (signed !== null && signed !== sha256.toString("hex")) {
      throw new S3Error(
        "XAmzContentSHA256Mismatch",
        "The provided 'x-amz-content-sha256' header does not match what was computed.",
      );
    }
    const digests = { sha256: sha256.toString("hex"), md5: md5.toString("hex") };
    if (checksum === null) return { ...digests, checksum: null };
    const value = (this.#checksum?.digest() ?? sha256).toString("base64");
    compareChecksum(checksum.algorithm, checksum.value(), value);
    return { ...digests, checksum: { header: headerOf(checksum.algorithm), value } };
  }
}
