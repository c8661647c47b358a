import assert from "node:assert/strict";
import type { ContainerRuntime } from "../../../src/runtime/port.ts";
import { boot, type Contract, failureOf, type Harness, PORT, ready, until, value } from "./harness.ts";

/** What is told of a workload that ends by itself. */
export const ends: Contract = {
  "a workload that ends by itself is told of with its code, and started again": async (harness) => {
    const { control, keys } = await bootWatched(harness);
    await crash(harness.runtime);
    await until(async () => harness.sink.exits.length === 1);
    const [told] = harness.sink.exits;
    assert.equal(told?.by, `Bearer ${keys.bootKey}`);
    assert.deepEqual(told?.report, { exitCode: 1, restarts: 0, restarting: true, ...oomOf(told?.report) });
    assert.notEqual(oomOf(told?.report).oom, true);
    await ready(harness.runtime);
    assert.deepEqual(value(await control.status()), { workload: "running", restarts: 1, lastExitCode: 1 });
  },

  "a workload that is stopped, or started anew by us, is nobody's report": async (harness) => {
    const { control } = await bootWatched(harness);
    value(await control.stop(5_000));
    value(await control.start());
    await ready(harness.runtime);
    assert.deepEqual(harness.sink.exits, []);
  },

  "a workload that ended five times in ten minutes is given up, and that is said until somebody heard it": async (
    harness,
  ) => {
    const { control } = await bootWatched(harness);
    harness.sink.exitAnswers.push(200, 200, 200, 200, 503);
    for (let end = 1; end <= 5; end += 1) {
      await crash(harness.runtime);
      if (end < 5) await ready(harness.runtime);
    }
    const isFinal = ({ report }: { report: unknown }) => !(report as { restarting: boolean }).restarting;
    await until(async () => harness.sink.exits.filter(isFinal).length === 2);
    const { oom: _oom, ...last } = (harness.sink.exits.at(-1)?.report ?? {}) as Record<string, unknown>;
    assert.deepEqual(last, { exitCode: 1, restarts: 4, restarting: false });
    assert.deepEqual(value(await control.status()), { workload: "failed", restarts: 4, lastExitCode: 1 });
    // What asks for it starts it all the same.
    value(await control.start());
    await ready(harness.runtime);
  },

  "a boot that is not ours says so": async (harness) => {
    const first = await bootWatched(harness);
    await harness.runtime.destroy("replaced");
    await bootWatched(harness);
    const failure = failureOf(await first.control.status());
    assert.equal(failure.code, "container_unavailable");
    assert.equal(failure.extra?.boot, "another");
  },
};

async function bootWatched(harness: Harness) {
  await harness.runtime.intercept("control.internal", harness.handler);
  const booted = await boot(harness);
  await ready(harness.runtime);
  return booted;
}

async function crash(runtime: ContainerRuntime): Promise<void> {
  const answer = await runtime.fetch(PORT, new Request("http://container/crash", { method: "POST" }));
  await answer.body?.cancel();
  await new Promise((resolve) => setTimeout(resolve, 100));
}

const oomOf = (report: unknown): { oom: boolean | null } => ({ oom: (report as { oom: boolean | null }).oom });
