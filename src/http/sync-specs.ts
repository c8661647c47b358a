import { z } from "@hono/zod-openapi";
import type { By } from "../auth/principal.ts";
import { configOf } from "../config.ts";
import { within } from "../durable/deadline.ts";
import { tenantOf, vaultOf } from "../durable/stubs.ts";
import { failureOf, invalid, Problem } from "../errors/problem.ts";
import { SLUG, TENANT_ID, type TenantId } from "../ids.ts";
import type { Failure } from "../outcome.ts";
import {
  deleteSyncSpec,
  findSyncSpec,
  insertSyncSpec,
  listSyncSpecs,
  type RegisteredSyncSpec,
  replaceSyncSpec,
} from "../registry/sync-specs.ts";
import { directionOf, type SyncSpec, syncSpecReplacement, syncSpecSchema, withoutSecret } from "../sync/spec.ts";
import { statusOf, type TenantSync } from "../sync/status.ts";
import { countTenants, holdersOf, tenantsOf } from "../sync/tenants.ts";
import { jsonBody } from "./body.ts";
import { json, refusals, resource } from "./context.ts";
import { etagOf, ifMatchOf } from "./etag.ts";
import { by, guarded } from "./guarded.ts";
import { cursorOf, encodeCursor, pageQuery } from "./paging.ts";
import { slugParam } from "./params.ts";
import { changedSince, known, nothing } from "./registered.ts";
import {
  locationOf,
  syncSpecOf,
  syncSpecView,
  syncStatusOf,
  syncStatusView,
  syncTriggerSchema,
  syncTriggerView,
  type Triggered,
  triggeredOf,
} from "./sync-views.ts";
import { waitSchema } from "./wait.ts";

/** Tenants that one status asks, and that one trigger starts. */
const STATUS_TENANTS = 50;
const TRIGGER_TENANTS = 100;
const ASK_MS = 5_000;

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
  summary: "Delete a sync spec; what was synchronised stays where it is",
  tags: ["registry"],
  request: { params: slugParam },
  responses: { 204: { description: "Deleted" }, ...refusals },
});

const getStatus = guarded("registry:read", {
  method: "get",
  path: "/api/v1/sync-specs/{id}/status",
  summary: "How the syncs of a spec are; wakes nothing",
  description: `What the pool's tenants say of their syncs, the first ${STATUS_TENANTS} by id. Specs with an S3 sink have none yet.`,
  tags: ["registry"],
  request: { params: slugParam },
  responses: { 200: json(syncStatusView, "Found"), ...refusals },
});

const trigger = guarded("registry:write", {
  method: "post",
  path: "/api/v1/sync-specs/{id}/trigger",
  summary: "Synchronise one tenant, or every one that holds a container of the pool, now",
  description: `At most ${TRIGGER_TENANTS} tenants in one call; \`nextCursor\` leads to the others.`,
  tags: ["registry"],
  middleware: [known("sync spec", findSyncSpec), jsonBody("optional")],
  request: {
    params: slugParam,
    query: z.object({ wait: waitSchema(0), cursor: cursorOf(TENANT_ID) }),
    body: { content: { "application/json": { schema: syncTriggerSchema } } },
  },
  responses: {
    200: json(syncTriggerView, "Every one has ended"),
    202: json(syncTriggerView, "Some still run"),
    ...refusals,
  },
});

export const syncSpecs = resource()
  .openapi(create, async (c) => {
    const input = c.req.valid("json");
    const wanted = withoutSecret(input, input.id);
    if (needsSecret(wanted.spec) && wanted.secret === undefined) throw secretMissing();
    const inserted = await insertSyncSpec(c.env.DB, configOf(c.env), wanted, by(c), Date.now());
    switch (inserted.kind) {
      case "created": {
        const headers = { location: `/api/v1/sync-specs/${input.id}`, etag: etagOf(inserted.registered.version) };
        return c.json(syncSpecOf(inserted.registered), 201, headers);
      }
      case "taken":
        throw new Problem("already_exists", `There is a sync spec ${input.id} already.`);
      case "no-pool":
        throw poolMissing(input.poolId);
    }
  })
  .openapi(list, async (c) => {
    const { limit, cursor, poolId } = c.req.valid("query");
    const page = await listSyncSpecs(c.env.DB, poolId ?? null, cursor ?? "", limit);
    return c.json({ items: page.items.map(syncSpecOf), nextCursor: encodeCursor(page.next) }, 200);
  })
  .openapi(get, async (c) => {
    const registered = await required(c.env, c.req.valid("param").id);
    return c.json(syncSpecOf(registered), 200, { etag: etagOf(registered.version) });
  })
  .openapi(replace, async (c) => {
    const { id } = c.req.valid("param");
    const { id: named = id, ...input } = c.req.valid("json");
    if (named !== id) throw invalid([{ pointer: "/id", detail: `is not ${id}, which the path names` }]);
    const wanted = withoutSecret(input, id);
    const replaced = await replaceSyncSpec(c.env.DB, configOf(c.env), wanted, ifMatchOf(c), by(c), Date.now());
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
      case "no-secret":
        throw secretMissing();
    }
  })
  .openapi(remove, async (c) => {
    const { id } = c.req.valid("param");
    const removed = await deleteSyncSpec(c.env.DB, id, ifMatchOf(c), by(c), Date.now());
    if (removed.kind === "absent") throw nothing("sync spec", id);
    if (removed.kind === "mismatch") throw changedSince("sync spec", id, removed.version);
    return c.body(null, 204);
  })
  .openapi(getStatus, async (c) => {
    const { spec } = await required(c.env, c.req.valid("param").id);
    if (spec.sink.type === "s3") return c.json(syncStatusOf(statusOf([], Date.now()), { tenants: 0, of: 0 }), 200);
    const tenants = await tenantsOf(c.env.DB, spec.poolId, STATUS_TENANTS);
    const asked = await Promise.all(tenants.map((id) => ask(c.env, id)));
    const answers = asked.filter((answer) => answer !== null);
    const covers = { tenants: answers.length, of: await countTenants(c.env.DB, spec.poolId) };
    return c.json(syncStatusOf(statusOf(answers, Date.now()), covers), 200);
  })
  .openapi(trigger, async (c) => {
    const { spec } = await required(c.env, c.req.valid("param").id);
    const { wait, cursor } = c.req.valid("query");
    requireTriggerable(spec);
    const { tenantId } = c.req.valid("json");
    if (tenantId !== undefined) {
      const item = await start(c.env, spec, await ofPool(c.env, spec, tenantId), wait, by(c));
      if (item.kind === "failed") throw Problem.of(item.failure);
      const answer = { items: [triggeredOf(item)], nextCursor: null };
      if (item.kind === "ended") return c.json(answer, 200);
      return c.json(answer, 202, { location: locationOf(item.operation), "retry-after": "1" });
    }
    const page = await holdersOf(c.env, spec.poolId, cursor ?? "", TRIGGER_TENANTS);
    if (!page.ok) throw Problem.of(page.failure);
    const items = await Promise.all(page.value.tenants.map((id) => start(c.env, spec, id, wait, by(c))));
    const answer = { items: items.map(triggeredOf), nextCursor: encodeCursor(page.value.next) };
    return c.json(answer, items.some((item) => item.kind === "running") ? 202 : 200);
  });

async function required(env: Env, id: string): Promise<RegisteredSyncSpec> {
  const registered = await findSyncSpec(env.DB, id);
  if (!registered) throw nothing("sync spec", id);
  return registered;
}

const needsSecret = ({ sink }: SyncSpec): boolean => sink.type === "s3" && sink.accessKeyId !== undefined;
const secretMissing = () => invalid([{ pointer: "/sink/secretAccessKey", detail: "is needed with accessKeyId" }]);
const poolMissing = (id: string) => invalid([{ pointer: "/poolId", detail: `There is no pool ${id}.` }]);

function requireTriggerable({ id, policy, sink }: SyncSpec): void {
  if (!policy.allowManualTrigger) {
    throw new Problem("forbidden", `The sync spec ${id} does not allow this (policy.allowManualTrigger).`);
  }
  if (sink.type !== "s3") return;
  throw new Problem("unsupported", "S3 sinks are synchronised from a later release on; this one only keeps the spec.", {
    extra: { errors: [{ pointer: "/sink/type", detail: "is s3" }] },
  });
}

/** @throws Problem `not_found` for one that the spec's pool does not have */
async function ofPool(env: Env, { poolId }: SyncSpec, tenantId: TenantId): Promise<TenantId> {
  const status = await tenantOf(env, tenantId).status(tenantId);
  if (!status.ok) throw Problem.of(status.failure);
  if (status.value.poolId === poolId) return tenantId;
  throw new Problem("not_found", `The pool ${poolId} has no tenant ${tenantId}.`);
}

async function start(env: Env, spec: SyncSpec, tenantId: TenantId, waitMs: number, hand: By): Promise<Triggered> {
  const failed = (failure: Failure): Triggered => ({ tenantId, kind: "failed", failure });
  try {
    const action = { kind: "sync", direction: directionOf(spec) } as const;
    const outcome = await tenantOf(env, tenantId).act(tenantId, action, waitMs, hand);
    if (!outcome.ok) return failed(outcome.failure);
    if (outcome.value.kind === "pending") return { tenantId, kind: "running", operation: outcome.value.operation };
    return { tenantId, kind: "ended", answer: outcome.value.value };
  } catch (error) {
    return failed(failureOf(error));
  }
}

/** Null for a tenant that is gone, or does not answer in time. */
async function ask(env: Env, tenantId: TenantId): Promise<TenantSync | null> {
  try {
    const status = await within(ASK_MS, "status", tenantOf(env, tenantId).status(tenantId));
    if (!status.ok) return null;
    const { head } = await within(ASK_MS, "description", vaultOf(env, tenantId).describe());
    return { status: status.value, head };
  } catch {
    return null;
  }
}
