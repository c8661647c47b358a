import { within } from "../durable/deadline.ts";
import { instanceOf } from "../durable/stubs.ts";
import type { ContainerId, Epoch } from "../ids.ts";
import { done, failed, type Outcome } from "../outcome.ts";
import { sha256 } from "../sha256.ts";
import { HASHED_BYTES } from "./etag.ts";
import { bytesOf, type FoundFile, foundBytes, foundStream, type Origin } from "./found.ts";
import type { FilePath } from "./path.ts";
import type { ByteRange, FileAnswers, FileFacts, FileKind, FileRequest } from "./types.ts";

/** What the Instance's own deadlines leave; after it nobody knows. */
const ASK_MS = 40_000;
/** With a body on its way. */
const TRANSFER_MS = 905_000;

/** One container's files, for the tenant and epoch that it was asked for. */
export class ContainerFiles {
  readonly #env: Env;
  readonly #containerId: ContainerId;
  readonly #epoch: Epoch;

  constructor(env: Env, { containerId, epoch }: { containerId: ContainerId; epoch: Epoch }) {
    this.#env = env;
    this.#containerId = containerId;
    this.#epoch = epoch;
  }

  async ask<R extends FileRequest>(request: R): Promise<Outcome<FileAnswers[R["op"]]>> {
    const ms = request.op === "write" && request.body instanceof ReadableStream ? TRANSFER_MS : ASK_MS;
    try {
      return await within(ms, request.op, instanceOf(this.#env, this.#containerId).files(this.#epoch, request));
    } catch (error) {
      return failed("operation_interrupted", `The container's object did not answer: ${String(error)}`);
    }
  }

  /** `part`: only a range of it will be asked for. `facts`: nothing of its content. */
  async find(at: FilePath, wanted: "whole" | "part" | "facts", origin: Origin): Promise<Outcome<FoundFile>> {
    if (wanted !== "whole") {
      const facts = await this.ask({ op: "stat", at });
      if (!facts.ok) return facts;
      if (facts.value.kind !== "file") return notAFile(facts.value.kind);
      return done(foundStream(origin, facts.value, (range) => this.#open(at, range)));
    }
    const read = await this.ask({ op: "read", at, range: null });
    if (!read.ok) return read;
    const { facts, body } = read.value;
    if (facts.size > HASHED_BYTES) {
      return done(
        foundStream(
          origin,
          facts,
          async () => done(body),
          async () => void body.cancel().catch(() => {}), // whoever sends it may be gone
        ),
      );
    }
    return this.#whole(facts, body, origin);
  }

  /** A small one is read to its end, so that its hash is that of what is sent. */
  async #whole(facts: FileFacts, body: ReadableStream<Uint8Array>, origin: Origin): Promise<Outcome<FoundFile>> {
    try {
      const bytes = await bytesOf(body);
      return done(foundBytes(origin, { ...facts, sha256: sha256(bytes) }, bytes));
    } catch {
      return failed("container_unavailable", "The file broke off while it was read.");
    }
  }

  async #open(at: FilePath, range: ByteRange | null): Promise<Outcome<ReadableStream<Uint8Array>>> {
    const read = await this.ask({ op: "read", at, range });
    return read.ok ? done(read.value.body) : read;
  }
}

const WORDS: Readonly<Record<Exclude<FileKind, "file">, string>> = {
  directory: "It is a directory; `GET …/files?path=` lists it.",
  symlink: "It is a symlink, or lies behind one; symlinks are not followed.",
  special: "It is a device, a socket or a pipe.",
};

export const notAFile = (kind: Exclude<FileKind, "file">) => failed("not_a_file", WORDS[kind], { extra: { kind } });
