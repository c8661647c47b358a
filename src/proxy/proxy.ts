import { isAdmin } from "../auth/admin.ts";
import { type Config, configOf } from "../config.ts";
import { instanceOf, tenantOf } from "../durable/stubs.ts";
import { entryOf } from "../errors/codes.ts";
import { failureOf, notConfigured, problemResponse } from "../errors/problem.ts";
import { requestIdOf } from "../http/request-id.ts";
import type { TenantId } from "../ids.ts";
import { log } from "../log.ts";
import type { Failure } from "../outcome.ts";
import { tenantOfLabel } from "../registry/hosts.ts";
import type { Route } from "../tenant/types.ts";
import { isUpgrade, toContainer } from "./headers.ts";
import {
  type Exposure,
  encodeRoute,
  type Refusal,
  ROUTE_HEADER,
  UNBOUND,
  verdictOf,
  withoutVerdict,
} from "./internal.ts";
import { isForeign } from "./origin.ts";
import { type ReadyRoute, RouteCache } from "./route-cache.ts";
import { startingPage, startingProblem } from "./starting.ts";
import type { Target } from "./target.ts";

/** How long a request waits for its tenant to wake, in ms: a person gets a page that shows progress, a program waits. */
const WAKE_WAIT_MS = 25_000;
const PAGE_WAIT_MS = 1_000;
const RETRY_AFTER_MS = 2_000;
const MAX_ATTEMPTS = 3;
const SAFE_METHODS = new Set(["GET", "HEAD", "OPTIONS"]);

const routes = new RouteCache();

interface Call {
  request: Request;
  url: URL;
  env: Env;
  ctx: ExecutionContext;
  tenantId: TenantId;
  exposure: Exposure;
  path: string;
  requestId: string;
}

/** A request for a tenant's container: authenticate, find the container, one hop, and at most one second try. */
export async function proxy(
  request: Request,
  url: URL,
  target: Exclude<Target, { kind: "platform" }>,
  env: Env,
  ctx: ExecutionContext,
): Promise<Response> {
  const config = configOf(env);
  const requestId = requestIdOf(request.headers);
  try {
    const refusal = refuse(request, url, target, config);
    if (refusal) return problemResponse(refusal, requestId);
    const tenant = await resolve(target, env);
    if (!tenant)
      return problemResponse({ code: "not_found", detail: "There is no tenant at this address." }, requestId);
    return await send({ request, url, env, ctx, requestId, ...tenant });
  } catch (error) {
    log.error("proxied request failed", { requestId, error: String(error) });
    return problemResponse(failureOf(error), requestId);
  }
}

function refuse(request: Request, url: URL, target: Target, config: Config): Failure | null {
  if (config.missing.length > 0) return notConfigured(config.missing);
  if (!isAdmin(config, request.headers.get("authorization"))) {
    return { code: "unauthenticated", detail: "This address needs a key." };
  }
  if (target.kind === "bad-tenant-id") {
    const errors = [{ pointer: "/path/tenant", detail: "is no tenant's id" }];
    return { code: "invalid", detail: "The path does not name a tenant.", extra: { errors } };
  }
  const onOwnHost = !(target.kind === "tenant" && target.exposure === "path");
  if (onOwnHost && isForeign(request.method, isUpgrade(request.headers), request.headers.get("origin"), url.host)) {
    return { code: "forbidden", detail: "Pages of other origins may not do this." };
  }
  return null;
}

async function resolve(
  target: Target,
  env: Env,
): Promise<{ tenantId: TenantId; exposure: Exposure; path: string } | null> {
  if (target.kind === "tenant") return target;
  if (target.kind !== "label") return null;
  const tenantId = await tenantOfLabel(env.DB, target.label);
  return tenantId && { tenantId, exposure: "host", path: target.path };
}

async function send(call: Call): Promise<Response> {
  const wait = wantsPage(call.request) ? PAGE_WAIT_MS : WAKE_WAIT_MS;
  let route: Route = routes.get(call.tenantId) ?? (await ask(call, null, wait));
  // One detour for a route that is old, and one for a container that turns out to be gone.
  for (let attempts = 1; route.kind === "ready"; attempts += 1) {
    const answer = await attempt(call, route);
    if (answer instanceof Response) return answer;
    routes.drop(call.tenantId, route);
    const stale = route;
    if (attempts === MAX_ATTEMPTS || !maySendAgain(call.request, answer)) {
      call.ctx.waitUntil(ask(call, stale, 0)); // the Tenant looks at what this request found
      return gaveUp(call, answer);
    }
    route = await ask(call, stale, wait);
  }
  return notReady(call, route);
}

async function ask(call: Call, stale: ReadyRoute | null, waitMs: number): Promise<Route> {
  const route = await tenantOf(call.env, call.tenantId).route(call.tenantId, stale, waitMs);
  if (route.kind === "ready") routes.set(call.tenantId, route);
  return route;
}

/** The one hop. What the container said, or why it said nothing. */
async function attempt(call: Call, route: ReadyRoute): Promise<Response | Refusal> {
  const { request, url, tenantId, exposure, requestId } = call;
  const scheme = url.protocol.slice(0, -1);
  const headers = toContainer(request.headers, { tenantId, requestId, exposure, scheme, authorization: "ours" });
  headers.set(ROUTE_HEADER, encodeRoute({ ...route, tenantId, exposure, session: UNBOUND, forwarded: "no" }));
  const init = { method: request.method, headers, body: bodyOf(request), redirect: "manual" as const };
  let response: Response;
  try {
    response = await instanceOf(call.env, route.containerId).fetch(new Request(`http://${url.host}${call.path}`, init));
  } catch (error) {
    // The object was reset or could not be reached; whether the container saw the request is unknown.
    log.warn("instance did not answer", { requestId, tenantId, error: String(error) });
    return "lost";
  }
  const verdict = verdictOf(response);
  if (verdict !== "moved") return verdict ?? response;
  routes.drop(tenantId, route);
  return withoutVerdict(response);
}

/** Null also for an announced body of no bytes, so that such a request can be sent twice. */
function bodyOf(request: Request): ReadableStream | null {
  if (request.method === "GET" || request.method === "HEAD") return null;
  return request.headers.get("content-length") === "0" ? null : request.body;
}

/** Only what left no trace is sent again: nothing was sent, or what was sent changes nothing. */
const maySendAgain = (request: Request, verdict: Refusal): boolean =>
  bodyOf(request) === null && (verdict === "stale" || verdict === "absent" || isSafe(request));

const isSafe = (request: Request): boolean => SAFE_METHODS.has(request.method) && !isUpgrade(request.headers);

const wantsPage = (request: Request): boolean =>
  request.method === "GET" &&
  !isUpgrade(request.headers) &&
  (request.headers.get("accept") ?? "").includes("text/html");

function notReady(call: Call, route: Exclude<Route, ReadyRoute>): Response {
  if (route.kind === "starting") {
    const { step, startedAt, error } = route.operation;
    const starting = { phase: step, startedAt, lastError: error?.detail ?? null, retryAfterMs: RETRY_AFTER_MS };
    if (wantsPage(call.request)) return startingPage(starting, call.exposure, call.requestId, Date.now());
    return startingProblem(starting, call.requestId);
  }
  const { failure } = route;
  if (!wantsPage(call.request) || entryOf(failure.code).status !== 503) return problemResponse(failure, call.requestId);
  const retryAfterMs = failure.retryAfterMs ?? RETRY_AFTER_MS;
  const starting = { phase: "waiting to try again", startedAt: null, lastError: failure.detail, retryAfterMs };
  return startingPage(starting, call.exposure, call.requestId, Date.now());
}

function gaveUp(call: Call, verdict: Refusal): Response {
  if (verdict === "lost" && !isSafe(call.request)) {
    const detail = "The container ended while it handled this request; whether it had its effect is unknown.";
    return problemResponse({ code: "operation_interrupted", detail }, call.requestId);
  }
  const detail = "The container is not there; the request was not carried out.";
  return problemResponse({ code: "container_unavailable", detail, retryAfterMs: RETRY_AFTER_MS }, call.requestId);
}
