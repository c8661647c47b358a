import { invalid } from "../errors/problem.ts";

/** The strong entity tag of a version: equal tags mean equal content. */
export const etagOf = (version: number): string => `"${version}"`;

/** Asked for, but no version of anything: what is compared with it is refused with 412. */
const NO_VERSION = -1;
const TAG = /^(W\/)?"([\x21\x23-\x7e\x80-\xff]*)"$/;
const VERSION = /^(?:0|[1-9]\d{0,15})$/;

/**
 * The version that `If-Match` demands; null: none is demanded (no header, or `*`, which a subject that exists fulfils).
 * Strong comparison (RFC 9110, 13.1.1): a weak tag, or one that we never made, matches nothing.
 * @throws Problem `invalid` for what is not one entity tag
 */
export function ifMatchOf(c: { req: { header(name: string): string | undefined } }): number | null {
  const given = c.req.header("if-match")?.trim();
  if (given === undefined || given === "*") return null;
  const found = TAG.exec(given);
  if (!found) throw invalid([{ pointer: "/header/if-match", detail: 'must be one entity tag, as in "3", or *' }]);
  const [, weak, opaque = ""] = found;
  return weak === undefined && VERSION.test(opaque) ? Number(opaque) : NO_VERSION;
}
