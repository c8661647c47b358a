import { z } from "@hono/zod-openapi";
import { createMiddleware } from "hono/factory";
import { Problem } from "../errors/problem.ts";
import { isWhole, MAX_OPERATIONS, OPERATIONS, parseOperation, tally } from "../files/batch.ts";
import { BatchRun } from "../files/run-batch.ts";
import { TenantFiles } from "../files/tenant-files.ts";
import { jsonBody } from "./body.ts";
import { type AppEnv, json, refusals, resource } from "./context.ts";
import { MAX_JSON_BYTES } from "./files-body.ts";
import { placeQuery, sourceOf } from "./files-query.ts";
import { by, guarded } from "./guarded.ts";
import { knownTenantFirst } from "./known-tenant.ts";
import { tenantParam } from "./params.ts";

const DEFAULT_MS = 60_000;
const MAX_MS = 300_000;

const operation = z.object({
  op: z.string().openapi({ enum: [...OPERATIONS] }),
  path: z.string(),
  content: z.string().optional(),
  encoding: z.enum(["utf8", "base64"]).optional(),
  ifMatch: z.string().optional(),
  ifNoneMatch: z.literal("*").optional(),
  recursive: z.boolean().optional(),
  limit: z.int().optional(),
});
const request = z
  .strictObject({
    /** Each is judged by itself, so that one that is wrong does not stop the others. */
    operations: z
      .array(z.unknown())
      .min(1)
      .max(MAX_OPERATIONS)
      .openapi({ type: "array", items: { $ref: "#/components/schemas/FileOperation" } }),
    atomic: z.boolean().default(false).openapi({ description: "Writes and removals: all of them or none." }),
    token: z
      .string()
      .regex(/^[A-Za-z0-9_-]{1,64}$/)
      .optional()
      .openapi({ description: "Names the batch; sent again under it, no write is repeated." }),
    resumeFrom: z.int().min(0).max(MAX_OPERATIONS).default(0),
    timeoutMs: z.int().min(1).max(MAX_MS).default(DEFAULT_MS),
  })
  .openapi("FileBatch");

const result = z
  .looseObject({
    index: z.int(),
    op: z.string(),
    path: z.string(),
    status: z.enum(["succeeded", "failed", "not_started", "not_applied", "skipped"]),
    success: z.boolean(),
    error: z.looseObject({ code: z.string(), detail: z.string() }).optional(),
  })
  .openapi("FileResult");
const answer = z
  .object({
    tenantId: z.string(),
    token: z.string(),
    completed: z.int(),
    succeeded: z.int(),
    failed: z.int(),
    resumeFrom: z.int().nullable().openapi({ description: "The first that was not started." }),
    results: z.array(result),
  })
  .openapi("FileBatchResult");

/** What S1 answers 400, before the schema says 422. */
const withinLimits = createMiddleware<AppEnv>(async (c, next) => {
  const body: unknown = await c.req.json();
  const { operations } = (typeof body === "object" && body !== null ? body : {}) as { operations?: unknown };
  if (!Array.isArray(operations) || operations.length === 0) {
    throw new Problem("bad_request", "`operations` must be an array with at least one operation.");
  }
  if (operations.length > MAX_OPERATIONS) {
    throw new Problem("bad_request", `A batch has at most ${MAX_OPERATIONS} operations.`);
  }
  await next();
});

const batch = guarded(
  "tenants:files",
  {
    method: "post",
    path: "/api/v1/tenants/{id}/files/batch",
    operationId: "batchFiles",
    summary: "Several reads, writes, removals and listings, one after the other",
    tags: ["files"],
    middleware: [knownTenantFirst, jsonBody("required", MAX_JSON_BYTES), withinLimits],
    request: {
      params: tenantParam,
      query: z.object(placeQuery),
      body: { required: true, content: { "application/json": { schema: request } } },
    },
    responses: { 200: json(answer, "All is well"), 207: json(answer, "Not all is"), ...refusals },
  },
  MAX_JSON_BYTES,
);

export const filesBatch = resource().openapi(batch, async (c) => {
  const { id } = c.req.valid("param");
  const query = c.req.valid("query");
  const { operations, atomic, token = crypto.randomUUID(), resumeFrom, timeoutMs } = c.req.valid("json");
  const files = new TenantFiles(c.env, id, (work) => c.executionCtx.waitUntil(work));
  const asked = {
    items: operations.map(parseOperation),
    source: sourceOf(query),
    wake: query.wake === "true",
    atomic,
    token,
    resumeFrom,
    deadlineAt: Date.now() + timeoutMs,
  };
  const known = await files.known();
  if (!known.ok) throw Problem.of(known.failure);
  const results = await new BatchRun(files, asked, by(c)).run();
  return c.json({ tenantId: id, token, ...tally(results), results }, isWhole(results) ? 200 : 207);
});

filesBatch.openAPIRegistry.register("FileOperation", operation);
