import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** A planted bug: an exact piece of a file's text and what stands there instead. */
export interface Planted {
  /** Below the checkout: `src/vault/plan.ts`. */
  file: string;
  text: string;
  replacement: string;
}

/** The path of a JSON file with the bugs of this process (`Planted[]`); nothing is planted without it. */
export const PLANTED = "BOILERHOUSE_PLANTED";

const ROOT = fileURLToPath(import.meta.resolve("../../"));
const bugs: Planted[] = process.env[PLANTED] ? JSON.parse(readFileSync(process.env[PLANTED] as string, "utf8")) : [];

/** A file's source with the bugs that are planted in it. @throws where a text is not there exactly once */
export function planted(path: string, source: string, planting: readonly Planted[] = bugs): string {
  let changed = source;
  for (const { file, text, replacement } of planting) {
    if (`${ROOT}${file}` !== path) continue;
    const [before, after, ...more] = changed.split(text);
    if (before === undefined || after === undefined || more.length > 0) {
      throw new Error(`The planted bug of ${file} fits ${changed.split(text).length - 1} times: ${text}`);
    }
    changed = before + replacement + after;
  }
  return changed;
}
