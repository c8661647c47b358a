import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { must } from "../command.ts";
import { ROOT } from "../paths.ts";

/** Applies the D1 migrations to a state directory's database; at once when nothing has changed since the last time. */
export async function applyMigrations(stateDir: string): Promise<void> {
  const stamp = `${stateDir}/migrations`;
  const wanted = migrationsHash();
  if (existsSync(stamp) && existsSync(`${stateDir}/state`) && readFileSync(stamp, "utf8") === wanted) return;
  await must(
    process.execPath,
    [
      `${ROOT}/node_modules/wrangler/bin/wrangler.js`,
      "d1",
      "migrations",
      "apply",
      "DB",
      "--local",
      "--persist-to",
      `${stateDir}/state`,
    ],
    { cwd: ROOT, env: { ...process.env, CI: "1", WRANGLER_SEND_METRICS: "false" }, timeoutMs: 120_000 },
  );
  writeFileSync(stamp, wanted);
}

function migrationsHash(): string {
  const hash = createHash("sha256");
  for (const name of readdirSync(`${ROOT}/migrations`).sort())
    hash.update(name).update(readFileSync(`${ROOT}/migrations/${name}`));
  return hash.digest("hex");
}
