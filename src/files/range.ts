import type { ByteRange } from "./types.ts";

/** Null: all of it. */
export type Asked = ByteRange | "unsatisfiable" | null;

/**
 * The range that a request asks for (RFC 9110, 14). Several ranges, other units and an `If-Range` that names another content are
 * answered with all of it. Pure.
 */
export function rangeAsked(headers: Headers, { size, tag }: { size: number; tag: string }): Asked {
  const found = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(headers.get("range")?.trim() ?? "");
  const [, first = "", last = ""] = found ?? [];
  if (first === "" && last === "") return null;
  const condition = headers.get("if-range");
  if (condition !== null && condition.trim() !== `"${tag}"`) return null;
  if (first !== "" && last !== "" && Number(last) < Number(first)) return null;
  const offset = first === "" ? Math.max(0, size - Number(last)) : Number(first);
  const end = first === "" || last === "" ? size : Math.min(size, Number(last) + 1);
  return offset >= size || end <= offset ? "unsatisfiable" : { offset, length: end - offset };
}
