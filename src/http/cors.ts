import { createMiddleware } from "hono/factory";
import { configOf } from "../config.ts";
import type { AppEnv } from "./context.ts";

const METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE";
const HEADERS = "authorization, content-type, idempotency-key, if-match, x-request-id";
const EXPOSED = "etag, location, retry-after, x-request-id, ratelimit, ratelimit-policy, idempotency-replayed";
const PREFLIGHT_SECONDS = "600";

/**
 * Which other origins' pages may call the API: those of CORS_ORIGINS, with credentials, and nobody else. Their
 * preflights are answered before anyone authenticates (a browser sends none with them); those of others are refused as
 * any request without a key is.
 */
export const cors = createMiddleware<AppEnv>(async (c, next) => {
  const { corsOrigins } = configOf(c.env);
  const origin = c.req.header("origin");
  const listed = origin !== undefined && corsOrigins.includes(origin);
  const preflight = c.req.method === "OPTIONS" && c.req.header("access-control-request-method") !== undefined;
  if (listed && preflight) {
    c.res = new Response(null, {
      status: 204,
      headers: {
        "access-control-allow-methods": METHODS,
        "access-control-allow-headers": HEADERS,
        "access-control-max-age": PREFLIGHT_SECONDS,
      },
    });
  } else {
    await next();
  }
  if (corsOrigins.length > 0) c.res.headers.append("vary", "Origin");
  if (!listed) return;
  c.res.headers.set("access-control-allow-origin", origin);
  c.res.headers.set("access-control-allow-credentials", "true");
  c.res.headers.set("access-control-expose-headers", EXPOSED);
});
