import { type ChildProcess, fork } from "node:child_process";
import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";
import type { Job, Verdict } from "./job.ts";

const WORKER = fileURLToPath(import.meta.resolve("./worker.ts"));
const REGISTER = import.meta.resolve("../register.ts");
/** Every world leaves its modules behind, which nothing can unload. */
const SEEDS_PER_PROCESS = 30;

export interface Run {
  /** In the order in which they are to be played. */
  seeds: Iterable<number>;
  steps: number;
  /** Whether verdicts count what happened. */
  census?: boolean;
  /** Processes; one per core when absent. */
  workers?: number;
  /** Of each seed, in real ms; one that takes longer has failed. */
  timeoutMs?: number;
  env?: Record<string, string>;
  /** Each as it ends; "stop" begins no further seed. */
  onVerdict?: (verdict: Verdict) => "stop" | undefined;
}

/** Plays seeds in processes of their own, each seed in a fresh world. Resolves with all verdicts, by seed. */
export async function playSeeds({
  seeds,
  steps,
  census = false,
  workers,
  timeoutMs = 180_000,
  env,
  onVerdict,
}: Run): Promise<Verdict[]> {
  const left = seeds[Symbol.iterator]();
  const verdicts: Verdict[] = [];
  let stopped = false;
  const next = (): number | null => {
    const { done, value } = stopped ? { done: true, value: 0 } : left.next();
    return done ? null : value;
  };
  const lane = async () => {
    let worker: ChildProcess | null = null;
    let played = 0;
    try {
      for (let seed = next(); seed !== null; seed = next()) {
        if (worker === null || played >= SEEDS_PER_PROCESS) {
          worker?.disconnect();
          worker = await start(env);
          played = 0;
        }
        played += 1;
        const verdict = await ask(worker, { seed, steps, census }, timeoutMs);
        if (!worker.connected) worker = null;
        verdicts.push(verdict);
        if (onVerdict?.(verdict) === "stop") stopped = true;
      }
    } finally {
      if (worker?.connected) worker.disconnect();
    }
  };
  await Promise.all(Array.from({ length: workers ?? availableParallelism() }, lane));
  return verdicts.sort((a, b) => a.seed - b.seed);
}

/** What a person types to see one seed again. */
export const commandFor = (seed: number, steps: number): string =>
  `npm run simulate -- --seed ${seed} --seeds 1 --steps ${steps} --trace`;

/** @throws Error when it does not begin to listen: its code cannot be loaded */
function start(env: Record<string, string> = {}): Promise<ChildProcess> {
  const worker = fork(WORKER, {
    execArgv: ["--disable-warning=ExperimentalWarning", "--import", REGISTER],
    env: { ...process.env, ...env, NODE_OPTIONS: "" },
    stdio: ["ignore", "inherit", "pipe", "ipc"],
  });
  let printed = "";
  worker.stderr?.on("data", (text) => {
    printed += text;
  });
  return new Promise((resolve, reject) => {
    const failed = () => reject(new Error(`The simulation cannot begin:\n${printed}`));
    worker.once("close", failed);
    worker.once("message", () => {
      worker.off("close", failed);
      worker.stderr?.pipe(process.stderr);
      resolve(worker);
    });
  });
}

/** One seed's verdict, also where the process ends or takes too long over it. */
function ask(worker: ChildProcess, job: Job, timeoutMs: number): Promise<Verdict> {
  const failed = (violation: string): Verdict => ({
    seed: job.seed,
    hash: "",
    events: 0,
    ms: timeoutMs,
    violations: [violation],
  });
  return new Promise((resolve) => {
    const end = (verdict: Verdict) => {
      clearTimeout(timer);
      worker.off("message", answered);
      worker.off("exit", exited);
      resolve(verdict);
    };
    const answered = (verdict: unknown) => end(verdict as Verdict);
    const exited = (code: number | null, signal: string | null) =>
      end(failed(`the process ended with ${signal ?? code}`));
    const timer = setTimeout(() => {
      worker.off("exit", exited);
      worker.kill("SIGKILL");
      worker.once("exit", () => end(failed(`took longer than ${timeoutMs} ms`)));
    }, timeoutMs);
    worker.on("message", answered);
    worker.on("exit", exited);
    worker.send(job);
  });
}
