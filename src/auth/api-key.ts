import type { TenantId } from "../ids.ts";
import { sha256 } from "../sha256.ts";
import type { Role } from "./principal.ts";

/** A key of the API as it is stored: everything but the key itself. Times are ms since 1970. */
export interface ApiKey {
  id: string;
  name: string;
  role: Role;
  /** Of the role `tenant`; null for the others. */
  tenantId: TenantId | null;
  /** SHA-256 of the key in hex. */
  hash: string;
  /** How lists show it. */
  prefix: string;
  /** The key before the last rotation, and until when it still opens. */
  previousHash: string | null;
  previousUntil: number | null;
  requestsPerMinute: number | null;
  createdAt: number;
  createdBy: string;
  expiresAt: number | null;
  /** To a minute. */
  lastUsedAt: number | null;
  revokedAt: number | null;
}

/** Keys begin so, which lets scanners and the redactor of logs know them. */
const MARK = "bh_";
const SHOWN_CHARACTERS = 6;

export const isApiKey = (token: string): boolean => token.startsWith(MARK);

/** The key of 32 random bytes, and what is kept of it. Pure. */
export function keyOf(random: Uint8Array): { key: string; hash: string; prefix: string } {
  const key = MARK + Buffer.from(random).toString("base64url");
  return { key, hash: sha256(key), prefix: key.slice(0, MARK.length + SHOWN_CHARACTERS) };
}

/** Ids sort by the time of creation: nine digits of base 36, then eight random characters. Pure. */
export function keyId(now: number, random: Uint8Array): string {
  const tail = [...random.subarray(0, 8)].map((byte) => (byte % 36).toString(36)).join("");
  return `k-${now.toString(36).padStart(9, "0")}${tail}`;
}

/** Why a credential that was presented opens nothing. */
export type Refusal = "unknown" | "expired" | "revoked";

/** What stands against a key that was found by `hash`; null: nothing. Pure. */
export function refusalOf(key: ApiKey, hash: string, now: number): Refusal | null {
  if (key.revokedAt !== null) return "revoked";
  if (key.expiresAt !== null && key.expiresAt <= now) return "expired";
  if (key.hash === hash) return null;
  const overlaps = key.previousHash === hash && key.previousUntil !== null && key.previousUntil > now;
  return overlaps ? null : "revoked";
}
