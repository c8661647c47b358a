import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { command } from "../command.ts";
import { isAlive, kill, type ProcessId } from "./processes.ts";

/** What a stack writes down about itself, so that a successor can clear up after one that was killed. */
export interface StackRecord {
  /** The process that looks after the stack. */
  readonly owner: ProcessId;
  readonly port: number;
  /** The Worker's name, which every container of the stack carries in its own. */
  readonly worker: string;
  /** wrangler and everything below it. workerd outlives a SIGKILL of wrangler, with the port and the SQLite files. */
  readonly processes: readonly ProcessId[];
}

const QUIET_LOOKS = 4;
const LOOK_EVERY_MS = 200;

export function readRecord(path: string): StackRecord | null {
  try {
    return JSON.parse(readFileSync(path, "utf8")) as StackRecord;
  } catch {
    return null; // none, or one that broke off while it was written, which renaming rules out
  }
}

export function writeRecord(path: string, record: StackRecord): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(`${path}.new`, JSON.stringify(record, null, 2));
  renameSync(`${path}.new`, path);
}

/** Whether whoever looks after the recorded stack is still there. */
export async function isTended(record: StackRecord): Promise<boolean> {
  return isAlive(record.owner);
}

/** Ends what is left of a stack: its processes, its containers, its record. Returns how many there were of each. */
export async function clearRemains(
  path: string,
  record: StackRecord,
): Promise<{ processes: number; containers: number }> {
  const processes = await kill(record.processes);
  const containers = await removeContainers(record.worker);
  rmSync(path, { force: true });
  return { processes, containers };
}

/**
 * Removes every container of a stack, sidecars included. workerd labels containers with its session, which nobody
 * outside knows; but their names hold the Worker's, and each stack's Worker has a name of its own. The engine finishes what
 * workerd asked for last, also when workerd is gone: it is over when nothing has come for a while.
 */
export async function removeContainers(worker: string): Promise<number> {
  const deadline = Date.now() + 20_000;
  let removed = 0;
  for (let quiet = 0; quiet < QUIET_LOOKS && Date.now() < deadline; ) {
    if (quiet > 0) await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
    const listing = await command("docker", ["ps", "-aq", "--filter", `name=-${worker}-`], { timeoutMs: 20_000 });
    if (listing.code !== 0) break; // no engine, no containers
    const ids = listing.stdout.split("\n").filter(Boolean);
    if (ids.length > 0) await command("docker", ["rm", "-f", "-v", ...ids], { timeoutMs: 60_000 });
    removed += ids.length;
    quiet = ids.length > 0 ? 1 : quiet + 1;
  }
  return removed;
}
