import type { SyncJob } from "../../../src/sync/options.ts";
import { boot, bootStateful, type Harness, ready, STATE_DIR, sh, until, value } from "../runtime-contract/harness.ts";
import { claimFresh } from "../runtime-contract/parcels.ts";

/** What the calls of a runtime cost here, in ms: for orientation, not promises (those are in bench/). */
export async function measure(harness: Harness): Promise<Record<string, number>> {
  const figures: Record<string, number> = {};
  const { runtime } = harness;
  const started = Date.now();
  const { control } = await boot(harness);
  figures.startToControl = Date.now() - started;
  await ready(runtime);
  figures.startToReady = Date.now() - started;
  figures.status = await median(() => control.status());
  figures.exec = await median(() => runtime.exec(["true"], { timeoutMs: 5_000 }));
  figures.fetch = await median(async () => {
    const response = await runtime.fetch(8080, new Request("http://container/healthz"));
    await response.arrayBuffer();
  });
  await runtime.destroy("measured");

  const stateful = await bootStateful(harness);
  figures.claimFresh = await lap(() => claimFresh(stateful));
  await ready(runtime);
  await sh(runtime, `for i in $(seq 1000); do head -c 10000 /dev/urandom > ${STATE_DIR}/$i; done`);
  await until(async () => (await stateful.agent.version()).ok);
  figures.version = await median(() => stateful.agent.version());
  figures.manifest1000 = await median(() => stateful.control.manifest(5_000), 5);
  figures.bundle1000 = await median(() => stateful.control.bundle(30_000), 5);
  const job: SyncJob = { directory: STATE_DIR, mode: "sync", backend: "vault", send: { files: 1000, bytes: 1e7 } };
  const sync = async () => value(await stateful.agent.sync(job, 60_000));
  figures.syncFirst1000 = await lap(sync);
  const before = harness.sink.requests.length;
  figures.syncUnchanged1000 = await median(sync, 5);
  figures.requestsUnchanged1000 = (harness.sink.requests.length - before) / 5;
  figures.stop = await lap(() => stateful.control.stop(5_000));
  figures.destroy = await lap(() => runtime.destroy("measured"));
  return figures;
}

async function median(call: () => Promise<unknown>, times = 20): Promise<number> {
  const taken: number[] = [];
  for (let i = 0; i < times; i++) taken.push(await lap(call));
  return taken.sort((a, b) => a - b)[Math.floor(times / 2)] ?? 0;
}

async function lap(call: () => Promise<unknown>): Promise<number> {
  const before = Date.now();
  await call();
  return Date.now() - before;
}
