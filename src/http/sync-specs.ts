import { z } from "@hono/zod-openapi";
import type { Context } from "hono";
import { configOf } from "../config.ts";
import { invalid, Problem } from "../errors/problem.ts";
import { endpointOf, endpointProblem } from "../gateway/sink/endpoint.ts";
import { forgetSink } from "../gateway/sink/sinks.ts";
import { SLUG } from "../ids.ts";
import { tenantsElsewhere } from "../pool/fallback.ts";
import { poolAndWorkload } from "../registry/cache.ts";
import { forgetSpecs } from "../registry/sync-cache.ts";
import {
  deleteSyncSpec,
  findSyncSpec,
  insertSyncSpec,
  listSyncSpecs,
  type RegisteredSyncSpec,
  replaceSyncSpec,
} from "../registry/sync-specs.ts";
import { type SyncSpec, syncSpecReplacement, syncSpecSchema, withoutSecret } from "../sync/spec.ts";
import { syncingTenants } from "../sync/tenants.ts";
import { jsonBody } from "./body.ts";
import { type AppEnv, json, refusals, resource } from "./context.ts";
import { etagOf, ifMatchOf } from "./etag.ts";
import { by, guarded } from "./guarded.ts";
import { encodeCursor, pageQuery } from "./paging.ts";
import { slugParam } from "./params.ts";
import { changedSince, known, nothing } from "./registered.ts";
import { syncSpecOf, syncSpecView } from "./sync-views.ts";

const withTag = { headers: z.object({ etag: z.string() }) };
const body = <T extends z.ZodType>(schema: T) => ({ required: true, content: { "application/json": { schema } } });

const create = guarded("registry:write", {
  method: "post",
  path: "/api/v1/sync-specs",
  summary: "Say what of a pool's tenants is synchronised, and where",
  tags: ["registry"],
  middleware: jsonBody("required"),
  request: { body: body(syncSpecSchema) },
  responses: { 201: { ...json(syncSpecView, "Created"), ...withTag }, ...refusals },
});

const list = guarded("registry:read", {
  method: "get",
  path: "/api/v1/sync-specs",
  summary: "List sync specs",
  tags: ["registry"],
  request: {
    query: pageQuery.extend({ poolId: z.string().regex(SLUG, "is no pool's id").optional() }),
  },
  responses: {
    200: json(z.object({ items: z.array(syncSpecView), nextCursor: z.string().nullable() }), "By id"),
    ...refusals,
  },
});

const get = guarded("registry:read", {
  method: "get",
  path: "/api/v1/sync-specs/{id}",
  summary: "One sync spec",
  tags: ["registry"],
  request: { params: slugParam },
  responses: { 200: { ...json(syncSpecView, "Found"), ...withTag }, ...refusals },
});

const replace = guarded("registry:write", {
  method: "put",
  path: "/api/v1/sync-specs/{id}",
  summary: "Change a sync spec; it holds from the next sync on",
  tags: ["registry"],
  middleware: [known("sync spec", findSyncSpec), jsonBody("required")],
  request: { params: slugParam, body: body(syncSpecReplacement) },
  responses: { 200: { ...json(syncSpecView, "As it is now"), ...withTag }, ...refusals },
});

const remove = guarded("registry:write", {
  method: "delete",
  path: "/api/v1/sync-specs/{id}",
  summary: "Delete a sync spec, unless one of its syncs is under way; what was synchronised stays where it is",
  tags: ["registry"],
  request: { params: slugParam },
  responses: { 204: { description: "Deleted" }, ...refusals },
});

export const syncSpecs = resource()
  .openapi(create, async (c) => {
    const input = c.req.valid("json");
    const wanted = withoutSecret(input, input.id);
    if (needsSecret(wanted.spec) && wanted.secret === undefined) throw secretMissing();
    await checkPlaces(c, wanted.spec);
    await requireAtHome(c.env, wanted.spec);
    const inserted = await insertSyncSpec(c.env.DB, configOf(c.env), wanted, by(c), Date.now());
    forget(input.id);
    switch (inserted.kind) {
      case "created": {
        const headers = { location: `/api/v1/sync-specs/${input.id}`, etag: etagOf(inserted.registered.version) };
        return c.json(syncSpecOf(inserted.registered), 201, headers);
      }
      case "taken":
        throw new Problem("already_exists", `There is a sync spec ${input.id} already.`);
      case "no-pool":
        throw poolMissing(input.poolId);
      case "has-fallback":
        throw hasFallback(input.poolId, inserted.fallbackPoolId);
    }
  })
  .openapi(list, async (c) => {
    const { limit, cursor, poolId } = c.req.valid("query");
    const page = await listSyncSpecs(c.env.DB, poolId ?? null, cursor ?? "", limit);
    return c.json({ items: page.items.map(syncSpecOf), nextCursor: encodeCursor(page.next) }, 200);
  })
  .openapi(get, async (c) => {
    const registered = await requiredSpec(c.env, c.req.valid("param").id);
    return c.json(syncSpecOf(registered), 200, { etag: etagOf(registered.version) });
  })
  .openapi(replace, async (c) => {
    const { id } = c.req.valid("param");
    const { id: named = id, ...input } = c.req.valid("json");
    if (named !== id) throw invalid([{ pointer: "/id", detail: `is not ${id}, which the path names` }]);
    const wanted = withoutSecret(input, id);
    await checkPlaces(c, wanted.spec);
    await requireAtHome(c.env, wanted.spec);
    const replaced = await replaceSyncSpec(c.env.DB, configOf(c.env), wanted, ifMatchOf(c), by(c), Date.now());
    forget(id);
    switch (replaced.kind) {
      case "changed":
      case "same":
        return c.json(syncSpecOf(replaced.registered), 200, { etag: etagOf(replaced.registered.version) });
      case "absent":
        throw nothing("sync spec", id);
      case "mismatch":
        throw changedSince("sync spec", id, replaced.version);
      case "no-pool":
        throw poolMissing(wanted.spec.poolId);
      case "has-fallback":
        throw hasFallback(wanted.spec.poolId, replaced.fallbackPoolId);
      case "no-secret":
        throw secretMissing();
    }
  })
  .openapi(remove, async (c) => {
    const { id } = c.req.valid("param");
    await requireStill(c.env, id);
    const removed = await deleteSyncSpec(c.env.DB, id, ifMatchOf(c), by(c), Date.now());
    forget(id);
    if (removed.kind === "absent") throw nothing("sync spec", id);
    if (removed.kind === "mismatch") throw changedSince("sync spec", id, removed.version);
    return c.body(null, 204);
  });

/** @throws Problem `not_found` */
export async function requiredSpec(env: Env, id: string): Promise<RegisteredSyncSpec> {
  const registered = await findSyncSpec(env.DB, id);
  if (!registered) throw nothing("sync spec", id);
  return registered;
}

const needsSecret = ({ sink }: SyncSpec): boolean => sink.type === "s3" && sink.accessKeyId !== undefined;
const secretMissing = () => invalid([{ pointer: "/sink/secretAccessKey", detail: "is needed with accessKeyId" }]);
const hasFallback = (id: string, fallbackPoolId: string) =>
  invalid([
    {
      pointer: "/poolId",
      detail: `${id} has a fallback pool, ${fallbackPoolId}, which does not reach what a sync spec names; take that away first`,
    },
  ]);
const poolMissing = (id: string) => invalid([{ pointer: "/poolId", detail: `There is no pool ${id}.` }]);

/** What only this deployment and the pool's workload can say of a spec. @throws Problem `invalid` */
async function checkPlaces(c: Context<AppEnv>, { sink, mappings, poolId }: SyncSpec): Promise<void> {
  if (sink.type === "s3") {
    const problem = endpointProblem(endpointOf(sink), configOf(c.env).environment);
    if (problem !== null) throw invalid([{ pointer: "/sink/endpoint", detail: problem }]);
  }
  const background = (work: Promise<unknown>) => c.executionCtx.waitUntil(work);
  const pool = await poolAndWorkload(c.env.DB, poolId, Date.now(), background);
  if (!pool) return; // said by whoever inserts it
  const secrets = pool.workload.spec.volumes.secrets?.containerPath ?? "/run/secrets";
  for (const [index, { containerPath }] of mappings.entries()) {
    if (!isWithin(secrets, containerPath) && !isWithin(containerPath, secrets)) continue;
    throw invalid([{ pointer: `/mappings/${index}/containerPath`, detail: `is where the secrets are (${secrets})` }]);
  }
}

const isWithin = (path: string, directory: string): boolean => `${path}/`.startsWith(`${directory}/`);

/** @throws Problem `in_use` while a tenant synchronises it */
async function requireStill(env: Env, id: string): Promise<void> {
  const registered = await findSyncSpec(env.DB, id);
  const [syncing] = registered ? await syncingTenants(env, registered.spec) : [];
  if (syncing === undefined) return;
  throw new Problem("in_use", `The tenant ${syncing} is synchronising it. Cancel that, or wait.`);
}

/** @throws Problem `in_use` while the pool's former fallback serves its tenants */
async function requireAtHome(env: Env, { poolId }: SyncSpec): Promise<void> {
  const elsewhere = await tenantsElsewhere(env.DB, poolId, 20);
  if (elsewhere.length === 0) return;
  const usedBy = elsewhere.map((id) => `tenant:${id}`);
  const detail = `Tenants of ${poolId} run in containers of a fallback pool, from where no sync spec is reached. Restart them first.`;
  throw new Problem("in_use", detail, { extra: { usedBy } });
}

function forget(id: string): void {
  forgetSpecs();
  forgetSink(id);
}
