import { lineOf } from "../history/events.ts";
import { shrunk } from "../shrink/shrink.ts";

/** Finds the fewest steps of a failing seed that break the same rule, and prints them; for `simulate --shrink`. */
const [seed = "1", steps = "300"] = process.argv.slice(2);
const print = (line: string): void => void process.stdout.write(`${line}\n`);
const found = await shrunk(Number(seed), Number(steps));
if (!found) print(`seed ${seed}, ${steps} steps: every promise was kept`);
else {
  const { history, result, rule, played } = found;
  print(`${history.steps.length} of ${steps} steps break ${rule} (${played} histories played):\n`);
  print(`begins with ${JSON.stringify(history.setup)}`);
  for (const step of history.steps) print(`  ${lineOf(step)}`);
  for (const { rule: broken, what } of result.violations) print(`\n${broken}: ${what}`);
}
process.exit(found ? 1 : 0);
