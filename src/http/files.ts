import { z } from "@hono/zod-openapi";
import type { Context } from "hono";
import { Problem } from "../errors/problem.ts";
import { contentView, entryView, fileView, headersOf, originView, writtenView } from "../files/answers.ts";
import { HASHED_BYTES, readVerdict, tagOf } from "../files/etag.ts";
import { bytesOf, type Content, type FoundFile } from "../files/found.ts";
import { type FilePath, percentEncoded, shown } from "../files/path.ts";
import { type Asked, rangeAsked } from "../files/range.ts";
import { type ListPlace, TenantFiles } from "../files/tenant-files.ts";
import type { ByteRange } from "../files/types.ts";
import type { Outcome } from "../outcome.ts";
import { type AppEnv, json, refusals, resource } from "./context.ts";
import { conditionOf, envelope, fileBody, sentFile } from "./files-body.ts";
import { optionsOf, originShape, pathInQuery, pathInUrl, rawFlag, readQuery } from "./files-query.ts";
import { by, guarded } from "./guarded.ts";
import { knownTenantFirst } from "./known-tenant.ts";
import { tenantParam } from "./params.ts";

/** A tenant's files, one by one and as listings (docs/files.md). */
const PATH = "/api/v1/tenants/{id}/files/{path}{[^]*}" as const;
const fileParam = tenantParam.extend({
  path: z
    .string()
    .max(8_192)
    .openapi({
      param: { name: "path", in: "path" },
      description: "Relative to the state volume; with a slash in front, a path in the container within its volumes.",
      example: "notes/today.md",
    }),
});

const fileShape = {
  size: z.int(),
  mode: z.string().openapi({ example: "0644" }),
  lastModified: z.iso.datetime(),
  sha256: z.string().nullable().openapi({ description: "Null for a file of more than 5 MB in a container." }),
  etag: z.string(),
};
const fileAnswer = z
  .object({
    tenantId: z.string(),
    path: z.string(),
    content: z.string(),
    encoding: z.enum(["utf8", "base64"]),
    ...fileShape,
    ...originShape,
  })
  .openapi("File");
const writtenAnswer = z
  .object({
    tenantId: z.string(),
    path: z.string(),
    created: z.boolean(),
    source: z.literal("container"),
    woke: z.literal(true).optional(),
    ...fileShape,
  })
  .openapi("WrittenFile");
const entry = z
  .object({
    path: z.string(),
    href: z.string().openapi({ description: "The path as a URL has it, also where its name is no UTF-8." }),
    kind: z.enum(["file", "directory", "symlink", "special"]),
    size: z.int(),
    mode: z.string(),
    lastModified: z.iso.datetime(),
    sha256: z.string().optional(),
  })
  .openapi("FileEntry");
const bytes = { "application/octet-stream": { schema: z.string().openapi({ format: "binary" }) } };

const get = guarded("tenants:files", {
  method: "get",
  path: PATH,
  operationId: "getFile",
  summary: "A file: its content as JSON, or raw by `Accept: application/octet-stream`; HEAD says whether it is there",
  tags: ["files"],
  request: { params: fileParam, query: z.object({ ...readQuery, raw: rawFlag }) },
  responses: {
    200: { description: "The file", content: { "application/json": { schema: fileAnswer }, ...bytes } },
    206: { description: "A range of it; raw only", content: bytes },
    304: { description: "It is what `If-None-Match` names" },
    ...refusals,
  },
});

const put = guarded(
  "tenants:files",
  {
    method: "put",
    path: PATH,
    operationId: "putFile",
    summary: "Write a file in the running container, in one step; missing directories are made",
    tags: ["files"],
    middleware: [knownTenantFirst, fileBody],
    request: {
      params: fileParam,
      query: z.object({ wake: readQuery.wake, raw: rawFlag }),
      body: { content: { "application/json": { schema: envelope }, ...bytes } },
    },
    responses: { 200: json(writtenAnswer, "Replaced"), 201: json(writtenAnswer, "Created"), ...refusals },
  },
  "streamed",
);

const remove = guarded("tenants:files", {
  method: "delete",
  path: PATH,
  operationId: "deleteFile",
  summary: "Remove a file, or a symlink itself, from the running container",
  tags: ["files"],
  request: { params: fileParam, query: z.object({ wake: readQuery.wake }) },
  responses: { 204: { description: "Removed" }, ...refusals },
});

const list = guarded("tenants:files", {
  method: "get",
  path: "/api/v1/tenants/{id}/files",
  operationId: "listFiles",
  summary: "What lies in a directory, in the order of names",
  tags: ["files"],
  request: {
    params: tenantParam,
    query: z.object({
      ...readQuery,
      path: z.string().max(8_192).optional().openapi({ description: "A directory; default the state volume." }),
      recursive: z.enum(["true", "false"]).optional(),
      limit: z
        .string()
        .regex(/^\d{1,4}$/, "must be a number")
        .transform(Number)
        .refine((limit) => limit >= 1 && limit <= 1000, "must be from 1 to 1000")
        .optional()
        .openapi({ type: "integer", minimum: 1, maximum: 1000, default: 200 }),
      cursor: z
        .string()
        .max(8_192)
        .transform((cursor, context) => {
          const place = placeOf(cursor);
          if (place) return place;
          context.addIssue({ code: "custom", message: "is not a cursor of this list" });
          return z.NEVER;
        })
        .optional()
        .openapi({ type: "string" }),
    }),
  },
  responses: {
    200: json(
      z.object({ path: z.string(), items: z.array(entry), nextCursor: z.string().nullable(), ...originShape }),
      "A page",
    ),
    ...refusals,
  },
});

export const files = resource()
  .openapi(list, async (c) => {
    const { recursive, limit = 200, cursor, ...query } = c.req.valid("query");
    const at = pathInQuery(c.req.url);
    const options = { ...optionsOf(query), recursive: recursive === "true", limit, after: cursor ?? null };
    const { entries, origin, next } = value(await filesOf(c, c.req.valid("param").id).list(at, options));
    const items = entries.map((one) => entryView(shown(at), one));
    return c.json(
      { path: shown(at), items, nextCursor: next && cursorOf(next), ...originView(origin, Date.now()) },
      200,
    );
  })
  .openapi(get, async (c) => {
    const { raw, ...query } = c.req.valid("query");
    const isRaw =
      raw === undefined ? (c.req.header("accept") ?? "").includes("application/octet-stream") : raw === "true";
    const at = pathInUrl(c.req.url);
    const isHead = c.req.raw.method === "HEAD";
    const isPart = isRaw && c.req.header("range") !== undefined;
    const wanted = isHead ? "facts" : isPart ? "part" : "whole";
    const { id } = c.req.valid("param");
    const found = value(await filesOf(c, id).find(at, wanted, optionsOf(query)));
    const early = await unsent(found, c.req.raw.headers, isHead);
    if (early) return early as never;
    if (isRaw) return (await rawAnswer(found, at, c.req.raw.headers)) as never;
    return c.json(
      { tenantId: id, path: shown(at), ...(await jsonOf(found)) },
      200,
      Object.fromEntries(headersOf(found, Date.now())),
    );
  })
  .openapi(put, async (c) => {
    const { id } = c.req.valid("param");
    const at = pathInUrl(c.req.url);
    const condition = conditionOf(c.req.raw.headers);
    const sent = c.req.valid("json"); // text where the body is no JSON, by its schema
    const { size, body } = await sentFile(c.req.raw, typeof sent === "string" ? {} : sent);
    const note = { kind: "write" as const, paths: [shown(at)] };
    const { container, woke } = value(await filesOf(c, id).writable(note, c.req.valid("query").wake === "true", by(c)));
    const { how, facts } = value(await container.ask({ op: "write", at, size, body, condition }));
    const written = writtenView(how, facts, tagOf(facts) ?? "", woke);
    return c.json({ tenantId: id, path: shown(at), ...written }, how === "created" ? 201 : 200, { etag: written.etag });
  })
  .openapi(remove, async (c) => {
    const at = pathInUrl(c.req.url);
    const condition = conditionOf(c.req.raw.headers);
    const note = { kind: "delete" as const, paths: [shown(at)] };
    const asked = filesOf(c, c.req.valid("param").id).writable(note, c.req.valid("query").wake === "true", by(c));
    const { container } = value(await asked);
    value(await container.ask({ op: "delete", at, condition }));
    return c.body(null, 204);
  });

function filesOf(c: Context<AppEnv>, id: z.output<typeof tenantParam>["id"]): TenantFiles {
  return new TenantFiles(c.env, id, (work) => c.executionCtx.waitUntil(work));
}

/** @throws Problem for a failure */
function value<T>(outcome: Outcome<T>): T {
  if (!outcome.ok) throw Problem.of(outcome.failure);
  return outcome.value;
}

/** The answer to HEAD, and to a condition that does not hold; null where the content is to be sent. */
async function unsent(found: FoundFile, asked: Headers, isHead: boolean): Promise<Response | null> {
  const verdict = readVerdict(asked, found.tag);
  if (verdict === "send" && !isHead) return null;
  await found.discard();
  if (verdict === "failed") throw new Problem("version_mismatch", "The file is not what `If-Match` names.");
  const headers = headersOf(found, Date.now());
  if (verdict === "not_modified") return new Response(null, { status: 304, headers });
  headers.set("content-length", String(found.size));
  return new Response(null, { headers });
}

async function jsonOf(found: FoundFile) {
  if (found.size > HASHED_BYTES) {
    await found.discard();
    const detail = `The file has ${found.size} bytes, and JSON carries at most ${HASHED_BYTES}; ask for it raw (\`?raw=true\`).`;
    throw new Problem("file_too_large", detail, { extra: { size: found.size, etag: `"${found.tag}"` } });
  }
  const content = value(await found.content(null));
  const all = await bytesOf(content);
  return { ...contentView(all), ...fileView(found), ...originView(found.origin, Date.now()) };
}

async function rawAnswer(found: FoundFile, at: FilePath, asked: Headers): Promise<Response> {
  const range: Asked = rangeAsked(asked, found);
  const headers = headersOf(found, Date.now());
  headers.set("content-type", "application/octet-stream");
  headers.set("content-disposition", `attachment; filename*=UTF-8''${percentEncoded(at.path.replace(/^.*\//s, ""))}`);
  if (range === "unsatisfiable") {
    await found.discard();
    throw new Problem("range_not_satisfiable", `The file has ${found.size} bytes.`, { extra: { size: found.size } });
  }
  if (range === null) return sending(value(await found.content(null)), found.size, 200, headers);
  const { offset, length }: ByteRange = range;
  headers.set("content-range", `bytes ${offset}-${offset + length - 1}/${found.size}`);
  return sending(value(await found.content(range)), length, 206, headers);
}

/** A fixed length lets the answer carry Content-Length, and fail when the content is cut short. */
function sending(content: Content, length: number, status: number, headers: Headers): Response {
  headers.set("content-length", String(length));
  const body = content instanceof ReadableStream ? content.pipeThrough(new FixedLengthStream(length)) : content;
  return new Response(body, { status, headers });
}

const cursorOf = ({ path, kind }: ListPlace): string => Buffer.from(JSON.stringify([path, kind])).toString("base64url");

/** Null for what is no cursor of ours. */
function placeOf(cursor: string): ListPlace | null {
  try {
    const known = z.tuple([z.string().max(4_096), entry.shape.kind]);
    const [path, kind] = known.parse(JSON.parse(Buffer.from(cursor, "base64url").toString()));
    return { path, kind };
  } catch {
    return null;
  }
}
