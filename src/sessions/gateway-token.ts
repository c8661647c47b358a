import { createHmac } from "node:crypto";
import type { Config } from "../config.ts";
import type { Epoch, TenantId } from "../ids.ts";
import { keyIdOf } from "../sha256.ts";

/**
 * What a workload recognises our proxy by: the same token lies in a file that only the workload reads, and stands in
 * `x-boilerhouse-gateway-token` of every request that the proxy sends. It is derived, so nothing has to keep it: the
 * grant, which is not secret, says from what.
 */
export const GATEWAY_TOKEN_HEADER = "x-boilerhouse-gateway-token";

/** From what a container's token was derived when it was claimed; as long as it runs, it is sent that one. */
export interface GatewayGrant {
  /** The secret it was derived from, by the first 8 hex digits of its SHA-256. */
  keyId: string;
  epoch: Epoch;
  tokenVersion: number;
}

type Secrets = Pick<Config, "gatewayTokenSecret" | "gatewayTokenSecretPrevious">;

/** For a new assignment; null when no tokens are configured. */
export function gatewayGrant(secrets: Secrets, epoch: Epoch, tokenVersion: number): GatewayGrant | null {
  const secret = secrets.gatewayTokenSecret?.reveal();
  return secret === undefined ? null : { keyId: keyIdOf(secret), epoch, tokenVersion };
}

/** Null when its secret is neither the current nor the previous one: then only a restart gives the container another. */
export function gatewayToken(secrets: Secrets, tenantId: TenantId, grant: GatewayGrant): string | null {
  for (const candidate of [secrets.gatewayTokenSecret, secrets.gatewayTokenSecretPrevious]) {
    const secret = candidate?.reveal();
    if (secret !== undefined && keyIdOf(secret) === grant.keyId) return derive(secret, tenantId, grant);
  }
  return null;
}

const derive = (secret: string, tenantId: TenantId, { epoch, tokenVersion }: GatewayGrant): string =>
  createHmac("sha256", secret).update(`gw:${tenantId}:${epoch}:${tokenVersion}`).digest("base64url");
