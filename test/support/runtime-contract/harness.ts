import assert from "node:assert/strict";
import { AgentClient } from "../../../src/instance/agent.ts";
import { type BootKeys, ControlClient } from "../../../src/instance/control.ts";
import type { Outcome } from "../../../src/outcome.ts";
import type { ContainerRuntime, RuntimeErrorCode, StartSpec } from "../../../src/runtime/port.ts";
import { RuntimeError } from "../../../src/runtime/port.ts";
import type { MemorySink } from "../memory-sink.ts";

/** What one case of the contract gets: a runtime in which nothing runs yet, and a sink that its container may be given. */
export interface Harness {
  runtime: ContainerRuntime;
  /** What `http://sink.internal` leads to, once it is registered. */
  handler: Fetcher;
  sink: MemorySink;
}
/** A promise of the port and how it is checked. */
export type Contract = Readonly<Record<string, (harness: Harness) => Promise<void>>>;

export const PORT = 8080;
export const STATE_DIR = "/data";
const START_LIMIT_MS = 30_000;

export interface Booted {
  keys: BootKeys;
  accessKeyId: string;
  control: ControlClient;
  agent: AgentClient;
}

/** Starts a container on fresh keys and waits until its control port answers. */
export async function boot(
  harness: Harness,
  env: Record<string, string> = {},
  spec: Partial<StartSpec> = {},
): Promise<Booted> {
  const keys = { bootId: randomName(), bootKey: randomName(), accessKeyId: randomName() };
  harness.runtime.start({
    image: "sandbox",
    tier: "lite",
    labels: {},
    internet: false,
    ...spec,
    env: {
      BOILERHOUSE_START: "on-boot",
      BOILERHOUSE_AGENT: "off",
      ...env,
    },
  });
  const { runtime } = harness;
  const booted = {
    keys,
    accessKeyId: keys.accessKeyId,
    control: new ControlClient(runtime, keys),
    agent: new AgentClient(runtime, keys),
  };
  await until(async () => (await booted.control.boot(1_000)).ok, START_LIMIT_MS);
  return booted;
}

/** A container with a state directory and an agent, which waits for its claim, and its sink. */
export async function bootStateful(harness: Harness): Promise<Booted> {
  await harness.runtime.intercept("sink.internal", harness.handler);
  const env = { BOILERHOUSE_START: "on-claim", BOILERHOUSE_STATE_DIR: STATE_DIR, BOILERHOUSE_AGENT: "on" };
  return await boot(harness, env);
}

export const get = (runtime: ContainerRuntime, path: string, port = PORT): Promise<Response> =>
  runtime.fetch(port, new Request(`http://container${path}`));

/** Waits until the workload answers. */
export async function ready(runtime: ContainerRuntime): Promise<void> {
  await until(async () => {
    try {
      const response = await get(runtime, "/healthz");
      await response.body?.cancel();
      return response.ok;
    } catch {
      return false; // does not listen yet
    }
  });
}

export async function until(probe: () => Promise<boolean>, limitMs = 10_000): Promise<void> {
  const deadline = Date.now() + limitMs;
  while (!(await probe())) {
    assert.ok(Date.now() < deadline, `not within ${limitMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** The code of the error that a call ends with. */
export async function codeOf(call: () => unknown): Promise<RuntimeErrorCode> {
  try {
    await call();
  } catch (error) {
    assert.ok(error instanceof RuntimeError, `not an error of the port: ${error}`);
    return error.code;
  }
  throw new Error("the call should have failed");
}

export function value<T>(outcome: Outcome<T>): T {
  assert.ok(outcome.ok, outcome.ok ? "" : `${outcome.failure.code}: ${outcome.failure.detail}`);
  return outcome.value;
}

export function failureOf<T>(outcome: Outcome<T>) {
  assert.ok(!outcome.ok, "the call should have failed");
  return outcome.failure;
}

/** Runs a shell command as root and returns what it prints. */
export async function sh(runtime: ContainerRuntime, script: string): Promise<string> {
  const { exitCode, stdout, stderr } = await runtime.exec(["sh", "-c", script], { timeoutMs: 10_000 });
  assert.equal(exitCode, 0, text(stderr));
  return text(stdout);
}

export const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
export const randomName = (): string => crypto.randomUUID().replaceAll("-", "");
