import { step } from "../../scripts/steps.ts";
import type { Counts } from "../harness/counts.ts";
import { containerOf } from "../harness/engine.ts";
import { laps } from "../harness/laps.ts";
import { observed, promised, type Result } from "../harness/result.ts";
import { median } from "../harness/statistics.ts";
import { type Api, type Claimed, expectLaunch } from "../harness/tenants.ts";
import { SMALL_TREE, STATE, writeTree } from "../harness/trees.ts";

const SECRETS = { "api-key": "x".repeat(48), "hook.pem": "y".repeat(1_600) };
const CONFIG = { model: "small", greeting: "hello", limits: { tokens: 10_000, tools: ["search", "files"] } };

/** Claims as a client sees them, on real containers with the refill paused. */
export async function claimOverHttp(api: Api, counts: Counts): Promise<Result[]> {
  await api.workload({ id: "plain" });

  const health: number[] = [];
  const warm = await step("warm claims, nothing to deliver", () => warmClaims(api, "warm", {}, counts.claims, health));
  const body = { config: CONFIG, secrets: SECRETS };
  const parcel = await step("warm claims with config and secrets", () =>
    warmClaims(api, "parcel", body, counts.claims),
  );
  const cold = await step("cold claims", () => coldClaims(api, counts.claims));
  const state = await step("warm claims with the small tree", () => stateClaims(api, counts.claims));

  const warmMs = warm.map(({ ms }) => ms);
  const coldMs = cold.map(({ ms }) => ms);
  return [
    promised("claim.warm", warmMs, { compared: { with: "GET /health", value: median(health) }, note: laps(warm) }),
    promised("claim.parcel", times(parcel), { note: laps(parcel) }),
    promised("claim.state", times(state), { note: laps(state) }),
    promised("claim.cold", coldMs, { compared: { with: "warm", value: median(warmMs) }, note: laps(cold) }),
    observed("claim", "GET /health, alone", "ms", health),
  ];
}

const times = (claims: readonly Claimed[]): number[] => claims.map(({ ms }) => ms);

/** One claim more than is counted: the first pays for what is compiled and connected once. */
async function warmClaims(api: Api, poolId: string, body: Record<string, unknown>, n: number, health: number[] = []) {
  await api.pool(poolId, "plain", n + 1);
  await api.fill(poolId, n + 1);
  const claims: Claimed[] = [];
  for (let index = 0; index <= n; index += 1) {
    health.push((await api.client.must("GET", "/health")).ms);
    claims.push(expectLaunch(await api.claim(`${poolId}-${index}`, { poolId, ...body }), "warm"));
  }
  await releaseAll(api, claims, poolId);
  return claims.slice(1);
}

async function coldClaims(api: Api, n: number): Promise<Claimed[]> {
  const poolId = "cold";
  await api.pool(poolId, "plain", 0, 4);
  await api.pause(poolId);
  const claims: Claimed[] = [];
  for (let index = 0; index <= n; index += 1) {
    const claimed = expectLaunch(await api.claim(`${poolId}-${index}`, { poolId }), "cold");
    claims.push(claimed);
    await api.release(`${poolId}-${index}`);
    await api.untilGone(claimed.containerId);
  }
  return claims.slice(1);
}

/** One tenant with the small tree, claimed again and again; every claim restores it. */
async function stateClaims(api: Api, n: number): Promise<Claimed[]> {
  const poolId = "state";
  const tenantId = "state-0";
  await api.workload({ id: poolId, volumes: { state: { containerPath: STATE } } });
  await api.pool(poolId, poolId, n + 2);
  await api.fill(poolId, n + 2);
  const first = await api.claim(tenantId, { poolId });
  await writeTree(await containerOf(api, first.containerId), STATE, SMALL_TREE);
  await api.release(tenantId);
  await api.untilGone(first.containerId);
  const claims: Claimed[] = [];
  for (let index = 0; index <= n; index += 1) {
    const claimed = expectLaunch(await api.claim(tenantId, { poolId }), "warm");
    if (claimed.restored?.files !== SMALL_TREE.files) throw new Error(`restored ${JSON.stringify(claimed.restored)}`);
    claims.push(claimed);
    await api.release(tenantId);
    await api.untilGone(claimed.containerId);
  }
  return claims.slice(1);
}

async function releaseAll(api: Api, claims: readonly Claimed[], prefix: string): Promise<void> {
  for (const index of claims.keys()) await api.release(`${prefix}-${index}`);
  const last = claims.at(-1);
  if (last) await api.untilGone(last.containerId);
}
