import { globSync, readFileSync, rmSync } from "node:fs";
import { relative } from "node:path";
import { AREAS, REPORTS } from "./coverage/areas.ts";
import { ROOT } from "./paths.ts";
import { main, Unusable } from "./steps.ts";
import { runVitest } from "./suites/vitest.ts";

const MEASURES = ["lines", "branches"] as const;
const LEAST_PERCENT = 90;

type Counts = Record<(typeof MEASURES)[number], { readonly total: number; readonly covered: number }>;

/**
 * `npm run coverage [-- TEST-FILE …]`: how much of these areas the unit tests and those in workerd run, or only the tests
 * named. Ends with 1 when that is too little of any.
 */
await main(async () => {
  rmSync(REPORTS, { recursive: true, force: true });
  const code = await runVitest([`--config=${ROOT}/scripts/coverage/vitest.config.ts`, ...process.argv.slice(2)]);
  if (code !== 0) throw new Unusable("The tests failed: what they run says nothing.");
  const summary: Record<string, Counts> = JSON.parse(readFileSync(`${REPORTS}/coverage-summary.json`, "utf8"));
  const byFile = new Map(Object.entries(summary).map(([path, counts]) => [relative(ROOT, path), counts]));

  const rows = Object.entries(AREAS).map(([area, globs]) => {
    const files = globs.flatMap(filesOf);
    const counts = files.map((path) => byFile.get(path) ?? unusable(`The report lacks ${path}.`));
    const percents = MEASURES.map((measure) => percentOf(counts.map((one) => one[measure])));
    return { area, files: files.length, percents };
  });
  console.log(`\n| area | files | ${MEASURES.join(" | ")} |\n|---|---|---|---|`);
  for (const { area, files, percents } of rows) {
    console.log(`| ${area} | ${files} | ${percents.map((percent) => `${percent.toFixed(1)} %`).join(" | ")} |`);
  }
  const low = rows.filter(({ percents }) => percents.some((percent) => percent < LEAST_PERCENT));
  if (low.length > 0) throw new Unusable(`Less than ${LEAST_PERCENT} %: ${low.map(({ area }) => area).join(", ")}`);
});

/** At least one: a file that was moved must not drop out unnoticed. */
function filesOf(glob: string): string[] {
  const files = globSync(glob, { cwd: ROOT });
  return files.length > 0 ? files : unusable(`There is no ${glob} any more: correct scripts/coverage/areas.ts.`);
}

function unusable(why: string): never {
  throw new Unusable(why);
}

function percentOf(counts: readonly { total: number; covered: number }[]): number {
  const total = counts.reduce((sum, one) => sum + one.total, 0);
  const covered = counts.reduce((sum, one) => sum + one.covered, 0);
  return total === 0 ? 100 : (100 * covered) / total;
}
