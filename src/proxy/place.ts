import type { TenantId } from "../ids.ts";
import type { Failure } from "../outcome.ts";
import { tenantOfLabel } from "../registry/hosts.ts";
import type { Exposure } from "./internal.ts";
import type { SettledTarget } from "./target.ts";

/** Where a request is for, once the registry was asked about its host. `path` includes the query. */
export interface Place {
  tenantId: TenantId;
  exposure: Exposure;
  path: string;
}

/** The same words for every address that leads to no tenant of whoever asks, whether there is one or not. */
export const NOBODY_HERE: Failure = { code: "not_found", detail: "There is no tenant at this address." };

/** Null for an address of nobody. */
export async function placeOf(target: SettledTarget, db: D1Database): Promise<Place | null> {
  if (target.kind === "tenant") return target;
  if (target.kind !== "label") return null;
  const tenantId = await tenantOfLabel(db, target.label);
  return tenantId && { tenantId, exposure: "host", path: target.path };
}
