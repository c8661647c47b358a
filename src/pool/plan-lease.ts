import type { ContainerId } from "../ids.ts";
import { keptVersion } from "./pinned.ts";
import {
  isOnItsNetwork,
  knowsVersion,
  networkOf,
  type PoolRecord,
  type Slot,
  type SlotLease,
  tierOf,
} from "./record.ts";
import type { LeaseRequest } from "./types.ts";

/** Which slot a tenant gets. Pure; times in ms since 1970. */

export type LeasePlan =
  | { kind: "again"; slot: Slot }
  /** It has one, but nobody knows any more what that was started with. */
  | { kind: "forgotten"; slot: Slot }
  | { kind: "warm"; slot: Slot }
  /** Nothing is warm, but this one is being started and nobody has it yet. */
  | { kind: "reserve"; slot: Slot; reason: string }
  | { kind: "start"; reason: string }
  /** `pool`: it holds its maxSize. `tenant`: of this tenant too many containers begin and end already. */
  | { kind: "full"; of: "pool" | "tenant" }
  /** The tenant has asked for a later epoch since. */
  | { kind: "stale" }
  /** The pool is being deleted, and gives nothing out. */
  | { kind: "draining" };

/** Equal requests get equal slots; older leases of the same tenant are in `superseded`. */
export function planLease(
  record: PoolRecord,
  slots: readonly Slot[],
  request: LeaseRequest,
): { plan: LeasePlan; superseded: Slot[] } {
  const own = heldBy(slots, request);
  const again = own.find((slot) => slot.lease?.epoch === request.epoch);
  if (again) {
    const kind = knowsVersion(record, again.workloadVersion) ? "again" : "forgotten";
    return { plan: { kind, slot: again }, superseded: [] };
  }
  if (own.some((slot) => slot.lease !== null && slot.lease.epoch > request.epoch)) {
    return { plan: { kind: "stale" }, superseded: [] };
  }
  if (record.drain) return { plan: { kind: "draining" }, superseded: [] };
  const superseded = own.filter((slot) => slot.lease !== null && slot.lease.epoch < request.epoch);
  const plan = pick(record, slots, request, superseded.length);
  const isStart = plan.kind === "start" || plan.kind === "reserve";
  if (isStart && unsettled(slots, request).length >= STARTS_PER_TENANT) {
    return { plan: { kind: "full", of: "tenant" }, superseded };
  }
  return { plan, superseded };
}

/** What a tenant has of the pool. */
export const heldBy = (slots: readonly Slot[], { tenantId }: LeaseRequest): Slot[] =>
  slots.filter((slot) => slot.lease?.tenantId === tenantId && slot.state !== "draining");

/**
 * A tenant of whom so many containers are starting or ending gets no further start: one that starts over and over takes no
 * more of the fleet than that. What waits warm costs no start.
 */
export const STARTS_PER_TENANT = 3;
const unsettled = (slots: readonly Slot[], { tenantId }: LeaseRequest): Slot[] =>
  slots.filter(({ lease, state }) => lease?.tenantId === tenantId && (state === "starting" || state === "draining"));

function pick(record: PoolRecord, slots: readonly Slot[], request: LeaseRequest, leaving: number): LeasePlan {
  const tier = request.tier ?? tierOf(record);
  const kept = keptVersion(record, request);
  const lowest = request.minWorkloadVersion ?? 0;
  const free = slots
    .filter((slot) => (slot.state === "warm" || slot.state === "starting") && slot.lease === null)
    .sort((a, b) => b.workloadVersion - a.workloadVersion || a.since - b.since);
  const fits = ({ workloadVersion }: Slot) => (kept === null ? workloadVersion >= lowest : workloadVersion === kept);
  const fitting = free.filter((slot) => slot.tier === tier && fits(slot) && isOnItsNetwork(record, slot));
  const warm = fitting.find((slot) => slot.state === "warm");
  if (warm) return { kind: "warm", slot: warm };
  const [coming] = fitting;
  const reason = kept === null ? whyNotWarm(free, tier, record) : "pinned_version";
  if (coming) return { kind: "reserve", slot: coming, reason };
  return occupied(slots) - leaving >= record.spec.maxSize ? { kind: "full", of: "pool" } : { kind: "start", reason };
}

function whyNotWarm(free: readonly Slot[], tier: Slot["tier"], record: PoolRecord): string {
  if (tier !== tierOf(record)) return "other_tier";
  const warm = free.filter((slot) => slot.state === "warm" && slot.tier === tier);
  if (warm.length === 0) return "no_warm_slot";
  // Of this tier, but none that fits: they run an older version than is wanted, or on a network that is not allowed.
  return warm.every((slot) => isOnItsNetwork(record, slot)) ? "other_version" : "other_network";
}

/** A lease that its tenant did not confirm by then is asked about (design §3). */
export const CONFIRM_MS = 60_000;

/** The slot as its lease makes it; `freshId` names a container that is to be started. */
export function leaseSlot(
  record: PoolRecord,
  plan: Extract<LeasePlan, { kind: "warm" | "reserve" | "start" }>,
  request: LeaseRequest,
  freshId: ContainerId,
  now: number,
): Slot {
  const lease: SlotLease = {
    tenantId: request.tenantId,
    epoch: request.epoch,
    ...(request.via?.[0] === undefined ? {} : { of: request.via[0] }),
    launch: plan.kind === "warm" ? "warm" : "cold",
    ...(plan.kind === "warm" ? {} : { reason: plan.reason }),
    confirmBy: now + CONFIRM_MS,
  };
  if (plan.kind === "start") {
    const workloadVersion = keptVersion(record, request) ?? record.workloadVersion;
    return { ...newSlot(record, freshId, now), workloadVersion, tier: request.tier ?? tierOf(record), lease };
  }
  return { ...plan.slot, state: plan.kind === "warm" ? "assigned" : "starting", since: now, lease };
}

/** A container that is to be started as the pool is now. */
export const newSlot = (record: PoolRecord, containerId: ContainerId, now: number): Slot => ({
  containerId,
  state: "starting",
  tier: tierOf(record),
  workloadVersion: record.workloadVersion,
  network: networkOf(record),
  startedAt: now,
  startMs: null,
  since: now,
  lease: null,
});

/** Slots that count towards maxSize: warm, starting and claimed. */
export const occupied = (slots: readonly Slot[]): number =>
  slots.filter((slot) => slot.state !== "draining" && slot.state !== "failed").length;

/** Whose containers a pool holds. */
export const leased = (slots: readonly Slot[]): Slot[] =>
  slots.filter((slot) => slot.lease !== null && slot.state !== "draining");
