import type { By } from "../auth/principal.ts";
import { DeadlineError, within } from "../durable/deadline.ts";
import { done, type Failure, failed, type Outcome } from "../outcome.ts";
import { contentView, entryView, fileView, originView, writtenView } from "./answers.ts";
import { type Applied, applyTogether, type Change, type NamedChange } from "./atomic.ts";
import { changes, type Item, type ItemResult, nameOf, type Todo } from "./batch.ts";
import type { ContainerFiles } from "./container.ts";
import { HASHED_BYTES, tagOf } from "./etag.ts";
import { bytesOf, type FoundFile } from "./found.ts";
import { shown } from "./path.ts";
import type { Source } from "./place.ts";
import type { ReadOptions, TenantFiles } from "./tenant-files.ts";

/** What all reads of a batch together may bring. */
const MAX_READ_BYTES = 10_000_000;

export interface Batch {
  items: Item[];
  source: Source;
  wake: boolean;
  /** Of writes: all or none. */
  atomic: boolean;
  /** Names this batch; sent again under it, no write is repeated. */
  token: string;
  /** Operations before this one are left out. */
  resumeFrom: number;
  /** ms since 1970; what has not begun by then does not begin. */
  deadlineAt: number;
}
type Fields = Record<string, unknown>;

/** Operations one after the other; each has its own result, and what the deadline did not reach is not begun. */
export class BatchRun {
  readonly #files: TenantFiles;
  readonly #batch: Batch;
  readonly #by: By;
  #bytesRead = 0;

  constructor(files: TenantFiles, batch: Batch, by: By) {
    this.#files = files;
    this.#batch = batch;
    this.#by = by;
  }

  async run(): Promise<ItemResult[]> {
    const { items, resumeFrom, atomic } = this.#batch;
    const due = items.filter(({ index }) => index >= resumeFrom);
    // One that cannot be read spoils an atomic batch: nothing of it is written.
    const isSpoilt = atomic && due.some(({ parsed }) => !parsed.ok);
    const paths = (isSpoilt ? [] : due).flatMap(({ parsed }) =>
      parsed.ok && changes(parsed.todo) ? [shown(parsed.todo.at)] : [],
    );
    // One note and at most one wake for all of it; without writes neither.
    const writable = paths.length === 0 ? null : await this.#writable(paths);
    if (atomic) return this.#atomically(writable);
    const results: ItemResult[] = [];
    for (const item of items) {
      if (item.index < resumeFrom) results.push(resultOf(item, "skipped"));
      else if (Date.now() >= this.#batch.deadlineAt) results.push(resultOf(item, "not_started"));
      else results.push(ended(item, await this.#one(item, writable)));
    }
    return results;
  }

  async #writable(paths: string[]): Promise<Outcome<ContainerFiles>> {
    const note = { kind: "batch" as const, paths };
    const granted = await this.#files.writable(note, this.#batch.wake, this.#by);
    return granted.ok ? done(granted.value.container) : granted;
  }

  async #one({ parsed, index }: Item, writable: Outcome<ContainerFiles> | null): Promise<Outcome<Fields>> {
    if (!parsed.ok) return parsed;
    const { todo } = parsed;
    if (!changes(todo)) return this.#inTime(this.#read(todo));
    if (!writable?.ok) return writable ?? failed("internal", "Nobody asked for a container.");
    return this.#inTime(this.#change(writable.value, index, todo));
  }

  async #change(container: ContainerFiles, index: number, change: Change): Promise<Outcome<Fields>> {
    const name = nameOf(this.#batch.token, index, change);
    const { at, condition } = change;
    if (change.op === "delete") {
      const removed = await container.ask({ op: "delete", at, condition, name });
      return removed.ok ? done(removed.value.replayed ? { replayed: true } : {}) : removed;
    }
    const { content } = change;
    const written = await container.ask({ op: "write", at, size: content.length, body: content, condition, name });
    if (!written.ok) return written;
    const { how, facts, replayed } = written.value;
    return done({ ...writtenView(how, facts, tagOf(facts) ?? "", false), ...(replayed ? { replayed } : {}) });
  }

  async #read(todo: Exclude<Todo, Change>): Promise<Outcome<Fields>> {
    const { source, wake } = this.#batch;
    const options: ReadOptions = { source, wake, generation: null };
    switch (todo.op) {
      case "exists": {
        const found = await this.#files.find(todo.at, "facts", options);
        if (found.ok)
          return done({ exists: true, ...fileView(found.value), ...originView(found.value.origin, Date.now()) });
        return found.failure.code === "not_found" ? done({ exists: false, ...lookedIn(found.failure) }) : found;
      }
      case "list": {
        const { recursive, limit } = todo;
        const listed = await this.#files.list(todo.at, { ...options, recursive, limit, after: null });
        if (!listed.ok) return listed;
        const items = listed.value.entries.map((entry) => entryView(shown(todo.at), entry));
        return done({ items, truncated: listed.value.next !== null, ...originView(listed.value.origin, Date.now()) });
      }
      default:
        return this.#content(await this.#files.find(todo.at, "whole", options));
    }
  }

  async #content(found: Outcome<FoundFile>): Promise<Outcome<Fields>> {
    if (!found.ok) return found;
    const file = found.value;
    if (file.size > HASHED_BYTES || this.#bytesRead + file.size > MAX_READ_BYTES) {
      await file.discard();
      return failed("file_too_large", `The file has ${file.size} bytes; read it by itself.`, {
        extra: { size: file.size },
      });
    }
    const content = await file.content(null);
    if (!content.ok) return content;
    const bytes = await bytesOf(content.value);
    this.#bytesRead += bytes.length;
    return done({ ...contentView(bytes), ...fileView(file), ...originView(file.origin, Date.now()) });
  }

  /** Reads see things as they were before; then everything is written, or nothing. */
  async #atomically(writable: Outcome<ContainerFiles> | null): Promise<ItemResult[]> {
    const { items, resumeFrom } = this.#batch;
    const results: ItemResult[] = [];
    const writes: NamedChange[] = [];
    for (const item of items) {
      const { index, parsed } = item;
      if (index < resumeFrom) results.push(resultOf(item, "skipped"));
      else if (parsed.ok && changes(parsed.todo)) writes.push({ index, change: parsed.todo });
      else if (Date.now() >= this.#batch.deadlineAt) results.push(resultOf(item, "not_started"));
      else results.push(ended(item, await this.#one(item, null)));
    }
    if (writes.length === 0) return results;
    const applied = await this.#together(writable, writes);
    for (const { index } of writes) {
      const item = items[index];
      if (item) results.push(resultOfChange(item, applied));
    }
    return results.sort((a, b) => a.index - b.index);
  }

  async #together(writable: Outcome<ContainerFiles> | null, writes: readonly NamedChange[]): Promise<Applied | null> {
    if (writable === null) return null;
    if (!writable.ok) return { failure: writable };
    return applyTogether(writable.value, this.#batch.token, writes, (work) => this.#inTime(work));
  }

  /** Of the batch's time; what it began may still happen. */
  async #inTime<T>(work: Promise<Outcome<T>>): Promise<Outcome<T>> {
    const left = Math.max(1, this.#batch.deadlineAt - Date.now());
    try {
      return await within(left, "operation", work);
    } catch (error) {
      if (!(error instanceof DeadlineError)) throw error;
      return failed("deadline_exceeded", "The time of the batch was over before it ended.");
    }
  }
}

const resultOf = ({ index, op, path }: Item, status: "skipped" | "not_started" | "not_applied"): ItemResult => ({
  index,
  op,
  path,
  status,
  success: false,
});

function resultOfChange(item: Item, applied: Applied | null): ItemResult {
  if (applied === null) return resultOf(item, "not_applied");
  if ("all" in applied) return ended(item, done(applied.all.get(item.index) ?? {}));
  if ("stoppedBy" in applied && applied.stoppedBy !== item.index) return resultOf(item, "not_applied");
  return ended(item, applied.failure);
}

function ended({ index, op, path }: Item, outcome: Outcome<Fields>): ItemResult {
  const head = { index, op, path };
  if (outcome.ok) return { ...head, status: "succeeded", success: true, ...outcome.value };
  const { code, detail, extra } = outcome.failure;
  return { ...head, status: "failed", success: false, error: { ...extra, code, detail } };
}

function lookedIn({ extra }: Failure): Fields {
  return extra?.lookedIn === undefined ? {} : { lookedIn: extra.lookedIn };
}
