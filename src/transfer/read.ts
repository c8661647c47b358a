import { messageOf } from "../durable/deadline.ts";
import { type FieldError, Problem } from "../errors/problem.ts";
import { pullFrom } from "../gateway/storage/body.ts";
import { S3Error } from "../gateway/storage/errors.ts";
import { ByteSource, type Pull, TruncatedError } from "../gateway/storage/source.ts";
import { type TarEntry, TarError } from "../gateway/storage/tar/header.ts";
import { readTar } from "../gateway/storage/tar/read.ts";
import { Arrival, type ArrivalOptions, type Refused } from "./arrival.ts";
import { parseSums, type Sum } from "./sums.ts";

/** What whoever reads a tar does with a file or symlink. It takes exactly `entry.size` bytes. */
export type Take = (entry: TarEntry, content: ByteSource) => Promise<void> | void;

export interface Read {
  arrival: Arrival;
  /** What an export says of its contents; null for a plain tar. */
  sums: Map<string, Sum> | null;
}

const LARGEST_SUMS = 64 * 1024 * 1024;

/**
 * Reads a tar, compressed by gzip or not, to its end: what can be taken is taken, what cannot is noted in the arrival.
 * @throws Problem `invalid` for what is no tar, or breaks off
 */
export async function readTarOf(body: Pull, options: ArrivalOptions, take: Take): Promise<Read> {
  const arrival = new Arrival(options);
  const files: { sums?: Uint8Array; parts?: Uint8Array } = {};
  const source = new ByteSource(await plain(body));
  const onEntry = async (entry: TarEntry, content: ByteSource): Promise<void> => {
    const accepted = arrival.accept(entry);
    if (accepted.as === "nothing") return content.skip(entry.size);
    if (accepted.as === "entry") return entry.kind === "directory" ? undefined : take(accepted.entry, content);
    if (entry.size > LARGEST_SUMS) throw refusal(arrival, `\`${entry.path}\` is larger than an export has it.`);
    files[accepted.as] = await content.take(entry.size);
  };
  try {
    await readTar(source, onEntry, (name, error) => void arrival.refuse(name, error.message));
  } catch (error) {
    throw faultOf(arrival, error);
  }
  if (!arrival.isExport) return { arrival, sums: null };
  const { sums, parts } = files;
  if (!sums || !parts) {
    throw refusal(
      arrival,
      "It begins like an export, but has no `sums` and `parts` to verify it by (`format=plain`?).",
    );
  }
  const parsed = parseSums(sums, parts);
  if (!parsed) throw refusal(arrival, "`sums` or `parts` are not as an export has them.");
  return { arrival, sums: parsed };
}

/** @throws Problem `invalid` that names what is refused, if anything is */
export function refuseAll({ refused, refusals }: Arrival): void {
  if (refusals === 0) return;
  const errors = refused.map(errorOf);
  const [first] = refused;
  const detail = `${refusals} ${refusals === 1 ? "entry is" : "entries are"} refused, and nothing was kept. ${first?.entry}: ${first?.reason}.`;
  throw new Problem("invalid", detail, { extra: { errors, refused: refusals } });
}

const errorOf = ({ entry, reason }: Refused): FieldError => ({
  pointer: `/entries/${entry.replaceAll("~", "~0").replaceAll("/", "~1")}`,
  detail: reason,
});

function refusal({ last }: Arrival, detail: string): Problem {
  const errors = [{ pointer: "/body", detail }];
  return new Problem("invalid", detail, { extra: { errors, ...(last === null ? {} : { lastEntry: last }) } });
}

/** What a tar is refused for as a whole; everything else is not the tar's. */
function faultOf(arrival: Arrival, error: unknown): unknown {
  const where = arrival.last === null ? "at its beginning" : `after ${JSON.stringify(arrival.last)}`;
  if (error instanceof TarError) {
    return refusal(arrival, arrival.last === null ? "The body is no tar." : `${error.message} (${where})`);
  }
  const isCut = error instanceof TruncatedError || (error instanceof S3Error && error.code === "IncompleteBody");
  if (isCut) return refusal(arrival, `The tar ends in the middle, ${where}.`);
  if (error instanceof BadGzip) return refusal(arrival, `The compressed tar is damaged, ${where}: ${error.message}`);
  return error;
}

/** The stream of a gzip is broken, or goes on after its end. */
class BadGzip extends Error {}

/** What a pull gives, decompressed if it begins as a gzip does. */
async function plain(pull: Pull): Promise<Pull> {
  let first = await pull();
  while (first !== null && first.length < 2) {
    const more = await pull();
    if (more === null) break;
    first = Buffer.concat([first, more]);
  }
  let pending = first;
  const whole: Pull = async () => {
    const chunk = pending;
    pending = null;
    return chunk ?? pull();
  };
  if (first === null) return async () => null;
  if (first[0] !== 0x1f || first[1] !== 0x8b) return whole;
  const compressed = new ReadableStream<Uint8Array>({
    async pull(controller) {
      const chunk = await whole();
      if (chunk === null) controller.close();
      else controller.enqueue(chunk);
    },
  });
  const decompressed = pullFrom(compressed.pipeThrough(new DecompressionStream("gzip") as never));
  return async () => {
    try {
      return await decompressed();
    } catch (error) {
      throw error instanceof TypeError ? new BadGzip(messageOf(error)) : error;
    }
  };
}
