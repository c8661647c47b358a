import { z } from "@hono/zod-openapi";
import type { Context } from "hono";
import type { By } from "../auth/principal.ts";
import { within } from "../durable/deadline.ts";
import { tenantOf, vaultOf } from "../durable/stubs.ts";
import { failureOf, Problem } from "../errors/problem.ts";
import { TENANT_ID, type TenantId } from "../ids.ts";
import type { Failure } from "../outcome.ts";
import { poolAndWorkload } from "../registry/cache.ts";
import { findSyncSpec } from "../registry/sync-specs.ts";
import { afterCursor, type CursorOfRun, cursorOfRun, historyOf, parsedCursor } from "../sync/history.ts";
import { probeSpec } from "../sync/probes.ts";
import { directionOf, isStateSpec, type SyncSpec } from "../sync/spec.ts";
import { ofSpec, ofState, statusOf, type TenantSync } from "../sync/status.ts";
import { countTenants, holdersOf, syncingTenants, tenantsOf } from "../sync/tenants.ts";
import { jsonBody } from "./body.ts";
import { type AppEnv, json, refusals, resource } from "./context.ts";
import { by, guarded } from "./guarded.ts";
import { cursorOf, encodeCursor, pageQuery } from "./paging.ts";
import { slugParam } from "./params.ts";
import { known, nothing } from "./registered.ts";
import { requiredSpec } from "./sync-specs.ts";
import {
  locationOf,
  probeOf,
  probeView,
  runOf,
  runView,
  syncCancelView,
  syncStatusOf,
  syncStatusView,
  syncTriggerSchema,
  syncTriggerView,
  type Triggered,
  tenantIdQuery,
  triggeredOf,
} from "./sync-views.ts";
import { waitSchema } from "./wait.ts";

/** What a registered sync spec is at, and what it can be asked to do. */

/** Tenants that one status or page of the history asks, and that one trigger starts. */
const ASKED_TENANTS = 50;
const TRIGGER_TENANTS = 100;
const ASK_MS = 5_000;

const getStatus = guarded("registry:read", {
  method: "get",
  path: "/api/v1/sync-specs/{id}/status",
  summary: "How the syncs of a spec are; wakes nothing",
  description: `What the pool's tenants say of their syncs, the first ${ASKED_TENANTS} by id, or one of them.`,
  tags: ["registry"],
  request: { params: slugParam, query: z.object({ tenantId: tenantIdQuery }) },
  responses: { 200: json(syncStatusView, "Found"), ...refusals },
});

const getHistory = guarded("registry:read", {
  method: "get",
  path: "/api/v1/sync-specs/{id}/history",
  summary: "The latest syncs of a spec that did something or failed, the newest first",
  description: `Of one tenant, or of the pool's, the first ${ASKED_TENANTS} by id; about 100 of each tenant are kept. Saves of the state volume are generations.`,
  tags: ["registry"],
  request: {
    params: slugParam,
    query: pageQuery.extend({ tenantId: tenantIdQuery, cursor: cursorOf(/^\d{1,16}:[^:].{0,300}$/) }),
  },
  responses: {
    200: json(z.object({ items: z.array(runView), nextCursor: z.string().nullable() }), "By time"),
    ...refusals,
  },
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

const cancel = guarded("registry:write", {
  method: "post",
  path: "/api/v1/sync-specs/{id}/cancel",
  summary: "End the syncs of a spec that are under way, of one tenant or of all",
  description:
    "What has gone over by then stays. A sync that is a part of a release or a sleep is not ended by this: 409.",
  tags: ["registry"],
  middleware: [known("sync spec", findSyncSpec), jsonBody("optional")],
  request: { params: slugParam, body: { content: { "application/json": { schema: syncTriggerSchema } } } },
  responses: { 200: json(syncCancelView, "They were told to end"), ...refusals },
});

const probe = guarded("registry:write", {
  method: "post",
  path: "/api/v1/sync-specs/{id}/probe",
  summary: "Write, read and delete a small object in the sink; what comes of it is kept, and shown with the status",
  tags: ["registry"],
  request: { params: slugParam },
  responses: { 200: json(probeView, "What came of it"), ...refusals },
});

export const syncActions = resource()
  .openapi(getStatus, async (c) => {
    const { spec, probe: result } = await requiredSpec(c.env, c.req.valid("param").id);
    const { tenantId } = c.req.valid("query");
    const tenants = tenantId
      ? [await ofPool(c.env, spec, tenantId)]
      : await tenantsOf(c.env.DB, spec.poolId, ASKED_TENANTS);
    const isState = await isOfState(c, spec);
    const asked = await Promise.all(tenants.map((id) => ask(c.env, spec, id, isState)));
    const answers = asked.filter((answer) => answer !== null);
    const of = tenantId ? 1 : await countTenants(c.env.DB, spec.poolId);
    return c.json(syncStatusOf(statusOf(answers, Date.now()), { tenants: answers.length, of }, result), 200);
  })
  .openapi(getHistory, async (c) => {
    const { spec } = await requiredSpec(c.env, c.req.valid("param").id);
    const { tenantId, limit, cursor } = c.req.valid("query");
    const tenants = tenantId
      ? [await ofPool(c.env, spec, tenantId)]
      : await tenantsOf(c.env.DB, spec.poolId, ASKED_TENANTS);
    const after: CursorOfRun | null = cursor === undefined ? null : parsedCursor(cursor);
    const all = await historyOf(c.env, spec.id, tenants, after?.endedAt ?? Number.MAX_SAFE_INTEGER, limit);
    const rest = after === null ? all : all.filter((item) => afterCursor(item, after));
    const items = rest.slice(0, limit);
    const last = items.at(-1);
    const next = rest.length > limit && last ? cursorOfRun(last) : null;
    return c.json({ items: items.map(runOf), nextCursor: encodeCursor(next) }, 200);
  })
  .openapi(trigger, async (c) => {
    const { spec } = await requiredSpec(c.env, c.req.valid("param").id);
    const { wait, cursor } = c.req.valid("query");
    if (!spec.policy.allowManualTrigger) {
      throw new Problem("forbidden", `The sync spec ${spec.id} does not allow this (policy.allowManualTrigger).`);
    }
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
  })
  .openapi(cancel, async (c) => {
    const { spec } = await requiredSpec(c.env, c.req.valid("param").id);
    const { tenantId } = c.req.valid("json");
    if (tenantId !== undefined) {
      const ended = await tenantOf(c.env, tenantId).cancelSync(await ofPool(c.env, spec, tenantId), spec.id, by(c));
      if (!ended.ok) throw Problem.of(ended.failure);
      return c.json({ cancelled: [tenantId] }, 200);
    }
    const syncing = await syncingTenants(c.env, spec);
    const ended = await Promise.all(syncing.map((id) => tenantOf(c.env, id).cancelSync(id, spec.id, by(c))));
    return c.json({ cancelled: syncing.filter((_, index) => ended[index]?.ok) }, 200);
  })
  .openapi(probe, async (c) => {
    const { id } = c.req.valid("param");
    const result = await probeSpec(c.env, id, Date.now(), by(c));
    if (!result) throw nothing("sync spec", id);
    return c.json(probeOf(result), 200);
  });

/** Whether its syncs are saves of the state volume. */
async function isOfState(c: Context<AppEnv>, spec: SyncSpec): Promise<boolean> {
  const background = (work: Promise<unknown>) => c.executionCtx.waitUntil(work);
  const pool = await poolAndWorkload(c.env.DB, spec.poolId, Date.now(), background);
  return isStateSpec(spec, pool?.workload.spec.volumes.state?.containerPath ?? null);
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
    const action = { kind: "sync", direction: directionOf(spec), spec: spec.id } as const;
    const outcome = await tenantOf(env, tenantId).act(tenantId, action, waitMs, hand);
    if (!outcome.ok) return failed(outcome.failure);
    if (outcome.value.kind === "pending") return { tenantId, kind: "running", operation: outcome.value.operation };
    return { tenantId, kind: "ended", answer: outcome.value.value };
  } catch (error) {
    return failed(failureOf(error));
  }
}

/** Null for a tenant that is gone, or does not answer in time. */
async function ask(env: Env, spec: SyncSpec, tenantId: TenantId, isState: boolean): Promise<TenantSync | null> {
  try {
    const state = await within(ASK_MS, "status", tenantOf(env, tenantId).syncState(tenantId, spec.id));
    if (!state.ok) return null;
    if (!isState) return ofSpec(state.value);
    const { head } = await within(ASK_MS, "description", vaultOf(env, tenantId).describe());
    return ofState(state.value.saves, head);
  } catch {
    return null;
  }
}
