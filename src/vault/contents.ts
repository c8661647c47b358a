import { messageOf, within } from "../durable/deadline.ts";
import { type Failure, failed } from "../outcome.ts";
import type { Place } from "./packs/store.ts";
import type { VaultParts } from "./parts.ts";
import type { Content } from "./tree.ts";

/** Contents that cannot be had: R2 does not answer (and may later), or has not what the index says. */
export class ContentError extends Error {
  readonly failure: Failure;
  constructor(code: "storage_unavailable" | "internal", detail: string) {
    super(detail);
    this.failure = failed(code, detail).failure;
  }
}

/** One R2 request, so long that a slow answer is not taken for none. */
export const R2_MS = 60_000;
/** Waits for R2, not for ever. @throws ContentError */
export async function reach<T>(answer: Promise<T>): Promise<T> {
  try {
    return await within(R2_MS, "R2", answer);
  } catch (error) {
    throw new ContentError("storage_unavailable", `R2 does not answer: ${messageOf(error)}`);
  }
}

/** Bytes between two contents that are rather read than asked for apart, and most bytes of one request. */
const GAP = 64 * 1024;
const MOST = 4 * 1024 * 1024;
const PARALLEL = 6;

/** A file's content where it is inline or in a pack; null where it is an R2 object of its own. @throws ContentError */
export async function contentOf(parts: VaultParts, content: Content): Promise<Uint8Array | null> {
  if (content.object !== null) return null;
  if (content.body === null) return new Uint8Array(0);
  return parts.bodies.find(content.body) ?? one(await contentsOf(parts, [content.body]), content.body);
}

/** Inline contents, those that were moved to their packs from there. @throws ContentError */
export async function contentsOf(parts: VaultParts, bodies: readonly number[]): Promise<Map<number, Uint8Array>> {
  const found = parts.bodies.some(bodies);
  const moved = bodies.filter((body) => !found.has(body));
  if (moved.length === 0) return found;
  const { contents, failures } = await packedContents(parts, moved);
  if (failures[0] !== undefined) throw failures[0];
  for (const [body, bytes] of contents) found.set(body, bytes);
  for (const body of bodies) one(found, body);
  return found;
}

/** What packs have of contents; what could not be read is in `failures` only. */
export async function packedContents(
  parts: VaultParts,
  bodies: readonly number[],
): Promise<{ contents: Map<number, Uint8Array>; failures: ContentError[] }> {
  const contents = new Map<number, Uint8Array>();
  const failures: ContentError[] = [];
  const ranges = rangesOf(parts.packs.places(bodies));
  const read = async (): Promise<void> => {
    for (let range = ranges.pop(); range !== undefined; range = ranges.pop()) {
      try {
        const bytes = await readRange(parts.bucket(), range);
        for (const { body, start, size } of range.places) {
          contents.set(body, bytes.subarray(start - range.start, start - range.start + size));
        }
      } catch (error) {
        if (!(error instanceof ContentError)) throw error;
        failures.push(error);
      }
    }
  };
  await Promise.all(Array.from({ length: PARALLEL }, read));
  return { contents, failures };
}

function one(found: ReadonlyMap<number, Uint8Array>, body: number): Uint8Array {
  const bytes = found.get(body);
  if (bytes === undefined)
    throw new ContentError("internal", `The content ${body} is neither in the vault nor in a pack.`);
  return bytes;
}

interface Range {
  object: string;
  start: number;
  end: number;
  places: Place[];
}

/** What lies close together is read at once. */
function rangesOf(places: readonly Place[]): Range[] {
  const sorted = [...places].sort((a, b) => (a.object < b.object ? -1 : a.object > b.object ? 1 : a.start - b.start));
  const ranges: Range[] = [];
  for (const place of sorted) {
    const last = ranges.at(-1);
    const end = place.start + place.size;
    if (last?.object === place.object && place.start - last.end <= GAP && end - last.start <= MOST) {
      last.end = end;
      last.places.push(place);
    } else ranges.push({ object: place.object, start: place.start, end, places: [place] });
  }
  return ranges;
}

/** @throws ContentError */
export async function readRange(bucket: R2Bucket, { object, start, end }: Omit<Range, "places">): Promise<Uint8Array> {
  const read = async (): Promise<Uint8Array | null> => {
    try {
      const found = await bucket.get(object, { range: { offset: start, length: end - start } });
      return found === null ? null : await found.bytes();
    } catch (error) {
      // R2's "range is not satisfiable": the object ends before it.
      if (messageOf(error).includes("(10039)")) return new Uint8Array(0);
      throw error;
    }
  };
  const bytes = await reach(read());
  if (bytes === null) throw new ContentError("internal", `${object} is missing in R2.`);
  if (bytes.length !== end - start) throw new ContentError("internal", `${object} ends before byte ${end}.`);
  return bytes;
}
