import { step } from "../scripts/steps.ts";
import { bundleSize } from "./api/bundle.ts";
import { seed, TENANTS } from "./api/seed.ts";
import { type Ask, type BesideHealth, besideHealth } from "./harness/callers.ts";
import type { Client } from "./harness/client.ts";
import type { Counts } from "./harness/counts.ts";
import { observed, promised, type Result } from "./harness/result.ts";
import { simulated, stopStacks } from "./harness/stacks.ts";
import { median, p99 } from "./harness/statistics.ts";
import { Api } from "./harness/tenants.ts";

const CALLERS = 8;
/** Tenants with an object and a container, whose status is asked for. */
const ACTIVE = 64;

/**
 * The API over a full registry, on simulated containers: D1 and the objects' files on this machine's disk, 8 callers over
 * kept-alive connections. What is promised is above `GET /health` of the same server, measured in turn.
 */
export async function api(counts: Counts): Promise<Result[]> {
  const target = new Api(await simulated("disk"));
  await step(`${TENANTS.toLocaleString("en")} tenants, 1,000 workloads`, () => seed(target, ACTIVE));
  const { client } = target;
  const crud = await step("create, read, replace, delete, status", () =>
    besideHealth(client, crudOf(client), { callers: CALLERS, rounds: counts.rounds }),
  );
  const lists = await step("lists, one caller", () =>
    besideHealth(client, listsOf(client), { callers: 1, rounds: counts.lists }),
  );
  const crowded = await step("lists, 8 callers", () =>
    besideHealth(client, listsOf(client), { callers: CALLERS, rounds: Math.ceil(counts.lists / CALLERS) }),
  );
  client.close();
  await stopStacks();
  const bundle = await step("the Worker's bundle", bundleSize);
  return [
    ...crudResults(crud),
    ...listResults(lists, crowded),
    promised("api.bundle", [bundle.gzip / 1e3], { note: `${(bundle.bytes / 1e3).toFixed(0)} kB before` }),
  ];
}

/** What one caller does with a workload of its own, and the status of a tenant that runs. */
function crudOf(client: Client): Record<string, Ask> {
  const at = (caller: number, round: number) => `/api/v1/workloads/crud-${caller}-${round}`;
  const spec = (caller: number, round: number) => ({ id: `crud-${caller}-${round}`, image: "sandbox" });
  return {
    create: (caller, round) => client.must("POST", "/api/v1/workloads", spec(caller, round), [201]),
    read: (caller, round) => client.must("GET", at(caller, round)),
    replace: (caller, round) =>
      client.must("PUT", at(caller, round), { ...spec(caller, round), name: "replaced" }, [200]),
    delete: (caller, round) => client.must("DELETE", at(caller, round), undefined, [200, 204]),
    status: (caller, round) =>
      client.must("GET", `/api/v1/tenants/active-${(caller + round * CALLERS) % ACTIVE}/status`),
  };
}

const WORKLOADS = "1,000 workloads";
const TENANTS_1000 = "1,000 of 10,000 tenants";
const TENANTS_50 = "50 of 10,000 tenants";

function listsOf(client: Client): Record<string, Ask> {
  return {
    [WORKLOADS]: () => client.must("GET", "/api/v1/workloads?limit=1000"),
    [TENANTS_1000]: () => client.must("GET", "/api/v1/tenants?limit=1000"),
    [TENANTS_50]: () => client.must("GET", "/api/v1/tenants?limit=50"),
  };
}

function crudResults({ ms, health }: BesideHealth): Result[] {
  const idle = median(health);
  const above = Object.entries(ms).map(([name, samples]) => ({ name, samples: samples.map((one) => one - idle) }));
  const slowest = worst(above, median);
  const slowestP99 = worst(above, p99);
  return [
    promised("api.crud", slowest.samples, { note: `${slowest.name}; GET /health ${idle.toFixed(2)} ms` }),
    promised("api.p99", slowestP99.samples, { value: p99(slowestP99.samples), note: slowestP99.name }),
    ...above.map(({ name, samples }) =>
      observed("api", `${name}, above GET /health`, "ms", samples, { note: `p99 ${p99(samples).toFixed(0)} ms` }),
    ),
  ];
}

function listResults(alone: BesideHealth, crowded: BesideHealth): Result[] {
  const idle = median(alone.health);
  const above = Object.entries(alone.ms).map(([name, samples]) => ({
    name,
    samples: samples.map((one) => one - idle),
  }));
  const rows = above.filter(({ name }) => name !== TENANTS_50);
  const slowest = worst(rows, median);
  const pages = [TENANTS_50, TENANTS_1000].map((name) => ({ name, samples: alone.ms[name] ?? [] }));
  const page = worst(pages, median);
  const busy = median(crowded.health);
  return [
    promised("api.list", slowest.samples, { note: `${slowest.name}; GET /health ${idle.toFixed(2)} ms` }),
    promised("api.tenants", page.samples, { note: `${page.name}; p99 ${p99(page.samples).toFixed(0)} ms` }),
    ...above.map(({ name, samples }) => {
      const together = median(crowded.ms[name] ?? []) - busy;
      const note = `with 8 callers ${together.toFixed(1)} ms`;
      return observed("api", `${name}, above GET /health`, "ms", samples, { note });
    }),
  ];
}

/** The one with the highest figure. */
function worst<T extends { readonly samples: readonly number[] }>(
  of: readonly T[],
  figure: (samples: readonly number[]) => number,
): T {
  const [first, ...others] = of;
  if (!first) throw new Error("nothing was measured");
  return others.reduce((most, one) => (figure(one.samples) > figure(most.samples) ? one : most), first);
}
