import { step } from "../../scripts/steps.ts";
import type { Counts } from "../harness/counts.ts";
import { observed, promised, type Result } from "../harness/result.ts";
import { limited, stopStacks } from "../harness/stacks.ts";
import { Api, pause } from "../harness/tenants.ts";
import type { Burst, Settled } from "./claims.ts";

const POOL = "burst";
/** Longer than the fleet's limit of starts needs for all of them. */
const WITHIN_MS = 170_000;
const SETTLED_MS = 120_000;
/** What a pool records reaches D1 within a second or so. */
const DELIVERED_MS = 3_000;

interface PoolNow {
  readonly warm: number;
  readonly claimed: number;
  readonly starting: number;
  readonly draining: number;
  readonly size: number;
}

/** A thousand claims at once on a pool of three hundred warm slots, on simulated containers, with the fleet's own limit of starts. */
export async function burstOfClaims(counts: Counts): Promise<Result[]> {
  const { claims, warm } = counts.burst;
  return step(`a burst of ${claims} claims on a pool of ${warm}`, async () => {
    const api = new Api(await limited());
    await api.workload({ id: "plain" });
    await api.pool(POOL, "plain", warm, warm + claims);
    await api.untilWarm(POOL, warm, 500);
    await pause(DELIVERED_MS);
    const before = await startsOf(api);
    const asked: Burst = { poolId: POOL, claims, withinMs: WITHIN_MS };
    const settled = JSON.parse((await api.client.must("POST", "/bench/burst", asked)).text) as Settled;
    const left = await untilSettled(api, claims, warm);
    const starts = (await startsOf(api)) - before;
    api.client.close();
    await stopStacks();

    const doubles = settled.containers.length - new Set(settled.containers).size;
    const unsettled = claims - settled.containers.length + left;
    const every = Array.from({ length: claims }, () => 0);
    // What is missing afterwards: one container for each claim, as many as are warm again, less what was warm before.
    const demand = claims;
    return [
      promised("burst.double", every, { value: doubles }),
      promised("burst.unsettled", every, { value: unsettled, note: settled.odd.slice(0, 3).join("; ") }),
      promised("burst.starts", every, { value: starts / demand, note: `${starts} starts for ${demand}` }),
      observed("reconcile", "from the burst to a tenant's container", "ms", settled.ms, {
        note: `${settled.refused} refusals on the way, with Retry-After`,
      }),
    ];
  });
}

/** Containers that were ever started for the pool, by its own record. */
async function startsOf(api: Api): Promise<number> {
  let starts = 0;
  for (let cursor = ""; ; ) {
    const query = `subject=pool:${POOL}&action=container.created&limit=1000${cursor && `&cursor=${cursor}`}`;
    const page = JSON.parse((await api.client.must("GET", `/api/v1/audit?${query}`)).text) as {
      items: unknown[];
      nextCursor: string | null;
    };
    starts += page.items.length;
    if (page.nextCursor === null) return starts;
    cursor = page.nextCursor;
  }
}

/** Waits until every claim has its slot and the pool is warm again. Returns how many slots are then in the wrong state. */
async function untilSettled(api: Api, claims: number, warm: number): Promise<number> {
  const deadline = Date.now() + SETTLED_MS;
  for (;;) {
    const { text } = await api.client.must("GET", `/api/v1/pools/${POOL}`);
    const now = JSON.parse(text) as PoolNow;
    const wrong = Math.abs(now.claimed - claims) + Math.abs(now.warm - warm) + now.starting + now.draining;
    if (wrong === 0 || Date.now() > deadline) {
      await pause(DELIVERED_MS);
      return wrong;
    }
    await pause(500);
  }
}
