import { tenantOf } from "../durable/stubs.ts";
import { invalid, Problem } from "../errors/problem.ts";
import type { TenantId } from "../ids.ts";
import { poolAndWorkload } from "../registry/cache.ts";
import { configErrors } from "../registry/config-schema.ts";
import { recordLabel } from "../registry/hosts.ts";
import type { ClaimBody } from "../registry/requests.ts";

/** What a claim is checked against before its tenant hears of it: the pool exists, the config fits the workload. */
export async function checkClaim(
  env: Env,
  ctx: Pick<ExecutionContext, "waitUntil">,
  tenantId: TenantId,
  body: ClaimBody,
  label: string,
): Promise<void> {
  const poolId = body.poolId ?? (body.config === undefined ? null : await poolOfTenant(env, tenantId));
  if (poolId !== null) {
    const found = await poolAndWorkload(env.DB, poolId, Date.now(), (work) => ctx.waitUntil(work));
    if (!found) throw new Problem("not_found", `There is no pool ${poolId}.`);
    const schema = found.workload.spec.configSchema;
    if (schema && body.config !== undefined) {
      const errors = configErrors(schema, body.config, "/config");
      if (errors.length > 0) throw invalid(errors, "The config does not fit the workload's schema.");
    }
  }
  await recordLabel(env.DB, label, tenantId);
}

/** Null for a tenant that has none yet, which its claim will refuse. */
async function poolOfTenant(env: Env, tenantId: TenantId): Promise<string | null> {
  const status = await tenantOf(env, tenantId).status(tenantId);
  return status.ok ? (status.value.poolId ?? null) : null;
}
