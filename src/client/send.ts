import { BoilerhouseError, errorOf, knownEntry, retryAfterOf } from "./error.ts";

/** How requests travel. All that is not given has a default. */
export interface Sending {
  /** `fetch` of the platform, unless another is given. */
  readonly fetch?: (request: Request) => Promise<Response>;
  /** How often a request is sent at most, where its first answers say that it did not happen. Default 3. */
  readonly attempts?: number;
  /** How long one request may take, in ms, beside what it asks the API to wait (`?wait`). Default 60,000. */
  readonly timeoutMs?: number;
  /** How long all waiting between attempts may take, in ms. Default 30,000. */
  readonly patienceMs?: number;
}

const defaultFetch = (request: Request): Promise<Response> => globalThis.fetch(request);
const MUTATES = new Set(["POST", "PUT", "PATCH", "DELETE"]);
const CUT_OFF = new Set(["TimeoutError", "AbortError"]);

/**
 * Sends a request until there is an answer to give: 2xx and 3xx as they are, everything else as a `BoilerhouseError`.
 * Sent again is only what certainly did not happen: 429 and 503 with `Retry-After` and a code that the catalogue calls
 * retryable. A mutation carries an `Idempotency-Key`, the same in every attempt, so that even an answer that something in
 * between made up cannot make it happen twice.
 */
export function sender(sending: Sending): (request: Request) => Promise<Response> {
  const { fetch = defaultFetch, attempts = 3, timeoutMs = 60_000, patienceMs = 30_000 } = sending;
  return async (request) => {
    const deadlineMs = timeoutMs + waitOf(request.url);
    const mutates = MUTATES.has(request.method);
    if (mutates && attempts > 1 && !request.headers.has("idempotency-key")) {
      request.headers.set("idempotency-key", crypto.randomUUID());
    }
    // Read once, so that every attempt has it, and with a length: a stream would leave in pieces.
    const body = mutates ? await request.arrayBuffer() : null;
    let patience = patienceMs;
    for (let attempt = 1; ; attempt += 1) {
      const mayRepeat = attempt < attempts;
      const response = await once(fetch, request, body, deadlineMs);
      if (response.status < 400) return response;
      const { retryAfterMs } = retryAfterOf(response);
      const error = await errorOf(response);
      if (!mayRepeat || retryAfterMs === undefined || !isRetryable(error) || retryAfterMs > patience) throw error;
      patience -= retryAfterMs;
      await pause(retryAfterMs, request.signal);
    }
  };
}

/**
 * Sends a body as it comes, and once: what has been read of it cannot be read again. `deadlineMs` is for all of it.
 * @throws BoilerhouseError for every refusal
 */
export async function streamed(
  { fetch = defaultFetch }: Sending,
  request: Request,
  deadlineMs: number,
): Promise<Response> {
  const response = await once(fetch, request, null, deadlineMs);
  if (response.status < 400) return response;
  throw await errorOf(response);
}

async function once(
  fetch: (request: Request) => Promise<Response>,
  request: Request,
  body: ArrayBuffer | null,
  deadlineMs: number,
): Promise<Response> {
  const signal = AbortSignal.any([request.signal, AbortSignal.timeout(deadlineMs)]);
  try {
    return await fetch(new Request(request, { signal, ...(body?.byteLength ? { body } : {}) }));
  } catch (cause) {
    request.signal.throwIfAborted(); // the caller's own reason
    const { origin, pathname } = new URL(request.url);
    if (cause instanceof Error && CUT_OFF.has(cause.name)) {
      const detail = `${request.method} ${pathname} was not answered within ${deadlineMs} ms.`;
      throw new BoilerhouseError("timed_out", detail, { cause });
    }
    throw new BoilerhouseError("no_connection", `${origin} cannot be reached.`, { cause });
  }
}

const isRetryable = ({ status, code }: BoilerhouseError): boolean =>
  (status === 429 || status === 503) && (knownEntry(code)?.retry ?? false);

/** What a request asks the API to wait, in ms (contract: API conventions). */
function waitOf(url: string): number {
  const found = /^(\d{1,9})(ms|s)$/.exec(new URL(url).searchParams.get("wait") ?? "");
  return found ? Number(found[1]) * (found[2] === "s" ? 1_000 : 1) : 0;
}

/** @throws the signal's reason as soon as it is aborted */
export function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, ms);
    if (signal?.aborted) stop();
    else signal?.addEventListener("abort", stop, { once: true });
  });
}
