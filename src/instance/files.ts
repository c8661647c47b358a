import { messageOf, within } from "../durable/deadline.ts";
import { type FilePath, type Located, locate, shown } from "../files/path.ts";
import type { FileAnswers, FileRequest, StagedChange, WriteRequest } from "../files/types.ts";
import type { Epoch } from "../ids.ts";
import { done, failed, type Outcome } from "../outcome.ts";
import { FileControl } from "./file-control.ts";
import type { Life } from "./life.ts";
import type { NamedWrites } from "./named-writes.ts";
import type { BootRecord } from "./record.ts";

/** File operations of one container at a time. */
export const FILES_AT_ONCE = 16;
/** To the head of an answer, where nothing but names and a small file's hash is looked at. */
const QUICK_MS = 15_000;
/** To the end of a body, in either direction. */
export const TRANSFER_MS = 900_000;

type Answer = FileAnswers[FileRequest["op"]];

/** The files of one container's volumes, for the tenant that it serves. */
export class Files {
  readonly #life: Life;
  readonly #names: NamedWrites;
  /** Keeps the container awake until it is called. */
  readonly #begin: () => () => void;
  #running = 0;

  constructor(life: Life, names: NamedWrites, begin: () => () => void) {
    this.#life = life;
    this.#names = names;
    this.#begin = begin;
  }

  /** Failures: of the file (`not_found`, `not_a_file`, `forbidden`, …), `rate_limited`, `container_unavailable`, `invalid_transition`, `stale_epoch`. */
  async perform(epoch: Epoch, request: FileRequest): Promise<Outcome<Answer>> {
    const serving = this.#life.serving(epoch);
    if (!serving.ok) return serving;
    const { state } = this.#life;
    const isRead = request.op === "stat" || request.op === "read" || request.op === "list";
    if (state !== "assigned" && !(isRead && state === "saving")) {
      return failed("invalid_transition", `The container is ${state}; files are changed while it serves.`);
    }
    if (this.#running >= FILES_AT_ONCE) {
      return failed("rate_limited", `${FILES_AT_ONCE} files of this container are read or written already.`, {
        retryAfterMs: 1_000,
      });
    }
    const end = this.#counted();
    const outcome = await this.#once(serving.value, request).catch((error: unknown) =>
      failed("operation_interrupted", messageOf(error)),
    );
    if (!isRead) this.#life.touch();
    if (!outcome.ok || !("body" in outcome.value)) {
      end();
      return isRead ? harmless(outcome) : outcome;
    }
    const { facts, sent, body } = outcome.value;
    return done({ facts, sent, body: passed(body, sent, end) });
  }

  /** Counts until its end, which may be reported twice. */
  #counted(): () => void {
    const ended = this.#begin();
    let open = true;
    this.#running += 1;
    return () => {
      if (!open) return;
      open = false;
      this.#running -= 1;
      ended();
    };
  }

  /** What has a name happens once; what did not happen may be sent again under it. */
  async #once(boot: BootRecord, request: FileRequest): Promise<Outcome<Answer>> {
    if (!("name" in request) || request.name === undefined) return this.#perform(boot, request);
    const standing = this.#names.begin(request.name, Date.now());
    if (standing.kind === "answered") return done({ ...(JSON.parse(standing.answer) as object), replayed: true });
    if (standing.kind === "unknown") {
      return failed("operation_interrupted", "It was begun before, and nobody knows whether it happened.");
    }
    const outcome = await this.#perform(boot, request);
    if (outcome.ok) this.#names.end(request.name, JSON.stringify(outcome.value));
    else if (outcome.failure.code !== "operation_interrupted" && outcome.failure.code !== "deadline_exceeded") {
      this.#names.forget(request.name);
    }
    return outcome;
  }

  async #perform(boot: BootRecord, request: FileRequest): Promise<Outcome<Answer>> {
    const control = new FileControl(this.#life.runtime, boot);
    if (request.op === "commit") return this.#commit(boot, control, request.changes);
    const at = placed(boot, request.at);
    if (!at.ok) return at;
    switch (request.op) {
      case "stat":
        return control.stat(at.value, QUICK_MS);
      case "read":
        return read(control, at.value, request.range);
      case "list":
        return control.list(at.value, request.query, 2 * QUICK_MS);
      case "write":
        return write(control, at.value, request);
      case "delete": {
        const removed = await control.remove(at.value, request.condition, QUICK_MS);
        return removed.ok ? done({}) : removed;
      }
    }
  }

  /** All in one volume: nothing is renamed from one file system to another. */
  async #commit(boot: BootRecord, control: FileControl, changes: readonly StagedChange[]): Promise<Outcome<Answer>> {
    const placements: { how: "put" | "delete"; path: string; stage: string }[] = [];
    let containerPath: string | null = null;
    for (const { how, at, stage } of changes) {
      const found = placed(boot, at);
      if (!found.ok) return found;
      containerPath ??= found.value.containerPath;
      if (containerPath !== found.value.containerPath) {
        return failed("bad_request", "What is changed at once lies in one volume.");
      }
      placements.push({ how, path: found.value.path, stage });
    }
    if (containerPath === null) return done({});
    const committed = await control.commit(containerPath, placements, 2 * QUICK_MS);
    return committed.ok ? done({}) : committed;
  }
}

/** A read that broke off did nothing, and may be tried again. */
function harmless(outcome: Outcome<Answer>): Outcome<Answer> {
  if (outcome.ok || outcome.failure.code !== "operation_interrupted") return outcome;
  return { ok: false, failure: { ...outcome.failure, code: "container_unavailable" } };
}

/** Where a path is in this container. Failure: `bad_request` for what lies outside of its volumes. */
function placed({ plan }: BootRecord, at: FilePath): Outcome<Located> {
  const found = locate(at, plan.workload.volumes);
  return found ? done(found) : outside(at);
}

/** Pure. */
export const outside = (at: FilePath) =>
  failed(
    "bad_request",
    at.from === "state"
      ? "The workload has no state volume that a relative path could lie in."
      : `${shown(at)} lies outside of the workload's state and comm volumes.`,
  );

async function read(control: FileControl, at: Located, range: { offset: number; length: number } | null) {
  const found = await control.read(at, range, QUICK_MS);
  if (!found.ok) return found;
  const { facts, sent, body } = found.value;
  return done({ facts, sent, body: body ?? empty() });
}

async function write(control: FileControl, at: Located, request: WriteRequest): Promise<Outcome<FileAnswers["write"]>> {
  const { body, size, condition, stage } = request;
  const isStream = body instanceof ReadableStream;
  const sent = isStream ? body.pipeThrough(new FixedLengthStream(size)) : body;
  return control.write(at, { size, body: sent }, condition, stage, isStream ? TRANSFER_MS : 2 * QUICK_MS);
}

/**
 * The same body, exactly as long as was said, or broken off; `end` is called when it ended or nobody reads it any more. A pipe that is
 * told to end waits for a write that nobody reads: its place is given back all the same.
 */
export function passed(body: ReadableStream<Uint8Array>, length: number, end: () => void): ReadableStream<Uint8Array> {
  const { readable, writable } = new FixedLengthStream(length);
  const piping = body.pipeTo(writable, { signal: AbortSignal.timeout(TRANSFER_MS) });
  within(TRANSFER_MS + QUICK_MS, "a body", piping).then(end, end);
  return readable;
}

const empty = (): ReadableStream<Uint8Array> =>
  new ReadableStream({
    start(controller) {
      controller.close();
    },
  });
