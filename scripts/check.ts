import { existsSync } from "node:fs";
import { command } from "./command.ts";
import { ROOT } from "./paths.ts";
import { prepareAssets } from "./stack/assets.ts";
import { main } from "./steps.ts";

/** Everything that can be said about the code without running it. */
const CHECKS: Readonly<Record<string, readonly string[]>> = {
  "format and lint": ["node_modules/@biomejs/biome/bin/biome", "check", "."],
  types: ["node_modules/typescript/bin/tsc", "--noEmit"],
  // Without the secrets of this machine, which would become a part of the types.
  "generated types": ["node_modules/wrangler/bin/wrangler.js", "types", "--check", "--env-file=/dev/null"],
  "OpenAPI document": ["scripts/openapi.ts", "--check"],
  "client's types": ["scripts/client-types.ts", "--check"],
  "page of problems": ["scripts/errors-page.ts", "--check"],
  "page of variables": ["scripts/config-page.ts", "--check"],
  "page of calls and states": ["scripts/states-page.ts", "--check"],
  "a role for every route": ["scripts/roles.ts", "--check"],
  "unused code": ["node_modules/knip/bin/knip.js"],
  "lock file": ["scripts/complete-lock.mjs", "--check"],
};

/** `npm run check`: all of them, at once; one line each, and the output of those that fail. */
await main(async () => {
  prepareAssets();
  const outcomes = await Promise.all(
    Object.entries(CHECKS).map(async ([name, [program = "", ...args]]) => {
      if (!existsSync(`${ROOT}/${program}`)) return { name, code: 1, output: `${program} is missing` };
      const { code, stdout, stderr } = await command(process.execPath, [`${ROOT}/${program}`, ...args], { cwd: ROOT });
      return { name, code, output: `${stdout}${stderr}`.trim() };
    }),
  );
  for (const { name, code, output } of outcomes) console.log(code === 0 ? `✓ ${name}` : `✗ ${name}\n${output}`);
  if (outcomes.some(({ code }) => code !== 0)) process.exitCode = 1;
});
