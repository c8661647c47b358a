import { must } from "../../scripts/command.ts";
import { step } from "../../scripts/steps.ts";
import type { Counts } from "../harness/counts.ts";
import { containerOf } from "../harness/engine.ts";
import { observed, promised, type Result } from "../harness/result.ts";
import { product, stopStacks } from "../harness/stacks.ts";
import { Api, pause } from "../harness/tenants.ts";

const POOL = "recovery";
/** With as many retries as the default has. */
const HEALTH = { http: { path: "/healthz" }, intervalMs: 5_000, timeoutMs: 1_000, retries: 3 };
const WITHIN_MS = 120_000;
const POLL_MS = 20;

interface Status {
  readonly state: string;
  readonly epoch: number;
  readonly containerId?: string;
}

/** In ms: until the tenant is being recovered, and until it is served again. */
interface Recovery {
  readonly noticed: number;
  readonly served: number;
}

/** Real containers that exit and that hang under tenants whom nobody asks for anything; reading a status looks at no container. */
export async function recovery(counts: Counts): Promise<Result[]> {
  return step("containers that exit and hang", async () => {
    const api = new Api(await product());
    await api.workload({ id: POOL, healthCheck: HEALTH, volumes: { state: { containerPath: "/data" } } });
    await api.pool(POOL, POOL, 1, 20);
    await api.untilWarm(POOL, 1);
    const exits = await each(api, "exit", counts.exits, (container) => must("docker", ["kill", container]));
    const hangs = await each(api, "hang", counts.hangs, (container) => must("docker", ["pause", container]));
    api.client.close();
    await stopStacks();
    const noticed = exits.map((one) => one.noticed);
    const intervals = hangs.map((one) => one.noticed / HEALTH.intervalMs);
    return [
      promised("recovery.exit", noticed, { value: Math.max(...noticed) }),
      observed(
        "reconcile",
        "from a container's exit until its tenant is served again",
        "ms",
        exits.map((one) => one.served),
      ),
      promised("recovery.hang", intervals, { value: Math.max(...intervals), note: `interval ${HEALTH.intervalMs} ms` }),
      observed(
        "reconcile",
        "from a container's hang until its tenant is served again",
        "ms",
        hangs.map((one) => one.served),
      ),
    ];
  });
}

async function each(
  api: Api,
  name: string,
  times: number,
  end: (container: string) => Promise<unknown>,
): Promise<Recovery[]> {
  const found: Recovery[] = [];
  for (let n = 0; n < times; n += 1) {
    const tenantId = `${name}-${n}`;
    const { containerId } = await api.claim(tenantId, { poolId: POOL });
    await api.untilWarm(POOL, 1);
    await pause(HEALTH.intervalMs * (1 + n / times)); // another moment between two looks each time
    const container = await containerOf(api, containerId);
    const { epoch } = await statusOf(api, tenantId);
    await end(container);
    found.push(await recovered(api, tenantId, epoch));
    await api.release(tenantId, { sync: false });
  }
  return found;
}

async function recovered(api: Api, tenantId: string, before: number): Promise<Recovery> {
  const startedAt = performance.now();
  let noticed: number | null = null;
  while (performance.now() - startedAt < WITHIN_MS) {
    const { state, epoch } = await statusOf(api, tenantId);
    if (state !== "active" || epoch > before) noticed ??= performance.now() - startedAt;
    if (state === "active" && epoch > before) return { noticed: noticed ?? 0, served: performance.now() - startedAt };
    await pause(POLL_MS);
  }
  throw new Error(`${tenantId} did not recover: ${JSON.stringify(await statusOf(api, tenantId))}`);
}

async function statusOf(api: Api, tenantId: string): Promise<Status> {
  return JSON.parse((await api.client.must("GET", `/api/v1/tenants/${tenantId}/status`)).text) as Status;
}
