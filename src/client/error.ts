import { ERROR_CODES, type ErrorCode, entryOf } from "../errors/codes.ts";

/** What the client itself comes to, where no answer of the API says it. */
export type ClientCode =
  /** Nothing answered, or not HTTP: whether the request arrived is not known. */
  | "no_connection"
  /** The caller's time was over; what was asked for may go on. */
  | "timed_out"
  /** The answer was no problem document: something between here and the API gave it. */
  | "unexpected_answer";

interface Told {
  readonly status?: number;
  readonly title?: string;
  readonly suggestion?: string;
  readonly requestId?: string;
  readonly retryAfterMs?: number;
  readonly errors?: readonly { readonly pointer: string; readonly detail: string }[];
  /** The problem document as it came. */
  readonly document?: Readonly<Record<string, unknown>>;
  readonly cause?: unknown;
}

/** Every failure of a call: the API's problem (RFC 9457), or what kept it from being heard. */
export class BoilerhouseError extends Error {
  /** A code of the catalogue (docs/errors.md), or a `ClientCode`; a newer API may have others. */
  readonly code: string;
  readonly detail: string;
  /** The HTTP status; 0 where there was no answer. */
  readonly status: number;
  readonly suggestion: string | null;
  /** For whoever runs the API: the same id is in its logs and in the audit. */
  readonly requestId: string | null;
  readonly retryAfterMs: number | null;
  /** The fields that were wrong. */
  readonly errors: readonly { readonly pointer: string; readonly detail: string }[];
  readonly document: Readonly<Record<string, unknown>> | null;

  constructor(code: string, detail: string, told: Told = {}) {
    super(`${code}: ${detail}`, told.cause === undefined ? {} : { cause: told.cause });
    this.name = "BoilerhouseError";
    this.code = code;
    this.detail = detail;
    this.status = told.status ?? 0;
    this.suggestion = told.suggestion ?? null;
    this.requestId = told.requestId ?? null;
    this.retryAfterMs = told.retryAfterMs ?? null;
    this.errors = told.errors ?? [];
    this.document = told.document ?? null;
  }
}

/** The catalogue's entry; null for a code that this client does not know. Total. */
export const knownEntry = (code: string) =>
  (ERROR_CODES as readonly string[]).includes(code) ? entryOf(code as ErrorCode) : null;

/** The error that an answer of 4xx or 5xx is. Reads its body. */
export async function errorOf(response: Response): Promise<BoilerhouseError> {
  const told = { status: response.status, ...requestIdOf(response), ...retryAfterOf(response) };
  const document = await documentOf(response);
  if (!document) {
    const detail = `The answer has status ${response.status} and is no problem document.`;
    return new BoilerhouseError("unexpected_answer", detail, told);
  }
  const { code, detail, title, suggestion, requestId, retryAfterMs, errors } = document;
  return new BoilerhouseError(String(code), String(detail ?? title ?? ""), {
    ...told,
    ...(typeof suggestion === "string" ? { suggestion } : {}),
    ...(typeof requestId === "string" ? { requestId } : {}),
    ...(typeof retryAfterMs === "number" ? { retryAfterMs } : {}),
    ...(Array.isArray(errors) ? { errors: errors as NonNullable<Told["errors"]> } : {}),
    document,
  });
}

async function documentOf(response: Response): Promise<Record<string, unknown> | null> {
  try {
    const value: unknown = await response.json();
    const isProblem = typeof value === "object" && value !== null && "code" in value;
    return isProblem ? (value as Record<string, unknown>) : null;
  } catch {
    return null; // not JSON: not ours
  }
}

function requestIdOf(response: Response): { requestId?: string } {
  const requestId = response.headers.get("x-request-id");
  return requestId === null ? {} : { requestId };
}

/** `Retry-After` as seconds; the form with a date is not what this API sends. */
export function retryAfterOf({ headers }: Response): { retryAfterMs?: number } {
  const text = headers.get("retry-after") ?? "";
  return /^\d{1,6}$/.test(text) ? { retryAfterMs: Number(text) * 1_000 } : {};
}
