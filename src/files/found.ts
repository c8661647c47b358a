import { within } from "../durable/deadline.ts";
import { done, type Outcome } from "../outcome.ts";
import { tagOf } from "./etag.ts";
import type { ByteRange } from "./types.ts";

/** Where an answer comes from, and how old it may be. */
export interface Origin {
  source: "container" | "vault";
  /** Of the vault; null in a container. */
  generation: number | null;
  /** When it was so, ms since 1970. */
  asOf: number;
  /** A running container may hold something newer. */
  stale: boolean;
  /** A sleeping tenant was woken for it. */
  woke: boolean;
}

export type Content = Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array>;

/** A file that was found: what is known of it, and its content, all of it or a part. */
export interface FoundFile {
  origin: Origin;
  size: number;
  mode: number;
  mtimeNs: string;
  /** Null for a large one in a container, and for one that the vault keeps in parts. */
  sha256: string | null;
  tag: string;
  /** May be asked for once. */
  content(range: ByteRange | null): Promise<Outcome<Content>>;
  /** Nobody will ask for it. */
  discard(): Promise<void>;
}

/** A tag there is always: small files' hashes are known. */
const tagged = (file: { size: number; mtimeNs: string; sha256: string | null }): string =>
  tagOf(file) ?? `${file.size}-${file.mtimeNs}`;

/** To the end of a content that is taken into memory, in ms. */
const READ_MS = 40_000;

/** All of it. @throws what broke it off, DeadlineError */
export async function bytesOf(content: Content): Promise<Uint8Array<ArrayBuffer>> {
  if (content instanceof Uint8Array) return content;
  return new Uint8Array(await within(READ_MS, "the content", new Response(content).arrayBuffer()));
}

/** A file whose content is here. */
export function foundBytes(
  origin: Origin,
  facts: { size: number; mode: number; mtimeNs: string; sha256: string | null },
  bytes: Uint8Array<ArrayBuffer>,
): FoundFile {
  const content = async (range: ByteRange | null) =>
    done(range === null ? bytes : bytes.subarray(range.offset, range.offset + range.length));
  return { ...facts, origin, tag: tagged(facts), content, discard: async () => {} };
}

/** A file whose content comes as it is asked for. */
export function foundStream(
  origin: Origin,
  facts: { size: number; mode: number; mtimeNs: string; sha256: string | null },
  open: (range: ByteRange | null) => Promise<Outcome<Content>>,
  discard: () => Promise<void> = async () => {},
): FoundFile {
  return { ...facts, origin, tag: tagged(facts), content: open, discard };
}
