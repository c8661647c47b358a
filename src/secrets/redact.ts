import { PATTERNS, REDACTED } from "./patterns.ts";
import { Secret } from "./secret.ts";

/** Shorter values could be words. */
const MIN_KNOWN = 8;
/** What is longer is cut: nobody reads it, and it would cost what it is long. */
const MAX_TEXT = 100_000;
const MAX_DEPTH = 16;
/** One short word: too short for any token, and no pattern is about less than that, but for our own keys'. */
const WORD = /^(?!bh_)[\w.]{0,15}$/;

/** This isolate's configured secrets, and the forms in which they appear in URLs, JSON and base64. */
const known = new Set<string>();
/** All of them in one; null while there are none. */
let anyKnown: RegExp | null = null;

const escaped = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|/-]/g, "\\$&");

/** From now on no redacted text contains `value`. */
export function forbid(value: string): void {
  if (value.length < MIN_KNOWN) return;
  const forms = [value, encodeURIComponent(value), JSON.stringify(value).slice(1, -1), base64(value)];
  for (const form of forms) known.add(form);
  // The longest first: of two that begin alike the whole one goes.
  const longestFirst = [...known].sort((a, b) => b.length - a.length);
  anyKnown = new RegExp(longestFirst.map(escaped).join("|"), "g");
}

/** The same text with every secret that it knows or recognises replaced; the rest stays readable. Linear in its length. */
export function redactText(text: string): string {
  let safe = text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}… (${text.length - MAX_TEXT} characters cut)` : text;
  if (anyKnown && safe.length >= MIN_KNOWN) safe = safe.replace(anyKnown, REDACTED);
  if (WORD.test(safe)) return safe;
  for (const { needs, replace } of PATTERNS) if (needs.test(safe)) safe = replace(safe);
  return safe;
}

/** Names of members whose text is secret whatever it looks like. */
const SECRET_NAME =
  /(?:password|passwd|passphrase|secret|token|api[-_]?key|access[-_]?key(?:[-_]?id)?|private[-_]?key|authorization|cookie|credentials?)$/i;
/** Their members' names are the tenants' own. */
const SECRETS_NAME = /^secrets$/i;

/** A plain copy of a value that is fit for JSON, with its texts redacted; whole where a member's name says that it is secret. */
export function redactValue(value: unknown): unknown {
  return copy(value, "", 0, new Set());
}

function copy(value: unknown, name: string, depth: number, above: Set<object>): unknown {
  switch (typeof value) {
    case "string":
      return SECRET_NAME.test(name) && value !== "" ? REDACTED : redactText(value);
    case "bigint":
    case "symbol":
      return String(value);
    case "function":
      return undefined;
    case "object":
      return value === null ? null : copyObject(value, name, depth, above);
    default:
      return value;
  }
}

function copyObject(value: object, name: string, depth: number, above: Set<object>): unknown {
  if (value instanceof Secret) return value.toJSON();
  if (SECRETS_NAME.test(name) && !Array.isArray(value)) return REDACTED;
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? null : value.toISOString();
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return `[${value.byteLength} bytes]`;
  if (above.has(value)) return "[circular]";
  if (depth >= MAX_DEPTH) return "[deep]";
  above.add(value);
  try {
    return members(value, name, (member, key) => copy(member, key, depth + 1, above));
  } finally {
    above.delete(value);
  }
}

function members(value: object, name: string, each: (member: unknown, key: string) => unknown): unknown {
  if (Array.isArray(value)) return value.map((item) => each(item, name));
  if (value instanceof Set) return [...value].map((item) => each(item, name));
  const entries: [string, unknown][] =
    value instanceof Error ? ofError(value) : value instanceof Map ? ofMap(value) : Object.entries(value);
  return Object.fromEntries(entries.map(([key, member]) => [redactText(key), each(member, key)]));
}

const ofMap = (map: Map<unknown, unknown>): [string, unknown][] =>
  [...map].map(([key, member]) => [String(key), member]);

/** An error's own fields are not enumerable, but for those that somebody added. */
const ofError = (error: Error): [string, unknown][] => [
  ["name", error.name],
  ["message", error.message],
  ["stack", error.stack],
  ...(error.cause === undefined ? [] : [["cause", error.cause] as [string, unknown]]),
  ...Object.entries(error),
];

const base64 = (text: string): string => {
  const bytes = new TextEncoder().encode(text);
  return btoa(String.fromCharCode(...bytes)).replace(/=+$/, "");
};
