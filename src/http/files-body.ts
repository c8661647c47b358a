import { z } from "@hono/zod-openapi";
import { createMiddleware } from "hono/factory";
import { invalid, Problem } from "../errors/problem.ts";
import { contentOf } from "../files/batch.ts";
import { HASHED_BYTES, type WriteCondition, writeCondition } from "../files/etag.ts";
import { collect, jsonBody, tooLarge } from "./body.ts";
import type { AppEnv } from "./context.ts";

/** What a file is sent as: its bytes, or JSON around them. */

/** Of a raw body; what Cloudflare lets through on most plans. */
export const MAX_FILE_BYTES = 100_000_000;
/** Of a body in JSON, whose content is at most 5 MB. */
export const MAX_JSON_BYTES = 10_000_000;

export const envelope = z
  .strictObject({ content: z.string(), encoding: z.enum(["utf8", "base64"]).default("utf8") })
  .openapi("FileContent");

const JSON_TYPE = /^application\/json\s*(?:;|$)/i;
const RAW_TYPE = /^application\/octet-stream\s*(?:;|$)/i;

/** JSON is checked as all JSON is; with `?raw=true` whatever comes is the file, also where it calls itself JSON. */
export const fileBody = createMiddleware<AppEnv>(async (c, next) => {
  const type = c.req.header("content-type") ?? "";
  if (c.req.query("raw") === "true") {
    const headers = new Headers(c.req.raw.headers);
    headers.set("content-type", "application/octet-stream");
    c.req.raw = new Request(c.req.raw, { headers });
    return next();
  }
  if (JSON_TYPE.test(type)) return jsonBody("required", MAX_JSON_BYTES)(c, next);
  if (type === "" || RAW_TYPE.test(type)) return next();
  throw new Problem(
    "unsupported_media_type",
    "A file is sent as application/octet-stream, as application/json with `content`, or as anything with `?raw=true`.",
  );
});

/** @throws Problem `payload_too_large`, `invalid` */
export async function sentFile(
  request: Request,
  json: Partial<z.output<typeof envelope>>,
): Promise<{ size: number; body: ReadableStream<Uint8Array> | Uint8Array<ArrayBuffer> }> {
  if (json.content !== undefined) {
    const bytes = contentOf(json.content, json.encoding ?? "utf8");
    if (!bytes) throw invalid([{ pointer: "/content", detail: "is not base64" }]);
    if (bytes.length > HASHED_BYTES) throw tooLarge(HASHED_BYTES);
    return { size: bytes.length, body: bytes };
  }
  const announced = request.headers.get("content-length");
  const size = announced === null ? null : Number(announced);
  if (size !== null && Number.isSafeInteger(size) && request.body) {
    if (size > MAX_FILE_BYTES) throw tooLarge(MAX_FILE_BYTES);
    return { size, body: request.body };
  }
  // Without a length nobody could tell a whole file from one that broke off, so it is taken in first.
  const bytes = await collect(request.body, HASHED_BYTES);
  if (!bytes) throw new Problem("payload_too_large", "Without Content-Length a file has at most 5 MB.");
  return { size: bytes.length, body: bytes };
}

/** @throws Problem `invalid` for conditions that cannot be compared */
export function conditionOf(headers: Headers): WriteCondition {
  const condition = writeCondition(headers.get("if-match"), headers.get("if-none-match"));
  if (condition) return condition;
  throw invalid([
    { pointer: "/header/if-match", detail: 'must be one entity tag, as in "3", or *; If-None-Match can only be *' },
  ]);
}
