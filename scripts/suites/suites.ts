import { existsSync } from "node:fs";
import { ROOT } from "../paths.ts";
import { runVitest } from "./vitest.ts";

export interface Suite {
  readonly name: string;
  readonly about: string;
  readonly directory: string;
  /** Whether it needs an engine and the images. */
  readonly containers: boolean;
}

export const SUITES: readonly Suite[] = [
  { name: "unit", about: "pure code", directory: "test/unit", containers: false },
  {
    name: "workers",
    about: "the Worker and its objects in workerd, on simulated containers",
    directory: "test/workers",
    containers: false,
  },
  { name: "simulation", about: "long random histories", directory: "test/simulation", containers: false },
  { name: "images", about: "what runs inside a container", directory: "test/images", containers: true },
  { name: "e2e", about: "the whole system on real containers", directory: "test/e2e", containers: true },
];

/** Runs a suite to its end; its JSON report is written to `report`. Returns vitest's exit code. */
export function runSuite(suite: Suite, report: string, env: NodeJS.ProcessEnv): Promise<number | null> {
  // A suite with a configuration of its own is not part of the workspace's projects.
  const own = `${suite.directory}/vitest.config.ts`;
  const selection = existsSync(`${ROOT}/${own}`) ? ["--config", own] : ["--project", suite.name];
  return runVitest([...selection, "--reporter=default", "--reporter=json", `--outputFile.json=${report}`], env);
}
