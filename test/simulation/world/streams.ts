import { gunzipSync, gzipSync } from "node:zlib";

/** The streams of workerd that Node lacks, or has with another thread behind them. */

const lengths = new WeakMap<ReadableStream, number>();

/** Of a stream that must end after so many bytes; undefined when nothing is known. */
export const knownLength = (stream: ReadableStream): number | undefined => lengths.get(stream);
export function announce(stream: ReadableStream, length: number): void {
  lengths.set(stream, length);
}

export class IdentityTransformStream extends TransformStream<Uint8Array, Uint8Array> {
  constructor() {
    super({ transform: (chunk, controller) => controller.enqueue(bytesOf(chunk)) });
  }
}

export class FixedLengthStream extends TransformStream<Uint8Array, Uint8Array> {
  constructor(length: number | bigint) {
    let left = Number(length);
    super({
      transform(chunk, controller) {
        left -= chunk.byteLength;
        if (left < 0) throw new TypeError("Attempt to write too many bytes through a FixedLengthStream.");
        controller.enqueue(bytesOf(chunk));
      },
      flush() {
        if (left > 0) throw new TypeError("FixedLengthStream did not see all expected bytes before close().");
      },
    });
    announce(this.readable, Number(length));
  }
}

/** Whole at its end, on this thread: zlib's own streams answer whenever its threads please. */
const wholeAtOnce = (change: (bytes: Buffer) => Buffer) =>
  class extends TransformStream<Uint8Array, Uint8Array> {
    constructor(format: string) {
      if (format !== "gzip") throw new TypeError(`The simulated platform does not know the format ${format}.`);
      const chunks: Uint8Array[] = [];
      super({
        transform(chunk) {
          chunks.push(Uint8Array.from(chunk));
        },
        flush(controller) {
          controller.enqueue(new Uint8Array(change(Buffer.concat(chunks))));
        },
      });
    }
  };
export const GzipStream = wholeAtOnce((bytes) => gzipSync(bytes));
export const GunzipStream = wholeAtOnce((bytes) => gunzipSync(bytes));

/** A blob in memory whose stream asks no thread. */
export class MemoryBlob extends Blob {
  readonly #parts: (string | Uint8Array)[];
  constructor(parts: (string | Uint8Array)[] = [], options: { type?: string } = {}) {
    super(parts, options);
    this.#parts = parts;
  }
  override stream(): ReadableStream<Uint8Array<ArrayBuffer>> {
    const bytes = Buffer.concat(this.#parts.map((part) => bytesOf(part)));
    return streamOf(new Uint8Array(bytes)) as ReadableStream<Uint8Array<ArrayBuffer>>;
  }
}

export function bytesOf(part: string | ArrayBuffer | ArrayBufferView): Uint8Array<ArrayBuffer> {
  if (typeof part === "string") return new TextEncoder().encode(part) as Uint8Array<ArrayBuffer>;
  if (part instanceof ArrayBuffer) return new Uint8Array(part);
  return new Uint8Array(part.buffer as ArrayBuffer, part.byteOffset, part.byteLength);
}

const CHUNK = 64 * 1024;

/** Bytes as a stream of known length, a piece at a time; `breakAfter`: it fails after so many. */
export function streamOf(bytes: Uint8Array, breakAfter = Number.POSITIVE_INFINITY): ReadableStream<Uint8Array> {
  let at = 0;
  const stream = new ReadableStream<Uint8Array>(
    {
      pull(controller) {
        if (at >= breakAfter) return controller.error(brokenOff());
        if (at >= bytes.length) return controller.close();
        const end = Math.min(at + CHUNK, bytes.length, Math.max(breakAfter, at + 1));
        controller.enqueue(bytes.slice(at, end));
        at = end;
      },
    },
    { highWaterMark: 0 },
  );
  announce(stream, bytes.length);
  return stream;
}

export const brokenOff = (): Error => new Error("Network connection lost.");

/**
 * A stream on the other side of the network: it breaks when `alive` says that its source is gone, or after `breakAfter`
 * bytes.
 */
export function carried(
  source: ReadableStream<Uint8Array>,
  alive: () => boolean,
  breakAfter = Number.POSITIVE_INFINITY,
): ReadableStream<Uint8Array> {
  const reader = source.getReader();
  let seen = 0;
  const stream = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        if (!alive() || seen >= breakAfter) {
          reader.cancel(brokenOff()).catch(() => {});
          return controller.error(brokenOff());
        }
        const { done, value } = await reader.read();
        if (!alive()) return controller.error(brokenOff());
        if (done) return controller.close();
        seen += value.byteLength;
        const over = Math.max(0, seen - breakAfter);
        if (value.byteLength > over) controller.enqueue(value.slice(0, value.byteLength - over));
        else controller.error(brokenOff());
      },
      cancel: (reason) => reader.cancel(reason),
    },
    { highWaterMark: 0 },
  );
  const length = knownLength(source);
  if (length !== undefined) announce(stream, length);
  return stream;
}

/** Every stream is one made by JavaScript: Node's byte streams know no `readAtLeast`, which is workerd's own. */
const plainReader: (this: ReadableStream) => unknown = ReadableStream.prototype.getReader;
export function getReader(this: ReadableStream, options?: { mode?: string }): unknown {
  if (options?.mode === "byob") throw new TypeError("This ReadableStream does not support BYOB reads.");
  return plainReader.call(this);
}
