import { Unusable } from "../steps.ts";
import { ensureEngine } from "./engine.ts";
import { ensureImages } from "./images.ts";

let prepared: Promise<NodeJS.ProcessEnv> | undefined;

/**
 * What `wrangler dev` needs in its environment to run our containers, with engine and images made ready first; once in a
 * process, and not at all in one that was started by another which has done it. Throws `Unusable` without an engine.
 */
export function containerEnvironment(): Promise<NodeJS.ProcessEnv> {
  prepared ??= prepare();
  return prepared;
}

async function prepare(): Promise<NodeJS.ProcessEnv> {
  if (process.env.WRANGLER_DOCKER_BIN) return {};
  const engine = await ensureEngine();
  if (!engine.ready) throw new Unusable(engine.reason);
  return ensureImages();
}
