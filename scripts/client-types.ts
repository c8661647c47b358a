import { command } from "./command.ts";
import { generate } from "./generated.ts";
import { ROOT } from "./paths.ts";
import { main, Unusable } from "./steps.ts";

/** src/client/schema.d.ts, from docs/openapi.json. The generator has a workspace of its own: it needs an older compiler. */
await main(async () => {
  const generator = `${ROOT}/tools/openapi-types/node_modules/openapi-typescript/bin/cli.js`;
  const args = [generator, `${ROOT}/docs/openapi.json`, "--default-non-nullable=false"];
  const { code, stdout, stderr } = await command(process.execPath, args, { cwd: ROOT, timeoutMs: 120_000 });
  if (code !== 0) throw new Unusable(`openapi-typescript ended with ${code}: ${stderr.slice(-2_000)}`);
  generate("src/client/schema.d.ts", stdout);
});
