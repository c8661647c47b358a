import { existsSync, readFileSync } from "node:fs";
import { command } from "../command.ts";

/**
 * Takes back the image names that a run of wrangler gave out: each run tags every image anew, under a name that only its
 * log knows. The images stay, as layers of our own tags.
 */
export async function untagBuilds(logFile: string): Promise<void> {
  if (!existsSync(logFile)) return;
  const names = new Set(readFileSync(logFile, "utf8").match(/\bcloudflare-dev\/[\w.-]+:[0-9a-f]+/g));
  // One that a container still uses as its last name stays.
  if (names.size > 0) await command("docker", ["image", "rm", ...names], { timeoutMs: 20_000 });
}
