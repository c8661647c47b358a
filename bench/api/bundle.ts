import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { experimental_readRawConfig } from "wrangler";
import { must } from "../../scripts/command.ts";
import { LOCAL, ROOT } from "../../scripts/paths.ts";

/** What `wrangler deploy` would upload as the Worker, in bytes, as it is and compressed. No containers: their images are no part of it. */
export async function bundleSize(): Promise<{ bytes: number; gzip: number }> {
  const directory = `${LOCAL}/bench/bundle`;
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory, { recursive: true });
  const config = `${directory}/wrangler.json`;
  writeFileSync(config, JSON.stringify(withoutContainers()));
  const wrangler = `${ROOT}/node_modules/wrangler/bin/wrangler.js`;
  const args = [wrangler, "deploy", "--dry-run", "--outdir", `${directory}/out`, "--config", config];
  const env = { ...process.env, CI: "1", WRANGLER_SEND_METRICS: "false" };
  await must(process.execPath, args, { cwd: ROOT, env, timeoutMs: 120_000 });
  const modules = readdirSync(`${directory}/out`)
    .filter((name) => !name.endsWith(".map") && !name.endsWith(".md"))
    .map((name) => readFileSync(`${directory}/out/${name}`));
  const bytes = modules.reduce((sum, one) => sum + one.length, 0);
  const gzip = modules.reduce((sum, one) => sum + gzipSync(one).length, 0);
  rmSync(directory, { recursive: true, force: true });
  return { bytes, gzip };
}

function withoutContainers(): object {
  const { rawConfig } = experimental_readRawConfig({ config: `${ROOT}/wrangler.jsonc` });
  const { containers: _, assets: __, exports: exported = {}, main, ...rest } = rawConfig as Record<string, unknown>;
  const objects = Object.entries(exported as Record<string, Record<string, unknown>>).map(([name, entry]) => {
    const { container: _container, ...object } = entry;
    return [name, object];
  });
  return { ...rest, main: `${ROOT}/${main}`, exports: Object.fromEntries(objects) };
}
