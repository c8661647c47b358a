import type { By } from "../auth/principal.ts";
import type { ErrorCode } from "../errors/codes.ts";
import type { ContainerId, Epoch, PoolId, TenantId } from "../ids.ts";
import type { PoolSpec, Workload } from "../registry/specs.ts";
import type { Tier } from "../runtime/port.ts";
import type { Rollout } from "./rollout.ts";
import type { SlotState } from "./types.ts";

/** What a pool stores about itself, beside its slots and statistics. Times are ms since 1970. */
export interface PoolRecord {
  version: 2;
  id: PoolId;
  spec: PoolSpec;
  workload: Workload;
  workloadVersion: number;
  /** What slots of earlier versions were started with, for as long as there are any. */
  earlier: { version: number; workload: Workload }[];
  /** No refill and no shrinking while true; claims go on. */
  paused: boolean;
  /** Warm slots asked for by `scale`, until minSize or maxSize change; null: minSize. */
  target: number | null;
  failures: Failures | null;
  /** Null while closed. */
  breaker: OpenBreaker | null;
  /** Null while the pool lives. */
  drain: Drain | null;
  /** Of the latest version that tenants were brought to; null where nobody ever was. */
  rollout: Rollout | null;
}

/** Starts that failed lately; they slow the refill down, and open the breaker. */
export interface Failures {
  /** One after the other; what found no capacity is not a fault and not counted. */
  count: number;
  /** Of faults within the window, and the starts that succeeded since the first of them. */
  recent: number[];
  successes: number;
  detail: string;
  /** The refill tries again then. */
  notBefore: number;
}

export interface OpenBreaker {
  openedAt: number;
  /** From then on one start is tried. */
  retryAt: number;
  /** How often it opened since it was closed; the pause grows with it. */
  opened: number;
}

/** A pool that is being deleted, or was. */
export interface Drain {
  operationId: string;
  startedAt: number;
  by: By;
  /** Claimed tenants are released, with a save. */
  releases: boolean;
  /** Those whose release failed; each is asked once for every deletion that somebody asks for. */
  failed: { tenantId: TenantId; code: ErrorCode; detail: string }[];
  /** Set when nothing is left. */
  endedAt: number | null;
}

/** One place in the pool. A slot serves at most one tenant and is never used again (P-ONE). */
export interface Slot {
  containerId: ContainerId;
  state: Exclude<SlotState, "gone">;
  tier: Tier;
  workloadVersion: number;
  startedAt: number;
  /** What its start took, in ms; null until it is known. */
  startMs: number | null;
  /** Since when it is in this state. */
  since: number;
  lease: SlotLease | null;
}

export interface SlotLease {
  tenantId: TenantId;
  epoch: Epoch;
  launch: "warm" | "cold";
  reason?: string;
  /** A provisional lease is asked about at this time; null once the tenant was seen to own it. */
  confirmBy: number | null;
}

export function newPool(spec: PoolSpec, workload: Workload, workloadVersion: number): PoolRecord {
  return {
    version: 2,
    id: spec.id as PoolId,
    spec,
    workload,
    workloadVersion,
    earlier: [],
    paused: false,
    target: null,
    failures: null,
    breaker: null,
    drain: null,
    rollout: null,
  };
}

export const tierOf = (record: PoolRecord): Tier => record.workload.resources?.tier ?? record.spec.tier ?? "lite";

/** How many slots are kept warm. */
export const targetOf = (record: PoolRecord): number => record.target ?? record.spec.minSize;

export const isDeleted = (record: PoolRecord): boolean => record.drain?.endedAt != null;

/** What a slot of a version runs, on the pool's network. */
export function workloadOf(record: PoolRecord, version: number): Workload {
  const workload = record.earlier.find((one) => one.version === version)?.workload ?? record.workload;
  return record.spec.network ? { ...workload, network: record.spec.network.name } : workload;
}

/** Whether what a version says is at hand. */
export const knowsVersion = (record: PoolRecord, version: number): boolean =>
  version === record.workloadVersion || record.earlier.some((one) => one.version === version);

/** With an earlier version that slots are started with again. */
export const withVersion = (record: PoolRecord, earlier: PoolRecord["earlier"][number]): PoolRecord =>
  knowsVersion(record, earlier.version) ? record : { ...record, earlier: [...record.earlier, earlier] };

/** Whether a slot is what the pool would start today. */
export const isCurrent = (record: PoolRecord, slot: Slot): boolean =>
  slot.tier === tierOf(record) && slot.workloadVersion >= record.workloadVersion;

/** A record as any version of this code stored it. */
export function readRecord(stored: PoolRecord | LegacyRecord): PoolRecord {
  if (stored.version === 2) return { ...stored, rollout: stored.rollout ?? null };
  return { ...newPool(stored.spec, stored.workload, 1), paused: stored.paused };
}

/** A slot as any version of this code stored it. */
export const readSlot = (stored: Slot): Slot => ({
  ...stored,
  workloadVersion: stored.workloadVersion ?? 1,
  startedAt: stored.startedAt ?? stored.since,
  startMs: stored.startMs ?? null,
});

export interface LegacyRecord {
  version: 1;
  spec: PoolSpec;
  workload: Workload;
  paused: boolean;
  claims: number;
  hits: number;
}
