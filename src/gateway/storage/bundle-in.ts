import { hash } from "node:crypto";
import { messageOf } from "../../durable/deadline.ts";
import { log } from "../../log.ts";
import { type BundleEntry, type ContentRef, INLINE_LIMIT, PAGE_LIMIT } from "../../vault/storage.ts";
import { pullFrom, streamThrough } from "./body.ts";
import { ask, type Gateway } from "./context.ts";
import { S3Error } from "./errors.ts";
import { ByteSource, type Pull, TruncatedError } from "./source.ts";
import { type TarEntry, TarError } from "./tar/header.ts";
import { readTar } from "./tar/read.ts";

/** Contents on their way to R2 at once, and keys reserved in one call. */
const PARALLEL = 4;
const RESERVED_AHEAD = 16;
/** Rows of one batch, so that a million empty files do not make one message. */
const MOST_ENTRIES = 2000;

/**
 * Unpacks the tar of a save into its staging generation, as it streams in: small contents go to the Vault in batches of one message, large ones straight to R2.
 * Only the last batch completes it, so that a tar that breaks off can never be committed. @throws S3Error
 */
export async function saveBundle(gateway: Gateway, request: Request): Promise<Response> {
  const pull = pullFrom(request.body);
  try {
    return await unpack(gateway, new ByteSource(pull));
  } catch (error) {
    // A client that is still sending would see a broken connection instead of the reason.
    await readOut(pull);
    throw refusalOf(error);
  }
}

async function unpack(gateway: Gateway, source: ByteSource): Promise<Response> {
  const { attempt } = await ask(gateway.vault.beginBundle(gateway.actor));
  const batches = new Batches(gateway, attempt);
  const seen = new Set<string>();
  let files = 0;
  let bytes = 0;
  try {
    await readTar(source, (entry, content) => {
      if (seen.size === seen.add(entry.path).size)
        throw new TarError("path", `The path ${JSON.stringify(entry.path)} comes twice.`);
      if (entry.kind === "directory") return; // they come from the manifest
      files += 1;
      bytes += entry.size;
      return entry.size > INLINE_LIMIT ? batches.large(entry, content) : batches.small(entry, content);
    });
    await batches.finish();
  } catch (error) {
    batches.abandon();
    throw error;
  }
  return Response.json({ files, bytes });
}

/** Bytes that are read for nothing before a refusal is answered. */
const MOST_READ_OUT = 256 * 1024 * 1024;

async function readOut(pull: Pull): Promise<void> {
  try {
    for (let left = MOST_READ_OUT; left > 0; ) {
      const chunk = await pull();
      if (chunk === null) return;
      left -= chunk.length;
    }
  } catch (error) {
    log.warn("storage: a refused tar could not be read to its end", { error: messageOf(error) });
  }
}

function refusalOf(error: unknown): unknown {
  if (error instanceof TarError) return new S3Error("InvalidRequest", error.message);
  if (error instanceof TruncatedError) return new S3Error("IncompleteBody", "The tar ends in the middle.");
  return error;
}

/** What has been read and not yet sent. */
class Batches {
  readonly #gateway: Gateway;
  readonly #attempt: number;
  #entries: BundleEntry[] = [];
  #packed = new Uint8Array(PAGE_LIMIT);
  #used = 0;
  /** The batch under way; one at a time keeps their order, and the next is read meanwhile. */
  #sending: Promise<null> | null = null;
  #storing: Promise<BundleEntry>[] = [];
  #reserved: string[] = [];

  constructor(gateway: Gateway, attempt: number) {
    this.#gateway = gateway;
    this.#attempt = attempt;
  }

  small(entry: TarEntry, source: ByteSource): Promise<void> | void {
    // The bound on what an entry takes beside its content keeps a batch within one message.
    if (this.#used + entry.size > PAGE_LIMIT - INLINE_LIMIT || this.#entries.length >= MOST_ENTRIES) {
      return this.#send("more").then(() => this.small(entry, source));
    }
    if (entry.kind === "symlink") return void this.#entries.push(bundleEntry(entry, null));
    const taken = source.take(entry.size);
    if (taken instanceof Uint8Array) return this.#add(entry, taken);
    return taken.then((bytes) => this.#add(entry, bytes));
  }

  async large(entry: TarEntry, source: ByteSource): Promise<void> {
    if (this.#storing.length >= PARALLEL) await this.#settleOldest();
    const object = await this.#reserve();
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
      { pull: endsWith(pull, passed), length: entry.size, contentMd5: null, sha256: null },
      (content) => this.#gateway.bucket.put(object, content),
    ).then(({ sha256, md5 }) => bundleEntry(entry, { size: entry.size, sha256, partSize: null, etag: md5, object }));
    this.#storing.push(storing);
    await Promise.race([read, storing]);
  }

  async finish(): Promise<void> {
    while (this.#storing.length > 0) await this.#settleOldest();
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
    // Not an MD5, and not formed like one, so that no client takes it for the content's: hashing twice would cost as much as storing.
    const etag = `${sha256.slice(0, 32)}-1`;
    this.#entries.push(bundleEntry(entry, { size: bytes.length, sha256, partSize: null, etag, object: null }));
  }

  async #reserve(): Promise<string> {
    if (this.#reserved.length === 0) {
      this.#reserved = (await ask(this.#gateway.vault.reserve(this.#gateway.actor, RESERVED_AHEAD))).objects;
    }
    return this.#reserved.pop() as string;
  }

  async #settleOldest(): Promise<void> {
    const oldest = this.#storing[0];
    if (oldest === undefined) return;
    this.#entries.push(await oldest);
    this.#storing.shift();
  }

  async #send(which: "more" | "last"): Promise<void> {
    await this.#sending;
    // A copy of a view would send the whole buffer behind it.
    const packed = this.#used === PAGE_LIMIT ? this.#packed : this.#packed.slice(0, this.#used);
    const batch = { attempt: this.#attempt, entries: this.#entries, packed, last: which === "last" };
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
