import type { Principal } from "../auth/principal.ts";
import { tenantOf } from "../durable/stubs.ts";
import { Problem } from "../errors/problem.ts";
import type { TenantId } from "../ids.ts";
import { poolAndWorkload } from "../registry/cache.ts";
import type { ClaimBody } from "../registry/requests.ts";
import type { ReleaseRequest } from "../tenant/requests.ts";

/** What a role may say in a request that it may send (contract: Roles). */

/** Config and secrets are the tenant's and the admin's; to begin with empty state instead of what is saved is the admin's. */
export function mayClaim({ role }: Principal, body: ClaimBody): void {
  if (role === "admin") return;
  if (body.allowFresh) throw new Problem("forbidden", "Only an admin may start a tenant without its state.");
  if (role === "tenant") return;
  if (body.config !== undefined || body.secrets !== undefined) {
    throw new Problem("forbidden", `The role ${role} may not give a tenant config or secrets.`);
  }
}

export function mayRelease(principal: Principal, { sync, force }: ReleaseRequest): void {
  if (sync === false) onlyAdmin(principal, "give up what is not saved");
  if (force) onlyAdmin(principal, "force");
}

/** @throws Problem `forbidden` for everyone else */
export function onlyAdmin({ role }: Principal, what: string): void {
  if (role !== "admin") throw new Problem("forbidden", `Only an admin may ${what}.`);
}

/** A tenant starts and stops its own container only where its workload says so. */
export async function requireSelfService(
  principal: Principal,
  env: Env,
  tenantId: TenantId,
  wantedPool: string | null,
  background: (work: Promise<unknown>) => void,
): Promise<void> {
  if (principal.role !== "tenant") return;
  const status = await tenantOf(env, tenantId).status(tenantId);
  // A save that it can make fail is no way out of a suspension.
  if (status.ok && status.value.suspended) throw new Problem("suspended", "The tenant is suspended.");
  // The pool that it has counts; only one that has none yet may choose.
  const own = status.ok ? status.value.poolId : undefined;
  if (own !== undefined && wantedPool !== null && wantedPool !== own) {
    throw new Problem("forbidden", "A tenant does not move itself to another pool.");
  }
  const poolId = own ?? wantedPool;
  const found = poolId === null ? null : await poolAndWorkload(env.DB, poolId, Date.now(), background);
  if (found?.workload.spec.selfService === true) return;
  throw new Problem("forbidden", "The tenant's workload does not let tenants do this themselves (`selfService`).");
}
