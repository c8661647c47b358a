import { messageOf, within } from "../../durable/deadline.ts";
import type { Generation } from "../../ids.ts";
import { log } from "../../log.ts";
import { encodeName } from "../../vault/names.ts";
import type { GenerationPage, PageCursor, PageEntry, VaultStorage } from "../../vault/storage.ts";
import { STALL_MS } from "./body.ts";
import { ask, type Backend, reach } from "./context.ts";
import { BLOCK, padded } from "./tar/header.ts";
import { END, headerOf } from "./tar/write.ts";

/** R2 contents that are asked for before they are needed. */
const AHEAD = 4;
/** Bytes per second: whoever reads more slowly, or gets less from R2, is not waited for any longer. */
const SLOWEST = 64 * 1024;

/**
 * Streams a generation as the tar of docs/container.md: `tree/…`, then `sums` and `parts` to verify it by. They come last, so that
 * whatever cuts the stream short also leaves it unverifiable. @throws S3Error for an unknown generation, before the first byte
 */
export async function restoreBundle(gateway: Backend, generation: number): Promise<Response> {
  const page = (after: PageCursor | null) => ask(gateway.vault.page(gateway.actor, generation as Generation, after));
  return stream(gateway.bucket, generation, page, gateway.waitUntil);
}

/** The same for the API, which acts for no container. @throws S3Error for an unknown generation, before the first byte */
export async function exportBundle(
  vault: Pick<VaultStorage, "exported">,
  bucket: R2Bucket,
  generation: Generation,
  waitUntil: (work: Promise<unknown>) => void,
): Promise<Response> {
  return stream(bucket, generation, (after) => ask(vault.exported(generation, after)), waitUntil);
}

async function stream(
  bucket: R2Bucket,
  generation: number,
  page: (after: PageCursor | null) => Promise<GenerationPage>,
  waitUntil: (work: Promise<unknown>) => void,
): Promise<Response> {
  const first = await page(null);
  const { readable, writable } = new IdentityTransformStream();
  waitUntil(
    write(bucket, writable, first, page).catch((error) => {
      log.error("storage: a restore broke off", { generation, error: messageOf(error) });
      // Its end is not waited for: what nobody reads holds it up.
      writable.abort(error).catch(() => {}); // the reader went away first
    }),
  );
  return new Response(readable, { headers: { "content-type": "application/x-tar" } });
}

async function write(
  bucket: R2Bucket,
  writable: WritableStream<Uint8Array>,
  first: GenerationPage,
  next: (after: PageCursor) => Promise<GenerationPage>,
): Promise<void> {
  const checks: Checks = { sums: [], parts: [] };
  let page: GenerationPage | null = first;
  while (page !== null) {
    // The next page is on its way while this one is sent.
    const following: Promise<GenerationPage> | null = page.next === null ? null : next(page.next);
    following?.catch(() => {}); // awaited below
    await writePage(bucket, writable, page, checks);
    page = following === null ? null : await following;
  }
  const tail = [...textFile("sums", checks.sums), ...textFile("parts", checks.parts), END];
  await send(writable, Buffer.concat(tail));
  await within(STALL_MS, "the end of a bundle", writable.close());
}

/** Lines of the two verification files. */
interface Checks {
  sums: string[];
  parts: string[];
}

async function writePage(
  bucket: R2Bucket,
  writable: WritableStream<Uint8Array>,
  page: GenerationPage,
  checks: Checks,
): Promise<void> {
  const large = page.entries.filter((entry) => entry.content?.object);
  const fetched = new Map<PageEntry, Promise<R2ObjectBody>>();
  let asked = 0;
  const fetchAhead = (upTo: number) => {
    for (; asked < Math.min(upTo, large.length); asked++) {
      const entry = large[asked] as PageEntry;
      const getting = contentOf(bucket, entry);
      getting.catch(() => {}); // awaited when its turn comes
      fetched.set(entry, getting);
    }
  };
  fetchAhead(AHEAD);
  let at = 0;
  let pending: Uint8Array[] = [];
  for (const entry of page.entries) {
    const size = entry.content?.size ?? 0;
    pending.push(headerOf({ ...entry, path: treePath(entry.path), size }));
    if (entry.content !== null) check(checks, entry.path, entry.content);
    const getting = fetched.get(entry);
    if (getting !== undefined) {
      await send(writable, Buffer.concat(pending));
      pending = [];
      await pass((await getting).body, size, writable);
      fetched.delete(entry);
      fetchAhead(asked + 1);
    } else if (size > 0) {
      pending.push(page.packed.subarray(at, at + size));
      at += size;
    }
    if (padded(size) > size) pending.push(ZEROS.subarray(0, padded(size) - size));
  }
  if (pending.length > 0) await send(writable, Buffer.concat(pending));
}

const ZEROS = new Uint8Array(BLOCK);
const treePath = (path: string): string => (path === "" ? "tree" : `tree/${path}`);

/** @throws Error when R2 has not exactly what the index promises */
async function contentOf(bucket: R2Bucket, entry: PageEntry): Promise<R2ObjectBody> {
  const key = entry.content?.object ?? "";
  const found = await reach(bucket.get(key));
  if (found === null) throw new Error(`${key} is missing`);
  if (found.size !== entry.content?.size) throw new Error(`${key} has ${found.size} bytes`);
  return found;
}

function check(checks: Checks, path: string, content: NonNullable<PageEntry["content"]>): void {
  const { line, name } = escapeName(path);
  if (content.partSize === null) checks.sums.push(`${line}${content.sha256}  ${name}\n`);
  else checks.parts.push(`${line}${content.partSize} ${content.sha256} ${name}\n`);
}

/** As sha256sum writes names that would break a line: a backslash before the line, and escapes in the name. */
export function escapeName(path: string): { line: string; name: string } {
  if (!/[\\\n\r]/.test(path)) return { line: "", name: path };
  return { line: "\\", name: path.replace(/\\/g, "\\\\").replace(/\n/g, "\\n").replace(/\r/g, "\\r") };
}

function textFile(path: string, lines: readonly string[]): Uint8Array[] {
  const text = encodeName(lines.join(""));
  const header = headerOf({
    path,
    kind: "file",
    mode: 0o400,
    uid: 0,
    gid: 0,
    size: text.length,
    mtimeNs: "0",
    target: "",
  });
  return [header, text, ZEROS.subarray(0, padded(text.length) - text.length)];
}

const patienceFor = (bytes: number): number => STALL_MS + (bytes / SLOWEST) * 1000;

/** A content of R2's; a pipe that is told to end may wait for a reader that is gone, so that is not waited for either. */
async function pass(
  content: ReadableStream<Uint8Array>,
  size: number,
  writable: WritableStream<Uint8Array>,
): Promise<void> {
  const end = new AbortController();
  const piping = content.pipeTo(writable, { preventClose: true, signal: end.signal });
  try {
    await within(patienceFor(size), "sending a content", piping);
  } catch (error) {
    end.abort(error);
    throw error;
  }
}

async function send(writable: WritableStream<Uint8Array>, bytes: Uint8Array): Promise<void> {
  const writer = writable.getWriter();
  try {
    await within(patienceFor(bytes.length), "sending a bundle", writer.write(bytes));
  } finally {
    writer.releaseLock();
  }
}
