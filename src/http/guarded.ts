import { createRoute, type RouteConfig } from "@hono/zod-openapi";
import type { MiddlewareHandler } from "hono";
import { createMiddleware } from "hono/factory";
import { type Permission, rolesWith } from "../auth/permissions.ts";
import type { By, Principal } from "../auth/principal.ts";
import { Problem } from "../errors/problem.ts";
import { parseTenantId, type TenantId } from "../ids.ts";
import { tenantOfOperation } from "../tenant/operation-id.ts";
import type { AppEnv } from "./context.ts";
import { type BodyKind, idempotent } from "./idempotency.ts";

/**
 * A route of the API that says who may use it. The permission stands in the OpenAPI document (`x-permission`), from which
 * the role-by-route matrix is made, and is checked before anything else of the route runs: 403 for the wrong role, 404
 * for another tenant's things, then `Idempotency-Key`, then the route's own middleware (contract: order of refusals).
 */
export function guarded<P extends string, R extends Omit<RouteConfig, "path"> & { path: P }>(
  permission: Permission,
  config: R,
  body: BodyKind = "read",
) {
  const own = config.middleware === undefined ? [] : [config.middleware].flat();
  const before: MiddlewareHandler[] = [permits(permission)];
  if (config.method !== "get" && config.method !== "head") before.push(idempotent(body));
  const route = { ...config, middleware: [...before, ...own] as MiddlewareHandler[], "x-permission": permission };
  return createRoute<P, R>(route as unknown as R);
}

const permits = (permission: Permission) =>
  createMiddleware<AppEnv>(async (c, next) => {
    const principal = c.get("principal");
    if (!(rolesWith(permission) as readonly string[]).includes(principal.role)) {
      throw new Problem("forbidden", `The role ${principal.role} has no permission ${permission}.`);
    }
    if (principal.role === "tenant") requireOwn(principal, subjectOf(c.req.path));
    await next();
  });

/** The tenant that a path is about; null for paths about no tenant. */
function subjectOf(path: string): TenantId | "nobody" | null {
  const [, , , resource, id] = path.split("/");
  if (resource !== "tenants" && resource !== "operations") return null;
  if (id === undefined) return null;
  const text = decoded(id);
  return (resource === "tenants" ? parseTenantId(text) : tenantOfOperation(text)) ?? "nobody";
}

/** Empty, which names nobody, for what is not percent-encoded UTF-8. */
function decoded(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return "";
  }
}

/** @throws Problem `not_found` for another tenant's things, whether they exist or not (P-CLOSED). */
export function requireOwn(principal: Principal, tenantId: TenantId | "nobody" | null): void {
  if (principal.role !== "tenant" || tenantId === null || tenantId === principal.tenantId) return;
  throw new Problem("not_found", "There is no such thing.");
}

/** Whom a change is recorded for. */
export const by = (c: { get(key: "principal"): Principal; get(key: "requestId"): string }): By => ({
  actor: c.get("principal").actor,
  requestId: c.get("requestId"),
});
