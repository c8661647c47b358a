import { type Failure, failed } from "../outcome.ts";
import type { OnlyIf } from "./storage.ts";

/** What speaks against a write whose key has this entity tag, or is not there (null); null when nothing does. */
export function objection(is: OnlyIf["is"], etag: string | null): Failure | null {
  if (etag === null) return is.length === 0 ? null : failed("not_found", "The specified key does not exist.").failure;
  if (is.includes("*") || is.includes(etag)) return null;
  return failed("version_mismatch", "The key has another entity tag than the request asked for.").failure;
}
