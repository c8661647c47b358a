import type { OnlyIf } from "../../vault/storage.ts";
import { S3Error } from "./errors.ts";

/** What a condition is checked against. */
export interface Validators {
  etag: string;
  /** Milliseconds since 1970. */
  modifiedAt: number;
}

/** What a conditional read becomes (RFC 9110 §13.2.2, which S3 follows): the entity tag weighs more than the date. @throws S3Error `PreconditionFailed` */
export function evaluate(headers: Headers, now: Validators): "send" | "not_modified" {
  const seconds = Math.floor(now.modifiedAt / 1000);
  const match = headers.get("if-match");
  const unmodified = httpSeconds(headers.get("if-unmodified-since"));
  if (match !== null ? !lists(match, now.etag) : unmodified !== null && seconds > unmodified) {
    throw failed();
  }
  const noneMatch = headers.get("if-none-match");
  const modified = httpSeconds(headers.get("if-modified-since"));
  if (noneMatch !== null) return lists(noneMatch, now.etag) ? "not_modified" : "send";
  return modified !== null && seconds <= modified ? "not_modified" : "send";
}

function lists(header: string, etag: string): boolean {
  return tagsOf(header).some((tag) => tag === "*" || tag === etag);
}

function httpSeconds(date: string | null): number | null {
  const ms = date === null ? Number.NaN : Date.parse(date);
  return Number.isNaN(ms) ? null : Math.floor(ms / 1000);
}

/** Conditions that S3 knows for reads only, or for other kinds of buckets. */
const NOT_FOR_WRITES = [
  "if-modified-since",
  "if-unmodified-since",
  "x-amz-if-match-last-modified-time",
  "x-amz-if-match-size",
];

/**
 * What a write asks of the key that it replaces or removes; the Vault compares it in the transaction of the write.
 * @throws S3Error `NotImplemented` for what S3 does not compare on a write, rather than to write without it
 */
export function writeConditions(headers: Headers, key: string, kind: "put" | "delete"): OnlyIf[] {
  const match = headers.get("if-match");
  const noneMatch = headers.get("if-none-match");
  const other = NOT_FOR_WRITES.find((name) => headers.has(name));
  if (
    other !== undefined ||
    (noneMatch !== null && (kind === "delete" || match !== null || noneMatch.trim() !== "*"))
  ) {
    throw new S3Error("NotImplemented", `A write with ${other ?? "this if-none-match"} is not implemented.`);
  }
  if (noneMatch !== null) return [{ key, is: [] }];
  return match === null ? [] : [{ key, is: tagsOf(match) }];
}

const tagsOf = (header: string): string[] =>
  header.split(",").map((tag) =>
    tag
      .trim()
      .replace(/^W\//, "")
      .replace(/^"(.*)"$/, "$1"),
  );

/**
 * The same for the source of a copy, under the names that it has there; what would be "not modified" of a read is a failed condition here.
 * @throws S3Error `PreconditionFailed`
 */
export function evaluateSource(headers: Headers, now: Validators): void {
  const conditions = new Headers();
  for (const name of READ_CONDITIONS) {
    const value = headers.get(`x-amz-copy-source-${name}`);
    if (value !== null) conditions.set(name, value);
  }
  if (evaluate(conditions, now) === "not_modified") throw failed();
}

const READ_CONDITIONS = ["if-match", "if-none-match", "if-modified-since", "if-unmodified-since"];

const failed = (): S3Error =>
  new S3Error("PreconditionFailed", "At least one of the pre-conditions you specified did not hold.");

/** Whether a range may be sent: an `If-Range` that does not hold asks for all of the object instead. */
export function rangeHolds(headers: Headers, now: Validators): boolean {
  const condition = headers.get("if-range");
  if (condition === null) return true;
  const date = httpSeconds(condition);
  return date === null ? condition.trim() === `"${now.etag}"` : Math.floor(now.modifiedAt / 1000) <= date;
}

/** The bytes to send; null for all of them, also where the header is none that S3 understands (several ranges, other units). @throws S3Error `InvalidRange` */
export function rangeOf(header: string | null, size: number): { offset: number; length: number } | null {
  const match = /^bytes=(\d*)-(\d*)$/.exec(header?.trim() ?? "");
  if (match === null || (match[1] === "" && match[2] === "")) return null;
  const [first, last] = [match[1] ?? "", match[2] ?? ""];
  if (first !== "" && last !== "" && Number(last) < Number(first)) return null;
  const offset = first === "" ? Math.max(0, size - Number(last)) : Number(first);
  const end = first === "" || last === "" ? size : Math.min(size, Number(last) + 1);
  if (offset >= size || end <= offset) {
    throw new S3Error("InvalidRange", "The requested range is not satisfiable", {
      elements: { RangeRequested: header ?? "", ActualObjectSize: size },
      headers: { "content-range": `bytes */${size}` },
    });
  }
  return { offset, length: end - offset };
}
