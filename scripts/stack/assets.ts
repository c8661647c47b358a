import { copyFileSync, existsSync, mkdirSync, readFileSync, renameSync } from "node:fs";
import { dirname } from "node:path";
import { ROOT } from "../paths.ts";

/** `assets.directory` of wrangler.jsonc. wrangler refuses to start without it, so everything that starts wrangler calls this. */
const DIRECTORY = `${ROOT}/dist/assets`;

/** Under which path the Worker finds a file, and which package's file it is. */
const FILES: Readonly<Record<string, string>> = {
  "docs/scalar.js": "node_modules/@scalar/api-reference/dist/browser/standalone.js",
};

/** Copies what is missing or of another version than the installed packages. Safe to run side by side. */
export function prepareAssets(): void {
  for (const [path, source] of Object.entries(FILES)) {
    const from = `${ROOT}/${source}`;
    const to = `${DIRECTORY}/${path}`;
    if (isCopyOf(to, from)) continue;
    mkdirSync(dirname(to), { recursive: true });
    // Renamed into place, so that nobody ever reads half a file.
    const half = `${DIRECTORY}.${process.pid}`;
    copyFileSync(from, half);
    renameSync(half, to);
  }
}

const isCopyOf = (copy: string, original: string): boolean =>
  existsSync(copy) && readFileSync(copy).equals(readFileSync(original));
