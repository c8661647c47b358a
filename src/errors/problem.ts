import type { Failure } from "../outcome.ts";
import { redactText, redactValue } from "../secrets/redact.ts";
import { type ErrorCode, entryOf } from "./codes.ts";
import { pageOf } from "./pages.ts";

/** A refusal on its way to the client; thrown where it is known, answered in one place. */
export class Problem extends Error {
  readonly failure: Failure;
  constructor(code: ErrorCode, detail: string, more: Omit<Failure, "code" | "detail"> = {}) {
    super(detail);
    this.name = "Problem";
    this.failure = { code, detail, ...more };
  }
  static of(failure: Failure): Problem {
    const { code, detail, ...more } = failure;
    return new Problem(code, detail, more);
  }
}

/** One field of a request and what is wrong with it; `pointer` is a JSON pointer into the body (or `/path`, `/query`). */
export interface FieldError {
  pointer: string;
  detail: string;
}

export const invalid = (errors: FieldError[], detail = "The request does not match its schema."): Problem =>
  new Problem("invalid", detail, { extra: { errors } });

export const notConfigured = (missing: readonly string[]): Failure => ({
  code: "not_configured",
  detail: `Not configured: ${missing.join(", ")}.`,
  extra: { missing },
});

/** What a client waits before it asks again, where the failure does not say; by status. */
const DEFAULT_RETRY_MS: Record<number, number> = { 429: 1_000, 503: 5_000 };

/** RFC 9457, with the catalogue's members (contract: Problems). Pure. */
export function problemDocument(failure: Failure, requestId: string): Record<string, unknown> {
  const { status, title, suggestion } = entryOf(failure.code);
  const retryAfterMs = retryAfter(failure);
  return {
    ...(redactValue(failure.extra ?? {}) as Record<string, unknown>),
    type: pageOf(failure.code),
    title,
    status,
    code: failure.code,
    detail: redactText(failure.detail),
    suggestion,
    requestId,
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  };
}

/** The answer to a failure: problem document, `Retry-After` on 429 and 503, never cached. */
export function problemResponse(failure: Failure, requestId: string, headers: Record<string, string> = {}): Response {
  const { status } = entryOf(failure.code);
  const retryAfterMs = retryAfter(failure);
  return new Response(JSON.stringify(problemDocument(failure, requestId)), {
    status,
    headers: {
      "content-type": "application/problem+json",
      "cache-control": "no-store",
      "x-request-id": requestId,
      ...(retryAfterMs === undefined ? {} : { "retry-after": String(Math.max(1, Math.ceil(retryAfterMs / 1000))) }),
      ...(status === 401 ? { "www-authenticate": 'Bearer realm="boilerhouse"' } : {}),
      ...headers,
    },
  });
}

const retryAfter = (failure: Failure): number | undefined =>
  failure.retryAfterMs ?? DEFAULT_RETRY_MS[entryOf(failure.code).status];

/**
 * What an error that no one expected becomes. Errors of a Durable Object's stub say whether it was too busy (`overloaded`) or broke
 * off while it worked (`retryable`: its machine went, or new code came); anything else is ours.
 */
export function failureOf(error: unknown): Failure {
  if (error instanceof Problem) return error.failure;
  if (says(error, "overloaded")) {
    return { code: "capacity_exhausted", detail: "This object is overloaded.", retryAfterMs: 2_000 };
  }
  if (says(error, "retryable")) {
    return { code: "operation_interrupted", detail: "What worked on this moved meanwhile; it may have happened." };
  }
  return { code: "internal", detail: "Something went wrong that should not have." };
}

const says = (error: unknown, property: "overloaded" | "retryable"): boolean =>
  error instanceof Error && (error as Partial<Record<typeof property, unknown>>)[property] === true;
