import { afterEach, describe, expect, it } from "vitest";
import { RuntimeError } from "../../src/runtime/port.ts";
import { SimulatedRuntime } from "../../src/runtime/simulated/runtime.ts";
import { Simulation } from "../../src/runtime/simulated/simulation.ts";
import { MemorySink } from "../support/memory-sink.ts";
import {
  boot,
  bootStateful,
  codeOf,
  get,
  type Harness,
  PORT,
  STATE_DIR,
  value,
} from "../support/runtime-contract/harness.ts";
import { aBundle, claim, claimFresh, orderOf } from "../support/runtime-contract/parcels.ts";

const simulation = new Simulation();
afterEach(() => simulation.reset());

function aHarness(key: string): Harness {
  const sink = new MemorySink();
  const handler: Fetcher = {
    fetch: (input, init) => sink.handle(new Request(input, init)),
    connect: () => {
      throw new Error("the sink speaks HTTP only");
    },
  };
  return { runtime: new SimulatedRuntime(key, simulation), handler, sink };
}
const SPEC = { image: "sandbox", tier: "lite", env: {}, labels: {}, internet: false } as const;
const JOB = { directory: STATE_DIR, mode: "sync", backend: "vault" } as const;

describe("a planned fault of a start", () => {
  it("is thrown by the start, and the next one succeeds", async () => {
    const { runtime } = aHarness("k");
    simulation.for("k").fail("start", { code: "capacity" });
    expect(await codeOf(() => runtime.start(SPEC))).toBe("capacity");
    expect(runtime.running).toBe(false);
    runtime.start(SPEC);
    expect(runtime.running).toBe(true);
  });

  it("is found out later where the platform says it later", async () => {
    const { runtime } = aHarness("k");
    simulation.every.fail("start", { code: "rate_limited", late: true });
    runtime.start(SPEC);
    expect(await codeOf(() => get(runtime, "/"))).toBe("rate_limited");
    expect(await codeOf(() => runtime.monitor())).toBe("rate_limited");
    expect(runtime.running).toBe(false);
  });

  it("can make it slow, or never ready", async () => {
    const { runtime } = aHarness("slow");
    simulation.for("slow").slow("ready", 60);
    const before = Date.now();
    await boot({ ...aHarness("slow"), runtime });
    expect(Date.now() - before).toBeGreaterThanOrEqual(60);
    const never = aHarness("never").runtime;
    simulation.for("never").hang("ready");
    never.start(SPEC);
    expect(await codeOf(() => get(never, "/healthz"))).toBe("not_listening");
  });

  it("happens as often and as likely as planned", async () => {
    const { runtime } = aHarness("k");
    simulation.random = () => 0.4;
    simulation.for("k").fail("start", { times: 2 }).fail("start", { times: 1, probability: 0.3 });
    expect(await codeOf(() => runtime.start(SPEC))).toBe("start_failed");
    expect(await codeOf(() => runtime.start(SPEC))).toBe("start_failed");
    runtime.start(SPEC);
  });
});

describe("a running container", () => {
  it("that crashes tells its monitor how", async () => {
    const harness = aHarness("k");
    await boot(harness);
    const ending = harness.runtime.monitor();
    simulation.for("k").crash(137);
    expect(await ending).toMatchObject({ exitCode: 137 });
    expect(harness.runtime.running).toBe(false);
  });

  it("that vanishes tells nobody", async () => {
    const harness = aHarness("k");
    await boot(harness);
    const ending = harness.runtime.monitor();
    simulation.for("k").vanish();
    expect(harness.runtime.running).toBe(false);
    const told = await Promise.race([ending, new Promise((resolve) => setTimeout(() => resolve("nothing"), 20))]);
    expect(told).toBe("nothing");
  });

  it("that froze still counts as running and answers nothing", async () => {
    const harness = aHarness("k");
    const { control } = await boot(harness);
    simulation.for("k").freeze();
    expect(harness.runtime.running).toBe(true);
    expect(await control.status(30)).toMatchObject({ ok: false, failure: { code: "deadline_exceeded" } });
    expect(await codeOf(() => harness.runtime.exec(["true"], { timeoutMs: 30 }))).toBe("timeout");
    await harness.runtime.destroy("frozen");
    expect(harness.runtime.running).toBe(false);
  });

  it("can lose a request, or only the answer to it", async () => {
    const harness = aHarness("k");
    await bootStateful(harness).then(claimFresh);
    const put = (body: string) =>
      harness.runtime.fetch(PORT, new Request("http://container/files/a", { method: "PUT", body }));
    simulation.for("k").fail("fetch");
    expect(await codeOf(() => put("one"))).toBe("lost");
    expect((await get(harness.runtime, "/files/a")).status).toBe(404);
    simulation.for("k").lose("fetch");
    expect(await codeOf(() => put("two"))).toBe("lost");
    expect(await (await get(harness.runtime, "/files/a")).text()).toBe("two");
  });

  it("can fail or delay exec", async () => {
    const { runtime } = aHarness("k");
    runtime.start(SPEC);
    simulation.for("k").fail("exec", { code: "lost" }).slow("exec", 40);
    expect(await codeOf(() => runtime.exec(["true"], { timeoutMs: 1_000 }))).toBe("lost");
    expect(await codeOf(() => runtime.exec(["true"], { timeoutMs: 10 }))).toBe("timeout");
    expect((await runtime.exec(["true"], { timeoutMs: 1_000 })).exitCode).toBe(0);
  });

  it("can fail to be destroyed", async () => {
    const { runtime } = aHarness("k");
    runtime.start(SPEC);
    simulation.for("k").fail("destroy");
    await expect(runtime.destroy("x")).rejects.toBeInstanceOf(RuntimeError);
    expect(runtime.running).toBe(true);
    await runtime.destroy("x");
    expect(simulation.running).toEqual([]);
  });
});

describe("a planned fault of the inside", () => {
  it("loses the answer to a claim that was applied; asking again finds it recorded", async () => {
    const harness = aHarness("k");
    const booted = await bootStateful(harness);
    simulation.for("k").lose("claim");
    expect(await claim(booted, { state: "fresh" })).toMatchObject({ failure: { code: "operation_interrupted" } });
    expect(value(await booted.control.status()).workload).toBe("running");
    expect(value(await claim(booted, { state: "fresh" })).epoch).toBe(1);
  });

  it("breaks a restore off, or refuses it, and nothing starts", async () => {
    const files = [{ path: "a", body: "alpha" }];
    for (const plan of ["truncate", "fail"] as const) {
      const harness = aHarness(plan);
      const booted = await bootStateful(harness);
      harness.sink.bundles.set("1.tar", aBundle(files));
      simulation.for(plan)[plan]("restore");
      expect(await claim(booted, { state: orderOf(files) })).toMatchObject({ failure: { code: "restore_failed" } });
      expect(value(await booted.control.status()).workload).toBe("waiting");
    }
  });

  it("fails a save by bundle or by rclone, with its reason", async () => {
    const harness = aHarness("k");
    const { control, agent, ...booted } = await bootStateful(harness);
    await claimFresh({ control, agent, ...booted });
    simulation.for("k").fail("bundle").fail("sync", { detail: "dial tcp: i/o timeout" }).hang("sync");
    expect((await control.bundle(1_000)).ok).toBe(false);
    expect(await agent.sync(JOB, 1_000)).toMatchObject({ failure: { extra: { problem: "timeout" } } });
    expect(await agent.sync(JOB, 50)).toMatchObject({ failure: { code: "deadline_exceeded" } });
    expect((await agent.sync(JOB, 1_000)).ok).toBe(true);
  });
});

describe("an object that came back to memory", () => {
  it("finds its container running, with its files, but without intercepts", async () => {
    const harness = aHarness("k");
    const { control } = await bootStateful(harness).then(async (booted) => {
      await claimFresh(booted);
      return booted;
    });
    await harness.runtime.fetch(PORT, new Request("http://container/files/a", { method: "PUT", body: "kept" }));
    const again = aHarness("k");
    expect(again.runtime.running).toBe(true);
    expect(await (await get(again.runtime, "/files/a")).text()).toBe("kept");
    expect((await control.bundle(1_000)).ok).toBe(false);
    await again.runtime.intercept("sink.internal", again.handler);
    expect((await control.bundle(1_000)).ok).toBe(true);
    expect(again.sink.bundles.size).toBe(1);
  });

  it("can wait for a job that its earlier life began", async () => {
    const harness = aHarness("k");
    const booted = await bootStateful(harness);
    await claimFresh(booted);
    await harness.runtime.fetch(PORT, new Request("http://container/files/a", { method: "PUT", body: "kept" }));
    simulation.for("k").hang("sync");
    const job = value(await booted.agent.begin(JOB));
    const again = aHarness("k");
    await again.runtime.intercept("sink.internal", again.handler);
    expect(value(await booted.agent.finish(job, Date.now() + 5_000)).transfers).toBe(1);
    expect([...again.sink.objects.keys()]).toEqual(["a"]);
  });
});
