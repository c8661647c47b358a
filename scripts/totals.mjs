// The last line of .ci/run, from the totals that `npm test` took from its runners' reports; the arguments are the exit
// codes of `npm run check` and `npm test`.
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const path = fileURLToPath(new URL("../test/results/totals.json", import.meta.url));
const [check, tests] = process.argv.slice(2).map(Number);

const totals = existsSync(path) ? JSON.parse(readFileSync(path, "utf8")) : { passed: 0, failed: 0 };
let failed = totals.failed;
// Whatever failed without a failed test counts as one.
if (tests !== 0 && failed === 0) failed = 1;
if (check !== 0) failed += 1;
console.log(`${totals.passed} passed, ${failed} failed`);
process.exitCode = failed > 0 || totals.passed === 0 ? 1 : 0;
