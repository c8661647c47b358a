import { known } from "../auth/bearer.ts";
import { configOf } from "../config.ts";
import { tenantOf } from "../durable/stubs.ts";
import { problemResponse } from "../errors/problem.ts";
import type { TenantId } from "../ids.ts";
import type { Failure } from "../outcome.ts";
import { clearingCookie, settingCookie } from "../sessions/cookie.ts";
import { localPath } from "../sessions/next.ts";
import { signSession } from "../sessions/session.ts";
import { accessCacheOf } from "./access-cache.ts";
import { isForeign } from "./origin.ts";
import { PAGE_HEADERS, page, STARTING_SCRIPT } from "./page.ts";
import { wantsPage } from "./request.ts";
import { SUSPENDED } from "./visitor.ts";

/** What a tenant's own host keeps for us; the workload never sees requests for it. */
const OURS = "/.boilerhouse/";
export const ENTER = `${OURS}enter`;
const LEAVE = `${OURS}leave`;
export const STARTING = `${OURS}starting.js`;

interface Visit {
  request: Request;
  url: URL;
  env: Env;
  now: number;
  requestId: string;
  /** The tenant of the host; null when there is none. */
  tenantId: () => Promise<TenantId | null>;
}

export const isOwnPage = (path: string): boolean => path.startsWith(OURS);

export async function ownPage(visit: Visit): Promise<Response> {
  const { request, url, requestId } = visit;
  const refuse = (failure: Failure, headers: Record<string, string> = {}) =>
    problemResponse(failure, requestId, { ...PAGE_HEADERS, ...headers });
  const only = (method: string) =>
    refuse({ code: "method_not_allowed", detail: `This answers to ${method} only.` }, { allow: method });
  switch (url.pathname) {
    case ENTER:
      return request.method === "GET" ? enter(visit) : only("GET");
    case LEAVE:
      return request.method === "POST" ? leave(visit) : only("POST");
    case STARTING:
      return request.method === "GET" ? script(STARTING_SCRIPT) : only("GET");
    default:
      return refuse({ code: "not_found", detail: `There is nothing at ${url.pathname}.` });
  }
}

/** Exchanges a code for a cookie, once. Who follows the link again, or too late, is told to ask for another. */
async function enter({ request, url, env, now, requestId, tenantId }: Visit): Promise<Response> {
  const refuse = (failure: Failure) =>
    wantsPage(request)
      ? page({ status: 401, title: "This link does not work any more", text: failure.detail, requestId })
      : problemResponse(failure, requestId, PAGE_HEADERS);
  const next = localPath(url.searchParams.get("next") ?? "/", url.origin);
  if (next === null) {
    const errors = [{ pointer: "/query/next", detail: "must be a path on this host" }];
    return problemResponse({ code: "invalid", detail: "The link leads elsewhere.", extra: { errors } }, requestId);
  }
  // A browser that only looks ahead, perhaps on another site's behalf, may throw the cookie away.
  if (request.headers.get("sec-purpose")?.includes("prefetch")) {
    return problemResponse(
      { code: "bad_request", detail: "A code is not used ahead of time." },
      requestId,
      PAGE_HEADERS,
    );
  }
  const id = await tenantId();
  // Asked before the code is used: one that is still good afterwards is of this version or a later one.
  const access = id && (await accessCacheOf(env).fresh(id, now));
  const admission = id && access && (await known(tenantOf(env, id).redeem("code", url.searchParams.get("code") ?? "")));
  if (!admission || admission.sessionExpiresAt <= now) return refuse(USED_UP);
  if (access.suspended) return problemResponse(SUSPENDED, requestId, PAGE_HEADERS);
  const { actor, sessionExpiresAt: expiresAt } = admission;
  const session = { tenantId: id, actor, tokenVersion: access.tokenVersion, expiresAt };
  const cookie = settingCookie(await signSession(configOf(env), session), expiresAt - now);
  return new Response(null, {
    status: 303,
    headers: { ...PAGE_HEADERS, location: next, "set-cookie": cookie, "x-request-id": requestId },
  });
}

const USED_UP: Failure = {
  code: "unauthenticated",
  detail: "The code was used already, is too old, or is of another tenant. Ask for a new link.",
};

/** Takes the cookie away. The session itself ends with its time, or with a revocation of the tenant's tokens. */
async function leave({ request, url, requestId }: Visit): Promise<Response> {
  if (isForeign(request.method, false, request.headers.get("origin"), url.host)) {
    const detail = "Pages of other origins may not do this.";
    return problemResponse({ code: "forbidden", detail }, requestId, PAGE_HEADERS);
  }
  const headers = { ...PAGE_HEADERS, "set-cookie": clearingCookie(), "x-request-id": requestId };
  return new Response(null, { status: 204, headers });
}

/** Without it a browser shows the starting page as it was; it holds nothing of the tenant. */
const script = (text: string): Response =>
  new Response(text, {
    headers: { ...PAGE_HEADERS, "content-type": "text/javascript; charset=utf-8", "cache-control": "max-age=3600" },
  });
