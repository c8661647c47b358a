import { createHash } from "node:crypto";
import type { Network } from "./network.ts";
import { current } from "./owner.ts";
import { bytesOf, knownLength, streamOf } from "./streams.ts";
import type { BucketView } from "./types.ts";

type Body = ReadableStream<Uint8Array> | ArrayBuffer | ArrayBufferView | string | Blob | null;
interface Stored {
  bytes: Uint8Array;
  etag: string;
  uploaded: number;
  metadata: Record<string, string>;
}
interface Upload {
  key: string;
  parts: Map<number, { bytes: Uint8Array; etag: string }>;
}
interface PutOptions {
  sha256?: string | ArrayBuffer;
  md5?: string | ArrayBuffer;
  onlyIf?: { etagMatches?: string; etagDoesNotMatch?: string };
  customMetadata?: Record<string, string>;
}
type Range = { offset?: number; length?: number } | { suffix: number };

const LEAST_PART = 5 * 1024 * 1024;
const MOST_LISTED = 1_000;

/** The R2 bucket of a world, in memory. An object is there whole or not at all, from one moment on. */
export class SimulatedR2 implements BucketView {
  readonly #network: Network;
  readonly #now: () => number;
  readonly #objects = new Map<string, Stored>();
  readonly #uploads = new Map<string, Upload>();
  #lastUpload = 0;

  constructor(network: Network, now: () => number) {
    this.#network = network;
    this.#now = now;
  }

  /** What `env.BUCKET` is. */
  readonly binding = {
    put: (key: string, value: Body, options: PutOptions = {}) =>
      this.#operation("put", key, async () => {
        const bytes = await whole(value, "put");
        this.#check(bytes, options);
        if (!this.#allows(key, options.onlyIf)) return null;
        return this.#store(key, bytes, hex("md5", bytes), options.customMetadata);
      }),
    get: async (key: string, options: { range?: Range; onlyIf?: PutOptions["onlyIf"] } = {}) => {
      const { owner } = current();
      const found = await this.#operation("get", key, () => {
        const stored = this.#objects.get(key);
        return stored ? { stored, part: partOf(stored.bytes, options.range) } : null;
      });
      if (found === null) return null;
      if (!this.#allows(key, options.onlyIf)) return this.#describe(key, found.stored);
      const breakAfter = this.#network.carriage(owner, "R2", owner.label).breakAfter;
      return new ObjectBody(this.#describe(key, found.stored), found.part, breakAfter);
    },
    head: (key: string) =>
      this.#operation("head", key, () => {
        const stored = this.#objects.get(key);
        return stored ? this.#describe(key, stored) : null;
      }),
    delete: (keys: string | string[]) =>
      this.#operation("delete", [keys].flat()[0] ?? "", () => {
        for (const key of [keys].flat()) this.#objects.delete(key);
      }),
    list: ({ prefix = "", limit = MOST_LISTED, cursor, startAfter, delimiter }: R2ListOptions = {}) =>
      this.#operation("list", prefix, () => {
        const keys = this.keys.filter((key) => key.startsWith(prefix) && key > (startAfter ?? ""));
        /** Whole keys, and folders in the place of all that is in them. */
        const names = new Set(keys.map((key) => upTo(key, prefix, delimiter)));
        const left = [...names].filter((name) => name > (cursor ?? ""));
        const page = left.slice(0, Math.min(limit, MOST_LISTED));
        const objects = page.flatMap((name) => {
          const stored = this.#objects.get(name);
          return stored && upTo(name, prefix, delimiter) === name ? [this.#describe(name, stored)] : [];
        });
        const delimitedPrefixes = page.filter((name) => !this.#objects.has(name));
        const truncated = left.length > page.length;
        return { objects, truncated, delimitedPrefixes, ...(truncated && { cursor: page.at(-1) }) };
      }),
    createMultipartUpload: async (key: string) => {
      const uploadId = await this.#operation("createMultipartUpload", key, () => {
        this.#lastUpload += 1;
        this.#uploads.set(`upload-${this.#lastUpload}`, { key, parts: new Map() });
        return `upload-${this.#lastUpload}`;
      });
      return this.#upload(key, uploadId);
    },
    resumeMultipartUpload: (key: string, uploadId: string) => this.#upload(key, uploadId),
  };

  get keys(): string[] {
    return [...this.#objects.keys()].sort();
  }
  get uploads(): { key: string; uploadId: string }[] {
    return [...this.#uploads].map(([uploadId, { key }]) => ({ key, uploadId }));
  }
  size(key: string): number | null {
    return this.#objects.get(key)?.bytes.length ?? null;
  }
  bytes(key: string): Uint8Array | null {
    return this.#objects.get(key)?.bytes ?? null;
  }
  remove(key: string): void {
    this.#objects.delete(key);
  }

  #upload(key: string, uploadId: string) {
    const found = (): Upload => {
      const upload = this.#uploads.get(uploadId);
      if (upload?.key !== key) throw new Error("The specified multipart upload does not exist. (10024)");
      return upload;
    };
    return {
      key,
      uploadId,
      uploadPart: (partNumber: number, value: Body) =>
        this.#operation("uploadPart", key, async () => {
          const bytes = await whole(value, "uploadPart");
          const etag = hex("md5", bytes);
          found().parts.set(partNumber, { bytes, etag });
          return { partNumber, etag };
        }),
      complete: (parts: { partNumber: number; etag: string }[]) =>
        this.#operation("complete", key, () => {
          const upload = found();
          const pieces = parts.map(({ partNumber, etag }) => {
            const part = upload.parts.get(partNumber);
            if (part?.etag !== etag)
              throw new Error(
                "completeMultipartUpload: One or more of the specified parts could not be found. (10025)",
              );
            return part.bytes;
          });
          if (pieces.slice(0, -1).some((piece) => piece.length < LEAST_PART)) {
            throw new Error(
              "completeMultipartUpload: Your proposed upload is smaller than the minimum allowed object size. (10011)",
            );
          }
          if (new Set(pieces.slice(0, -1).map(({ length }) => length)).size > 1) {
            throw new Error("completeMultipartUpload: All non-trailing parts must have the same length. (10048)");
          }
          this.#uploads.delete(uploadId);
          const bytes = new Uint8Array(Buffer.concat(pieces));
          return this.#store(key, bytes, `${hex("md5", bytes)}-${pieces.length}`);
        }),
      abort: () =>
        this.#operation("abort", key, () => {
          found();
          this.#uploads.delete(uploadId);
        }),
    };
  }

  #operation<T>(op: string, key: string, perform: () => Promise<T> | T): Promise<T> {
    const from = current().owner.label;
    return this.#network.operation(
      `r2 ${op} ${key}`,
      { before: { at: "r2", from, op, key }, after: { at: "r2-reply", from, op, key } },
      (verdict) => new Error(verdict.message ?? `${op}: We encountered an internal error. Please try again. (10001)`),
      perform,
    );
  }

  #store(key: string, bytes: Uint8Array, etag: string, metadata: Record<string, string> = {}) {
    const stored = { bytes, etag, uploaded: this.#now(), metadata };
    this.#objects.set(key, stored);
    return this.#describe(key, stored);
  }

  #check(bytes: Uint8Array, { sha256, md5 }: PutOptions): void {
    for (const [name, wanted] of [
      ["sha256", sha256],
      ["md5", md5],
    ] as const) {
      if (wanted === undefined) continue;
      const text = typeof wanted === "string" ? wanted : Buffer.from(wanted).toString("hex");
      if (hex(name, bytes) !== text) {
        throw new Error(
          `put: The ${name === "md5" ? "MD5" : "SHA-256"} checksum you specified did not match what we received. (10037)`,
        );
      }
    }
  }

  #allows(key: string, onlyIf: PutOptions["onlyIf"]): boolean {
    const etag = this.#objects.get(key)?.etag;
    if (onlyIf?.etagMatches !== undefined && onlyIf.etagMatches !== etag) return false;
    return (
      onlyIf?.etagDoesNotMatch === undefined ||
      (onlyIf.etagDoesNotMatch === "*" ? etag === undefined : onlyIf.etagDoesNotMatch !== etag)
    );
  }

  #describe(key: string, { bytes, etag, uploaded, metadata }: Stored) {
    return {
      key,
      version: `${etag}-${uploaded}`,
      size: bytes.length,
      etag,
      httpEtag: `"${etag}"`,
      uploaded: new Date(uploaded),
      checksums: {},
      customMetadata: metadata,
      storageClass: "Standard",
    };
  }
}

/** An object with its content, or a part of it; read once. */
class ObjectBody {
  readonly body: ReadableStream<Uint8Array>;
  readonly #described: object;

  constructor(described: object, bytes: Uint8Array, breakAfter: number | null) {
    this.#described = described;
    Object.assign(this, this.#described);
    this.body = streamOf(bytes, breakAfter === null ? undefined : Math.min(breakAfter, bytes.length));
  }
  get bodyUsed(): boolean {
    return this.body.locked;
  }
  async bytes(): Promise<Uint8Array> {
    return readAll(this.body);
  }
  async arrayBuffer(): Promise<ArrayBuffer> {
    return (await readAll(this.body)).slice().buffer;
  }
  async text(): Promise<string> {
    return new TextDecoder().decode(await readAll(this.body));
  }
  async json(): Promise<unknown> {
    return JSON.parse(await this.text());
  }
}

/** A key, or its part up to the first delimiter behind the prefix. */
function upTo(key: string, prefix: string, delimiter: string | undefined): string {
  const at = delimiter === undefined ? -1 : key.indexOf(delimiter, prefix.length);
  return at < 0 ? key : key.slice(0, at + (delimiter?.length ?? 0));
}

function partOf(bytes: Uint8Array, range: Range | undefined): Uint8Array {
  if (range === undefined) return bytes;
  if ("suffix" in range) return bytes.subarray(Math.max(0, bytes.length - range.suffix));
  const { offset = 0, length = bytes.length - offset } = range;
  if (offset >= bytes.length) throw new Error("get: The requested range is not satisfiable (10039)");
  return bytes.subarray(offset, offset + length);
}

async function whole(value: Body, op: string): Promise<Uint8Array> {
  if (value === null) return new Uint8Array(0);
  if (value instanceof Blob) return new Uint8Array(await value.arrayBuffer());
  if (!(value instanceof ReadableStream)) return bytesOf(value as string).slice();
  const length = knownLength(value);
  if (length === undefined)
    throw new TypeError(
      `${op}: Provided readable stream must have a known length (request/response body or readable half of FixedLengthStream)`,
    );
  const bytes = await readAll(value);
  if (bytes.length !== length) throw new Error(`${op}: the stream ended after ${bytes.length} of ${length} bytes`);
  return bytes;
}

async function readAll(stream: ReadableStream<Uint8Array>): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  const reader = stream.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    chunks.push(value);
  }
  return new Uint8Array(Buffer.concat(chunks));
}

const hex = (algorithm: string, bytes: Uint8Array): string => createHash(algorithm).update(bytes).digest("hex");
