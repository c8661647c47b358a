import type { PoolId, TenantId } from "../../../src/ids.ts";

export const tenantName = (index: number): TenantId => `t${index}` as TenantId;
export const poolName = (index: number): PoolId => `p${index}` as PoolId;

/** Names one request of a client, so that it is known again wherever it arrives. */
export const ONCE_HEADER = "x-simulation-request";
