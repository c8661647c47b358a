import { within } from "../../durable/deadline.ts";
import type { Outcome } from "../../outcome.ts";
import { R2_MS } from "../contents.ts";
import { type Source, START } from "../entries.ts";
import { transact, type VaultParts } from "../parts.ts";
import { sourceOf } from "../saves.ts";
import type { GenerationRow } from "../store.ts";
import { keyOf } from "../tree.ts";
import type { Committed } from "../types.ts";
import {
  encodeEntry,
  encodeHeader,
  gzip,
  HEADER_LENGTH,
  type ManifestHead,
  type Placed,
  packName,
  sha256Of,
} from "./format.ts";
import type { Task } from "./store.ts";

/** Contents of one pack; more go into further ones. R2 takes 5 GiB in one piece. */
const MOST_BYTES = 256 * 1024 * 1024;
/** Entries that are looked up at once, and contents. */
const ENTRIES = 5000;
const CONTENTS = 40;
const PUT_MS = 5 * 60 * 1000;

/** A generation's row, and what was answered for its save, as its manifest has them. */
export type PackedGeneration = GenerationRow & { outcome: Outcome<Committed> | null };

/**
 * Writes what R2 lacks of one generation: its new small contents, and its manifest. Every object has a name that follows from the save and
 * from what was written before, so that doing it again writes the same again. A generation that went meanwhile leaves nothing.
 */
export async function writePack(parts: VaultParts, task: Task, mostBytes = MOST_BYTES): Promise<void> {
  for (;;) {
    const row = parts.store.generation(task.generation);
    if (row === null) return void transact(parts, () => parts.packs.finish(task));
    const of = sourceOf(row);
    const { chosen, more } = choose(parts.packs.unpacked(of), mostBytes);
    const object = nameOf(parts, row, more ? "contents" : "manifest");
    const places = placesOf(chosen);
    const manifest = more
      ? new Uint8Array(0)
      : await manifestOf(parts, row, of, object, new Map(places.map((p) => [p.body, p.start])));
    const bytes = await put(parts, object, chosen, manifest);
    const kept = transact(parts, () => {
      const wanted = more ? parts.packs.pending().includes(row.generation) : parts.packs.finish(task);
      if (!wanted || parts.store.generation(row.generation) === null) return false;
      parts.packs.add({ object, generation: row.generation, manifest: !more, bytes }, places);
      parts.packs.enqueue(0);
      return true;
    });
    if (!kept.ok || !kept.value) {
      // A generation that went, or a tenant that was erased, leaves nothing. But the same pack may have been written by another alarm,
      // or found by a rebuild.
      if (parts.store.record()?.rebuilding === 0 && !parts.packs.isKnown(object))
        await within(R2_MS, `deleting ${object}`, parts.bucket().delete(object));
      return;
    }
    if (!more) return;
  }
}

function choose(
  unpacked: { body: number; size: number }[],
  mostBytes: number,
): { chosen: typeof unpacked; more: boolean } {
  let bytes = 0;
  const end = unpacked.findIndex(({ size }) => {
    bytes += size;
    return bytes > mostBytes;
  });
  return end === -1 ? { chosen: unpacked, more: false } : { chosen: unpacked.slice(0, end), more: true };
}

/**
 * The number is that of packs written before, since none is ever written over by another. The save's hash keeps a later life of the tenant, in which numbers might come again, from writing over this one's.
 */
function nameOf(parts: VaultParts, row: GenerationRow, what: "contents" | "manifest"): string {
  const save = sha256Of(new TextEncoder().encode(row.saveId)).slice(0, 8);
  return packName(parts.prefix(), {
    generation: row.generation,
    save,
    number: parts.packs.count(row.generation),
    what,
  });
}

function placesOf(chosen: readonly { body: number; size: number }[]): { body: number; start: number; size: number }[] {
  let start = HEADER_LENGTH;
  return chosen.map(({ body, size }) => {
    start += size;
    return { body, start: start - size, size };
  });
}

async function manifestOf(
  parts: VaultParts,
  row: GenerationRow,
  of: Source,
  object: string,
  own: ReadonlyMap<number, number>,
): Promise<Uint8Array> {
  const packs = [object, ...parts.packs.objectsOf(of)];
  const numbers = new Map(packs.map((name, i) => [name, i]));
  const outcome = parts.store.saveById(row.saveId)?.outcome ?? null;
  const head: ManifestHead<PackedGeneration> = { generation: { ...row, outcome }, packs };
  return gzip(lines());

  function* lines(): Generator<string> {
    yield `${JSON.stringify(head)}\n`;
    for (let after = START; ; ) {
      const entries = parts.entries.some(of, after, ENTRIES);
      const moved = entries.flatMap(({ content }) =>
        content?.body == null || own.has(content.body) ? [] : [content.body],
      );
      const places = new Map(parts.packs.places(moved).map((place) => [place.body, place]));
      const placed = (entry: (typeof entries)[number]): Placed => {
        const { body = null, object: alone = null } = entry.content ?? {};
        if (body === null) return alone;
        const start = own.get(body);
        if (start !== undefined) return [0, start];
        const place = places.get(body);
        if (place === undefined) throw new Error(`the content ${body} is in no pack`);
        return [numbers.get(place.object) ?? -1, place.start];
      };
      yield entries.map((entry) => `${encodeEntry(entry, placed(entry))}\n`).join("");
      const last = entries.at(-1);
      if (last === undefined || entries.length < ENTRIES) return;
      after = { key: keyOf(last.path, last.kind), kind: last.kind };
    }
  }
}

/** Streams a pack, so that memory holds little of it. Answers with its length. @throws Error when R2 fails, or a content is gone */
async function put(
  parts: VaultParts,
  object: string,
  chosen: readonly { body: number; size: number }[],
  manifest: Uint8Array,
): Promise<number> {
  const contents = chosen.reduce((sum, { size }) => sum + size, 0);
  const length = HEADER_LENGTH + contents + manifest.length;
  const { readable, writable } = new FixedLengthStream(length);
  const writer = writable.getWriter();
  const write = async (): Promise<void> => {
    const manifestStart = HEADER_LENGTH + contents;
    await writer.write(encodeHeader({ manifestStart, manifestLength: manifest.length, sha256: sha256Of(manifest) }));
    for (let i = 0; i < chosen.length; i += CONTENTS) {
      const some = chosen.slice(i, i + CONTENTS);
      const found = parts.bodies.some(some.map(({ body }) => body));
      const bytes = some.map(({ body, size }) => {
        const content = found.get(body);
        if (content?.length !== size) throw new Error(`the content ${body} is not in the vault whole`);
        return content;
      });
      await writer.write(Buffer.concat(bytes));
    }
    if (manifest.length > 0) await writer.write(manifest);
    await writer.close();
  };
  // Whichever side fails first, the other must not wait for it; and what took too long must not land later, perhaps after an erasure.
  // Nor is the end of the stream waited for: a write that nobody reads holds it up for ever.
  const ending = (error: unknown): never => {
    writer.abort(error).catch(() => {}); // the stream is broken already
    throw error;
  };
  const putting = parts.bucket().put(object, readable);
  await within(PUT_MS, `writing ${object}`, Promise.all([putting.catch(ending), write().catch(ending)])).catch(ending);
  return length;
}
