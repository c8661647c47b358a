import type { Metric } from "./exposition.ts";
import type { ContainerCount, Stats } from "./stats.ts";

/** What a pool counts itself; of those that answered. */
export interface PoolFigures {
  id: string;
  hits: number;
  misses: number;
  target: number;
  maxSize: number;
  secondsSaved: number;
  status: string;
  breaker: { state: string };
}

/**
 * The metrics by name. Labels are pools, states and tiers, of which there are few; never tenants, of which there are many. Pure.
 */
export function metricsOf(
  stats: Stats,
  containers: readonly ContainerCount[],
  pools: readonly PoolFigures[],
): Metric[] {
  const ofPools = (figure: (pool: PoolFigures) => number) =>
    pools.map((pool) => ({ labels: { pool: pool.id }, value: figure(pool) }));
  const tiers = Object.entries(stats.capacity);
  return [
    gauge("boilerhouse_pools", "Registered pools.", [{ labels: {}, value: stats.pools }]),
    gauge(
      "boilerhouse_containers",
      "Containers by pool, state and tier.",
      containers.map(({ poolId, state, tier, count }) => ({ labels: { pool: poolId, state, tier }, value: count })),
    ),
    gauge(
      "boilerhouse_tenants",
      "Tenants by state.",
      Object.entries(stats.tenants).map(([state, value]) => ({ labels: { state }, value })),
    ),
    gauge(
      "boilerhouse_tenants_sync",
      "Tenants by how their state is saved.",
      Object.entries(stats.sync).map(([state, value]) => ({ labels: { state }, value })),
    ),
    gauge(
      "boilerhouse_tier_running",
      "Containers that run or start, by tier.",
      tiers.flatMap(([tier, { running }]) => (running === null ? [] : [{ labels: { tier }, value: running }])),
    ),
    gauge(
      "boilerhouse_tier_cap",
      "Most containers of a tier at a time.",
      tiers.map(([tier, { cap }]) => ({ labels: { tier }, value: cap })),
    ),
    gauge(
      "boilerhouse_tier_leased",
      "Containers that serve a tenant, by tier.",
      tiers.map(([tier, { leased }]) => ({ labels: { tier }, value: leased })),
    ),
    gauge(
      "boilerhouse_tier_waiting",
      "Starts that wait for their turn, by tier.",
      tiers.flatMap(([tier, { waiting }]) => (waiting === null ? [] : [{ labels: { tier }, value: waiting }])),
    ),
    gauge(
      "boilerhouse_pool_target",
      "Slots that a pool keeps warm.",
      ofPools((pool) => pool.target),
    ),
    gauge(
      "boilerhouse_pool_max_size",
      "Most containers of a pool.",
      ofPools((pool) => pool.maxSize),
    ),
    gauge(
      "boilerhouse_pool_breaker_open",
      "1 while a pool's breaker is not closed.",
      ofPools((pool) => (pool.breaker.state === "closed" ? 0 : 1)),
    ),
    counter(
      "boilerhouse_pool_claims_warm_total",
      "Claims that found a warm slot.",
      ofPools((pool) => pool.hits),
    ),
    counter(
      "boilerhouse_pool_claims_cold_total",
      "Claims that found none.",
      ofPools((pool) => pool.misses),
    ),
    counter(
      "boilerhouse_pool_seconds_saved_total",
      "What claims of warm slots did not wait for, in seconds.",
      ofPools((pool) => pool.secondsSaved),
    ),
  ];
}

const gauge = (name: string, help: string, samples: Metric["samples"]): Metric => ({
  name,
  type: "gauge",
  help,
  samples,
});
const counter = (name: string, help: string, samples: Metric["samples"]): Metric => ({
  name,
  type: "counter",
  help,
  samples,
});
