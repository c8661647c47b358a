/**
 * Where the simulated platform asks whether something goes wrong. A history answers from its seed; without one all goes well.
 * Names of objects are `Class/name` (`Tenant/t1`, `Instance/<container id>`), as in the trace.
 */
export type Point =
  /** A call on its way, before the other side knows of it. `from` is an object, `Worker/…`, or `Container/<id>`. */
  | { at: "deliver"; from: string; to: string; method: string }
  /** Its answer on the way back: the other side has done it. */
  | { at: "reply"; from: string; to: string; method: string; ok: boolean }
  /** An object's writes since the last confirmation become durable; messages that wait for them leave then. */
  | { at: "confirm"; object: string }
  | { at: "alarm"; object: string; due: number }
  /** D1 and R2: before the effect, and the answer after it. `op` is `run`, `batch`, `put`, `get`, `uploadPart` …; `key` of R2. */
  | { at: "d1"; from: string; op: string }
  | { at: "d1-reply"; from: string; op: string }
  | { at: "r2"; from: string; op: string; key: string }
  | { at: "r2-reply"; from: string; op: string; key: string }
  /** A body that crosses the network: an answer of R2, an upload of a container, an answer to a client. */
  | { at: "body"; from: string; to: string }
  /** What an Instance asks of the engine: `start`, `fetch`, `exec`, `destroy` (`path` of a fetch), and the answer. */
  | { at: "engine"; container: string; op: string; path: string }
  | { at: "engine-reply"; container: string; op: string; path: string };

export type Verdict =
  | { do: "ok" }
  /** Takes so much longer, virtual ms. */
  | { do: "delay"; ms: number }
  /**
   * Whoever waits gets an error at once. At `deliver`, `d1`, `r2`, `engine` nothing happened; at the replies it did.
   * `retryable` as the platform marks what certainly never arrived.
   */
  | { do: "fail"; message?: string; retryable?: boolean; overloaded?: boolean }
  /** No answer, ever: only the caller's own deadline ends it. Of an alarm: it never rings, and reads as not set. */
  | { do: "lose" }
  /** Of an alarm: it never rings and still reads as set, in the past. */
  | { do: "stick" }
  /** Of an alarm: rings twice. Of a delivery: the platform's own retry of a call that never arrived; as `delay`. */
  | { do: "twice" }
  /** Of a body: breaks off with an error after so many bytes. */
  | { do: "truncate"; after: number };

export interface Faults {
  verdict(point: Point): Verdict;
}

export const OK: Verdict = { do: "ok" };
export const NO_FAULTS: Faults = { verdict: () => OK };
