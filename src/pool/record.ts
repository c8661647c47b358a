import type { By } from "../auth/principal.ts";
import type { ErrorCode } from "../errors/codes.ts";
import type { ContainerId, Epoch, PoolId, TenantId } from "../ids.ts";
import type { PoolSpec, Workload } from "../registry/specs.ts";
import type { Tier } from "../runtime/port.ts";
import type { Rollout } from "./rollout.ts";
import { scheduledSize } from "./schedule.ts";
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
  /** Warm slots asked for by `scale`, until minSize or maxSize change or the schedule says something else; null: what it says, or minSize. */
  target: number | null;
  /** When the schedule ends what `scale` asked for; absent: it does not. */
  targetUntil?: number;
  /** Which registration this is of; absent: of a record from before that was kept. */
  registered?: Registration;
  /** Since when the alert stands that nothing is warm; null or absent: it does not. */
  exhaustedAt?: number | null;
  /** Tiers at whose cap claims were refused: each is an alert that stands; absent: none does. */
  fullTiers?: readonly FullTier[];
  failures: Failures | null;
  /** Null while closed. */
  breaker: OpenBreaker | null;
  /** Null while the pool lives. */
  drain: Drain | null;
  /** Of the latest version that tenants were brought to; null where nobody ever was. */
  rollout: Rollout | null;
}

/** A tier that had no room for claims of the pool. */
export interface FullTier {
  tier: Tier;
  since: number;
  /** When a claim was refused lately; of several within a minute the first. */
  refusedAt: number;
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
  /** `permanent`: of a fault that trying again does not mend. Absent: several starts failed. */
  reason?: "permanent";
}

/** Of two, the one that was created or changed later is what counts. */
export interface Registration {
  version: number;
  /** ms since 1970: a name that was deleted and registered again begins at version 1. */
  createdAt: number;
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
  /** The network that its pool demanded when it was started; null: none but the workload's own; absent: nobody knows. */
  network?: Workload["network"] | null;
  startedAt: number;
  /** What its start took, in ms; null until it is known. */
  startMs: number | null;
  /** Since when it is in this state. */
  since: number;
  lease: SlotLease | null;
  /** Tries to end it of which none is known to have worked; absent before the first. */
  ending?: Ending;
}

export interface Ending {
  attempts: number;
  nextAt: number;
  /** Since when somebody has to look; null before that. */
  abandonedAt: number | null;
}

export interface SlotLease {
  tenantId: TenantId;
  epoch: Epoch;
  /** The tenant's own pool, where this one only helps out; absent: it is this one. */
  of?: PoolId;
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

/** How few slots may be kept warm now: what the schedule says, or minSize. */
export const minimumOf = ({ spec }: PoolRecord, now: number): number =>
  scheduledSize(spec.schedule, now) ?? spec.minSize;

/** How many slots are kept warm now. */
export function targetOf(record: PoolRecord, now: number): number {
  const { target, targetUntil } = record;
  const holds = target !== null && (targetUntil === undefined || now < targetUntil);
  return holds ? target : minimumOf(record, now);
}

/** Of the pool's chain. */
export const subjectOf = ({ id }: PoolRecord): string => `pool:${id}`;

export const isDeleted = (record: PoolRecord): boolean => record.drain?.endedAt != null;

/** What the pool demands of the network of what it starts; null: nothing. */
export const networkOf = ({ spec }: PoolRecord): Workload["network"] | null => spec.network?.name ?? null;

/** What a slot runs, on the network that it was started with. */
export function workloadOf(record: PoolRecord, { workloadVersion, network = networkOf(record) }: Slot): Workload {
  const workload = record.earlier.find((one) => one.version === workloadVersion)?.workload ?? record.workload;
  return network === null ? workload : { ...workload, network };
}

/** Whether what a version says is at hand. */
export const knowsVersion = (record: PoolRecord, version: number): boolean =>
  version === record.workloadVersion || record.earlier.some((one) => one.version === version);

/** With an earlier version that slots are started with again. */
export const withVersion = (record: PoolRecord, earlier: PoolRecord["earlier"][number]): PoolRecord =>
  knowsVersion(record, earlier.version) ? record : { ...record, earlier: [...record.earlier, earlier] };

/** Whether a slot is what the pool would start today. */
export const isCurrent = (record: PoolRecord, slot: Slot): boolean =>
  slot.tier === tierOf(record) && slot.workloadVersion >= record.workloadVersion && isOnItsNetwork(record, slot);

/** Nobody is given a container on a network that its pool does not allow any more. */
export const isOnItsNetwork = (record: PoolRecord, { network }: Slot): boolean =>
  network === undefined || network === networkOf(record);

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
