import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { DeadlineError } from "../../src/durable/deadline.ts";
import type { Upload } from "../../src/gateway/storage/body.ts";
import { restoreBundle } from "../../src/gateway/storage/bundle-out.ts";
import { type Backend, reach } from "../../src/gateway/storage/context.ts";
import { streamThrough } from "../../src/gateway/storage/transfer.ts";
import { passed } from "../../src/instance/files.ts";
import { setLogLevel } from "../../src/log.ts";
import { done } from "../../src/outcome.ts";
import { gzip } from "../../src/vault/packs/format.ts";
import type { Task } from "../../src/vault/packs/store.ts";
import { writePack } from "../../src/vault/packs/write.ts";
import type { VaultParts } from "../../src/vault/parts.ts";
import type { PageEntry } from "../../src/vault/storage.ts";
import { FixedLengthStream, GzipStream, IdentityTransformStream } from "../simulation/world/streams.ts";

/**
 * Whoever writes into a stream that nobody reads waits for ever, and so does whoever waits for its end: by the standard, which
 * Node's streams keep to the letter, an abort comes after the write that is under way. Nothing of ours may wait for that.
 */
beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal("FixedLengthStream", FixedLengthStream);
  vi.stubGlobal("IdentityTransformStream", IdentityTransformStream);
  // Node's own waits for its threads, which no clock moves.
  vi.stubGlobal("CompressionStream", GzipStream);
  setLogLevel("error");
  vi.spyOn(console, "error").mockImplementation(() => {});
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

const HOUR = 3_600_000;
const never = <T>() => new Promise<T>(() => {});
/** When the first write is under way. */
const away = () => new Promise<never>((_, reject) => setTimeout(() => reject(new Error("R2 is away")), 1_000));
/** What comes of it once nothing moves any more but the clock. */
async function outcome(work: Promise<unknown>): Promise<unknown> {
  let found: unknown = "still waiting";
  work.then(
    () => (found = "done"),
    (error: unknown) => (found = error instanceof DeadlineError ? "too late" : String(error)),
  );
  await vi.advanceTimersByTimeAsync(HOUR);
  return found;
}
const anUpload = (chunks: string[]): Upload => ({
  pull: async () => {
    const next = chunks.shift();
    return next === undefined ? null : Buffer.from(next);
  },
  length: chunks.join("").length,
  contentMd5: null,
  sha256: null,
  checksum: null,
});

describe("a content on its way to R2", () => {
  it("ends with R2's refusal, also when R2 never read of it", async () => {
    expect(await outcome(streamThrough(anUpload(["he", "llo"]), away))).toBe("Error: R2 is away");
  });

  it("ends when R2 neither reads nor answers", async () => {
    expect(await outcome(streamThrough(anUpload(["he", "llo"]), never))).toBe("too late");
  });

  it("ends when its client sends less than it said, and R2 reads nothing", async () => {
    const short = { ...anUpload(["he", "llo"]), length: 6 };
    expect(await outcome(streamThrough(short, never))).toMatch(/too late|IncompleteBody/);
  });
});

describe("a pack on its way to R2", () => {
  const task: Task = { generation: 1, stamp: 1, attempts: 0, due: 0 } as Task;
  const partsWith = (put: () => Promise<unknown>, entries: () => unknown[] = () => []): VaultParts =>
    ({
      store: { generation: () => ({ generation: 1, status: "kept", saveId: "s" }), saveById: () => null },
      entries: { some: entries },
      packs: { unpacked: () => [], objectsOf: () => [], count: () => 0, places: () => [] },
      prefix: () => "tenants/a/",
      bucket: () => ({ put }),
    }) as unknown as VaultParts;

  it("ends with R2's refusal, also when R2 never read of it: the vault's alarm waits for it", async () => {
    expect(await outcome(writePack(partsWith(away), task))).toBe("Error: R2 is away");
  });

  it("ends when R2 neither reads nor answers", async () => {
    expect(await outcome(writePack(partsWith(never), task))).toBe("too late");
  });

  it("ends when what is to be packed is not there", async () => {
    function* lines(): Generator<string> {
      yield "one\n";
      throw new Error("the content 7 is in no pack");
    }
    expect(await outcome(gzip(lines()))).toBe("Error: the content 7 is in no pack");
  });
});

describe("a bundle on its way to a container", () => {
  const entry = (size: number, object: string | null): PageEntry =>
    ({
      path: "f",
      kind: "file",
      mode: 0o644,
      uid: 0,
      gid: 0,
      mtimeNs: "0",
      target: "",
      content: { size, object },
    }) as never;
  /** The response's body is never read, and its writer is what the isolate is kept for. */
  async function unread(entries: PageEntry[], body: ReadableStream<Uint8Array> | null = null): Promise<unknown> {
    let writing: Promise<unknown> = Promise.resolve();
    const size = entries[0]?.content?.size ?? 0;
    const gateway = {
      vault: { page: async () => done({ entries, packed: new Uint8Array(size), next: null }) },
      bucket: { get: async () => ({ size, body }) },
      actor: {},
      waitUntil: (work: Promise<unknown>) => {
        writing = work;
      },
    } as unknown as Backend;
    await restoreBundle(gateway, 1);
    return outcome(writing);
  }

  it("ends when nobody reads it", async () => {
    expect(await unread([entry(5, null)])).toBe("done");
    expect(console.error).toHaveBeenCalledTimes(1);
  });

  it("ends when R2 stops in the middle of a content", async () => {
    const stalled = new ReadableStream<Uint8Array>({ pull: () => never() });
    expect(await unread([entry(100_000, "tenants/a/objects/1")], stalled)).toBe("done");
    expect(console.error).toHaveBeenCalledTimes(1);
  });
});

it("a file out of a container gives its place back when nobody reads it to its end", async () => {
  const ended = vi.fn();
  const body = new Response("hello").body as ReadableStream<Uint8Array>;
  vi.spyOn(AbortSignal, "timeout").mockImplementation((ms) => {
    const controller = new AbortController();
    setTimeout(() => controller.abort(), ms);
    return controller.signal;
  });
  passed(body, 5, ended);
  await vi.advanceTimersByTimeAsync(HOUR);
  expect(ended).toHaveBeenCalledTimes(1);
});

it("R2 that does not answer ends the request that asked it", async () => {
  expect(await outcome(reach(never()))).toBe("too late");
});
