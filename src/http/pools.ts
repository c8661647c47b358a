import { z } from "@hono/zod-openapi";
import { poolOf } from "../durable/stubs.ts";
import { invalid, Problem } from "../errors/problem.ts";
import type { PoolId } from "../ids.ts";
import { checkFallback } from "../pool/fallback.ts";
import { replacePool, syncSpecsOf } from "../pool/registry.ts";
import { forgetPool } from "../registry/cache.ts";
import { type PoolSpec, poolReplacement, poolSchema } from "../registry/specs.ts";
import { deletePool, findPool, findWorkload, insertPool, listPools, type RegisteredPool } from "../registry/store.ts";
import { jsonBody } from "./body.ts";
import { json, refusals, resource } from "./context.ts";
import { etagOf, ifMatchOf } from "./etag.ts";
import { by, guarded } from "./guarded.ts";
import { encodeCursor, pageQuery } from "./paging.ts";
import { slugParam } from "./params.ts";
import { liveView, liveViews } from "./pool-live.ts";
import { deletionOf, deletionView, poolView, stuck, viewOf } from "./pool-views.ts";
import { changedSince, known, nothing } from "./registered.ts";
import { waitSchema } from "./wait.ts";

const withTag = { headers: z.object({ etag: z.string() }) };

const create = guarded("registry:write", {
  method: "post",
  path: "/api/v1/pools",
  summary: "Create a pool and start its warm slots",
  tags: ["registry"],
  middleware: jsonBody("required"),
  request: { body: { required: true, content: { "application/json": { schema: poolSchema } } } },
  responses: { 201: { ...json(poolView, "Created"), ...withTag }, ...refusals },
});

const list = guarded("registry:read", {
  method: "get",
  path: "/api/v1/pools",
  summary: "List pools",
  tags: ["registry"],
  request: { query: pageQuery },
  responses: {
    200: json(z.object({ items: z.array(poolView), nextCursor: z.string().nullable() }), "By id"),
    ...refusals,
  },
});

const get = guarded("registry:read", {
  method: "get",
  path: "/api/v1/pools/{id}",
  summary: "One pool",
  tags: ["registry"],
  request: { params: slugParam },
  responses: { 200: { ...json(poolView, "Found"), ...withTag }, ...refusals },
});

const replace = guarded("registry:write", {
  method: "put",
  path: "/api/v1/pools/{id}",
  summary:
    "Change a pool's sizes, schedule, idle timeout, tier, network, fallback or upgrade policy; what is left out stays as it is",
  tags: ["registry"],
  middleware: [known("pool", findPool), jsonBody("required")],
  request: {
    params: slugParam,
    body: { required: true, content: { "application/json": { schema: poolReplacement } } },
  },
  responses: { 200: { ...json(poolView, "As it is now"), ...withTag }, ...refusals },
});

const remove = guarded("registry:write", {
  method: "delete",
  path: "/api/v1/pools/{id}",
  summary: "Delete a pool: it gives out no more containers and ends those that it has",
  tags: ["registry"],
  request: {
    params: slugParam,
    query: z.object({
      force: z
        .enum(["true", "false"])
        .optional()
        .openapi({ description: "Release the tenants that hold containers, with a save; for admins." }),
      wait: waitSchema(0),
    }),
  },
  responses: {
    200: json(deletionView, "Deleted"),
    202: { ...json(deletionView, "It is being emptied"), headers: z.object({ location: z.string() }) },
    ...refusals,
  },
});

export const pools = resource()
  .openapi(create, async (c) => {
    const spec = c.req.valid("json");
    await checkFallback(c.env.DB, spec);
    const inserted = await insertPool(c.env.DB, spec, Date.now());
    // Read once the pool is there to keep it from being deleted, and to hear of its next versions.
    const workload = await findWorkload(c.env.DB, spec.workloadId);
    if (!workload) throw nothing("workload", spec.workloadId);
    const registered = inserted ?? (await unfinished(c.env, spec.id));
    if (!registered) throw new Problem("already_exists", `There is a pool ${spec.id} already.`);
    const pool = poolOf(c.env, idOf(registered));
    const description = await pool.configure(
      registered.spec,
      workload.spec,
      workload.version,
      by(c),
      registrationOf(registered),
    );
    if (!description.ok) {
      if (inserted) await deletePool(c.env.DB, spec.id); // the object refused it: nothing was created
      throw Problem.of(description.failure);
    }
    forgetPool(spec.id);
    const headers = { location: `/api/v1/pools/${spec.id}`, etag: etagOf(registered.version) };
    return c.json(viewOf(registered, description.value), 201, headers);
  })
  .openapi(list, async (c) => {
    const { limit, cursor } = c.req.valid("query");
    const page = await listPools(c.env.DB, cursor ?? "", limit);
    return c.json({ items: await liveViews(c.env, page.items), nextCursor: encodeCursor(page.next) }, 200);
  })
  .openapi(get, async (c) => {
    const { id } = c.req.valid("param");
    const registered = await findPool(c.env.DB, id);
    if (!registered) throw nothing("pool", id);
    return c.json(await liveView(c.env, registered), 200, { etag: etagOf(registered.version) });
  })
  .openapi(replace, async (c) => {
    const { id } = c.req.valid("param");
    const given = c.req.valid("json");
    const change = async (before: PoolSpec) => {
      const spec = merged(before, given);
      if (given.fallbackPoolId) await checkFallback(c.env.DB, spec);
      return spec;
    };
    const replaced = await replacePool(c.env.DB, id, ifMatchOf(c), change, Date.now());
    if (replaced.kind === "absent") throw nothing("pool", id);
    if (replaced.kind === "mismatch") throw changedSince("pool", id, replaced.version);
    forgetPool(id);
    const { pool } = replaced;
    const workload = await findWorkload(c.env.DB, pool.spec.workloadId);
    if (!workload) throw nothing("workload", pool.spec.workloadId);
    // Also when nothing changed: whoever asks again after a failure gets the pool told.
    const description = await poolOf(c.env, idOf(pool)).configure(
      pool.spec,
      workload.spec,
      workload.version,
      by(c),
      registrationOf(pool),
    );
    if (!description.ok) throw Problem.of(description.failure);
    return c.json(viewOf(pool, description.value), 200, { etag: etagOf(pool.version) });
  })
  .openapi(remove, async (c) => {
    const { id } = c.req.valid("param");
    const { force, wait } = c.req.valid("query");
    if (force === "true" && c.get("principal").role !== "admin") {
      throw new Problem("forbidden", "Only an admin deletes a pool with the tenants that it serves.");
    }
    const registered = await findPool(c.env.DB, id);
    if (!registered) throw nothing("pool", id);
    const specs = await syncSpecsOf(c.env.DB, id);
    if (specs.length > 0) {
      const usedBy = specs.map((spec) => `sync-spec:${spec}`);
      throw new Problem("in_use", `Pool ${id} is synchronised by ${specs.length} specs.`, { extra: { usedBy } });
    }
    const claimed = force === "true" ? "release" : "refuse";
    const deletion = await poolOf(c.env, idOf(registered)).drain(claimed, wait, by(c));
    if (!deletion.ok) throw Problem.of(deletion.failure);
    forgetPool(id);
    const view = deletionOf(deletion.value);
    if (deletion.value.status === "succeeded") return c.json(view, 200);
    if (deletion.value.status === "failed" && wait > 0) {
      const { code, detail, ...extra } = stuck(deletion.value);
      throw new Problem(code, detail, { extra });
    }
    return c.json(view, 202, { location: `/api/v1/operations/${view.operationId}`, "retry-after": "1" });
  });

const registrationOf = ({ version, createdAt }: RegisteredPool) => ({ version, createdAt });
const idOf = (registered: RegisteredPool) => registered.spec.id as PoolId;

/** A registration whose object never heard of it (the Worker ended between the two): creating it again completes it. */
async function unfinished(env: Env, id: string): Promise<RegisteredPool | null> {
  const registered = await findPool(env.DB, id);
  const description = registered && (await poolOf(env, idOf(registered)).describe());
  return description && !description.ok && description.failure.code === "not_found" ? registered : null;
}

/** The spec as a change makes it. @throws Problem `invalid` */
function merged(before: PoolSpec, given: z.output<typeof poolReplacement>): PoolSpec {
  for (const name of ["id", "workloadId"] as const) {
    if (given[name] === undefined || given[name] === before[name]) continue;
    throw invalid([{ pointer: `/${name}`, detail: `is ${before[name]}, which cannot change; create another pool` }]);
  }
  const all = Object.entries({ ...before, ...given }).filter(([, value]) => value !== undefined && value !== null);
  const spec = poolSchema.safeParse(Object.fromEntries(all));
  if (spec.success) return spec.data;
  throw invalid(spec.error.issues.map((issue) => ({ pointer: `/${issue.path.join("/")}`, detail: issue.message })));
}
