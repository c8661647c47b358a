import { mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { ensureEngine } from "./container/engine.ts";
import { ensureImages } from "./container/images.ts";
import { ROOT } from "./paths.ts";
import { main, step, Unusable } from "./steps.ts";
import { readTotals, type Totals } from "./suites/report.ts";
import { runSuite, SUITES, type Suite } from "./suites/suites.ts";

const RESULTS = `${ROOT}/test/results`;

/**
 * `npm test [-- --only SUITE,…]`: prepares itself and runs every suite, or those named. Suites on containers are left out where no
 * engine can be had, unless REQUIRE_CONTAINERS=1 makes that a failure.
 */
await main(async () => {
  const named = process.argv.slice(2).flatMap((argument) => (argument === "--only" ? [] : argument.split(",")));
  const unknown = named.filter((name) => !SUITES.some((suite) => suite.name === name));
  if (unknown.length > 0)
    throw new Unusable(
      `No such suite: ${unknown.join(", ")}. There are: ${SUITES.map((suite) => suite.name).join(", ")}.`,
    );
  const chosen = SUITES.filter((suite) => (named.length === 0 || named.includes(suite.name)) && hasTests(suite));

  rmSync(RESULTS, { recursive: true, force: true });
  mkdirSync(RESULTS, { recursive: true });

  const containers = chosen.some((suite) => suite.containers) ? await prepareContainers() : { env: {}, missing: null };
  const totals: Totals[] = [];
  for (const suite of chosen) {
    if (suite.containers && containers.missing !== null) {
      const required = process.env.REQUIRE_CONTAINERS === "1";
      console.log(`▸ ${suite.name}: ${required ? "failed" : "skipped"}, ${containers.missing}`);
      if (required) totals.push({ passed: 0, failed: 1 });
      continue;
    }
    const report = `${RESULTS}/${suite.name}.json`;
    const code = await step(`${suite.name}: ${suite.about}`, () => runSuite(suite, report, containers.env));
    totals.push(readTotals(report, code));
  }
  const passed = totals.reduce((sum, one) => sum + one.passed, 0);
  const failed = totals.reduce((sum, one) => sum + one.failed, 0);
  writeFileSync(`${RESULTS}/totals.json`, JSON.stringify({ passed, failed }));
  console.log(`\n${passed} passed, ${failed} failed`);
  if (failed > 0 || passed === 0) process.exitCode = 1;
});

function hasTests(suite: Suite): boolean {
  try {
    return readdirSync(`${ROOT}/${suite.directory}`, { recursive: true }).some((name) =>
      String(name).endsWith(".test.ts"),
    );
  } catch {
    return false;
  }
}

async function prepareContainers(): Promise<{ env: NodeJS.ProcessEnv; missing: string | null }> {
  const engine = await step("Container engine and images: the last suites run on real containers", ensureEngine);
  if (!engine.ready) return { env: {}, missing: engine.reason };
  return { env: await ensureImages(), missing: null };
}
