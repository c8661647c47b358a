import { z } from "@hono/zod-openapi";
import { invalid, Problem } from "../errors/problem.ts";
import { schemaErrors } from "../registry/config-schema.ts";
import { type Workload, workloadInput, workloadSchema } from "../registry/specs.ts";
import { findWorkload, insertWorkload, listWorkloads, type RegisteredWorkload } from "../registry/store.ts";
import { jsonBody } from "./body.ts";
import { json, refusals, resource } from "./context.ts";
import { guarded } from "./guarded.ts";
import { encodeCursor, pageQuery } from "./paging.ts";
import { slugParam } from "./params.ts";

/** What a workload looks like from outside: its spec with every default, and its version. */
const workloadView = workloadInput
  .extend({ version: z.int(), createdAt: z.iso.datetime(), updatedAt: z.iso.datetime() })
  .openapi("Workload");

const viewOf = ({ spec, version, createdAt, updatedAt }: RegisteredWorkload): z.output<typeof workloadView> => ({
  ...spec,
  version,
  createdAt: new Date(createdAt).toISOString(),
  updatedAt: new Date(updatedAt).toISOString(),
});

const create = guarded("registry:write", {
  method: "post",
  path: "/api/v1/workloads",
  summary: "Register a workload",
  tags: ["registry"],
  middleware: jsonBody("required"),
  request: { body: { required: true, content: { "application/json": { schema: workloadSchema } } } },
  responses: { 201: json(workloadView, "Registered"), ...refusals },
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
  responses: { 200: json(workloadView, "Found"), ...refusals },
});

export const workloads = resource()
  .openapi(create, async (c) => {
    const spec: Workload = c.req.valid("json");
    const errors = spec.configSchema ? schemaErrors(spec.configSchema, "/configSchema") : [];
    if (errors.length > 0) throw invalid(errors);
    const registered = await insertWorkload(c.env.DB, spec, Date.now());
    if (!registered) throw new Problem("already_exists", `There is a workload ${spec.id} already.`);
    return c.json(viewOf(registered), 201, { location: `/api/v1/workloads/${spec.id}` });
  })
  .openapi(list, async (c) => {
    const { limit, cursor } = c.req.valid("query");
    const page = await listWorkloads(c.env.DB, cursor ?? "", limit);
    return c.json({ items: page.items.map(viewOf), nextCursor: encodeCursor(page.next) }, 200);
  })
  .openapi(get, async (c) => {
    const { id } = c.req.valid("param");
    const registered = await findWorkload(c.env.DB, id);
    if (!registered) throw new Problem("not_found", `There is no workload ${id}.`);
    return c.json(viewOf(registered), 200);
  });
