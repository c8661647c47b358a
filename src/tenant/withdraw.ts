import { keysOfTenant, revokeKey } from "../auth/key-store.ts";
import type { By } from "../auth/principal.ts";
import { poolOf, specVaultOf } from "../durable/stubs.ts";
import type { PoolId, TenantId } from "../ids.ts";
import { done, failed, type Outcome } from "../outcome.ts";
import { deleteDomain, listDomains } from "../registry/domains.ts";
import type { Step } from "./events.ts";
import type { TenantRecord } from "./record.ts";

/** At a time; the next attempt goes on with what is left. */
const MANY = 200;

const MORE = failed("operation_interrupted", `${MANY} were deleted; there are more.`);

/** Deletes what others keep of a tenant that is being destroyed. Again and again the same: not found is done. */
export async function withdraw(
  env: Env,
  record: TenantRecord,
  { part, epoch }: Extract<Step, { do: "withdraw" }>,
  now: number,
): Promise<Outcome<null>> {
  const { tenantId, destruction, syncs, poolId } = record;
  const by: By = { actor: destruction?.by ?? "system", requestId: null };
  switch (part) {
    case "container":
      return poolId === null ? done(null) : withoutContainers(env, tenantId, poolId);
    case "specs":
      for (const specId of syncs?.used ?? []) {
        const erased = await specVaultOf(env, tenantId, specId).erase(epoch);
        if (!erased.ok) return erased;
      }
      return done(null);
    case "domains": {
      const { items, next } = await listDomains(env.DB, tenantId, "", MANY);
      for (const domain of items) await deleteDomain(env.DB, domain, by, now);
      return next === null ? done(null) : MORE;
    }
    case "keys": {
      const keys = await keysOfTenant(env.DB, tenantId, MANY);
      for (const key of keys) await revokeKey(env.DB, key, now, by);
      return keys.length < MANY ? done(null) : MORE;
    }
    case "pool":
      if (poolId !== null) await poolOf(env, poolId).forget(tenantId);
      return done(null);
  }
}

/** Also such as the tenant never came to know of: their lease was under way when it was destroyed. */
async function withoutContainers(env: Env, tenantId: TenantId, poolId: PoolId): Promise<Outcome<null>> {
  const pool = poolOf(env, poolId);
  const slots = await pool.containers();
  if (!slots.ok) return slots.failure.code === "not_found" ? done(null) : slots;
  for (const slot of slots.value.filter((one) => one.tenantId === tenantId)) {
    const gone = await pool.retire(slot.containerId, "destroy");
    if (!gone.ok) return gone;
  }
  return done(null);
}
