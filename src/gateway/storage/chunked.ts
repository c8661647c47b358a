import { S3Error } from "./errors.ts";
import { ByteSource, type Pull } from "./source.ts";

const LONGEST_LINE = 4096;
const MOST_TRAILERS = 8;

/**
 * Takes apart what AWS clients call `aws-chunked`: `SIZE[;chunk-signature=…]\r\n…\r\n`, ended by a chunk of no bytes, then trailers and an
 * empty line. Signatures are not checked: the access key opens nothing outside the container that it was made for.
 * `onTrailers` gets what follows the content, by lower-case names, before the end is told. @throws S3Error `IncompleteBody`, `MalformedTrailerError`
 */
export function decodeChunked(pull: Pull, onTrailers: (trailers: ReadonlyMap<string, string>) => void): Pull {
  const source = new ByteSource(pull);
  let left = 0;
  let ended = false;
  return async () => {
    if (ended) return null;
    if (left === 0) {
      left = sizeOf(await line(source));
      if (left === 0) {
        ended = true;
        onTrailers(await trailersOf(source));
        if (!(await source.ended())) throw broken("Bytes follow the last chunk.");
        return null;
      }
    }
    const chunk = await source.some(left);
    left -= chunk.length;
    if (left === 0 && (await line(source)) !== "") throw broken("A chunk is longer than announced.");
    return chunk;
  };
}

function sizeOf(header: string): number {
  const match = /^([0-9a-fA-F]{1,13})(?:;.*)?$/.exec(header);
  if (match === null) throw broken("A chunk has no length.");
  return Number.parseInt(match[1] as string, 16);
}

async function trailersOf(source: ByteSource): Promise<Map<string, string>> {
  const trailers = new Map<string, string>();
  for (;;) {
    const text = await line(source);
    if (text === "") return trailers;
    const match = /^([A-Za-z0-9-]+):\s*(\S*)\s*$/.exec(text);
    const name = match?.[1]?.toLowerCase();
    if (name === undefined || trailers.has(name) || trailers.size === MOST_TRAILERS) throw malformedTrailer();
    trailers.set(name, match?.[2] ?? "");
  }
}

export const malformedTrailer = (): S3Error =>
  new S3Error(
    "MalformedTrailerError",
    "The request contained trailing data that was not well-formed or did not conform to our published schema.",
  );

const broken = (message: string): S3Error => new S3Error("IncompleteBody", message);

async function line(source: ByteSource): Promise<string> {
  let text = "";
  while (!text.endsWith("\r\n")) {
    if (text.length > LONGEST_LINE) throw broken("A chunk's header is too long.");
    const taken = source.take(1);
    text += String.fromCharCode((taken instanceof Uint8Array ? taken : await taken)[0] as number);
  }
  return text.slice(0, -2);
}
