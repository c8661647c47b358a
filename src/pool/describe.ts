import type { ContainerId } from "../ids.ts";
import { breakerState } from "./breaker.ts";
import { occupied } from "./plan-lease.ts";
import { monthlyCostUsd } from "./prices.ts";
import { recommendedSize } from "./recommend.ts";
import { type PoolRecord, type Slot, targetOf, tierOf } from "./record.ts";
import { rolloutView } from "./rollout.ts";
import type { PoolStatistics } from "./statistics.ts";
import type { PoolDescription, SlotView } from "./types.ts";

/** A pool as it is now. `isLive` says of a warm slot whether it was seen alive since the object is in memory. Pure. */
export function describe(
  record: PoolRecord,
  slots: readonly Slot[],
  statistics: PoolStatistics,
  isLive: (id: ContainerId) => boolean,
  now: number,
): PoolDescription {
  const count = (test: (slot: Slot) => boolean) => slots.filter(test).length;
  const warm = count((slot) => slot.state === "warm" && isLive(slot.containerId));
  const { spec, drain } = record;
  const { claims, hits, savedMs } = statistics;
  const tier = tierOf(record);
  return {
    id: record.id,
    workloadId: spec.workloadId,
    workloadVersion: record.workloadVersion,
    minSize: spec.minSize,
    maxSize: spec.maxSize,
    target: targetOf(record),
    idleTimeoutMs: spec.idleTimeoutMs,
    tier,
    ...(spec.network ? { network: spec.network } : {}),
    paused: record.paused,
    size: occupied(slots),
    warm,
    claimed: count((slot) => slot.state === "assigned"),
    starting: count((slot) => slot.state === "starting"),
    unhealthy: count((slot) => slot.state === "failed"),
    draining: count((slot) => slot.state === "draining"),
    status: statusOf(record, warm),
    claims,
    hits,
    misses: claims - hits,
    hitRate: claims === 0 ? null : hits / claims,
    secondsSaved: Math.round(savedMs / 100) / 10,
    recommendedSize: recommendedSize(statistics, spec.maxSize, now),
    monthlyCostUsd: monthlyCostUsd(tier, targetOf(record)),
    breaker: {
      state: breakerState(record, now),
      failures: record.failures?.count ?? 0,
      openedAt: record.breaker?.openedAt ?? null,
      retryAt: record.breaker?.retryAt ?? null,
      lastError: record.failures?.detail ?? null,
    },
    lastError: record.failures?.detail ?? null,
    rollout: rolloutView(record, slots),
    ...(drain ? { deletion: { operationId: drain.operationId, since: drain.startedAt, failed: drain.failed } } : {}),
  };
}

function statusOf(record: PoolRecord, warm: number): PoolDescription["status"] {
  if (record.drain) return "draining";
  if (record.breaker) return "error";
  return warm >= targetOf(record) ? "healthy" : "degraded";
}

/** A slot as lists show it. Pure. */
export const slotView = (record: PoolRecord, slot: Slot): SlotView => ({
  containerId: slot.containerId,
  poolId: record.id,
  workloadId: record.spec.workloadId,
  workloadVersion: slot.workloadVersion,
  image: (record.earlier.find((one) => one.version === slot.workloadVersion)?.workload ?? record.workload).image,
  state: slot.state,
  tier: slot.tier,
  tenantId: slot.lease?.tenantId ?? null,
  epoch: slot.lease?.epoch ?? null,
  startedAt: slot.startedAt,
  since: slot.since,
});
