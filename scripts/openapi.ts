import { readFileSync, writeFileSync } from "node:fs";
import { openApiDocument } from "../src/app.ts";
import { ROOT } from "./paths.ts";

/** `docs/openapi.json` from the schemas that validate; with `--check` it only says whether the two differ. */
const path = `${ROOT}/docs/openapi.json`;
const wanted = `${JSON.stringify(openApiDocument(), null, 2)}\n`;

if (!process.argv.includes("--check")) {
  writeFileSync(path, wanted);
} else if (read() !== wanted) {
  console.error("docs/openapi.json is not what the schemas say: run `npm run openapi`.");
  process.exitCode = 1;
}

function read(): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return null; // not generated yet: different
  }
}
