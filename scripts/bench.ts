import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { benches } from "../bench/benches.ts";
import { FULL, QUICK } from "../bench/harness/counts.ts";
import type { Result } from "../bench/harness/result.ts";
import { stopStacks } from "../bench/harness/stacks.ts";
import { table, unmet } from "../bench/harness/table.ts";
import { GROUPS, type Group } from "../bench/promises.ts";
import { ROOT } from "./paths.ts";
import { main, step, Unusable } from "./steps.ts";

const USAGE = `npm run bench -- [${GROUPS.join("|")}] [--check] [--json] [--quick]
  without a name: all of them
  --check   ends with 1 and names every promised number that is not met
  --json    prints the results as JSON on standard output, everything else on standard error
  --quick   a few samples each, to see where things stand; keeps no promise`;

/** Runs benches one after the other, each on systems of its own, and shows what they found. */
await main(async () => {
  const { groups, flags } = argumentsOf(process.argv.slice(2));
  const print = flags.has("--json") ? toStandardError() : (text: string) => void process.stdout.write(text);
  stopWithUs();

  const results: Result[] = [];
  const broken: string[] = [];
  for (const group of groups) {
    try {
      const found = await step(`Bench: ${group}`, () => benches[group](flags.has("--quick") ? QUICK : FULL));
      results.push(...found);
      save(group, found);
      if (!flags.has("--json")) print(`\n${table(found)}\n\n`);
    } catch (problem) {
      console.error(problem);
      broken.push(`${group}: ${problem instanceof Error ? problem.message : problem}`);
    } finally {
      await stopStacks();
    }
  }
  if (flags.has("--json")) print(`${JSON.stringify(results, null, 2)}\n`);
  const missed = [...broken, ...unmet(results, groups)];
  if (missed.length > 0) console.error(`Not met:\n${missed.map((line) => `  ✗ ${line}\n`).join("")}`);
  if (broken.length > 0 || (flags.has("--check") && missed.length > 0)) process.exitCode = 1;
  process.removeAllListeners("disconnect");
  process.disconnect?.(); // the channel to bootstrap.mjs would keep this process alive
});

function argumentsOf(words: readonly string[]): { groups: readonly Group[]; flags: ReadonlySet<string> } {
  const flags = new Set(words.filter((word) => word.startsWith("--")));
  const names = words.filter((word) => !word.startsWith("--"));
  const groups = GROUPS.filter((group) => names.length === 0 || names.includes(group));
  const known = ["--check", "--json", "--quick"];
  if (names.some((name) => !groups.includes(name as Group)) || [...flags].some((flag) => !known.includes(flag))) {
    throw new Unusable(USAGE);
  }
  return { groups, flags };
}

/** What others print to standard output goes to standard error; answers with the way to the real one. */
function toStandardError(): (text: string) => void {
  const write = process.stdout.write.bind(process.stdout);
  process.stdout.write = process.stderr.write.bind(process.stderr) as typeof process.stdout.write;
  return (text) => void write(text);
}

/** One file for every group, so that a run of one leaves the others' latest results. */
function save(group: Group, results: readonly Result[]): void {
  const directory = `${ROOT}/bench/results`;
  if (!existsSync(directory)) mkdirSync(directory, { recursive: true });
  const at = new Date().toISOString();
  writeFileSync(`${directory}/${group}.json`, `${JSON.stringify({ at, results }, null, 2)}\n`);
}

/** Ctrl-C, or the end of whoever started us, ends what was started. */
function stopWithUs(): void {
  let stopping = false;
  const stop = () => {
    if (stopping) return;
    stopping = true;
    void stopStacks().finally(() => process.exit(1));
  };
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, stop);
  process.on("disconnect", stop);
}
