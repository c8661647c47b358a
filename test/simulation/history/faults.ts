import type { FaultPoint } from "../../../src/runtime/simulated/faults.ts";
import type { Random } from "../../support/random.ts";
import { CLASSES, type ClassName, type Fault, type RuntimeFault } from "./events.ts";
import { logarithmic, type Weights, weighted } from "./random.ts";

export const FAULT_WEIGHTS: Weights<Fault["do"]> = {
  container: 4,
  plan: 6,
  rpc: 8,
  interrupt: 6,
  evict: 3,
  alarm: 3,
  storage: 3,
  clock: 1,
  slow: 1,
};

/** Methods that are worth naming; a fault of any method mostly meets one that is called all the time. */
const METHODS: Readonly<Record<ClassName, readonly string[]>> = {
  TENANT: ["owns", "servedBy", "route", "claim", "release", "act"],
  POOL: ["lease", "holder", "retire", "describe"],
  INSTANCE: ["boot", "assign", "quiesce", "save", "resume", "restart", "observe", "retire", "fetch"],
  VAULT: ["fence", "open", "commit", "abort", "promote", "restoreTo", "erase", "stageBundle", "reserve", "put"],
  FLEET: ["admit", "release"],
};

const POINTS: readonly FaultPoint[] = [
  "start",
  "ready",
  "status",
  "claim",
  "restore",
  "stop",
  "manifest",
  "bundle",
  "sync",
  "fetch",
  "destroy",
];

/** What can go wrong at a point; one that is lost at `ready` counts as running and never answers. */
const HOW: Readonly<Partial<Record<FaultPoint, readonly RuntimeFault[]>>> = {
  start: ["fail", "fail-late", "capacity", "rate"],
  ready: ["slow", "hang", "lose"],
  restore: ["fail", "truncate", "truncate", "slow", "hang"],
};
const USUAL: readonly RuntimeFault[] = ["fail", "slow", "hang", "lose"];

export function drawFault(random: Random, weights: Weights<Fault["do"]>): Fault {
  const which = random.int(12);
  const ms = logarithmic(random, 50, 400_000);
  switch (weighted(random, weights)) {
    case "container":
      return { do: "container", which, how: random.pick(["crash", "crash", "oom", "exit", "freeze", "vanish"]) };
    case "plan": {
      const at = random.pick(POINTS);
      return { do: "plan", at, how: random.pick(HOW[at] ?? USUAL), ms, times: random.pick([1, 1, 1, 2, 6]) };
    }
    case "rpc": {
      const to = random.pick(CLASSES);
      const method = random() < 0.8 ? random.pick(METHODS[to]) : null;
      const how = random.pick(["lose-before", "lose-after", "lose-after", "delay", "late-reply", "hang"] as const);
      return { do: "rpc", to, method, nth: 1 + random.int(method === null ? 8 : 2), how, ms };
    }
    case "interrupt":
      return {
        do: "interrupt",
        nth: 1 + random.int(40),
        how: random.pick(["evict", "evict", "evict", "update", "twin"]),
        ms,
      };
    case "evict":
      return { do: "evict", of: random.pick(CLASSES), which };
    case "alarm":
      return { do: "alarm", of: random.pick(CLASSES), which, how: random.pick(["late", "lost", "twice"]), ms };
    case "storage": {
      const at = random.pick(["D1", "R2"] as const);
      const how = random.pick(
        at === "R2"
          ? (["fail-before", "fail-after", "slow", "truncate"] as const)
          : (["fail-before", "fail-after", "slow"] as const),
      );
      return { do: "storage", at, nth: 1 + random.int(4), times: random.pick([1, 1, 3, 20]), how, ms };
    }
    case "clock":
      return {
        do: "clock",
        ms: random() < 0.5 ? logarithmic(random, 1_000, 3_600_000) : -logarithmic(random, 1, 2_000),
      };
    case "slow":
      return { do: "slow", factor: random.pick([3, 10, 50]), ms: logarithmic(random, 1_000, 120_000) };
  }
}
