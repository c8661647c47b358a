import type { RuntimeErrorCode } from "../port.ts";

/** Where a simulated container can be made to go wrong. `ready` is between the start and the first answer. */
export type FaultPoint =
  | "start"
  | "ready"
  | "status"
  | "claim"
  | "restore"
  | "stop"
  | "manifest"
  | "bundle"
  | "file"
  | "sync"
  | "exec"
  | "fetch"
  | "destroy";

export type Fault =
  /** Refused, without any effect. `late` (of a start): only the next call says so, as on the platform. */
  | { how: "fail"; code?: RuntimeErrorCode; detail?: string; late?: boolean }
  | { how: "slow"; ms: number }
  /** No answer, until the caller's deadline or the container's end. */
  | { how: "hang" }
  /** It happens, but the answer never arrives (`lost`). Of `ready`: the container counts as running, and nothing in it ever answers. */
  | { how: "lose" }
  /** Of a restore: the stream breaks off. */
  | { how: "truncate" };

export interface FaultOptions {
  /** How often it happens; default 1. */
  times?: number;
  /** Between 0 and 1, drawn each time; default 1. */
  probability?: number;
}

interface Rule {
  at: FaultPoint;
  fault: Fault;
  left: number;
  probability: number;
}

/** Faults to come, in the order in which they were planned. */
export class FaultPlan {
  readonly #random: () => number;
  #rules: Rule[] = [];

  constructor(random: () => number) {
    this.#random = random;
  }

  plan(at: FaultPoint, fault: Fault, options: FaultOptions = {}): void {
    this.#rules.push({ at, fault, left: options.times ?? 1, probability: options.probability ?? 1 });
  }

  /** The next fault for a point, used up by this; null: all goes well. */
  take(at: FaultPoint): Fault | null {
    const rule = this.#rules.find((one) => one.at === at && one.left > 0);
    if (!rule || (rule.probability < 1 && this.#random() >= rule.probability)) return null;
    rule.left -= 1;
    if (rule.left <= 0) this.#rules = this.#rules.filter((one) => one !== rule);
    return rule.fault;
  }

  clear(): void {
    this.#rules = [];
  }
}
