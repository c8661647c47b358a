import type { SimulatedContainer } from "../../../src/runtime/simulated/container.ts";
import type { Simulation } from "../../../src/runtime/simulated/simulation.ts";
import type { Random } from "../../support/random.ts";
import type { Faults } from "./faults.ts";

/** What histories and auditors rely on. `world.ts` makes one. */
export interface World {
  readonly seed: number;
  /** Virtual time, ms since 1970. */
  readonly now: number;
  /** Replaced by a history; `NO_FAULTS` at first, and again in the phase in which everything must settle. */
  faults: Faults;
  /** What a Worker of the deployment gets. Objects' stubs work only inside `worker()`, and inside the objects. */
  readonly env: Env;
  /** The modules of this world (a graph of its own: state of a module is never shared between worlds). */
  readonly modules: WorldModules;

  /** A stream of random numbers that only `name` draws from. */
  random(name: string): Random;

  /**
   * Runs code as an invocation of the Worker, and keeps what came of it. It goes on as the world goes on: `call.outcome`
   * is null until it ended. `ctx.waitUntil` is there.
   */
  worker<T>(name: string, run: (env: Env, ctx: ExecutionContext) => Promise<T>): Call<T>;
  /** A request to a tenant's host or `/t/…`, through the real proxy. */
  request(name: string, request: Request): Call<Response>;

  /** Fires the next event and lets everything that it set going come to rest. False: nothing is left to happen. */
  step(): Promise<boolean>;
  /** Fires everything up to `ms` from now, or until `until` says so; the clock is there afterwards. */
  advance(ms: number, until?: () => boolean): Promise<void>;
  /** Steps until the call has ended, at most `ms`. @throws when it has not, or with what it failed with */
  finish<T>(call: Call<T>, ms?: number): Promise<T>;
  /** Called before each event, when nothing runs: the place for evictions, crashes and deploys between any two effects. */
  onStep: (event: { index: number; label: string }) => void;

  /** Called when a transaction of an object, or a write outside one, is over: in the midst of running code, so look only. */
  onCommit: (object: ObjectView) => void;
  /** Called when a crash took unconfirmed writes back: they never were. */
  onRollback: (object: ObjectView) => void;
  /** A line of the trace, for whoever reads it. */
  note(text: string): void;
  /** The clock jumps; what was due in between is due now. */
  skipClock(ms: number): void;

  readonly objects: Objects;
  readonly containers: Containers;
  readonly r2: BucketView;
  readonly d1: { rows<T = Record<string, unknown>>(sql: string, ...bindings: unknown[]): T[] };
  /** Every call that was made, in the order of their deliveries; what is over and old is dropped at 20,000. */
  readonly calls: readonly CallRecord[];
  /** Events fired so far. */
  readonly events: number;
  readonly trace: { readonly hash: string; readonly lines: readonly string[] };
  /** Errors that nobody caught, and answers that nobody can have: each is a bug of the code or of the world. */
  readonly complaints: readonly string[];
  dispose(): void;
}

export interface Call<T> {
  readonly name: string;
  readonly startedAt: number;
  outcome: null | { ok: true; value: T; at: number } | { ok: false; error: Error; at: number };
  /** The client goes away: its requests' signals fire, its answers are for nobody. */
  abort(): void;
}

export interface CallRecord {
  at: number;
  from: string;
  to: string;
  method: string;
  outcome: "under way" | "ok" | "failed" | "lost";
}

export type ObjectClass = "Tenant" | "Pool" | "Instance" | "Vault" | "Fleet" | "Limiter";

export interface Objects {
  /** Every object that was ever reached, `Class/name`. */
  list(kind?: ObjectClass): ObjectView[];
  find(kind: ObjectClass, name: string): ObjectView | null;
  /** Out of memory, in order: its writes are confirmed, its timers end. False: it works for somebody, or is not in memory. */
  evict(object: ObjectView): boolean;
  /** A crash: unconfirmed writes and the messages behind them are lost; who waits for it gets an error. */
  crash(object: ObjectView, message?: string): void;
  /** Another copy begins with the next event; this one cannot write any more, and its calls go on for a moment. False: not in memory. */
  overlap(object: ObjectView, ms?: number): boolean;
  /** A deploy: every object leaves memory as in a crash, with the platform's message for it. */
  deploy(): void;
}

export interface ObjectView {
  readonly kind: ObjectClass;
  readonly name: string;
  /** `Class/name`. */
  readonly key: string;
  readonly inMemory: boolean;
  /** The real object of `src`, where it is in memory. Look, never touch. */
  readonly instance: object | null;
  /** Calls into it, and what it passed to `waitUntil`. */
  readonly busy: boolean;
  readonly unconfirmed: boolean;
  /** When its alarm rings; null: none is set. */
  readonly alarmAt: number | null;
  /** Whether anything is stored. */
  readonly stored: boolean;
  /** Its tables, as its code would see them now (unconfirmed writes included). Reads only; a table that is not there: no rows. */
  rows<T = Record<string, unknown>>(sql: string, ...bindings: unknown[]): T[];
  /** The document of a `Document` table (`tenant`, `pool`, `instance` …), or null. */
  document<T>(table: string): T | null;
}

export interface Containers {
  /** Ids (= names of the carrying Instance) of containers that run, also of those nobody knows of. */
  readonly running: string[];
  get(id: string): SimulatedContainer | undefined;
  /** Every id that ever ran, with who was served: one entry for each claim that the container applied. */
  readonly history: ReadonlyMap<string, ContainerHistory>;
  /** Crash, freeze, vanish, hang and planned faults of one container (`for(id)`) or any (`every`). */
  readonly controls: Simulation;
}

export interface ContainerHistory {
  readonly startedAt: number;
  endedAt: number | null;
  exit: { exitCode: number | null; reason: string } | null;
  /** Requests that reached the workload: virtual time and path. */
  readonly served: { at: number; path: string }[];
}

export interface BucketView {
  readonly keys: string[];
  size(key: string): number | null;
  bytes(key: string): Uint8Array | null;
  /** Multipart uploads that are open. */
  readonly uploads: { key: string; uploadId: string }[];
  /** Damages or removes an object behind everybody's back. */
  remove(key: string): void;
}

/** What the world loads from `src`, and hands on for audits that need its pure functions or constants. */
export interface WorldModules {
  readonly Tenant: DurableClass;
  readonly Pool: DurableClass;
  readonly Instance: DurableClass;
  readonly Vault: DurableClass;
  readonly Fleet: DurableClass;
  readonly Limiter: DurableClass;
  readonly StorageGateway: EntrypointClass;
  readonly ControlGateway: EntrypointClass;
  /** The daily cron. */
  readonly sweepDaily: typeof import("../../../src/sweep/daily.ts").sweepDaily;
  readonly proxy: typeof import("../../../src/proxy/proxy.ts").proxy;
  readonly targetOf: typeof import("../../../src/proxy/target.ts").targetOf;
  readonly settled: typeof import("../../../src/proxy/domain.ts").settled;
  readonly configOf: typeof import("../../../src/config.ts").configOf;
  readonly simulation: Simulation;
  readonly SimulatedRuntime: typeof import("../../../src/runtime/simulated/runtime.ts").SimulatedRuntime;
  readonly SimulatedContainer: typeof import("../../../src/runtime/simulated/container.ts").SimulatedContainer;
  readonly RuntimeError: typeof import("../../../src/runtime/port.ts").RuntimeError;
  readonly stubs: typeof import("../../../src/durable/stubs.ts");
}
export type DurableClass = new (ctx: DurableObjectState, env: Env) => object;
export type EntrypointClass = new (ctx: ExecutionContext, env: Env) => { fetch(request: Request): Promise<Response> };
