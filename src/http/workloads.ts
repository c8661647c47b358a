import { z } from "@hono/zod-openapi";
import { invalid, Problem } from "../errors/problem.ts";
import { forgetWorkload } from "../registry/cache.ts";
import { schemaErrors } from "../registry/config-schema.ts";
import { completed, type Workload, workloadReplacement, workloadSchema } from "../registry/specs.ts";
import { findWorkload } from "../registry/store.ts";
import { listWorkloads } from "../registry/workload-list.ts";
import { deleteWorkload, describeWorkload, insertWorkload, replaceWorkload } from "../registry/workloads.ts";
import { jsonBody } from "./body.ts";
import { json, refusals, resource } from "./context.ts";
import { etagOf, ifMatchOf } from "./etag.ts";
import { by, guarded } from "./guarded.ts";
import { listOf, textOf } from "./json-list.ts";
import { encodeCursor, pageQuery } from "./paging.ts";
import { slugParam } from "./params.ts";
import { changedSince, known, nothing } from "./registered.ts";
import { tellPools } from "./tell-pools.ts";
import { lineOf, specView, viewOf, workloadView } from "./workload-views.ts";

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
