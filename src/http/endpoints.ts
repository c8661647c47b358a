import type { Config } from "../config.ts";
import { hostLabel, type TenantId } from "../ids.ts";

export interface Endpoints {
  http: string;
  ws: string;
}

/** Where a tenant is reached. `host` is without a port: the name that DNS and the `Host` header know. */
export interface Address {
  label: string;
  host: string;
  endpoints: Endpoints;
}

/** A tenant's own address, with the scheme and port that the caller used to reach us. */
export async function addressOf(tenantId: TenantId, { tenantDomain }: Config, called: URL): Promise<Address> {
  const label = await hostLabel(tenantId);
  const host = `${label}.${tenantDomain}`;
  const secure = called.protocol === "https:" ? "s" : "";
  const authority = called.port === "" ? host : `${host}:${called.port}`;
  return { label, host, endpoints: { http: `http${secure}://${authority}`, ws: `ws${secure}://${authority}` } };
}
