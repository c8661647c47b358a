import { hash, timingSafeEqual } from "node:crypto";
import type { Config } from "../config.ts";

const digest = (text: string): Buffer => hash("sha256", text, "buffer");
const keys = new WeakMap<Config, Buffer>();

/** Whether a token is the admin key. Compares digests, so that neither length nor content shows in time. */
export function isAdminKey(config: Config, token: string): boolean {
  if (config.adminKey === null) return false;
  let expected = keys.get(config);
  if (!expected) {
    expected = digest(config.adminKey.reveal());
    keys.set(config, expected);
  }
  return timingSafeEqual(digest(token), expected);
}

/** The credential of an `Authorization: Bearer` header (RFC 6750); null for every other header. Pure. */
export const bearerOf = (authorization: string | null): string | null =>
  authorization === null ? null : (/^Bearer +([^\s]+) *$/i.exec(authorization)?.[1] ?? null);
