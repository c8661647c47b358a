import { configOf } from "../config.ts";
import { instanceOf, tenantOf } from "../durable/stubs.ts";
import { entryOf } from "../errors/codes.ts";
import { failureOf, notConfigured, problemResponse } from "../errors/problem.ts";
import { requestIdOf } from "../http/request-id.ts";
import { log } from "../log.ts";
import type { Failure } from "../outcome.ts";
import { withoutTicket } from "../sessions/ticket.ts";
import type { Route } from "../tenant/types.ts";
import { isUpgrade, toContainer } from "./headers.ts";
import { encodeRoute, type Refusal, ROUTE_HEADER, verdictOf, withoutVerdict } from "./internal.ts";
import { isForeign } from "./origin.ts";
import { isOwnPage, ownPage } from "./pages.ts";
import { NOBODY_HERE, type Place, placeOf } from "./place.ts";
import { wantsPage } from "./request.ts";
import { type ReadyRoute, RouteCache } from "./route-cache.ts";
import { startingPage, startingProblem } from "./starting.ts";
import type { SettledTarget } from "./target.ts";
import { type Visitor, visitorOf } from "./visitor.ts";

/** How long a request waits for its tenant to wake, in ms: a person gets a page that shows progress, a program waits. */
const WAKE_WAIT_MS = 25_000;
const PAGE_WAIT_MS = 1_000;
const RETRY_AFTER_MS = 2_000;
const MAX_ATTEMPTS = 3;
const SAFE_METHODS = new Set(["GET", "HEAD", "OPTIONS"]);

const routes = new RouteCache();

interface Call extends Place {
  request: Request;
  /** As the container gets them, apart from what the proxy itself adds and removes. */
  headers: Headers;
  url: URL;
  env: Env;
  ctx: ExecutionContext;
  visitor: Visitor;
  /** The protocol that an upgrade is answered with when the container names none. */
  protocol: string | null;
  requestId: string;
}

/** A request for a tenant's container: who asks, which container, one hop, and at most one second try. */
export async function proxy(
  request: Request,
  url: URL,
  target: Exclude<SettledTarget, { kind: "platform" }>,
  env: Env,
  ctx: ExecutionContext,
): Promise<Response> {
  const requestId = requestIdOf(request.headers);
  try {
    const answer = await admitted(request, url, target, env, ctx, requestId);
    return answer instanceof Response ? answer : await send(answer);
  } catch (error) {
    const failure = failureOf(error);
    if (failure.code === "internal") log.error("proxied request failed", { requestId, error: String(error) });
    return problemResponse(failure, requestId);
  }
}

/** Whatever has to be right before a container is looked for, in the order of refusals; or the answer of a page of ours. */
async function admitted(
  request: Request,
  url: URL,
  target: Exclude<SettledTarget, { kind: "platform" }>,
  env: Env,
  ctx: ExecutionContext,
  requestId: string,
): Promise<Call | Response> {
  const refuse = (failure: Failure) => problemResponse(failure, requestId);
  const { missing } = configOf(env);
  if (missing.length > 0) return refuse(notConfigured(missing));
  const place = once(() => placeOf(target, env.DB));
  const tenantId = async () => (await place())?.tenantId ?? null;
  const onOwnHost = target.kind === "label" || (target.kind === "tenant" && target.exposure === "host");
  const now = Date.now();
  if (onOwnHost && isOwnPage(url.pathname)) return ownPage({ request, url, env, now, requestId, tenantId });

  const upgrade = isUpgrade(request.headers);
  const offered = request.headers.get("sec-websocket-protocol");
  const carried = withoutTicket(url.pathname + url.search, upgrade ? offered : null);
  const presented = {
    headers: request.headers,
    ticket: upgrade ? carried.ticket : null,
    cookies: onOwnHost ? "count" : "ignored",
  } as const;
  const background = (work: Promise<unknown>) => ctx.waitUntil(work);
  const verdict = await visitorOf(presented, { request, env, now, background, tenantId });
  if (!verdict.ok) return refuse(verdict.failure);
  if (target.kind === "bad-tenant-id") {
    const errors = [{ pointer: "/path/tenant", detail: "is no tenant's id" }];
    return refuse({ code: "invalid", detail: "The path does not name a tenant.", extra: { errors } });
  }
  if (target.kind !== "tenant" || target.exposure === "host") {
    if (isForeign(request.method, upgrade, request.headers.get("origin"), url.host)) {
      return refuse({ code: "forbidden", detail: "Pages of other origins may not do this." });
    }
  }
  const found = await place();
  if (!found) return refuse(NOBODY_HERE);
  const { visitor } = verdict;
  const headers = upgrade ? offering(request.headers, carried.protocols) : request.headers;
  const { path } = withoutTicket(found.path, null);
  return { ...found, path, request, headers, url, env, ctx, visitor, protocol: carried.answer, requestId };
}

/** The same headers of an upgrade with the workload's own protocols only. */
function offering(from: Headers, protocols: string | null): Headers {
  const headers = new Headers(from);
  if (protocols === null) headers.delete("sec-websocket-protocol");
  else headers.set("sec-websocket-protocol", protocols);
  return headers;
}

/** What is looked up at most once. */
function once<T>(look: () => Promise<T>): () => Promise<T> {
  let found: Promise<T> | undefined;
  return () => {
    found ??= look();
    return found;
  };
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
  const { request, url, tenantId, exposure, requestId, visitor } = call;
  const scheme = url.protocol.slice(0, -1);
  const { authorization, session } = visitor;
  const headers = toContainer(call.headers, { tenantId, requestId, exposure, scheme, authorization });
  headers.set(ROUTE_HEADER, encodeRoute({ ...route, tenantId, exposure, session, forwarded: "no" }));
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
  if (verdict !== "moved") return verdict ?? agreed(response, call.protocol);
  routes.drop(tenantId, route);
  return agreed(withoutVerdict(response), call.protocol);
}

/** An upgrade whose ticket was the only protocol is answered with it; what the container chose stands. */
function agreed(response: Response, protocol: string | null): Response {
  const { webSocket } = response;
  if (!webSocket || protocol === null || response.headers.has("sec-websocket-protocol")) return response;
  const headers = new Headers(response.headers);
  headers.set("sec-websocket-protocol", protocol);
  return new Response(null, { status: 101, webSocket, headers });
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
