import { createHash, timingSafeEqual } from "node:crypto";
import type { Config } from "../config.ts";

const digest = (text: string): Buffer => createHash("sha256").update(text).digest();
const keys = new WeakMap<Config, Buffer>();

/** Whether an `Authorization` header carries the admin key. Compares digests, so that neither length nor content shows in time. */
export function isAdmin(config: Config, authorization: string | null): boolean {
  if (config.adminKey === null || authorization === null) return false;
  const presented = /^Bearer +([^\s]+) *$/i.exec(authorization)?.[1];
  if (presented === undefined) return false;
  let expected = keys.get(config);
  if (!expected) {
    expected = digest(config.adminKey.reveal());
    keys.set(config, expected);
  }
  return timingSafeEqual(digest(presented), expected);
}
