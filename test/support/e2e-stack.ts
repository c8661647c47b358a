import { spawnSync } from "node:child_process";
import { rmSync } from "node:fs";
import { afterAll, beforeAll, describe } from "vitest";
import { clearRemains, isTended, readRecord } from "../../scripts/stack/record.ts";
import { type Stack, type StackOptions, startStack } from "../../scripts/stack/stack.ts";
import { Client } from "./e2e-client.ts";
import { STACKS } from "./e2e-paths.ts";

/** Stacks of the end-to-end suites: one that most files share, and ones that a file may break. */

const SHARED = `${STACKS}/shared`;
/** The shared stack's secrets. */
export const SHARED_VARS = `${SHARED}/vars`;

const engineAnswers = () => spawnSync("docker", ["info"], { timeout: 20_000, stdio: "ignore" }).status === 0;

/** A suite that needs containers. Without an engine it is skipped, except where REQUIRE_CONTAINERS=1 makes that a failure. */
export const onContainers = describe.skipIf(process.env.REQUIRE_CONTAINERS !== "1" && !engineAnswers());

/** One worker runs all files of the project without isolation, so this lives as long as the run. */
let shared: Promise<{ stack: Stack; client: Client }> | null = null;

/**
 * The stack that every file shares, with the workload `sandbox` and the pool `work` (two warm slots). Tenants and other
 * pools are a file's own: their names begin with the file's.
 */
export function useSharedStack(): { readonly client: Client; readonly stack: Stack } {
  const held: { now: { stack: Stack; client: Client } | null } = { now: null };
  beforeAll(async () => {
    shared ??= startShared();
    held.now = await shared;
  }, 240_000);
  return {
    get client() {
      return there(held.now).client;
    },
    get stack() {
      return there(held.now).stack;
    },
  };
}

/** A stack of a file's own, for what would disturb others; the shared one makes room for it. */
export function useOwnStack(name: string, options: Omit<StackOptions, "stateDir"> = {}): OwnStack {
  const own = new OwnStack(`${STACKS}/${name}`, options);
  beforeAll(async () => {
    await stopShared();
    await fresh(own.stateDir);
    await own.start();
    await equip(own.client);
  }, 240_000);
  afterAll(() => own.stop(), 60_000);
  return own;
}

/** Starts, stops and starts again over one state directory. */
export class OwnStack {
  readonly stateDir: string;
  readonly #options: Omit<StackOptions, "stateDir">;
  #stack: Stack | null = null;

  constructor(stateDir: string, options: Omit<StackOptions, "stateDir">) {
    this.stateDir = stateDir;
    this.#options = options;
  }
  get stack(): Stack {
    return there(this.#stack);
  }
  get client(): Client {
    return new Client(this.stack);
  }
  async start(): Promise<void> {
    this.#stack = await startStack({ ...this.#options, stateDir: this.stateDir });
  }
  async stop(): Promise<void> {
    await this.#stack?.stop();
    this.#stack = null;
  }
}

export async function stopShared(): Promise<void> {
  const ending = shared;
  shared = null;
  await (await ending)?.stack.stop();
}

async function startShared(): Promise<{ stack: Stack; client: Client }> {
  await fresh(SHARED);
  const stack = await startStack({ stateDir: SHARED });
  const client = new Client(stack);
  await equip(client);
  return { stack, client };
}

async function equip(client: Client): Promise<void> {
  await client.workload({ id: "sandbox" });
  await client.pool({ id: "work", minSize: 2 });
}

/** An empty state directory; what a killed run left of its stack is ended first. */
async function fresh(stateDir: string): Promise<void> {
  const path = `${stateDir}/stack.json`;
  const record = readRecord(path);
  if (record && (record.owner.pid === process.pid || !(await isTended(record)))) await clearRemains(path, record);
  rmSync(stateDir, { recursive: true, force: true });
}

function there<T>(value: T | null): T {
  if (value === null) throw new Error("the stack is not running: ask for it in a hook or a test");
  return value;
}
