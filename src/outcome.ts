import type { ErrorCode } from "./errors/codes.ts";
import { redactText } from "./secrets/redact.ts";

/**
 * What an operation answers across an RPC boundary, where a thrown error would lose its code.
 * `failure` carries what a problem document needs, and nothing secret.
 */
export type Outcome<T> = { ok: true; value: T } | { ok: false; failure: Failure };

export interface Failure {
  code: ErrorCode;
  /** One sentence for a person: what happened, and to what. */
  detail: string;
  retryAfterMs?: number;
  /** Further members of the problem document, by name. */
  extra?: Record<string, unknown>;
}

export const done = <T>(value: T): Outcome<T> => ({ ok: true, value });
export const failed = (
  code: ErrorCode,
  detail: string,
  more: Omit<Failure, "code" | "detail"> = {},
): { ok: false; failure: Failure } => ({
  ok: false,
  failure: { code, detail: redactText(detail), ...more },
});

/** A copy: an answer of another object that is itself passed on keeps its call open, and this object in memory. */
export const detached = <T>(outcome: Outcome<T>): Outcome<T> => structuredClone(outcome);
