import { hash } from "node:crypto";
import { type BundleEntry, type ContentRef, INLINE_LIMIT, PAGE_LIMIT } from "../../vault/storage.ts";
import type { ManifestEntry } from "../../vault/types.ts";
import { ask, type Backend } from "./context.ts";
import type { ByteSource } from "./source.ts";
import type { TarEntry } from "./tar/header.ts";
import { streamThrough } from "./transfer.ts";

/** Contents on their way to R2 at once, and keys reserved in one call. */
const PARALLEL = 4;
const RESERVED_AHEAD = 16;
/** Rows of one batch, so that a million empty files do not make one message. */
const MOST_ENTRIES = 2000;

/**
 * What a whole tree is staged with: small contents in batches of one message, large ones straight to R2. Nothing of it
 * counts before `finish`.
 */
export class Batches {
  readonly #gateway: Backend;
  readonly #attempt: number;
  readonly #arrived: (entry: BundleEntry) => void;
  #entries: BundleEntry[] = [];
  #packed = new Uint8Array(PAGE_LIMIT);
  #used = 0;
  /** The batch under way; one at a time keeps their order, and the next is read meanwhile. */
  #sending: Promise<null> | null = null;
  #storing: Promise<BundleEntry>[] = [];
  #reserved: string[] = [];

  /** `arrived` is told of each entry once its content is stored, or on its way in a batch. */
  constructor(gateway: Backend, attempt: number, arrived: (entry: BundleEntry) => void = () => {}) {
    this.#gateway = gateway;
    this.#attempt = attempt;
    this.#arrived = arrived;
  }

  small(entry: TarEntry, source: ByteSource): Promise<void> | void {
    // The bound on what an entry takes beside its content keeps a batch within one message.
    if (this.#used + entry.size > PAGE_LIMIT - INLINE_LIMIT || this.#entries.length >= MOST_ENTRIES) {
      return this.#send("more").then(() => this.small(entry, source));
    }
    if (entry.kind === "symlink") return this.#push(bundleEntry(entry, null));
    const taken = source.take(entry.size);
    if (taken instanceof Uint8Array) return this.#add(entry, taken);
    return taken.then((bytes) => this.#add(entry, bytes));
  }

  async large(entry: TarEntry, source: ByteSource): Promise<void> {
    if (this.#storing.length >= PARALLEL) await this.#settleOldest();
    const object = await this.reserve();
    let left = entry.size;
    const pull = async () => {
      if (left === 0) return null;
      const chunk = await source.some(left);
      left -= chunk.length;
      return chunk;
    };
    // The content must be read before the next entry; only R2's answer may be waited for later.
    let passed = () => {};
    const read = new Promise<void>((resolve) => {
      passed = resolve;
    });
    const storing = streamThrough(
      { pull: endsWith(pull, passed), length: entry.size, contentMd5: null, sha256: null, checksum: null },
      (content) => this.#gateway.bucket.put(object, content),
    ).then(({ sha256, md5 }) => bundleEntry(entry, { size: entry.size, sha256, partSize: null, etag: md5, object }));
    this.#storing.push(storing);
    await Promise.race([read, storing]);
  }

  /** One whose content is known already: inline in `bytes`, or in R2 under a key of `reserve`. */
  async known(entry: BundleEntry, bytes: Uint8Array): Promise<void> {
    if (this.#used + bytes.length > PAGE_LIMIT - INLINE_LIMIT || this.#entries.length >= MOST_ENTRIES) {
      await this.#send("more");
    }
    this.#packed.set(bytes, this.#used);
    this.#used += bytes.length;
    this.#push(entry);
  }

  /** Everything is stored of which `large` was told. */
  async settled(): Promise<void> {
    while (this.#storing.length > 0) await this.#settleOldest();
  }

  /** Adds to the manifest of a save that was opened with an empty one. */
  async list(manifest: readonly ManifestEntry[]): Promise<void> {
    for (let at = 0; at < manifest.length; at += MOST_ENTRIES) {
      await this.#send("more", manifest.slice(at, at + MOST_ENTRIES));
    }
  }

  async finish(): Promise<void> {
    await this.settled();
    await this.#send("last");
    await this.#sending;
  }

  /** Nothing more is sent; what is under way ends by itself. */
  abandon(): void {
    for (const storing of this.#storing) storing.catch(() => {});
    this.#sending?.catch(() => {});
  }

  #add(entry: TarEntry, bytes: Uint8Array): void {
    this.#packed.set(bytes, this.#used);
    this.#used += bytes.length;
    const sha256 = hash("sha256", bytes, "hex");
    // As S3 has it. With any other rclone asks once more about every file that changed before it sends it.
    const etag = hash("md5", bytes, "hex");
    this.#push(bundleEntry(entry, { size: bytes.length, sha256, partSize: null, etag, object: null }));
  }

  #push(entry: BundleEntry): void {
    this.#entries.push(entry);
    this.#arrived(entry);
  }

  /** A key of R2 that is collected if nothing comes of it. */
  async reserve(): Promise<string> {
    if (this.#reserved.length === 0) {
      this.#reserved = (await ask(this.#gateway.vault.reserve(this.#gateway.actor, RESERVED_AHEAD))).objects;
    }
    return this.#reserved.pop() as string;
  }

  async #settleOldest(): Promise<void> {
    const oldest = this.#storing[0];
    if (oldest === undefined) return;
    this.#push(await oldest);
    this.#storing.shift();
  }

  async #send(which: "more" | "last", manifest?: ManifestEntry[]): Promise<void> {
    await this.#sending;
    // A copy of a view would send the whole buffer behind it.
    const packed = this.#used === PAGE_LIMIT ? this.#packed : this.#packed.slice(0, this.#used);
    const more = manifest ? { manifest } : {};
    const batch = { attempt: this.#attempt, entries: this.#entries, packed, last: which === "last", ...more };
    this.#entries = [];
    this.#used = 0;
    this.#sending = ask(this.#gateway.vault.stageBundle(this.#gateway.actor, batch));
    this.#sending.catch(() => {}); // awaited before the next one and at the end
  }
}

function endsWith(pull: () => Promise<Uint8Array | null>, ended: () => void): () => Promise<Uint8Array | null> {
  return async () => {
    const chunk = await pull();
    if (chunk === null) ended();
    return chunk;
  };
}

function bundleEntry(entry: TarEntry, content: ContentRef | null): BundleEntry {
  return {
    path: entry.path,
    kind: entry.kind === "symlink" ? "symlink" : "file",
    mtimeNs: entry.mtimeNs,
    target: entry.target,
    content,
  };
}
