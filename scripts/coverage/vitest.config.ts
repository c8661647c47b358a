import { defineConfig } from "vitest/config";
import { unit, workers } from "../../vitest.config.ts";
import { ROOT } from "../paths.ts";
import { AREAS, REPORTS } from "./areas.ts";

/**
 * The suites whose coverage is counted. By counters in the code (istanbul), since what V8 counts by itself needs an
 * inspector in workerd, that is, a Worker with other flags than ours. Not `simulation`, which loads its code unchanged.
 */
export default defineConfig({
  root: ROOT,
  test: {
    projects: [unit, workers],
    reporters: ["dot"],
    coverage: {
      enabled: true,
      provider: "istanbul",
      include: Object.values(AREAS).flat(),
      reporter: [["text", { maxCols: 140 }], "json-summary"],
      reportsDirectory: REPORTS,
    },
  },
});
