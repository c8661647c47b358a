import { createMiddleware } from "hono/factory";
import { tenantOf } from "../durable/stubs.ts";
import type { ErrorCode } from "../errors/codes.ts";
import { Problem, problemResponse } from "../errors/problem.ts";
import { parseTenantId } from "../ids.ts";
import type { AppEnv } from "./context.ts";

const BODY_REFUSALS = new Set<ErrorCode>(["malformed_json", "unsupported_media_type", "payload_too_large", "invalid"]);

/** A body is refused only where there is a tenant that it could be about (contract: order of refusals). Costs nothing where the body is right. */
export const knownTenantFirst = createMiddleware<AppEnv>(async (c, next) => {
  await next();
  const id = parseTenantId(c.req.param("id") ?? "");
  if (!id || !(c.error instanceof Problem) || !BODY_REFUSALS.has(c.error.failure.code)) return;
  const status = await tenantOf(c.env, id).status(id);
  if (!status.ok) c.res = problemResponse(status.failure, c.get("requestId"));
});
