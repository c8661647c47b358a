import type { ContainerId } from "../ids.ts";
import { type PoolRecord, type Slot, type SlotLease, tierOf } from "./record.ts";
import type { LeaseRequest, PoolDescription } from "./types.ts";

/** The pool's decisions. Pure; times in ms since 1970. */

/** Containers of one pool that may be starting on its own account (mass starts fail: platform.md, P17). */
export const FILL_CONCURRENCY = 2;
const BACKOFF_BASE_MS = 1_000;
const BACKOFF_MAX_MS = 60_000;

export type LeasePlan =
  | { kind: "again"; slot: Slot }
  | { kind: "warm"; slot: Slot }
  /** Nothing is warm, but this one is being started and nobody has it yet. */
  | { kind: "reserve"; slot: Slot; reason: string }
  | { kind: "start"; reason: string }
  | { kind: "full" }
  /** The tenant has asked for a later epoch since. */
  | { kind: "stale" };

/** Which slot a tenant gets. Equal requests get equal slots; older leases of the same tenant are in `superseded`. */
export function planLease(
  record: PoolRecord,
  slots: readonly Slot[],
  request: LeaseRequest,
): { plan: LeasePlan; superseded: Slot[] } {
  const own = slots.filter((slot) => slot.lease?.tenantId === request.tenantId && slot.state !== "draining");
  const again = own.find((slot) => slot.lease?.epoch === request.epoch);
  if (again) return { plan: { kind: "again", slot: again }, superseded: [] };
  if (own.some((slot) => slot.lease !== null && slot.lease.epoch > request.epoch)) {
    return { plan: { kind: "stale" }, superseded: [] };
  }
  const superseded = own.filter((slot) => slot.lease !== null && slot.lease.epoch < request.epoch);
  return { plan: pick(record, slots, request, superseded.length), superseded };
}

function pick(record: PoolRecord, slots: readonly Slot[], request: LeaseRequest, leaving: number): LeasePlan {
  const otherTier = request.tier !== undefined && request.tier !== tierOf(record);
  if (!otherTier) {
    const [warm] = slots.filter((slot) => slot.state === "warm").sort((a, b) => a.since - b.since);
    if (warm) return { kind: "warm", slot: warm };
    const [coming] = slots
      .filter((slot) => slot.state === "starting" && slot.lease === null)
      .sort((a, b) => a.since - b.since);
    if (coming) return { kind: "reserve", slot: coming, reason: "no_warm_slot" };
  }
  if (occupied(slots) - leaving >= record.spec.maxSize) return { kind: "full" };
  return { kind: "start", reason: otherTier ? "other_tier" : "no_warm_slot" };
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
    launch: plan.kind === "warm" ? "warm" : "cold",
    ...(plan.kind === "warm" ? {} : { reason: plan.reason }),
    confirmBy: now + CONFIRM_MS,
  };
  if (plan.kind === "start") {
    return { containerId: freshId, state: "starting", tier: request.tier ?? tierOf(record), since: now, lease };
  }
  return { ...plan.slot, state: plan.kind === "warm" ? "assigned" : "starting", since: now, lease };
}

/** Slots that count towards maxSize: warm, starting and claimed. */
export const occupied = (slots: readonly Slot[]): number =>
  slots.filter((slot) => slot.state !== "draining" && slot.state !== "failed").length;

/** How many containers to start now so that minSize slots are warm or on the way. */
export function planRefill(record: PoolRecord, slots: readonly Slot[], starting: number, now: number): number {
  if (record.paused || now < retryAt(record)) return 0;
  const coming = slots.filter(
    (slot) => slot.state === "warm" || (slot.state === "starting" && slot.lease === null),
  ).length;
  const wanted = record.spec.minSize - coming;
  const room = record.spec.maxSize - occupied(slots);
  return Math.max(0, Math.min(wanted, room, FILL_CONCURRENCY - starting));
}

/** When the refill may try again after failed starts; 0 when at once. */
export function retryAt(record: PoolRecord): number {
  if (!record.failures) return 0;
  return record.failures.at + Math.min(BACKOFF_MAX_MS, BACKOFF_BASE_MS * 2 ** (record.failures.count - 1));
}

/** Warm slots beyond minSize that nobody wanted for idleTimeoutMs, the oldest first. */
export function planShrink(record: PoolRecord, slots: readonly Slot[], now: number): ContainerId[] {
  if (record.paused) return [];
  const warm = slots.filter((slot) => slot.state === "warm").sort((a, b) => a.since - b.since);
  return warm
    .slice(0, Math.max(0, warm.length - record.spec.minSize))
    .filter((slot) => now - slot.since >= record.spec.idleTimeoutMs)
    .map((slot) => slot.containerId);
}

/** `isLive` says of a warm slot whether it was seen alive since this object is in memory. */
export function describe(
  record: PoolRecord,
  slots: readonly Slot[],
  isLive: (id: ContainerId) => boolean,
): PoolDescription {
  const count = (test: (slot: Slot) => boolean) => slots.filter(test).length;
  const warm = count((slot) => slot.state === "warm" && isLive(slot.containerId));
  return {
    id: record.id,
    workloadId: record.spec.workloadId,
    minSize: record.spec.minSize,
    maxSize: record.spec.maxSize,
    idleTimeoutMs: record.spec.idleTimeoutMs,
    tier: tierOf(record),
    paused: record.paused,
    size: occupied(slots),
    warm,
    claimed: count((slot) => slot.state === "assigned"),
    starting: count((slot) => slot.state === "starting"),
    unhealthy: count((slot) => slot.state === "failed"),
    status:
      warm >= record.spec.minSize ? "healthy" : record.failures && record.failures.count >= 3 ? "error" : "degraded",
    hitRate: record.claims === 0 ? null : record.hits / record.claims,
    lastError: record.failures?.detail ?? null,
  };
}
