import { z } from "@hono/zod-openapi";
import { createMiddleware } from "hono/factory";
import { configOf } from "../config.ts";
import { tenantOf } from "../durable/stubs.ts";
import type { ErrorCode } from "../errors/codes.ts";
import { Problem, problemResponse } from "../errors/problem.ts";
import { parseTenantId } from "../ids.ts";
import { claimSchema, releaseSchema } from "../registry/requests.ts";
import type { OperationView } from "../tenant/types.ts";
import { jsonBody } from "./body.ts";
import { checkClaim } from "./claim.ts";
import { type AppEnv, json, refusals, resource } from "./context.ts";
import { addressOf, type Endpoints } from "./endpoints.ts";
import { by, guarded } from "./guarded.ts";
import { tenantParam } from "./params.ts";
import { claimed, claimView, pending, pendingView, released, releaseView, status, statusView } from "./views.ts";
import { waitSchema } from "./wait.ts";

const stillRunning = {
  ...json(pendingView, "Still running; `Location` is the operation."),
  headers: z.object({ location: z.string() }),
};

const claim = guarded("tenants:run", {
  method: "post",
  path: "/api/v1/tenants/{id}/claim",
  summary: "Give a tenant its container",
  tags: ["tenants"],
  middleware: jsonBody("optional"),
  request: {
    params: tenantParam,
    query: z.object({ wait: waitSchema(10_000) }),
    body: { content: { "application/json": { schema: claimSchema } } },
  },
  responses: {
    200: json(claimView, "It has one already"),
    201: json(claimView, "Claimed"),
    202: stillRunning,
    ...refusals,
  },
});

/** A body is refused only where there is a tenant that it could be about (contract: order of refusals). */
const knownFirst = createMiddleware<AppEnv>(async (c, next) => {
  await next();
  const id = parseTenantId(c.req.param("id") ?? "");
  if (!id || !(c.error instanceof Problem) || !BODY_REFUSALS.has(c.error.failure.code)) return;
  const status = await tenantOf(c.env, id).status(id);
  if (!status.ok) c.res = problemResponse(status.failure, c.get("requestId"));
});
const BODY_REFUSALS = new Set<ErrorCode>(["malformed_json", "unsupported_media_type", "payload_too_large", "invalid"]);

const release = guarded("tenants:run", {
  method: "post",
  path: "/api/v1/tenants/{id}/release",
  summary: "Save the tenant's state and take its container away",
  tags: ["tenants"],
  middleware: [knownFirst, jsonBody("optional")],
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
    await checkClaim(c.env, c.executionCtx, id, body, address.label);
    const request = { ...body, tenantId: id, publicUrl: address.endpoints.http };
    const outcome = await tenantOf(c.env, id).claim(request, wait, by(c));
    if (!outcome.ok) throw Problem.of(outcome.failure);
    if (outcome.value.kind === "pending") return c.json(...accepted(outcome.value.operation, address.endpoints));
    return c.json(claimed(outcome.value.value, address.endpoints), outcome.value.fresh ? 201 : 200);
  })
  .openapi(release, async (c) => {
    const { id } = c.req.valid("param");
    const { wait } = c.req.valid("query");
    const { endpoints } = await addressOf(id, configOf(c.env), new URL(c.req.url));
    const outcome = await tenantOf(c.env, id).release(id, c.req.valid("json"), wait, by(c));
    if (!outcome.ok) throw Problem.of(outcome.failure);
    if (outcome.value.kind === "pending") return c.json(...accepted(outcome.value.operation, endpoints));
    return c.json(released(outcome.value.value), 200);
  })
  .openapi(getStatus, async (c) => {
    const { id } = c.req.valid("param");
    const { host, endpoints } = await addressOf(id, configOf(c.env), new URL(c.req.url));
    const outcome = await tenantOf(c.env, id).status(id);
    if (!outcome.ok) throw Problem.of(outcome.failure);
    return c.json(status(outcome.value, host, endpoints), 200);
  });

const accepted = (view: OperationView, endpoints: Endpoints) =>
  [pending(view, endpoints), 202, { location: `/api/v1/operations/${view.id}`, "retry-after": "1" }] as const;
