import type { Random } from "../../support/random.ts";
import type { Step } from "./events.ts";
import type { Setup } from "./setup.ts";

/** After which a save, and a start, is given up (SAVE_TIMEOUT_MS and STARTUP_TIMEOUT_MS as they are by default). */
const SAVE_MS = 120_000;
const START_MS = 180_000;

/** How often a sequence comes before a step. */
const SHARE = 0.02;

/** A list of steps with sequences put in between, drawn from a stream of their own; as long as it was. */
export function withMotifs(random: Random, steps: readonly Step[], { tenants, pools }: Setup): Step[] {
  const mixed = steps.flatMap((step) =>
    random() < SHARE ? [...drawMotif(random, random.int(tenants), random.int(pools.length)), step] : [step],
  );
  return mixed.slice(0, steps.length);
}

/**
 * Short sequences that lead to where single events seldom meet: each is a few ordinary steps about one tenant, and shrinks
 * like any other.
 */
function drawMotif(random: Random, tenant: number, pool: number): Step[] {
  const claim: Step = { event: { do: "claim", tenant, pool, waitMs: 10_000 }, thenMs: 2_000 };
  const get: Step = {
    event: { do: "request", tenant, method: "GET", file: random.int(6), size: "small" },
    thenMs: 200,
  };
  const write: Step = { event: { do: "write", tenant, times: 2, seed: random.int(2 ** 30) }, thenMs: 50 };
  switch (random.pick(["called off", "late commit", "late fence", "late result", "late start"] as const)) {
    case "called off":
      // A release fails and is called off: same container, new epoch; routes of before know the old one.
      return [
        claim,
        write,
        get,
        { event: { do: "plan", at: "manifest", how: "fail", ms: 0, times: 1 }, thenMs: 0 },
        { event: { do: "release", tenant, how: "sync", waitMs: 0 }, thenMs: 300 },
        { ...claim, thenMs: 1_000 },
        get,
      ];
    case "late commit":
      // A save is under way when its container ends, and its commit arrives after the next one took over.
      return [
        claim,
        write,
        { event: { do: "rpc", to: "VAULT", method: "commit", nth: 1, how: "delay", ms: 20_000 }, thenMs: 0 },
        { event: { do: "act", tenant, act: "sync-outward", waitMs: 0 }, thenMs: 400 },
        { event: { do: "container", which: 0, tenant, how: "crash" }, thenMs: 3_000 },
        { ...get, thenMs: 40_000 },
      ];
    case "late fence":
      // An assignment is given up while its fence is on the way.
      return [
        { event: { do: "rpc", to: "VAULT", method: "fence", nth: 1, how: "delay", ms: 20_000 }, thenMs: 0 },
        { ...claim, thenMs: 500 },
        { event: { do: "evict", of: "INSTANCE", which: random.int(12) }, thenMs: 5_000 },
        { ...get, thenMs: 40_000 },
      ];
    case "late result":
      // The answer of a save comes when that was given up, and another save of the same container is under way.
      return [
        claim,
        write,
        {
          event: { do: "rpc", to: "INSTANCE", method: "save", nth: 1, how: "late-reply", ms: SAVE_MS + 2_500 },
          thenMs: 0,
        },
        { event: { do: "act", tenant, act: "sync-outward", waitMs: 0 }, thenMs: 2_000 },
        { event: { ...write.event, seed: random.int(2 ** 30) } as Step["event"], thenMs: SAVE_MS - 1_000 },
        { event: { do: "rpc", to: "INSTANCE", method: "quiesce", nth: 1, how: "delay", ms: 6_000 }, thenMs: 0 },
        { event: { do: "release", tenant, how: "sync", waitMs: 10_000 }, thenMs: 20_000 },
      ];
    case "late start":
      // A container answers for the first time when its start was given up.
      return [
        { event: { do: "plan", at: "ready", how: "slow", ms: START_MS + 10_000, times: 1 }, thenMs: 0 },
        { ...claim, thenMs: START_MS + 20_000 },
        get,
      ];
  }
}
