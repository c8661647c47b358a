import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { type Options, optionsOf, USAGE } from "./run/options.ts";
import { commandFor, playSeeds } from "./run/seeds.ts";

/** `npm run simulate`. Ends with 1 when a seed fails, and says by which command it is seen again. */
export async function simulate(args: readonly string[]): Promise<number> {
  let options: Options | "help";
  try {
    options = optionsOf(args);
  } catch (error) {
    console.error(`${(error as Error).message}\n\n${USAGE}`);
    return 2;
  }
  if (options === "help") {
    console.log(USAGE);
    return 0;
  }
  if (options.shrink) return alone(import.meta.resolve("./run/shrink.ts"), options);
  return options.trace ? alone(import.meta.resolve("./run/trace.ts"), options) : played(options);
}

async function played({ seed, seeds, steps, workers }: Options): Promise<number> {
  const began = Date.now();
  let [done, events, failures] = [0, 0, 0];
  await playSeeds({
    seeds: Array.from({ length: seeds }, (_, index) => seed + index),
    steps,
    ...(workers === undefined ? {} : { workers }),
    onVerdict: (verdict) => {
      done += 1;
      events += verdict.events;
      const wrong = verdict.broken === undefined ? verdict.violations : [`the simulation itself: ${verdict.broken}`];
      if (wrong.length > 0) {
        failures += 1;
        console.log(`\nseed ${verdict.seed} failed:\n  ${wrong.join("\n  ")}\n  ${commandFor(verdict.seed, steps)}`);
      } else if (seeds === 1) {
        console.log(`seed ${verdict.seed}: ${verdict.events} events, ${verdict.ms} ms, trace ${verdict.hash}`);
      } else if (done % 50 === 0) {
        console.log(`${done} of ${seeds} seeds, ${events} events, ${Math.round((Date.now() - began) / 1_000)} s`);
      }
      return undefined;
    },
  });
  const seconds = ((Date.now() - began) / 1_000).toFixed(1);
  const verdict = failures === 0 ? "every promise was kept" : `${failures} failed`;
  console.log(`${seeds} seeds of ${steps} steps, ${events} events, ${seconds} s: ${verdict}`);
  return failures === 0 ? 0 : 1;
}

/** One seed in one process, which prints what comes of it. */
function alone(program: string, { seed, steps }: Options): Promise<number> {
  const file = fileURLToPath(program);
  const register = import.meta.resolve("./register.ts");
  return new Promise((resolve) => {
    const child = spawn(
      process.execPath,
      ["--disable-warning=ExperimentalWarning", "--import", register, file, String(seed), String(steps)],
      { stdio: "inherit" },
    );
    child.on("exit", (code) => resolve(code ?? 1));
  });
}
