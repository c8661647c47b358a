import type { Random } from "../../support/random.ts";

/** What there is at the beginning of a history; drawn from its seed, never shrunk. */
export interface Setup {
  tenants: number;
  pools: PoolSetup[];
  /** Of `lite` and of `basic`; other tiers are not used. */
  caps: { lite: number; basic: number };
}

export interface PoolSetup {
  minSize: number;
  maxSize: number;
  idleTimeoutMs: number;
  /** With a state volume, started on claim; without one, on boot. */
  hasState: boolean;
  /** How its tenants come to a new version of the workload. */
  upgrade: "onRestart" | "rolling" | "pinned";
}

/** Small numbers, so that tenants meet, pools run out and caps are reached. */
export function drawSetup(random: Random): Setup {
  const pools = Array.from({ length: 1 + random.int(2) }, (_, index) => drawPool(random, index === 0));
  const wanted = pools.reduce((sum, pool) => sum + pool.maxSize, 0);
  return {
    tenants: 2 + random.int(4),
    pools,
    caps: { lite: Math.max(2, Math.ceil(wanted * random.pick([0.5, 0.8, 1, 2]))), basic: random.int(3) },
  };
}

function drawPool(random: Random, isFirst: boolean): PoolSetup {
  const minSize = random.int(3);
  return {
    minSize,
    maxSize: Math.max(1, minSize) + random.int(4),
    idleTimeoutMs: random.pick([60_000, 300_000, 900_000, 3_600_000]),
    hasState: isFirst || random() < 0.5,
    upgrade: random.pick(["onRestart", "rolling", "rolling", "pinned"] as const),
  };
}
