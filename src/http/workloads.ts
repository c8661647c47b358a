import { z } from "@hono/zod-openapi";
import type { By } from "../auth/principal.ts";
import { messageOf, within } from "../durable/deadline.ts";
import { poolOf } from "../durable/stubs.ts";
import type { ErrorCode } from "../errors/codes.ts";
import { invalid, Problem } from "../errors/problem.ts";
import type { PoolId } from "../ids.ts";
import { type Failure, failed } from "../outcome.ts";
import { forgetWorkload } from "../registry/cache.ts";
import { schemaErrors } from "../registry/config-schema.ts";
import { completed, type Workload, workloadInput, workloadReplacement, workloadSchema } from "../registry/specs.ts";
import { findWorkload, type RegisteredWorkload } from "../registry/store.ts";
import {
  deleteWorkload,
  describeWorkload,
  insertWorkload,
  type ListedWorkload,
  listVersions,
  listWorkloads,
  poolsRunning,
  replaceWorkload,
  type WorkloadLine,
  type WorkloadVersion,
} from "../registry/workloads.ts";
import { jsonBody } from "./body.ts";
import { json, refusals, resource } from "./context.ts";
import { etagOf, ifMatchOf } from "./etag.ts";
import { by, guarded } from "./guarded.ts";
import { jsonTime, listOf, textOf } from "./json-list.ts";
import { encodeCursor, pageQuery } from "./paging.ts";
import { slugParam } from "./params.ts";
import { changedSince, known, nothing } from "./registered.ts";

/** A workload with every default. The image may be one that is not there any more. */
const specView = workloadInput
  .extend({
    name: z.string(),
    image: z.string(),
    port: z.int(),
    ports: z.array(z.object({ port: z.int(), name: z.string().optional(), protocol: z.string() })),
    start: z.enum(["on-boot", "on-claim"]),
    network: z.enum(["none", "restricted", "open"]),
  })
  .openapi("CompletedWorkloadSpec");

const workloadView = specView
  .extend({
    version: z.int(),
    pools: z.int().openapi({ description: "How many run it." }),
    createdAt: z.iso.datetime(),
    updatedAt: z.iso.datetime(),
  })
  .openapi("Workload");

const versionView = z
  .object({
    version: z.int(),
    spec: specView,
    at: z.iso.datetime(),
    actor: z.string().nullable().openapi({ description: "Null for one from before actors were recorded." }),
  })
  .openapi("WorkloadVersion");

/** How long a pool may take to answer. */
const TELL_MS = 10_000;

const withTag = { headers: z.object({ etag: z.string() }) };
const body = <T extends z.ZodType>(schema: T) => ({
  required: true,
  content: { "application/json": { schema } },
});

const create = guarded("registry:write", {
  method: "post",
  path: "/api/v1/workloads",
  summary: "Register a workload",
  tags: ["registry"],
  middleware: jsonBody("required"),
  request: {
    query: z.object({
      dryRun: z.enum(["true", "false"]).optional().openapi({ description: "Only say whether it could be registered." }),
    }),
    body: body(workloadSchema),
  },
  responses: {
    200: json(z.object({ valid: z.literal(true), spec: specView }), "It could be; nothing was registered"),
    201: { ...json(workloadView, "Registered"), ...withTag },
    ...refusals,
  },
});

const list = guarded("registry:read", {
  method: "get",
  path: "/api/v1/workloads",
  summary: "List workloads",
  tags: ["registry"],
  request: { query: pageQuery },
  responses: {
    200: json(z.object({ items: z.array(workloadView), nextCursor: z.string().nullable() }), "By id"),
    ...refusals,
  },
});

const get = guarded("registry:read", {
  method: "get",
  path: "/api/v1/workloads/{id}",
  summary: "One workload",
  tags: ["registry"],
  request: { params: slugParam },
  responses: { 200: { ...json(workloadView, "Found"), ...withTag }, ...refusals },
});

const versions = guarded("registry:read", {
  method: "get",
  path: "/api/v1/workloads/{id}/versions",
  summary: "Every version of a workload, the newest first",
  tags: ["registry"],
  request: { params: slugParam, query: pageQuery },
  responses: {
    200: json(z.object({ items: z.array(versionView), nextCursor: z.string().nullable() }), "The newest first"),
    ...refusals,
  },
});

const replace = guarded("registry:write", {
  method: "put",
  path: "/api/v1/workloads/{id}",
  summary: "Make a new version of a workload; its pools start their next containers with it",
  tags: ["registry"],
  middleware: [known("workload", findWorkload), jsonBody("required")],
  request: { params: slugParam, body: body(workloadReplacement) },
  responses: {
    200: { ...json(workloadView, "As it is now; the same spec again is no new version"), ...withTag },
    ...refusals,
  },
});

const remove = guarded("registry:write", {
  method: "delete",
  path: "/api/v1/workloads/{id}",
  summary: "Delete a workload that no pool runs",
  tags: ["registry"],
  request: { params: slugParam },
  responses: { 204: { description: "Deleted" }, ...refusals },
});

export const workloads = resource()
  .openapi(create, async (c) => {
    const spec: Workload = c.req.valid("json");
    requireUsableSchema(spec);
    if (c.req.valid("query").dryRun === "true") return c.json({ valid: true as const, spec }, 200);
    const registered = await insertWorkload(c.env.DB, spec, by(c), Date.now());
    if (!registered) throw new Problem("already_exists", `There is a workload ${spec.id} already.`);
    forgetWorkload(spec.id);
    const headers = { location: `/api/v1/workloads/${spec.id}`, etag: etagOf(registered.version) };
    return c.json(viewOf(registered), 201, headers);
  })
  .openapi(list, async (c) => {
    const { limit, cursor } = c.req.valid("query");
    const page = await listWorkloads(c.env.DB, cursor ?? "", limit);
    const text = "text" in page ? page.text : textOf(page.items.map(lineOf));
    return listOf<z.output<typeof workloadView>>(text, encodeCursor(page.next));
  })
  .openapi(get, async (c) => {
    const { id } = c.req.valid("param");
    const workload = await describeWorkload(c.env.DB, id);
    if (!workload) throw nothing("workload", id);
    return c.json(viewOf(workload), 200, { etag: etagOf(workload.version) });
  })
  .openapi(versions, async (c) => {
    const { id } = c.req.valid("param");
    const { limit, cursor } = c.req.valid("query");
    const before = cursor === undefined ? null : Number.parseInt(cursor, 10);
    if (Number.isNaN(before)) throw invalid([{ pointer: "/query/cursor", detail: "is not a cursor of this list" }]);
    const page = await listVersions(c.env.DB, id, before, limit);
    if (page.items.length === 0 && !(await findWorkload(c.env.DB, id))) throw nothing("workload", id);
    const nextCursor = encodeCursor(page.next === null ? null : String(page.next));
    return c.json({ items: page.items.map(versionOf), nextCursor }, 200);
  })
  .openapi(replace, async (c) => {
    const { id } = c.req.valid("param");
    const { id: named = id, ...input } = c.req.valid("json");
    if (named !== id) throw invalid([{ pointer: "/id", detail: `is not ${id}, which the path names` }]);
    const spec = completed(input, id);
    requireUsableSchema(spec);
    const changed = await replaceWorkload(c.env.DB, spec, ifMatchOf(c), by(c), Date.now());
    if (changed.kind === "absent") throw nothing("workload", id);
    if (changed.kind === "mismatch") throw changedSince("workload", id, changed.version);
    forgetWorkload(id);
    // Also when nothing changed: whoever asks again after a failure gets every pool told.
    await tellPools(c.env, changed.workload, by(c));
    return c.json(viewOf(changed.workload), 200, { etag: etagOf(changed.workload.version) });
  })
  .openapi(remove, async (c) => {
    const { id } = c.req.valid("param");
    const deleted = await deleteWorkload(c.env.DB, id, ifMatchOf(c), by(c), Date.now());
    switch (deleted.kind) {
      case "deleted":
        forgetWorkload(id);
        return c.body(null, 204);
      case "absent":
        throw nothing("workload", id);
      case "mismatch":
        throw changedSince("workload", id, deleted.version);
      case "in-use": {
        const usedBy = deleted.pools.map((pool) => `pool:${pool}`);
        throw new Problem("in_use", `The workload ${id} runs in ${usedBy.length} pools.`, { extra: { usedBy } });
      }
    }
  });

function requireUsableSchema({ configSchema }: Workload): void {
  const errors = configSchema ? schemaErrors(configSchema, "/configSchema") : [];
  if (errors.length > 0) throw invalid(errors);
}

/** What a pool answers that is being deleted, or is gone since it was looked up: it needs no version. */
const NEEDS_NONE = new Set<ErrorCode>(["invalid_transition", "not_found"]);

/** Its pools keep a copy, which they start containers with. @throws Problem when one did not take it */
async function tellPools(env: Env, { spec, version }: RegisteredWorkload, hand: By): Promise<void> {
  const pools = await poolsRunning(env.DB, spec.id);
  const tell = async (id: string): Promise<Failure | null> => {
    const told = await within(
      TELL_MS,
      "The pool's answer",
      poolOf(env, id as PoolId).upgrade(spec, version, hand),
    ).catch((error: unknown) => failed("operation_interrupted", messageOf(error)));
    return told.ok || NEEDS_NONE.has(told.failure.code) ? null : told.failure;
  };
  const failures = await Promise.all(pools.map(tell));
  for (const [index, failure] of failures.entries()) {
    if (!failure) continue;
    const detail = `Version ${version} is registered, but the pool ${pools[index]} did not take it: ${failure.detail} Send the same again.`;
    throw Problem.of({ ...failure, detail });
  }
}

const iso = (ms: number): string => new Date(ms).toISOString();

const viewOf = ({ spec, version, pools, createdAt, updatedAt }: ListedWorkload): z.output<typeof workloadView> => ({
  ...spec,
  version,
  pools,
  createdAt: iso(createdAt),
  updatedAt: iso(updatedAt),
});

/** `viewOf` as text, from the text that is stored. */
const lineOf = ({ spec, version, pools, createdAt, updatedAt }: WorkloadLine): string =>
  `${spec.slice(0, -1)},"version":${version},"pools":${pools},"createdAt":${jsonTime(createdAt)},"updatedAt":${jsonTime(updatedAt)}}`;

const versionOf = ({ at, ...version }: WorkloadVersion): z.output<typeof versionView> => ({ ...version, at: iso(at) });
