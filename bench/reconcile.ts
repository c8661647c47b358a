import type { Counts } from "./harness/counts.ts";
import type { Result } from "./harness/result.ts";
import { burstOfClaims } from "./reconcile/burst.ts";
import { quietObjects } from "./reconcile/objects.ts";
import { recovery } from "./reconcile/recovery.ts";

/** What healing costs and how soon it comes: a burst, idle tenants, large pools, exits and hangs of containers. */
export async function reconcile(counts: Counts): Promise<Result[]> {
  return [...(await quietObjects(counts)), ...(await burstOfClaims(counts)), ...(await recovery(counts))];
}
