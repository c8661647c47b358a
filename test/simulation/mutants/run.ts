import { readFileSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { type Found, find } from "./find.ts";
import { MUTANTS } from "./list.ts";
import { table, withTable } from "./table.ts";

const PAGE = fileURLToPath(import.meta.resolve("../../../docs/simulation.md"));
const SEEDS = 300;
/** Fewer than in `npm run simulate`: most bugs show early, and each seed costs its time to rest. */
const STEPS = 120;

/**
 * `npm run simulate:mutants`: plants each bug, and looks for it. The table goes into docs/simulation.md when all of them
 * were looked for; with names, only those are. Ends with 1 when one is not found.
 */
export async function mutants(args: readonly string[]): Promise<number> {
  const { positionals } = parseArgs({ args: [...args], allowPositionals: true });
  const unknown = positionals.filter((name) => !MUTANTS.some((mutant) => mutant.name === name));
  if (unknown.length > 0) {
    console.error(`There is no ${unknown.join(", ")}. There are: ${MUTANTS.map(({ name }) => name).join(", ")}`);
    return 2;
  }
  const wanted = MUTANTS.filter(({ name }) => positionals.length === 0 || positionals.includes(name));
  const queue = [...wanted];
  const found: Found[] = [];
  const lane = async () => {
    for (let mutant = queue.shift(); mutant; mutant = queue.shift()) {
      const one = await find(mutant, SEEDS, STEPS);
      found.push(one);
      console.log(`${mutant.name}: ${one.rule ?? "NOT FOUND"} after ${one.seeds} seeds, ${one.seconds.toFixed(0)} s`);
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() }, lane));
  const rows = wanted.flatMap((mutant) => found.filter((one) => one.mutant === mutant));
  console.log(`\n${table(rows)}`);
  if (positionals.length === 0) writeFileSync(PAGE, withTable(readFileSync(PAGE, "utf8"), table(rows)));
  const missed = rows.filter(({ rule }) => rule === null).length;
  console.log(missed === 0 ? "\nEach was found." : `\n${missed} were not found.`);
  return missed === 0 ? 0 : 1;
}
