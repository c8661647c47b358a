import type { Violation } from "../audit/violation.ts";
import { drawHistory, type History } from "../history/draw.ts";
import { newWorld } from "../world/world.ts";
import { play } from "./run.ts";

export interface SeedOptions {
  /** Gets every line of the trace, once it is over. */
  trace?: (line: string) => void;
  /** Gets what `src` logs. */
  log?: (line: string) => void;
}

/** What came of one history. */
export interface SeedResult {
  seed: number;
  /** Equal for equal histories over equal code. */
  hash: string;
  events: number;
  violations: Violation[];
  /** How many steps were done when the first rule was broken; all of them when it was broken at the end, or none was. */
  steps: number;
}

/** Every so many seeds the world goes on for a day after the end: what is only begun has to be gone by then. */
const A_DAY_EVERY = 30;

/** Draws the history of a seed, and plays it in a world of its own. */
export const playSeed = (seed: number, steps: number, options: SeedOptions = {}): Promise<SeedResult> =>
  playHistory(drawHistory(seed, steps), options);

/** The same with a history that something was left out of. */
export async function playHistory(history: History, { trace, log }: SeedOptions = {}): Promise<SeedResult> {
  const { seed, setup } = history;
  const world = await newWorld({
    seed,
    trace: trace !== undefined,
    variables: { TIER_CAPS: JSON.stringify(setup.caps) },
    ...(log ? { log } : {}),
  });
  try {
    const { violations, steps } = await play(world, history, { aDay: seed % A_DAY_EVERY === 0 });
    for (const line of trace ? world.trace.lines : []) trace?.(line);
    return { seed, hash: world.trace.hash, events: world.events, violations, steps };
  } finally {
    world.dispose();
  }
}
