import { createHash } from "node:crypto";
import { existsSync, rmSync, statfsSync } from "node:fs";
import { LOCAL, ROOT } from "../../scripts/paths.ts";
import { clearRemains, isTended, readRecord } from "../../scripts/stack/record.ts";
import { type Stack, type StackOptions, startStack } from "../../scripts/stack/stack.ts";
import { Unusable } from "../../scripts/steps.ts";

/** The systems that benches measure, each from an empty state directory. All are stopped by `stopStacks`. */

const started: Stack[] = [];

/** The product as it ships. */
export const product = (): Promise<Stack> => start("product", { vars: { TIER_CAPS } });

/** The product with `bench/inside/worker.ts` around it, which counts and drives from inside workerd. */
export const instrumented = (): Promise<Stack> => start("instrumented", { entry: INSIDE, vars: { TIER_CAPS } });

/**
 * The same on simulated containers: what is left is the control plane. `memory` keeps its state in a file system in memory,
 * where there is one: the platform has other disks than this machine, and a new object's files cost more here than a claim.
 */
export const simulated = (storage: "memory" | "disk"): Promise<Stack> =>
  start("simulated", { entry: INSIDE, simulated: true, vars: { TIER_CAPS } }, storage === "memory" ? MEMORY : DISK);

/** On simulated containers too, with the product's own limit of starts. */
export const limited = (): Promise<Stack> =>
  start("limited", { entry: `${ROOT}/bench/reconcile/worker.ts`, simulated: true, vars: { TIER_CAPS } }, MEMORY);

/** Worker → object → container, and an S3 server, whose objects are files: in memory it is as fast as it can be. */
export const bare = (): Promise<Stack> => start("bare", { config: `${ROOT}/bench/bare/wrangler.jsonc` }, MEMORY);

const INSIDE = `${ROOT}/bench/inside/worker.ts`;
/** More than any bench starts. */
const TIER_CAPS = '{"lite":5000}';

const DISK = `${LOCAL}/bench`;
const MEMORY = inMemory("/dev/shm") ?? DISK;

async function start(name: string, options: Omit<StackOptions, "stateDir">, directory = DISK): Promise<Stack> {
  const stateDir = `${directory}/${name}`;
  const record = readRecord(`${stateDir}/stack.json`);
  if (record && (await isTended(record))) throw new Unusable(`A bench runs already (process ${record.owner.pid}).`);
  if (record) await clearRemains(`${stateDir}/stack.json`, record);
  rmSync(stateDir, { recursive: true, force: true });
  const stack = await startStack({ ...options, stateDir });
  started.push(stack);
  return stack;
}

export async function stopStacks(): Promise<void> {
  await Promise.all(started.splice(0).map((stack) => stack.stop()));
  if (MEMORY !== DISK) rmSync(MEMORY, { recursive: true, force: true });
}

/** A directory of this checkout's own on a file system with room for a bench; null where there is none. */
function inMemory(mount: string): string | null {
  if (!existsSync(mount)) return null;
  const { bsize, bavail } = statfsSync(mount);
  if (bsize * bavail < 2e9) return null;
  return `${mount}/boilerhouse-bench-${createHash("sha256").update(ROOT).digest("hex").slice(0, 8)}`;
}
