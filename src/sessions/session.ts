import { hkdfSync } from "node:crypto";
import { type JWTPayload, jwtVerify, SignJWT } from "jose";
import type { Config } from "../config.ts";
import { parseTenantId, type TenantId } from "../ids.ts";

/** Who a browser is on a tenant's host: what the cookie says, signed by us. Nothing in it is secret, and nothing is stored. */
export interface Session {
  tenantId: TenantId;
  /** As audit rows name whoever asked for the code. */
  actor: string;
  /** The tenant's when the code was redeemed; a higher one ends the session. */
  tokenVersion: number;
  /** ms since 1970, in whole seconds. */
  expiresAt: number;
}

type Keys = Pick<Config, "secretsKey" | "secretsKeyPrevious">;

const ALGORITHM = "HS256";

/** A compact JWT. @throws when SECRETS_KEY is not set */
export async function signSession(keys: Keys, session: Session): Promise<string> {
  const [key] = await signingKeys(keys);
  if (!key) throw new Error("SECRETS_KEY is not set");
  return new SignJWT({ tid: session.tenantId, ver: session.tokenVersion })
    .setProtectedHeader({ alg: ALGORITHM })
    .setSubject(session.actor)
    .setExpirationTime(Math.floor(session.expiresAt / 1000))
    .sign(key);
}

/** Null for what we did not sign, under the current or the previous key, or what is over. @param now ms since 1970 */
export async function verifySession(keys: Keys, token: string, now: number): Promise<Session | null> {
  for (const key of await signingKeys(keys)) {
    const options = { algorithms: [ALGORITHM], currentDate: new Date(now) };
    const verified = await jwtVerify(token, key, options).catch(() => null);
    if (verified) return sessionOf(verified.payload);
  }
  return null;
}

function sessionOf({ tid, sub, ver, exp }: JWTPayload): Session | null {
  const tenantId = typeof tid === "string" ? parseTenantId(tid) : null;
  if (!tenantId || sub === undefined || typeof ver !== "number" || exp === undefined) return null;
  return { tenantId, actor: sub, tokenVersion: ver, expiresAt: exp * 1000 };
}

const derived = new WeakMap<Keys, Promise<CryptoKey[]>>();

/** The current one first. Keys of their own (HKDF, RFC 5869), so that no session says anything about the key that seals secrets. */
function signingKeys(keys: Keys): Promise<CryptoKey[]> {
  let known = derived.get(keys);
  if (!known) {
    const secrets = [keys.secretsKey, keys.secretsKeyPrevious].flatMap((secret) => (secret ? [secret.reveal()] : []));
    known = Promise.all(secrets.map(signingKey));
    derived.set(keys, known);
  }
  return known;
}

function signingKey(secret: Uint8Array<ArrayBuffer>): Promise<CryptoKey> {
  const bytes = hkdfSync("sha256", secret, new Uint8Array(0), "session", 32);
  return crypto.subtle.importKey("raw", bytes, { name: "HMAC", hash: "SHA-256" }, false, ["sign", "verify"]);
}
