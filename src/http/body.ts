import { createMiddleware } from "hono/factory";
import { invalid, Problem } from "../errors/problem.ts";
import type { AppEnv } from "./context.ts";

const MAX_BYTES = 1_000_000;
const MAX_DEPTH = 64;
const JSON_TYPE = /^application\/(?:[\w.-]+\+)?json$/i;
/** JSON is UTF-8 (RFC 8259, 8.1), also for whoever says that it is not. */
const OTHER_CHARSET = /;\s*charset\s*=\s*(?!"?utf-8"?\s*(?:;|$))/i;

/**
 * Reads a JSON body within its limits before anything looks at it: type, size (also when it comes in chunks), encoding,
 * syntax, depth. `optional`: an empty body counts as `{}`.
 */
export const jsonBody = (presence: "required" | "optional", maxBytes = MAX_BYTES) =>
  createMiddleware<AppEnv>(async (c, next) => {
    const { raw } = c.req;
    const text = await readText(raw, presence, maxBytes);
    if (raw.headers.get("content-type")?.toLowerCase() === "application/json") {
      Object.assign(c.req.bodyCache, { text: Promise.resolve(text) }); // what the validator reads
      return next();
    }
    const headers = new Headers(raw.headers);
    headers.set("content-type", "application/json");
    headers.delete("content-length");
    c.req.raw = new Request(raw.url, { method: raw.method, headers, body: text });
    await next();
  });

/** JSON text that is fit to be parsed again. Exported for tests. */
export async function readText(
  request: Request,
  presence: "required" | "optional",
  maxBytes = MAX_BYTES,
): Promise<string> {
  const bytes = await readBytes(request, maxBytes);
  if (bytes.length === 0 && presence === "optional") return "{}";
  const given = request.headers.get("content-type") ?? "";
  const type = given.split(";")[0]?.trim() ?? "";
  if (!JSON_TYPE.test(type) || OTHER_CHARSET.test(given))
    throw new Problem("unsupported_media_type", "The body must be application/json in UTF-8.");
  let text: string;
  let value: unknown;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: false }).decode(bytes);
    value = JSON.parse(text);
  } catch {
    throw new Problem("malformed_json", "The body is not one JSON value in UTF-8.");
  }
  checkShape(value);
  return text;
}

/** A request's whole body, at most `maxBytes` of it (1 MB). @throws Problem `payload_too_large` */
export async function readBytes(request: Request, maxBytes = MAX_BYTES): Promise<Uint8Array<ArrayBuffer>> {
  if (Number(request.headers.get("content-length")) > maxBytes) throw tooLarge(maxBytes);
  const bytes = await collect(request.body, maxBytes);
  if (bytes === null) throw tooLarge(maxBytes);
  return bytes;
}

/** All of a stream; null, and the rest is not read, when it is longer than `max` bytes. */
export async function collect(
  stream: ReadableStream<Uint8Array> | null,
  max: number,
): Promise<Uint8Array<ArrayBuffer> | null> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of stream ?? []) {
    length += chunk.byteLength;
    if (length > max) return null; // leaving the loop cancels the stream
    chunks.push(chunk);
  }
  const bytes = new Uint8Array(length);
  let offset = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, offset);
    offset += chunk.byteLength;
  }
  return bytes;
}

export const tooLarge = (maxBytes: number) =>
  new Problem("payload_too_large", `The body is larger than ${maxBytes / 1_000_000} MB.`);

/**
 * Refuses what would be trouble further in: deep nesting, keys that reach a prototype, and what JSON can write and nobody
 * can keep as it is (1e999 would come back as null, half of a surrogate pair as another character). Walks without recursion.
 */
function checkShape(value: unknown): void {
  checkValue("", value);
  let level: [pointer: string, value: object][] = isObject(value) ? [["", value]] : [];
  for (let depth = 1; level.length > 0; depth += 1) {
    const below: typeof level = [];
    for (const [pointer, parent] of level) {
      if (depth > MAX_DEPTH) throw invalid([{ pointer, detail: `is nested deeper than ${MAX_DEPTH} levels` }]);
      for (const [key, child] of Object.entries(parent)) {
        const at = `${pointer}/${key.replaceAll("~", "~0").replaceAll("/", "~1")}`;
        if (key === "__proto__") throw invalid([{ pointer: at, detail: "is not allowed as a name" }]);
        checkValue(at, key);
        checkValue(at, child);
        if (isObject(child)) below.push([at, child]);
      }
    }
    level = below;
  }
}

function checkValue(pointer: string, value: unknown): void {
  if (typeof value === "number" && !Number.isFinite(value)) {
    throw invalid([{ pointer, detail: "is too large a number" }]);
  }
  if (typeof value === "string" && !value.isWellFormed()) {
    throw invalid([{ pointer, detail: "holds half of a surrogate pair, which is no text" }]);
  }
}

const isObject = (value: unknown): value is object => typeof value === "object" && value !== null;
