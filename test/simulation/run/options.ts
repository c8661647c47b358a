import { parseArgs } from "node:util";

export interface Options {
  /** The first one. */
  seed: number;
  seeds: number;
  steps: number;
  trace: boolean;
  shrink: boolean;
  workers: number | undefined;
}

export const USAGE = `npm run simulate -- [--seeds 300] [--steps 300] [--seed 1] [--workers K] [--trace | --shrink]

Plays random histories of the real objects on a simulated platform (docs/simulation.md).
  --seed N     the first seed; the others follow it
  --seeds N    how many
  --steps N    things that happen in each, before everything has to come to rest
  --workers K  processes; one per core when left out
  --trace      prints every event (with --seeds 1)
  --shrink     prints the fewest steps that break the same rule (with --seeds 1)`;

/** @throws Error for what is no such option */
export function optionsOf(args: readonly string[]): Options | "help" {
  const { values } = parseArgs({
    args: [...args],
    options: {
      seed: { type: "string", default: "1" },
      seeds: { type: "string", default: "300" },
      steps: { type: "string", default: "300" },
      workers: { type: "string" },
      trace: { type: "boolean", default: false },
      shrink: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return "help";
  const { seed, seeds, steps, workers, trace, shrink } = values;
  const options = {
    seed: whole("seed", seed, 0),
    seeds: whole("seeds", seeds, 1),
    steps: whole("steps", steps, 0),
    workers: workers === undefined ? undefined : whole("workers", workers, 1),
    trace,
    shrink,
  };
  if ((trace || shrink) && options.seeds !== 1) {
    throw new Error("--trace and --shrink are for one seed: add --seeds 1");
  }
  return options;
}

function whole(name: string, text: string, least: number): number {
  const value = Number(text);
  if (/^\d{1,10}$/.test(text) && value >= least) return value;
  throw new Error(`--${name} must be a whole number from ${least} on`);
}
