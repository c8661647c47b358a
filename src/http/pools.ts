import { z } from "@hono/zod-openapi";
import { poolOf } from "../durable/stubs.ts";
import { Problem } from "../errors/problem.ts";
import type { PoolId } from "../ids.ts";
import type { PoolDescription } from "../pool/types.ts";
import { poolSchema } from "../registry/specs.ts";
import { deletePool, findPool, findWorkload, insertPool, listPools, type RegisteredPool } from "../registry/store.ts";
import { TIERS } from "../runtime/port.ts";
import { jsonBody } from "./body.ts";
import { json, refusals, resource } from "./context.ts";
import { guarded } from "./guarded.ts";
import { encodeCursor, pageQuery } from "./paging.ts";
import { slugParam } from "./params.ts";

const poolView = z
  .object({
    id: z.string(),
    workloadId: z.string(),
    minSize: z.int(),
    maxSize: z.int(),
    idleTimeoutMs: z.int(),
    tier: z.enum(TIERS),
    paused: z.boolean(),
    size: z.int(),
    warm: z.int(),
    claimed: z.int(),
    starting: z.int(),
    unhealthy: z.int(),
    status: z.enum(["healthy", "degraded", "error"]),
    hitRate: z.number().nullable(),
    lastError: z.string().nullable(),
    version: z.int(),
    createdAt: z.iso.datetime(),
    updatedAt: z.iso.datetime(),
  })
  .openapi("Pool");

const create = guarded("registry:write", {
  method: "post",
  path: "/api/v1/pools",
  summary: "Create a pool and start its warm slots",
  tags: ["registry"],
  middleware: jsonBody("required"),
  request: { body: { required: true, content: { "application/json": { schema: poolSchema } } } },
  responses: { 201: json(poolView, "Created"), ...refusals },
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
  responses: { 200: json(poolView, "Found"), ...refusals },
});

const refill = (word: "pause" | "resume", summary: string) =>
  guarded("registry:write", {
    method: "post",
    path: `/api/v1/pools/{id}/${word}`,
    summary,
    tags: ["registry"],
    request: { params: slugParam },
    responses: { 200: json(poolView, "Done"), ...refusals },
  });
const pause = refill("pause", "Stop refilling and shrinking a pool; claims go on");
const resume = refill("resume", "Refill and shrink a pool again");

export const pools = resource()
  .openapi(create, async (c) => {
    const spec = c.req.valid("json");
    const workload = await findWorkload(c.env.DB, spec.workloadId);
    if (!workload) throw new Problem("not_found", `There is no workload ${spec.workloadId}.`);
    const inserted = await insertPool(c.env.DB, spec, Date.now());
    const registered = inserted ?? (await unfinished(c.env, spec.id));
    if (!registered) throw new Problem("already_exists", `There is a pool ${spec.id} already.`);
    const description = await poolOf(c.env, poolIdOf(registered)).configure(registered.spec, workload.spec);
    if (!description.ok) {
      await deletePool(c.env.DB, spec.id); // the object refused it: nothing was created
      throw Problem.of(description.failure);
    }
    return c.json(viewOf(registered, description.value), 201, { location: `/api/v1/pools/${spec.id}` });
  })
  .openapi(list, async (c) => {
    const { limit, cursor } = c.req.valid("query");
    const page = await listPools(c.env.DB, cursor ?? "", limit);
    const items = await Promise.all(page.items.map((registered) => describe(c.env, registered)));
    return c.json({ items, nextCursor: encodeCursor(page.next) }, 200);
  })
  .openapi(get, async (c) => {
    const { id } = c.req.valid("param");
    const registered = await findPool(c.env.DB, id);
    if (!registered) throw new Problem("not_found", `There is no pool ${id}.`);
    return c.json(await describe(c.env, registered), 200);
  })
  .openapi(pause, async (c) => c.json(await setRefill(c.env, c.req.valid("param").id, "paused"), 200))
  .openapi(resume, async (c) => c.json(await setRefill(c.env, c.req.valid("param").id, "running"), 200));

async function setRefill(env: Env, id: string, refill: "paused" | "running"): Promise<z.output<typeof poolView>> {
  const registered = await findPool(env.DB, id);
  if (!registered) throw new Problem("not_found", `There is no pool ${id}.`);
  const description = await poolOf(env, poolIdOf(registered)).pause(refill);
  if (!description.ok) throw Problem.of(description.failure);
  return viewOf(registered, description.value);
}

const poolIdOf = (registered: RegisteredPool) => registered.spec.id as PoolId;

/** A registration whose object never heard of it (the Worker ended between the two): creating it again completes it. */
async function unfinished(env: Env, id: string): Promise<RegisteredPool | null> {
  const registered = await findPool(env.DB, id);
  const description = registered && (await poolOf(env, poolIdOf(registered)).describe());
  return description && !description.ok && description.failure.code === "not_found" ? registered : null;
}

async function describe(env: Env, registered: RegisteredPool): Promise<z.output<typeof poolView>> {
  const description = await poolOf(env, poolIdOf(registered)).describe();
  if (description.ok) return viewOf(registered, description.value);
  const { minSize, maxSize, idleTimeoutMs, tier = "lite" } = registered.spec;
  const empty = { paused: false, size: 0, warm: 0, claimed: 0, starting: 0, unhealthy: 0, hitRate: null };
  const { id, workloadId } = registered.spec;
  const lastError = description.failure.detail;
  const described = { id, workloadId, minSize, maxSize, idleTimeoutMs, tier, ...empty, status: "error", lastError };
  return viewOf(registered, described as PoolDescription);
}

const viewOf = (registered: RegisteredPool, description: PoolDescription): z.output<typeof poolView> => ({
  ...description,
  version: registered.version,
  createdAt: new Date(registered.createdAt).toISOString(),
  updatedAt: new Date(registered.updatedAt).toISOString(),
});
