import { PERMISSIONS, type Permission, rolesWith } from "../../src/auth/permissions.ts";
import type { Role } from "../../src/auth/principal.ts";

/** Operations that need nobody: whether it lives, what it is. Everything else has a row. */
const OPEN = new Set(["GET /health", "GET /ready", "GET /openapi.json"]);
const isOpen = (operation: string): boolean => OPEN.has(operation) || /^GET \/docs(?:\/|$)/.test(operation);

/** Where a tenant's key finds its own things although no tenant stands in the path: the handlers see to it. */
const OWN_BY_HANDLER = new Set(["GET /api/v1/whoami", "GET /api/v1/tenants", "GET /api/v1/events"]);
/** Where the door compares the tenant in the path with the key's (src/http/guarded.ts). */
const OWN_BY_DOOR = /^\/api\/v1\/(?:tenants|operations)\/\{id\}(?:\/|$)/;

export interface Row {
  method: string;
  /** As in the OpenAPI document, with `{id}`. */
  path: string;
  permission: Permission;
  roles: readonly Role[];
}

interface Described {
  paths?: Record<string, object>;
}
interface Route {
  method: string;
  path: string;
}

const METHODS = ["get", "put", "post", "delete", "patch"];

/** The role-by-route matrix that a document stands for, and what it lacks: routes without a row, rows without a permission. Pure. */
export function matrixOf(document: Described, routes: readonly Route[]): { rows: Row[]; gaps: string[] } {
  const rows: Row[] = [];
  const gaps: string[] = [];
  for (const [method, path, operation] of operationsOf(document)) {
    if (isOpen(`${method} ${path}`)) continue;
    const permission = PERMISSIONS.find((one) => one === operation["x-permission"]);
    if (!permission) {
      gaps.push(`${method} ${path} has no permission: make it with guarded()`);
      continue;
    }
    const roles = rolesWith(permission);
    rows.push({ method, path, permission, roles });
    if (roles.includes("tenant") && !OWN_BY_DOOR.test(path) && !OWN_BY_HANDLER.has(`${method} ${path}`)) {
      gaps.push(`${method} ${path} is open to tenants, and nothing says whose it is`);
    }
  }
  const described = new Set(rows.map(({ method, path }) => `${method} ${path}`));
  for (const { method, path } of routes) {
    const name = `${method} ${path.replace(/:([A-Za-z]+)(?:\{[^}]*\})?/g, "{$1}")}`;
    const isRoute = method !== "ALL" && !path.endsWith("*") && !isOpen(name);
    if (isRoute && !described.has(name) && !gaps.some((gap) => gap.startsWith(`${name} `))) {
      gaps.push(`${name} is not in the OpenAPI document: make it with guarded()`);
    }
  }
  return { rows, gaps: [...new Set(gaps)] };
}

function* operationsOf(document: Described): Generator<[string, string, Record<string, unknown>]> {
  for (const [path, item] of Object.entries(document.paths ?? {})) {
    for (const [method, operation] of Object.entries(item)) {
      if (METHODS.includes(method)) yield [method.toUpperCase(), path, operation as Record<string, unknown>];
    }
  }
}
