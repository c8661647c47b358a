/**
 * Entity tags of files. Up to `HASHED_BYTES` a tag is the SHA-256 of the content, above it size and mod-time: the same in a
 * container, in the vault and after a restore, so that what was read of the one can be a condition on the other. The same
 * rule stands in containers/base (files/common.sh).
 */
export const HASHED_BYTES = 5_000_000;

export interface Tagged {
  size: number;
  mtimeNs: string;
  /** Of the whole content, in hex; null where nobody knows. */
  sha256: string | null;
}

/** Null for a small file whose hash is not known. Pure. */
export const tagOf = ({ size, mtimeNs, sha256 }: Tagged): string | null =>
  size <= HASHED_BYTES ? sha256 : `${size}-${mtimeNs}`;

const TAG = /^(W\/)?"([\x21\x23-\x7e]*)"$/;

/** Of a read, as RFC 9110 (13.2.2) orders them; without headers it is sent. Pure. */
export function readVerdict(headers: Headers, tag: string): "send" | "not_modified" | "failed" {
  const match = headers.get("if-match");
  if (match !== null && !lists(match, tag, "strong")) return "failed";
  const noneMatch = headers.get("if-none-match");
  return noneMatch !== null && lists(noneMatch, tag, "weak") ? "not_modified" : "send";
}

function lists(header: string, tag: string, comparison: "strong" | "weak"): boolean {
  return header.split(",").some((one) => {
    if (one.trim() === "*") return true;
    const found = TAG.exec(one.trim());
    return found?.[2] === tag && (comparison === "weak" || found[1] === undefined);
  });
}

/** What a write asks of the file that it replaces or removes. */
export interface WriteCondition {
  /** A tag, or `*` for any file; null asks nothing. */
  match: string | null;
  /** `*`: only where there is no file. */
  noneMatch: "*" | null;
}
export const UNCONDITIONAL: WriteCondition = { match: null, noneMatch: null };
/** No file has it. */
const NO_TAG = "-";

/** Null for what is not one entity tag or `*`: rather refused than written without it. A weak tag matches nothing. Pure. */
export function writeCondition(match: string | null, noneMatch: string | null): WriteCondition | null {
  const wanted = match === null ? null : match.trim() === "*" ? "*" : tagIn(match.trim());
  if (wanted === undefined || (noneMatch !== null && noneMatch.trim() !== "*")) return null;
  return { match: wanted, noneMatch: noneMatch === null ? null : "*" };
}

function tagIn(text: string): string | undefined {
  const found = TAG.exec(text);
  return found ? (found[1] === undefined ? found[2] || NO_TAG : NO_TAG) : undefined;
}
