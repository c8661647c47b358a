import { z } from "@hono/zod-openapi";
import { actorFor } from "../audit/events.ts";
import { configOf } from "../config.ts";
import { tenantOf } from "../durable/stubs.ts";
import { Problem } from "../errors/problem.ts";
import { claimSchema, releaseSchema } from "../registry/requests.ts";
import { roomWithin } from "../tenant/room.ts";
import { accepted, stillRunning } from "./accepted.ts";
import { jsonBody } from "./body.ts";
import { checkClaim } from "./claim.ts";
import { json, refusals, resource } from "./context.ts";
import { addressOf } from "./endpoints.ts";
import { by, guarded } from "./guarded.ts";
import { knownTenantFirst } from "./known-tenant.ts";
import { mayClaim, mayRelease, requireSelfService } from "./may.ts";
import { claimed, claimView, released, releaseView } from "./operation-views.ts";
import { tenantParam } from "./params.ts";
import { status, statusView } from "./tenant-views.ts";
import { waitSchema } from "./wait.ts";

const WAITS =
  "How long to wait for the end. Named, it is also how long the claim waits for room where the pool or its tier is full, in the order of arrival; otherwise that is refused at once.";

const claim = guarded("tenants:run", {
  method: "post",
  path: "/api/v1/tenants/{id}/claim",
  summary: "Give a tenant its container",
  tags: ["tenants"],
  middleware: jsonBody("optional"),
  request: {
    params: tenantParam,
    query: z.object({ wait: waitSchema(10_000, WAITS) }),
    body: { content: { "application/json": { schema: claimSchema } } },
  },
  responses: {
    200: json(claimView, "It has one already"),
    201: json(claimView, "Claimed"),
    202: stillRunning,
    ...refusals,
  },
});

const release = guarded("tenants:run", {
  method: "post",
  path: "/api/v1/tenants/{id}/release",
  summary: "Save the tenant's state and take its container away",
  tags: ["tenants"],
  middleware: [knownTenantFirst, jsonBody("optional")],
  request: {
    params: tenantParam,
    query: z.object({ wait: waitSchema(0) }),
    body: { content: { "application/json": { schema: releaseSchema } } },
  },
  responses: { 200: json(releaseView, "Released"), 202: stillRunning, ...refusals },
});

const getStatus = guarded("tenants:read", {
  method: "get",
  path: "/api/v1/tenants/{id}/status",
  summary: "What is known of a tenant; never wakes anything",
  tags: ["tenants"],
  request: { params: tenantParam },
  responses: { 200: json(statusView, "Known"), ...refusals },
});

export const tenants = resource()
  .openapi(claim, async (c) => {
    const { id } = c.req.valid("param");
    const { wait } = c.req.valid("query");
    const body = c.req.valid("json");
    const address = await addressOf(id, configOf(c.env), new URL(c.req.url));
    const principal = c.get("principal");
    mayClaim(principal, body);
    const background = (work: Promise<unknown>) => c.executionCtx.waitUntil(work);
    await requireSelfService(principal, c.env, id, body.poolId ?? null, background);
    await checkClaim(c.env, c.executionCtx, id, body, address.label);
    const capacityWaitMs = c.req.query("wait") === undefined ? 0 : roomWithin(wait);
    const request = { ...body, tenantId: id, publicUrl: address.endpoints.http, capacityWaitMs };
    const outcome = await tenantOf(c.env, id).claim(request, wait, by(c));
    if (!outcome.ok) throw Problem.of(outcome.failure);
    if (outcome.value.kind === "pending") return c.json(...accepted(outcome.value.operation, address.endpoints));
    return c.json(claimed(outcome.value.value, address.endpoints), outcome.value.fresh ? 201 : 200);
  })
  .openapi(release, async (c) => {
    const { id } = c.req.valid("param");
    const { wait } = c.req.valid("query");
    const request = c.req.valid("json");
    const principal = c.get("principal");
    mayRelease(principal, request);
    await requireSelfService(principal, c.env, id, null, (work) => c.executionCtx.waitUntil(work));
    const { endpoints } = await addressOf(id, configOf(c.env), new URL(c.req.url));
    const outcome = await tenantOf(c.env, id).release(id, request, wait, by(c));
    if (!outcome.ok) throw Problem.of(outcome.failure);
    if (outcome.value.kind === "pending") return c.json(...accepted(outcome.value.operation, endpoints));
    return c.json(released(outcome.value.value), 200);
  })
  .openapi(getStatus, async (c) => {
    const { id } = c.req.valid("param");
    const { host, endpoints } = await addressOf(id, configOf(c.env), new URL(c.req.url));
    const outcome = await tenantOf(c.env, id).status(id);
    if (!outcome.ok) throw Problem.of(outcome.failure);
    const { suspended, ...known } = outcome.value;
    const shown = suspended && { ...suspended, actor: actorFor(c.get("principal"), suspended.actor) };
    return c.json(status({ ...known, ...(shown ? { suspended: shown } : {}) }, host, endpoints), 200);
  });
