import type { Role } from "./principal.ts";

/**
 * What a route needs, and which roles have it (contract: Roles). A tenant's permissions hold for its own things only;
 * everything else answers it 404.
 */
const table = {
  "registry:read": ["admin", "operator", "viewer"],
  "registry:write": ["admin", "operator"],
  "keys:manage": ["admin"],
  "tenants:list": ["admin", "operator", "viewer", "tenant"],
  "tenants:read": ["admin", "operator", "viewer", "tenant"],
  /** Claim, release, start, stop, restart, sync; a tenant where its workload says `selfService`. */
  "tenants:run": ["admin", "operator", "tenant"],
  /** Tier, lifecycle, suspension. */
  "tenants:manage": ["admin", "operator"],
  "tenants:config": ["admin", "tenant"],
  "tenants:secrets": ["admin", "tenant"],
  "tenants:files": ["admin", "tenant"],
  /** One-time codes, tickets, and the revocation of tokens. */
  "tenants:access": ["admin", "tenant"],
  "tenants:destroy": ["admin"],
  /** Copies of a tenant's state, and what is done to its vault. */
  "tenants:repair": ["admin"],
  "operations:read": ["admin", "operator", "viewer", "tenant"],
  "containers:read": ["admin", "operator", "viewer"],
  "containers:exec": ["admin"],
  "containers:remove": ["admin"],
  "events:read": ["admin", "operator", "viewer", "tenant"],
  "audit:read": ["admin", "operator", "viewer"],
  "stats:read": ["admin", "operator", "viewer"],
  "platform:manage": ["admin"],
  /** Whoever is someone. */
  "self:read": ["admin", "operator", "viewer", "tenant"],
} as const satisfies Record<string, readonly Role[]>;

export type Permission = keyof typeof table;

/** Total. */
export const rolesWith = (permission: Permission): readonly Role[] => table[permission];
export const PERMISSIONS = Object.keys(table) as Permission[];
