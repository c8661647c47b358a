import { readFileSync, writeFileSync } from "node:fs";
import { ROOT } from "./paths.ts";

/** Writes a file that is made from the code; with `--check` it only says whether the two differ, and ends with 1 if so. */
export function generate(path: string, wanted: string): void {
  if (!process.argv.includes("--check")) {
    writeFileSync(`${ROOT}/${path}`, wanted);
  } else if (read(path) !== wanted) {
    console.error(`${path} is not what the code says: run \`npm run docs\`.`);
    process.exitCode = 1;
  }
}

function read(path: string): string | null {
  try {
    return readFileSync(`${ROOT}/${path}`, "utf8");
  } catch {
    return null; // not generated yet: different
  }
}
