import type { ContainerId, PoolId } from "../ids.ts";
import { breakerState } from "./breaker.ts";
import { occupied } from "./plan-lease.ts";
import { monthlyCostUsd } from "./prices.ts";
import { recommendedSize } from "./recommend.ts";
import { type PoolRecord, type Slot, targetOf, tierOf } from "./record.ts";
import { rolloutView } from "./rollout.ts";
import { scheduledSize } from "./schedule.ts";
import type { PoolStatistics } from "./statistics.ts";
import type { PoolDescription, SlotView } from "./types.ts";

/** What an object's memory knows of its pool. */
interface Seen {
  /** Whether a warm slot was seen alive since the object is in memory. */
  isLive(id: ContainerId): boolean;
  /** Claims that wait for room. */
  waiting: number;
}

/** A pool as it is now. Pure. */
export function describe(
  record: PoolRecord,
  slots: readonly Slot[],
  statistics: PoolStatistics,
  { isLive, waiting }: Seen,
  now: number,
): PoolDescription {
  const count = (test: (slot: Slot) => boolean) => slots.filter(test).length;
  const warm = count((slot) => slot.state === "warm" && isLive(slot.containerId));
  const target = targetOf(record, now);
  const { spec, drain } = record;
  const { claims, hits, savedMs } = statistics;
  const tier = tierOf(record);
  return {
    id: record.id,
    workloadId: spec.workloadId,
    workloadVersion: record.workloadVersion,
    minSize: spec.minSize,
    maxSize: spec.maxSize,
    target,
    scheduledMinSize: scheduledSize(spec.schedule, now),
    ...(spec.schedule ? { schedule: spec.schedule } : {}),
    ...(spec.fallbackPoolId ? { fallbackPoolId: spec.fallbackPoolId as PoolId } : {}),
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
    abandoned: count((slot) => slot.ending?.abandonedAt != null),
    waiting,
    status: statusOf(record, warm, target),
    claims,
    hits,
    misses: claims - hits,
    hitRate: claims === 0 ? null : hits / claims,
    secondsSaved: Math.round(savedMs / 100) / 10,
    recommendedSize: recommendedSize(statistics, spec.maxSize, now),
    monthlyCostUsd: monthlyCostUsd(tier, target),
    breaker: {
      state: breakerState(record, now),
      reason: record.breaker ? (record.breaker.reason ?? "failures") : null,
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

function statusOf(record: PoolRecord, warm: number, target: number): PoolDescription["status"] {
  if (record.drain) return "draining";
  if (record.breaker) return "error";
  return warm >= target ? "healthy" : "degraded";
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
