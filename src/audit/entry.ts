import type { By } from "../auth/principal.ts";
import { redactValue } from "../secrets/redact.ts";
import { sha256 } from "../sha256.ts";

/** One change of state or one action, as it is recorded for good (P-AUDIT). Nothing in it is secret. */
export interface AuditEntry {
  /** ms since 1970. */
  at: number;
  /** `tenant.claim`, `workload.updated`, … */
  action: string;
  /** What changed: `tenant:<id>`, `pool:<id>`, `workload:<id>`, … */
  subject: string;
  actor: string;
  requestId: string | null;
  /** `ok`, or the code of what it came to. */
  result: string;
  /** SHA-256 of the subject's state before and after, in hex; null where there was none. */
  before: string | null;
  after: string | null;
  detail: Record<string, unknown>;
}

/** An entry in its owner's chain: `hash` covers the entry and the hash of the one before it. */
export interface ChainedEntry extends AuditEntry {
  /** From 1, without gaps. */
  seq: number;
  prev: string;
  hash: string;
}

/** What the first entry of a chain follows. */
export const CHAIN_START = "0".repeat(64);

export const audited = (
  by: By,
  at: number,
  action: string,
  subject: string,
  more: Partial<Pick<AuditEntry, "result" | "before" | "after" | "detail">> = {},
): AuditEntry => ({
  at,
  action,
  subject,
  actor: by.actor,
  requestId: by.requestId,
  result: "ok",
  before: null,
  after: null,
  ...more,
  detail: redactValue(more.detail ?? {}) as Record<string, unknown>,
});

/** Puts an entry at the end of a chain. Pure. */
export function chained(entry: AuditEntry, seq: number, prev: string): ChainedEntry {
  return { ...entry, seq, prev, hash: hashOf({ ...entry, seq, prev }) };
}

/** The first place of a chain where there is not what its hash and its predecessor say; null when it holds. Pure. */
export function brokenAt(entries: readonly ChainedEntry[], start = { seq: 0, hash: CHAIN_START }): number | null {
  let { seq, hash } = start;
  for (const { hash: claimed, ...entry } of entries) {
    if (entry.seq !== seq + 1 || entry.prev !== hash || hashOf(entry) !== claimed) return seq + 1;
    seq = entry.seq;
    hash = claimed;
  }
  return null;
}

/** SHA-256 in hex over a value's JSON with sorted keys. Pure. */
export const stateHash = (value: unknown): string => sha256(canonical(value));

/** The same over a document as it is stored, which is its owner's alone to write and keeps its order. Pure. */
export const documentHash = (text: string): string => sha256(text);

/** Over the fields in this order, as JSON; of what has an order of its own (`detail`) the keys sorted. */
function hashOf(entry: AuditEntry & { seq: number; prev: string }): string {
  const { seq, prev, at, action, subject, actor, requestId, result, before, after, detail } = entry;
  return sha256(
    JSON.stringify([seq, prev, at, action, subject, actor, requestId, result, before, after, canonical(detail)]),
  );
}

/** JSON with sorted keys, so that equal values have equal text. */
export function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map((item) => canonical(item ?? null)).join(",")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value) ?? "null";
  const members = Object.entries(value)
    .filter(([, member]) => member !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${members.map(([key, member]) => `${JSON.stringify(key)}:${canonical(member)}`).join(",")}}`;
}
