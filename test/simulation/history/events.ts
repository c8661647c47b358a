import type { Tier } from "../../../src/runtime/port.ts";
import type { FaultPoint } from "../../../src/runtime/simulated/faults.ts";

/**
 * What happens in a history. All of it is drawn before anything runs, and names what it is about by numbers that are taken
 * modulo what there is then: any part of a history can be left out, and the rest still means something. That is what
 * makes a failing one shrink.
 */

/** One thing that somebody does, and how long the world goes on before the next one. Times in ms. */
export interface Step {
  event: Event;
  thenMs: number;
}

export type Event = ClientEvent | WorkloadEvent | Fault;

export type ActName =
  | "stop"
  | "start"
  | "restart-process"
  | "restart-container"
  | "restart-image"
  | "sync-outward"
  | "sync-inward"
  | "suspend"
  | "resume";

/** What clients and operators ask for, over the API and the proxy. */
export type ClientEvent =
  /** `config`, `secret`: which of a few; absent: none given. */
  | { do: "claim"; tenant: number; pool: number; config?: number; secret?: number; allowFresh?: true; waitMs: number }
  /** The same tenant `times` times at once, or (`spread`) so many tenants against one pool. */
  | { do: "claims"; tenant: number; pool: number; times: number; spread: boolean }
  | { do: "release"; tenant: number; how: "sync" | "force" | "give-up"; waitMs: number }
  | { do: "act"; tenant: number; act: ActName; force?: true; waitMs: number }
  /** To the `back`-th newest generation. */
  | { do: "restore"; tenant: number; back: number; waitMs: number }
  | { do: "destroy"; tenant: number; deleteData: boolean; waitMs: number }
  /** Through the proxy, whose route may be stale. */
  | {
      do: "request";
      tenant: number;
      method: "GET" | "PUT" | "DELETE";
      file: number;
      size: "small" | "large";
    }
  | { do: "socket"; tenant: number; openMs: number }
  | { do: "change"; tenant: number; change: Change }
  | {
      do: "read";
      what: "status" | "settings" | "generations" | "tenants" | "pool" | "containers" | "operations";
      tenant: number;
      pool: number;
    }
  /** A new version of the pool's workload. */
  | { do: "upgrade"; pool: number }
  | { do: "pool"; pool: number; change: PoolEvent }
  /** Everything that there is is looked at. */
  | { do: "sweep" };

export type Change =
  | { kind: "tier"; tier: Tier | null }
  | { kind: "lifecycle"; mode: "on-demand" | "always-on"; idleTimeoutMs: number }
  | { kind: "config"; value: number }
  | { kind: "secret"; value: number };

export type PoolEvent =
  | { kind: "pause" | "resume" | "reset-breaker" }
  | { kind: "scale"; target: number }
  | { kind: "resize"; minSize: number; maxSize: number }
  | { kind: "delete"; release: boolean }
  /** Registers it (again). */
  | { kind: "create" };

/** What a workload does with its files. */
export type WorkloadEvent =
  /** Changes drawn from `seed`, in the state directory of the tenant's container. */
  | { do: "write"; tenant: number; times: number; seed: number }
  /** Removes this part of its files. */
  | { do: "wipe"; tenant: number; part: number; seed: number }
  | { do: "workload"; tenant: number; how: "crash" | "hang" };

/** Classes whose objects things happen to. */
export const CLASSES = ["TENANT", "POOL", "INSTANCE", "VAULT", "FLEET"] as const;
export type ClassName = (typeof CLASSES)[number];

export type Fault =
  /** One of the containers that run; `tenant`: that one's, if it has one. */
  | { do: "container"; which: number; tenant?: number; how: "crash" | "oom" | "exit" | "freeze" | "vanish" }
  /** The next time that any container comes to this point. */
  | { do: "plan"; at: FaultPoint; how: RuntimeFault; ms: number; times: number }
  /** The `nth` call from now on of a method (null: of any) of a class. */
  | {
      do: "rpc";
      to: ClassName;
      method: string | null;
      nth: number;
      how: "lose-before" | "lose-after" | "delay" | "late-reply" | "hang";
      ms: number;
    }
  /** At the `nth` effect from now on: what the object that makes it, or all of them, loses. `twin`: a second live copy of it for a moment. */
  | { do: "interrupt"; nth: number; how: "evict" | "update" | "twin"; ms: number }
  /** An object leaves memory, now. */
  | { do: "evict"; of: ClassName; which: number }
  | { do: "alarm"; of: ClassName; which: number; how: "late" | "lost" | "twice"; ms: number }
  | {
      do: "storage";
      at: "D1" | "R2";
      nth: number;
      times: number;
      how: "fail-before" | "fail-after" | "slow" | "truncate";
      ms: number;
    }
  | { do: "clock"; ms: number }
  /** Everything takes `factor` times as long, for `ms`. */
  | { do: "slow"; factor: number; ms: number };

export type RuntimeFault = "fail" | "fail-late" | "capacity" | "rate" | "slow" | "hang" | "lose" | "truncate";

const FAULTS: ReadonlySet<string> = new Set([
  "container",
  "plan",
  "rpc",
  "interrupt",
  "evict",
  "alarm",
  "storage",
  "clock",
  "slow",
] satisfies Fault["do"][]);
export const isFault = (event: Event): event is Fault => FAULTS.has(event.do);

/** One line, for traces and printed histories. */
export const lineOf = ({ event, thenMs }: Step): string => {
  const { do: verb, ...rest } = event;
  const words = Object.entries(rest).map(
    ([name, value]) => `${name}=${typeof value === "object" ? JSON.stringify(value) : value}`,
  );
  return `${[verb, ...words].join(" ")}, then ${thenMs} ms`;
};
