import { within } from "../durable/deadline.ts";
import type { TenantId } from "../ids.ts";
import { log } from "../log.ts";
import { tenantOfDomain } from "../registry/domains.ts";
import { domainCache } from "./domain-cache.ts";
import type { SettledTarget, Target } from "./target.ts";

const LOOK_UP_MS = 5_000;

/** A target that needs no more look at the registry for its host. A host that cannot be looked up now is nobody's. */
export async function settled(target: Target, db: D1Database, now: number): Promise<SettledTarget> {
  if (target.kind !== "elsewhere") return target;
  const tenantId = await holderOfHost(target.host, db, now);
  return tenantId ? { kind: "tenant", tenantId, exposure: "host", path: target.path } : target.otherwise;
}

async function holderOfHost(host: string, db: D1Database, now: number): Promise<TenantId | null> {
  const known = domainCache.get(host, now);
  if (known !== undefined) return known;
  try {
    const found = await within(LOOK_UP_MS, "domain", tenantOfDomain(db, host));
    domainCache.set(host, found, now);
    return found;
  } catch (error) {
    log.warn("a host could not be looked up", { host, error });
    return null;
  }
}
