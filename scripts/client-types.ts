import { readFileSync, writeFileSync } from "node:fs";
import { must } from "./command.ts";
import { ROOT } from "./paths.ts";

/** `src/client/schema.d.ts` from `docs/openapi.json`; with `--check` it only says whether the two differ. */
const path = `${ROOT}/src/client/schema.d.ts`;
// A workspace of its own: it needs the TypeScript compiler of before version 7.
const generator = `${ROOT}/tools/openapi-types/node_modules/openapi-typescript/bin/cli.js`;
const wanted = await must(process.execPath, [generator, `${ROOT}/docs/openapi.json`, "--default-non-nullable=false"], {
  cwd: ROOT,
  timeoutMs: 120_000,
});

if (!process.argv.includes("--check")) {
  writeFileSync(path, wanted);
} else if (read() !== wanted) {
  console.error("src/client/schema.d.ts is not what docs/openapi.json says: run `npm run openapi`.");
  process.exitCode = 1;
}

function read(): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return null; // not generated yet: different
  }
}
