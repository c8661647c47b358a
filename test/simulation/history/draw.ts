import { type Random, seeded } from "../../support/random.ts";
import type { ActName, Change, ClientEvent, Event, PoolEvent, Step, WorkloadEvent } from "./events.ts";
import { isFault } from "./events.ts";
import { drawFault, FAULT_WEIGHTS } from "./faults.ts";
import { withMotifs } from "./motifs.ts";
import { logarithmic, swarmed, type Weights, weighted } from "./random.ts";
import { drawSetup, type Setup } from "./setup.ts";

/** One history: where it begins, and all that happens. The same seed and number of steps give the same. */
export interface History {
  seed: number;
  setup: Setup;
  steps: Step[];
}

type Asked = Exclude<ClientEvent, { do: "claims" }>["do"] | "claims" | WorkloadEvent["do"];

const WEIGHTS: Weights<Asked> = {
  claim: 14,
  claims: 4,
  release: 8,
  act: 14,
  restore: 2,
  destroy: 3,
  request: 16,
  socket: 2,
  change: 5,
  read: 6,
  upgrade: 2,
  pool: 4,
  sweep: 1,
  write: 16,
  wipe: 1,
  workload: 1,
};

const ACTS: Weights<ActName> = {
  stop: 5,
  start: 5,
  "restart-process": 1,
  "restart-container": 4,
  "restart-image": 1,
  "sync-outward": 6,
  "sync-inward": 1,
  suspend: 1,
  resume: 3,
};

/** How long the world goes on between two things: mostly less than an operation takes, so that they meet; sometimes for hours. */
const PAUSES: Weights<"none" | "moment" | "operation" | "cadence" | "long"> = {
  none: 3,
  moment: 6,
  operation: 6,
  cadence: 3,
  long: 0.6,
};

const LONG_MS = 200_000;
/** An hour of a pool at rest costs as much as a hundred claims: a history has so many, and then its pauses become short ones. */
const LONG_IN_ALL_MS = 2 * 3_600_000;
const SHORTER = 500;

export function drawHistory(seed: number, steps: number): History {
  const random = seeded(seed);
  const setup = drawSetup(random);
  const asked = swarmed(random, WEIGHTS);
  const faults = swarmed(random, FAULT_WEIGHTS);
  const pauses = swarmed(random, PAUSES);
  /** Of all steps, those that are faults. */
  const share = random.pick([0, 0.08, 0.2, 0.35]);
  let hoursLeft = LONG_IN_ALL_MS;
  const drawn = Array.from({ length: steps }, (): Step => {
    const event = random() < share ? drawFault(random, faults) : drawEvent(random, asked, setup);
    const drawnMs = pauseAfter(random, event, pauses);
    if (drawnMs < LONG_MS) return { event, thenMs: drawnMs };
    const thenMs = hoursLeft > 0 ? drawnMs : Math.ceil(drawnMs / SHORTER);
    if (hoursLeft > 0) hoursLeft -= drawnMs;
    return { event, thenMs };
  });
  return { seed, setup, steps: share === 0 ? drawn : withMotifs(seeded(~seed), drawn, setup) };
}

function drawEvent(random: Random, weights: Weights<Asked>, setup: Setup): Event {
  const tenant = random.int(setup.tenants);
  const pool = random.int(setup.pools.length);
  const waitMs = random.pick([0, 0, 2_000, 10_000, 60_000]);
  switch (weighted(random, weights)) {
    case "claim":
      return {
        do: "claim",
        tenant,
        pool,
        waitMs,
        ...(random() < 0.2 ? { config: random.int(3) } : {}),
        ...(random() < 0.1 ? { secret: random.int(3) } : {}),
        ...(random() < 0.03 ? { allowFresh: true as const } : {}),
      };
    case "claims":
      return { do: "claims", tenant, pool, times: 2 + random.int(5), spread: random() < 0.5 };
    case "release":
      return { do: "release", tenant, how: random.pick(["sync", "sync", "sync", "force", "give-up"]), waitMs };
    case "act":
      return {
        do: "act",
        tenant,
        act: weighted(random, ACTS),
        waitMs,
        ...(random() < 0.1 ? { force: true as const } : {}),
      };
    case "restore":
      return { do: "restore", tenant, back: random.int(4), waitMs };
    case "destroy":
      return { do: "destroy", tenant, deleteData: random() < 0.5, waitMs };
    case "request":
      return {
        do: "request",
        tenant,
        method: random.pick(["GET", "GET", "PUT", "PUT", "DELETE"]),
        file: random.int(6),
        size: random() < 0.1 ? "large" : "small",
      };
    case "socket":
      return { do: "socket", tenant, openMs: logarithmic(random, 100, 600_000) };
    case "change":
      return { do: "change", tenant, change: drawChange(random) };
    case "read": {
      const what = random.pick([
        "status",
        "status",
        "settings",
        "generations",
        "tenants",
        "pool",
        "containers",
        "operations",
      ] as const);
      return { do: "read", what, tenant, pool };
    }
    case "upgrade":
      return { do: "upgrade", pool };
    case "pool":
      return { do: "pool", pool, change: drawPoolEvent(random) };
    case "sweep":
      return { do: "sweep" };
    case "write":
      return { do: "write", tenant, times: 1 + random.int(4), seed: random.int(2 ** 30) };
    case "wipe":
      return { do: "wipe", tenant, part: random.pick([0.3, 0.6, 1]), seed: random.int(2 ** 30) };
    case "workload":
      return { do: "workload", tenant, how: random.pick(["crash", "hang"]) };
  }
}

function drawChange(random: Random): Change {
  switch (random.pick(["tier", "lifecycle", "config", "secret"] as const)) {
    case "tier":
      return { kind: "tier", tier: random.pick([null, null, "lite", "basic"]) };
    case "lifecycle":
      return {
        kind: "lifecycle",
        mode: random.pick(["on-demand", "on-demand", "always-on"]),
        idleTimeoutMs: random.pick([60_000, 900_000]),
      };
    case "config":
      return { kind: "config", value: random.int(3) };
    case "secret":
      return { kind: "secret", value: random.int(3) };
  }
}

function drawPoolEvent(random: Random): PoolEvent {
  switch (
    random.pick([
      "pause",
      "resume",
      "resume",
      "reset-breaker",
      "scale",
      "resize",
      "delete",
      "create",
      "create",
    ] as const)
  ) {
    case "pause":
      return { kind: "pause" };
    case "resume":
      return { kind: "resume" };
    case "reset-breaker":
      return { kind: "reset-breaker" };
    case "scale":
      return { kind: "scale", target: random.int(5) };
    case "resize": {
      const minSize = random.int(3);
      return { kind: "resize", minSize, maxSize: Math.max(1, minSize) + random.int(4) };
    }
    case "delete":
      return { kind: "delete", release: random() < 0.5 };
    case "create":
      return { kind: "create" };
  }
}

/** A fault that is only prepared takes no time: it is to meet what follows. */
function pauseAfter(random: Random, event: Event, pauses: Weights<keyof typeof PAUSES>): number {
  if (isFault(event) && event.do !== "container") return 0;
  switch (weighted(random, pauses)) {
    case "none":
      return 0;
    case "moment":
      return logarithmic(random, 1, 100);
    case "operation":
      return logarithmic(random, 100, 10_000);
    case "cadence":
      return logarithmic(random, 10_000, 200_000);
    case "long":
      return logarithmic(random, LONG_MS, 4 * 3_600_000);
  }
}
