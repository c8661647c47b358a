import type { AccessConfig } from "../config.ts";
import type { Refusal } from "./api-key.ts";
import { keysAt } from "./jwks.ts";
import { verify } from "./jwt.ts";

/** Where Cloudflare Access says whom it let in. */
export const ASSERTION = "cf-access-jwt-assertion";

export interface Person {
  email: string;
  role: "admin" | "operator" | "viewer" | null;
  expiresAt: number;
}

/** The person that an assertion names, with the role that the configuration gives to them. @throws KeysUnavailable */
export async function verifyAssertion(
  assertion: string,
  { teamDomain, audience, roles }: AccessConfig,
  now: number,
): Promise<{ ok: true; person: Person } | { ok: false; why: Refusal }> {
  const issuer = `https://${teamDomain}`;
  const expected = { algorithms: ["RS256"], issuer, audience };
  const verified = await verify(assertion, keysAt(`${issuer}/cdn-cgi/access/certs`), expected, now);
  if (!verified.ok) return verified;
  const { email, exp } = verified.value;
  // Service tokens of Access name nobody; programs have keys.
  if (typeof email !== "string" || !/^[^\s@]{1,128}@[^\s@]{1,253}$/.test(email)) return { ok: false, why: "unknown" };
  return { ok: true, person: { email: email.toLowerCase(), role: roleOf(email, roles), expiresAt: exp * 1_000 } };
}

/** Addresses are compared without case; `*` is for those that are not listed. Pure. */
export function roleOf(email: string, roles: AccessConfig["roles"]): Person["role"] {
  const listed = Object.entries(roles).find(([address]) => address.toLowerCase() === email.toLowerCase());
  return listed?.[1] ?? (Object.hasOwn(roles, "*") ? (roles["*"] ?? null) : null);
}
