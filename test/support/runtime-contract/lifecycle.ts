import assert from "node:assert/strict";
import { boot, bootStateful, type Contract, codeOf, get, ready, sh, until, value } from "./harness.ts";
import { claimFresh } from "./parcels.ts";

const SIGTERM = 15;
const SIGKILL = 9;
const SPEC = { image: "sandbox", tier: "lite", env: {}, labels: {}, internal: false, internet: false } as const;

export const lifecycle: Contract = {
  "start returns at once, and the control port and the workload answer soon": async (harness) => {
    assert.equal(harness.runtime.running, false);
    const { control } = await boot(harness);
    assert.equal(harness.runtime.running, true);
    await ready(harness.runtime);
    assert.deepEqual((await control.status()).ok, true);
  },

  "a running container is not started twice": async (harness) => {
    await boot(harness);
    assert.equal(await codeOf(() => harness.runtime.start(SPEC)), "already_running");
    assert.equal(harness.runtime.running, true);
  },

  "an image without an entry is refused and nothing runs": async ({ runtime }) => {
    assert.ok(runtime.images.includes("sandbox"));
    for (const image of ["no-such-image", "constructor"]) {
      assert.equal(await codeOf(() => runtime.start({ ...SPEC, image })), "unknown_image");
    }
    assert.equal(runtime.running, false);
  },

  "nothing can be asked of a container that does not run, and destroying it is legal": async ({ runtime }) => {
    assert.equal(await codeOf(() => get(runtime, "/")), "not_running");
    assert.equal(await codeOf(() => runtime.exec(["true"], { timeoutMs: 1000 })), "not_running");
    assert.equal(await codeOf(() => runtime.monitor()), "not_running");
    assert.equal(await codeOf(() => runtime.signal(SIGTERM)), "not_running");
    assert.equal(await runtime.inspect(), null);
    await runtime.destroy("nothing runs");
  },

  "inspect shows the labels of the start": async (harness) => {
    await boot(harness, {}, { labels: { container: "c-1", pool: "p" } });
    const seen = await harness.runtime.inspect();
    assert.deepEqual(seen?.labels, { container: "c-1", pool: "p" });
    assert.ok(seen?.image);
  },

  "a command replaces the image's, and init stays above it": async (harness) => {
    const { control } = await boot(harness, { PORT: "9090" }, { command: ["node", "/srv/server.js"] });
    await until(async () => {
      try {
        return (await get(harness.runtime, "/healthz", 9090)).ok;
      } catch {
        return false;
      }
    });
    assert.equal((await control.status()).ok, true);
  },

  "a container that is asked to end says how it ended": async (harness) => {
    await boot(harness);
    const ending = harness.runtime.monitor();
    harness.runtime.signal(SIGTERM);
    assert.equal((await ending).exitCode, 0);
    await until(async () => !harness.runtime.running);
    assert.equal(await codeOf(() => get(harness.runtime, "/")), "not_running");
  },

  "a claimed container with state asks before it ends on SIGTERM, until nothing is left to be done": async (
    harness,
  ) => {
    const booted = await bootStateful(harness);
    await harness.runtime.intercept("control.internal", harness.handler);
    await claimFresh(booted);
    await ready(harness.runtime);
    harness.sink.drainAnswers.push(202, 503);
    const ending = harness.runtime.monitor();
    harness.runtime.signal(SIGTERM);
    await until(async () => harness.sink.drains.length === 1);
    assert.equal(value(await booted.control.status()).workload, "running");
    assert.equal((await ending).exitCode, 0);
    assert.deepEqual(harness.sink.drains, Array(3).fill(`Bearer ${booted.keys.bootKey}`));
  },

  "an unclaimed container ends on SIGTERM without asking": async (harness) => {
    await bootStateful(harness);
    await harness.runtime.intercept("control.internal", harness.handler);
    const ending = harness.runtime.monitor();
    harness.runtime.signal(SIGTERM);
    assert.equal((await ending).exitCode, 0);
    assert.deepEqual(harness.sink.drains, []);
  },

  "a container that is killed says so": async (harness) => {
    await boot(harness);
    const ending = harness.runtime.monitor();
    harness.runtime.signal(SIGKILL);
    assert.equal((await ending).exitCode, 128 + SIGKILL);
    await until(async () => !harness.runtime.running);
  },

  "destroy ends a container for good, and its monitor with it": async (harness) => {
    await boot(harness);
    const ending = harness.runtime.monitor();
    await harness.runtime.destroy("retired");
    assert.equal(harness.runtime.running, false);
    assert.notEqual((await ending).exitCode, 1);
    await harness.runtime.destroy("retired again");
  },

  "a start after the end gives a new container with nothing of the old one": async (harness) => {
    const first = await boot(harness);
    await sh(harness.runtime, "echo mine > /tmp/left-over");
    await harness.runtime.destroy("retired");
    const second = await boot(harness);
    const seen = await harness.runtime.exec(["cat", "/tmp/left-over"], { timeoutMs: 10_000 });
    assert.notEqual(seen.exitCode, 0);
    assert.equal((await first.control.status()).ok, false, "the old boot's key must not open the new container");
    assert.equal((await second.control.status()).ok, true);
  },

  "how long it may outlive its object can be said": async (harness) => {
    await boot(harness);
    await harness.runtime.keepFor(900_000);
  },
};
