import { FLEET, type FleetApi } from "../fleet/types.ts";
import type { ContainerId, PoolId, TenantId } from "../ids.ts";
import type { InstanceApi } from "../instance/types.ts";
import type { LimiterApi } from "../limits/types.ts";
import type { PoolApi } from "../pool/types.ts";
import type { TenantApi } from "../tenant/types.ts";
import type { VaultApi } from "../vault/types.ts";

/**
 * The objects by name, seen as their interfaces. The generated stub types cannot express answers that hold `unknown`
 * (a tenant's config), so this is the one place that says what they are. A new stub for every call: one that saw an
 * exception may be broken.
 */
type Stub<Api> = Api & { fetch(request: Request): Promise<Response> };
const stub = <Api>(namespace: DurableObjectNamespace<never>, name: string): Stub<Api> =>
  namespace.getByName(name) as unknown as Stub<Api>;

export const tenantOf = (env: Env, id: TenantId): Stub<TenantApi> =>
  stub(env.TENANT as unknown as DurableObjectNamespace<never>, id);
export const poolOf = (env: Env, id: PoolId): Stub<PoolApi> =>
  stub(env.POOL as unknown as DurableObjectNamespace<never>, id);
export const instanceOf = (env: Env, id: ContainerId): Stub<InstanceApi> =>
  stub(env.INSTANCE as unknown as DurableObjectNamespace<never>, id);
export const vaultOf = (env: Env, id: TenantId): Stub<VaultApi> =>
  stub(env.VAULT as unknown as DurableObjectNamespace<never>, id);
/** A sync spec in the vault has a vault of its own for every tenant (docs/adr/0004); no tenant's id has a slash. */
export const specVaultName = (tenantId: string, specId: string): string => `${tenantId}/${specId}`;
export const specVaultOf = (env: Env, id: TenantId, specId: string): Stub<VaultApi> =>
  stub(env.VAULT as unknown as DurableObjectNamespace<never>, specVaultName(id, specId));
export const fleetOf = (env: Env): Stub<FleetApi> => stub(env.FLEET as unknown as DurableObjectNamespace<never>, FLEET);
export const limiterOf = (env: Env, name: string): Stub<LimiterApi> =>
  stub(env.LIMITER as unknown as DurableObjectNamespace<never>, name);
