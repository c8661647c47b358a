import type { TenantId } from "../ids.ts";

export type Role = "admin" | "operator" | "viewer" | "tenant";

/** Who asks, once that is proven. Nothing in it is secret. */
export interface Principal {
  role: Role;
  /** As audit rows name it: `admin-key`, `key:<id>`, `jwt:<sub>`, `access:<email>`. */
  actor: string;
  /** The one tenant of the role `tenant`; null for the others. */
  tenantId: TenantId | null;
  /** `ambient`: a browser sends it by itself (a cookie, Cloudflare Access), so the page behind the request has to be checked. */
  presented: "explicit" | "ambient";
  /** Requests a minute; null without a limit. */
  requestsPerMinute: number | null;
  /** ms since 1970; null for one that does not expire. */
  expiresAt: number | null;
}

/** By whose hand something changes, for the record of it (P-AUDIT). */
export interface By {
  actor: string;
  requestId: string | null;
}

/** What happens by itself: alarms, recoveries, retries. */
export const SYSTEM: By = { actor: "system", requestId: null };
