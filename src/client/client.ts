import createClient, { type Client } from "openapi-fetch";
import { BoilerhouseError, knownEntry } from "./error.ts";
import type { components, paths } from "./schema.d.ts";
import { pause, type Sending, sender, streamed } from "./send.ts";

export type Schemas = components["schemas"];
export type Claim = Schemas["Claim"];
export type Release = Schemas["Release"];
export type Operation = Schemas["Operation"];

export interface BoilerhouseOptions extends Sending {
  /** Where the API is, as `https://api.example.com`. */
  readonly baseUrl: string;
  /** An API key or a token. Never a part of a URL or of an error. */
  readonly key: string;
}

export interface Waiting {
  /** How long to wait for the end, in ms. Default 60,000. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

export type ClaimOptions = Schemas["ClaimRequest"] & Waiting;
export type ReleaseOptions = Schemas["ReleaseRequest"] & Waiting;

export type ImportOptions = {
  readonly dryRun?: boolean;
  readonly force?: boolean;
  readonly format?: "auto" | "export" | "plain";
  /** `uid` or `uid:gid`. */
  readonly owner?: string;
} & Waiting;
export type Imported = Schemas["Action"] | Schemas["ImportReport"];

export interface Boilerhouse {
  /** Every route of the API, typed by its contract. A refusal is thrown as a `BoilerhouseError`. */
  readonly api: Client<paths>;
  /** Gives a tenant its container, and waits until it is there. */
  claim(tenantId: string, options?: ClaimOptions): Promise<Claim>;
  /** Saves a tenant's state and takes its container away, and waits until that is done. */
  release(tenantId: string, options?: ReleaseOptions): Promise<Release>;
  /** A tar becomes the tenant's next generation; sent as it comes, once, within 15 minutes unless `timeoutMs` says otherwise. */
  importTar(tenantId: string, tar: ReadableStream<Uint8Array>, options?: ImportOptions): Promise<Imported>;
  /**
   * The end of a long action. One that failed is thrown as the error that it ended with; when the time is over before,
   * that is `timed_out`, and the action goes on.
   */
  waitFor(operation: string | { readonly id: string }, waiting?: Waiting): Promise<Operation>;
}

/** The longest `?wait` that the API takes, in ms. */
const MAX_WAIT_MS = 300_000;
const DEFAULT_TIMEOUT_MS = 60_000;
/** Between two looks at an operation, where the API does not say; doubled each time up to the second value. */
const POLL_MS = [100, 2_000] as const;

/** A client of the API, for Node, browsers and Workers alike. */
export function createBoilerhouse({ baseUrl, key, ...sending }: BoilerhouseOptions): Boilerhouse {
  const base = baseUrl.replace(/\/+$/, "");
  const headers = { authorization: `Bearer ${key}` };
  const api = createClient<paths>({
    baseUrl: base,
    headers,
    fetch: sender(sending),
  });

  const waitFor: Boilerhouse["waitFor"] = async (operation, { timeoutMs = DEFAULT_TIMEOUT_MS, signal } = {}) => {
    const id = typeof operation === "string" ? operation : operation.id;
    const deadline = Date.now() + timeoutMs;
    for (let pollMs: number = POLL_MS[0]; ; pollMs = Math.min(pollMs * 2, POLL_MS[1])) {
      const params = { path: { id } };
      const { data, response } = await api.GET("/api/v1/operations/{id}", { params, ...(signal ? { signal } : {}) });
      const seen = given(data) as Operation; // one of a pool has another subject, and ends the same way
      if (seen.status !== "running") return ended(seen);
      const waitMs = Number(response.headers.get("retry-after") ?? 0) * 1_000 || pollMs;
      if (Date.now() + waitMs > deadline) throw timedOut(seen, timeoutMs);
      await pause(waitMs, signal);
    }
  };

  /** The rest of an operation that the API did not wait for. */
  const rest = async (id: string, startedAt: number, { timeoutMs = DEFAULT_TIMEOUT_MS, signal }: Waiting) => {
    const left = Math.max(0, startedAt + timeoutMs - Date.now());
    return (await waitFor(id, { timeoutMs: left, ...(signal ? { signal } : {}) })).result;
  };

  return {
    api,
    waitFor,

    async importTar(tenantId, tar, { timeoutMs = IMPORT_MS, signal, ...options } = {}) {
      const query = new URLSearchParams(Object.entries(options).map(([name, value]) => [name, String(value)]));
      const init: RequestInit & { duplex: "half" } = {
        method: "POST",
        headers: { ...headers, "content-type": "application/x-tar" },
        body: tar,
        duplex: "half", // Node sends a stream in no other way
        ...(signal ? { signal } : {}),
      };
      const url = `${base}/api/v1/tenants/${encodeURIComponent(tenantId)}/import?${query}`;
      const response = await streamed(sending, new Request(url, init), timeoutMs);
      return (await response.json()) as Imported;
    },

    async claim(tenantId, { timeoutMs, signal, ...body } = {}) {
      const startedAt = Date.now();
      const params = { path: { id: tenantId }, query: { wait: waitText(timeoutMs) } };
      const init = { params, body, ...(signal ? { signal } : {}) };
      const answer = given((await api.POST("/api/v1/tenants/{id}/claim", init)).data);
      if (!("operation" in answer)) return answer;
      return (await rest(answer.operation.id, startedAt, { ...optional({ timeoutMs, signal }) })) as Claim;
    },

    async release(tenantId, { timeoutMs, signal, ...body } = {}) {
      const startedAt = Date.now();
      const params = { path: { id: tenantId }, query: { wait: waitText(timeoutMs) } };
      const init = { params, body, ...(signal ? { signal } : {}) };
      const answer = given((await api.POST("/api/v1/tenants/{id}/release", init)).data);
      if (!("operation" in answer)) return answer;
      return (await rest(answer.operation.id, startedAt, { ...optional({ timeoutMs, signal }) })) as Release;
    },
  };
}

/** The longest that the API lets an import take, unless it is configured otherwise. */
const IMPORT_MS = 900_000;

const waitText = (timeoutMs = DEFAULT_TIMEOUT_MS): string => `${Math.min(Math.max(0, timeoutMs), MAX_WAIT_MS)}ms`;

function optional({ timeoutMs, signal }: { timeoutMs: number | undefined; signal: AbortSignal | undefined }): Waiting {
  return { ...(timeoutMs === undefined ? {} : { timeoutMs }), ...(signal === undefined ? {} : { signal }) };
}

/** Refusals are thrown before this; an answer of 2xx has its body. */
function given<T>(data: T | undefined): T {
  if (data === undefined) throw new BoilerhouseError("unexpected_answer", "The answer has no body.");
  return data;
}

/** @throws BoilerhouseError what a failed one ended with */
function ended(operation: Operation): Operation {
  if (operation.status === "succeeded") return operation;
  const { code = "operation_interrupted", detail = `The operation was ${operation.status}.` } = operation.error ?? {};
  const entry = knownEntry(code);
  const retryAfterMs = operation.error?.retryAfterMs;
  throw new BoilerhouseError(code, detail, {
    status: entry?.status ?? 0,
    ...(entry?.suggestion === undefined ? {} : { suggestion: entry.suggestion }),
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    document: { ...operation.error, operation: operation.id },
  });
}

const timedOut = ({ id, step }: Operation, timeoutMs: number): BoilerhouseError =>
  new BoilerhouseError("timed_out", `The operation is at "${step}" after ${timeoutMs} ms, and goes on.`, {
    document: { operation: id },
  });
