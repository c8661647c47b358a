import { existsSync, readFileSync } from "node:fs";

export interface Totals {
  readonly passed: number;
  readonly failed: number;
}

/** The part of vitest's JSON report that is counted. */
interface VitestReport {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly success: boolean;
}

/**
 * What a suite's report says. A run that failed without a failed test (a file that does not load, a crash before the
 * report) counts as one failure: nothing that went wrong may look like nothing.
 */
export function readTotals(path: string, exitCode: number | null): Totals {
  if (!existsSync(path)) return { passed: 0, failed: 1 };
  const report = JSON.parse(readFileSync(path, "utf8")) as VitestReport;
  const failed = Math.max(report.numFailedTests, report.success && exitCode === 0 ? 0 : 1);
  return { passed: report.numPassedTests, failed };
}
