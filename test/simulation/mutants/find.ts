import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PLANTED } from "../planted.ts";
import { playSeeds } from "../run/seeds.ts";
import type { Mutant } from "./list.ts";

/** Which seed showed a planted bug, and by which rule. */
export interface Found {
  mutant: Mutant;
  /** Null: none of the seeds did. */
  rule: string | null;
  /** How many were played until then. */
  seeds: number;
  seconds: number;
}

/** Plays seeds from 1 on over code with the bug in it, until one breaks a rule that it keeps without the bug. @throws where the bug cannot be planted */
export async function find(mutant: Mutant, seeds: number, steps: number): Promise<Found> {
  const directory = mkdtempSync(join(tmpdir(), "mutant-"));
  const file = join(directory, "planted.json");
  writeFileSync(file, JSON.stringify(mutant.planted));
  const began = Date.now();
  const found = (rule: string | null, count: number): Found => ({
    mutant,
    rule,
    seeds: count,
    seconds: (Date.now() - began) / 1_000,
  });
  try {
    for (let first = 1; first <= seeds; ) {
      const seed = await firstFailing(first, seeds, steps, file);
      if (seed === null) return found(null, seeds);
      const [sound] = await playSeeds({ seeds: [seed.number], steps, workers: 1 });
      if (sound?.violations.length === 0) return found(seed.rule, seed.number);
      first = seed.number + 1; // this one says nothing of the bug
    }
    return found(null, seeds);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

async function firstFailing(first: number, last: number, steps: number, file: string) {
  const verdicts = await playSeeds({
    seeds: Array.from({ length: last - first + 1 }, (_, index) => first + index),
    steps,
    workers: 1,
    env: { [PLANTED]: file },
    onVerdict: ({ violations }) => (violations.length > 0 ? "stop" : undefined),
  });
  const failing = verdicts.find(({ violations }) => violations.length > 0);
  return failing ? { number: failing.seed, rule: failing.violations[0]?.split(":")[0] ?? "" } : null;
}
