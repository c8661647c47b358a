import { errors, type JWTPayload, type JWTVerifyGetKey, jwtVerify } from "jose";
import type { Config, JwtConfig } from "../config.ts";
import { parseTenantId, type TenantId } from "../ids.ts";
import type { Refusal } from "./api-key.ts";
import { KeysUnavailable, keysAt } from "./jwks.ts";

/** What a tenant's token says of its bearer. */
export interface TenantClaims {
  subject: string;
  tenantId: TenantId;
  /** Must be the tenant's `tokenVersion`. */
  version: number;
  expiresAt: number;
}

export type Verified<T> = { ok: true; value: T } | { ok: false; why: Refusal };

const CLOCK_SKEW_S = 60;
/** Of the year 9999. Issuers may write fractions (RFC 7519, 2), and do write milliseconds; times here are whole and have a date. */
const LAST_SECOND = 253_402_300_799;
const SUBJECT = /^[^\p{Cc}]{1,256}$/u;
const UNKNOWN = { ok: false, why: "unknown" } as const;

export const looksLikeJwt = (token: string): boolean => /^[\w-]+\.[\w-]+\.[\w-]+$/.test(token);

/** A token of a tenant's own, made by whoever runs the tenants' product. @throws KeysUnavailable */
export async function verifyTenantToken(
  token: string,
  { keys, issuer, audience }: JwtConfig,
  environment: Config["environment"],
  now: number,
): Promise<Verified<TenantClaims>> {
  const key = keys.kind === "secret" ? new TextEncoder().encode(keys.secret.reveal()) : keysAt(keys.url);
  const algorithms = keys.kind === "secret" ? ["HS256"] : ["RS256", "ES256"];
  const verified = await verify(token, key, { algorithms, issuer, audience }, now);
  return verified.ok ? claimsOf(verified.value, environment) : verified;
}

/**
 * Signature, issuer, audience and times. The algorithms are the configuration's: a token's header only chooses among
 * them (RFC 8725, 3.1). @throws KeysUnavailable
 */
export async function verify(
  token: string,
  key: Uint8Array | JWTVerifyGetKey,
  expected: { algorithms: string[]; issuer: string; audience: string },
  now: number,
): Promise<Verified<JWTPayload & { exp: number }>> {
  const options = {
    ...expected,
    clockTolerance: CLOCK_SKEW_S,
    currentDate: new Date(now),
    requiredClaims: ["exp", "iss", "aud"],
  };
  try {
    const { payload } =
      typeof key === "function" ? await jwtVerify(token, key, options) : await jwtVerify(token, key, options);
    return { ok: true, value: { ...payload, exp: Math.min(Math.floor(Number(payload.exp)), LAST_SECOND) } };
  } catch (error) {
    if (error instanceof KeysUnavailable) throw error;
    // Times are looked at when the signature is right, so this tells nothing to others.
    if (error instanceof errors.JWTExpired) return { ok: false, why: "expired" };
    if (error instanceof errors.JOSEError) return UNKNOWN;
    throw error;
  }
}

/** Pure. A role other than `tenant` is refused: what a product's server signs for its users never runs the platform. */
function claimsOf(payload: JWTPayload & { exp: number }, environment: string): Verified<TenantClaims> {
  const { sub, tid, ver, role, env, exp } = payload;
  const tenantId = typeof tid === "string" ? parseTenantId(tid) : null;
  if (tenantId === null || typeof sub !== "string" || !SUBJECT.test(sub)) return UNKNOWN;
  if (typeof ver !== "number" || !Number.isSafeInteger(ver)) return UNKNOWN;
  if (role !== undefined && role !== "tenant") return UNKNOWN;
  if (env !== undefined && env !== environment) return UNKNOWN;
  return { ok: true, value: { subject: sub, tenantId, version: ver, expiresAt: exp * 1_000 } };
}
