import { step } from "../../scripts/steps.ts";
import type { Counts } from "../harness/counts.ts";
import { observed, promised, type Result } from "../harness/result.ts";
import { simulated, stopStacks } from "../harness/stacks.ts";
import { median, p99 } from "../harness/statistics.ts";
import { Api } from "../harness/tenants.ts";
import type { Drive, Driven } from "../inside/drive.ts";

const POOLS = 16;
const CALLERS = 32;

interface Found {
  readonly alone: Driven;
  readonly together: Driven;
  readonly overHttp: { readonly claims: number[]; readonly health: number[] };
}

/** Warm claims on simulated containers, where a container costs nothing: what is left is the control plane. */
export async function controlPlane(counts: Counts): Promise<Result[]> {
  const memory = await step("control plane", () => measure("memory", counts));
  const disk = await step("control plane, with its files on this machine's disk", () => measure("disk", counts));
  const { alone, together, overHttp } = memory;
  const overHealth = overHttp.claims.map((ms) => ms - median(overHttp.health));
  const onDisk = (value: number) => ({ compared: { with: "on this disk", value } });
  return [
    promised("control.alone", alone.ms, {
      ...onDisk(median(disk.alone.ms)),
      note: `p99 ${p99(alone.ms).toFixed(0)} ms`,
    }),
    promised("control.rate", together.ms, { value: rate(together), ...onDisk(rate(disk.together)) }),
    promised("control.p99", together.ms, { value: p99(together.ms), ...onDisk(p99(disk.together.ms)) }),
    observed("claim", "control-plane share over HTTP, above GET /health", "ms", overHealth),
  ];
}

const rate = ({ ms, totalMs }: Driven): number => (ms.length * 1_000) / totalMs;

async function measure(storage: "memory" | "disk", counts: Counts): Promise<Found> {
  const api = new Api(await simulated(storage));
  await api.workload({ id: "plain" });
  const alone = await claimAlone(api, counts.alone);
  const together = await claimTogether(api, counts.perPool);
  const overHttp = await claimOverHttp(api, counts.alone);
  api.client.close();
  await stopStacks();
  return { alone, together, overHttp };
}

async function claimAlone(api: Api, n: number): Promise<Driven> {
  await api.pool("alone", "plain", n + 1);
  await api.fill("alone", n + 1);
  await inside(api, { prefix: "first", pools: ["alone"], claims: 1, callers: 1 });
  return inside(api, { prefix: "alone", pools: ["alone"], claims: n, callers: 1 });
}

/** Every pool has had one claim before: the first makes a pool that left memory look after all of its slots. */
async function claimTogether(api: Api, perPool: number): Promise<Driven> {
  const pools = Array.from({ length: POOLS }, (_, index) => `many-${index}`);
  for (const pool of pools) await api.pool(pool, "plain", perPool + 1);
  for (const pool of pools) await api.fill(pool, perPool + 1);
  await inside(api, { prefix: "first-of", pools, claims: POOLS, callers: POOLS });
  return inside(api, { prefix: "many", pools, claims: POOLS * perPool, callers: CALLERS });
}

async function inside(api: Api, drive: Drive): Promise<Driven> {
  const driven = JSON.parse((await api.client.must("POST", "/bench/drive", drive)).text) as Driven;
  if (driven.odd.length > 0) throw new Error(`claims that were not warm: ${driven.odd.join("\n")}`);
  return driven;
}

async function claimOverHttp(api: Api, n: number): Promise<{ claims: number[]; health: number[] }> {
  await api.pool("http", "plain", n);
  await api.fill("http", n);
  const claims: number[] = [];
  const health: number[] = [];
  for (let index = 0; index < n; index += 1) {
    health.push((await api.client.must("GET", "/health")).ms);
    claims.push((await api.claim(`http-${index}`, { poolId: "http" })).ms);
  }
  return { claims, health };
}
