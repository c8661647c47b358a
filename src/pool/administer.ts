import { type AuditEntry, audited, stateHash } from "../audit/entry.ts";
import { type By, SYSTEM } from "../auth/principal.ts";
import { done, failed, type Outcome } from "../outcome.ts";
import type { PoolSpec, Workload } from "../registry/specs.ts";
import * as alerts from "./alerts.ts";
import { leased } from "./plan-lease.ts";
import {
  type Drain,
  isDeleted,
  minimumOf,
  newPool,
  type PoolRecord,
  type Registration,
  type Slot,
  subjectOf,
  targetOf,
} from "./record.ts";
import { nextEdge } from "./schedule.ts";
import type { ExecNote } from "./types.ts";

/** What operators change of a pool, and what is recorded of it. Pure; times in ms since 1970. */

/** The record that is to be stored with its entries; the same record as before and no entry when nothing changes. */
export interface Decision {
  record: PoolRecord;
  entries: AuditEntry[];
}

/** What the registry says of a pool. `registered` is absent where only the workload is told. */
export interface Given {
  spec: PoolSpec;
  workload: Workload;
  workloadVersion: number;
  registered?: Registration;
}

/** What an entry's hashes are over: what somebody set. */
const settings = (record: PoolRecord | null) =>
  record && {
    spec: record.spec,
    workloadVersion: record.workloadVersion,
    paused: record.paused,
    target: record.target,
    drain: record.drain?.operationId ?? null,
    rollout: record.rollout?.halted ? "halted" : null,
  };

/** One entry about a change of the pool. */
export function entry(
  action: string,
  before: PoolRecord | null,
  after: PoolRecord,
  by: By,
  now: number,
  detail: AuditEntry["detail"] = {},
): AuditEntry {
  return audited(by, now, action, subjectOf(after), {
    before: before && stateHash(settings(before)),
    after: stateHash(settings(after)),
    detail,
  });
}

/** A container's beginning and its end, by themselves. */
export const came = (record: PoolRecord, slot: Slot, now: number): AuditEntry =>
  audited(SYSTEM, now, "container.created", subjectOf(record), {
    detail: { ...ofContainer(record, slot), launch: slot.lease ? "cold" : "warm" },
  });
export const went = (record: PoolRecord, slot: Slot, reason: string, now: number): AuditEntry =>
  audited(SYSTEM, now, "container.destroyed", subjectOf(record), { detail: { ...ofContainer(record, slot), reason } });

const ofContainer = (record: PoolRecord, { containerId, tier, lease }: Slot) => ({
  containerId,
  poolId: record.id,
  workloadId: record.spec.workloadId,
  tier,
  ...(lease ? { tenantId: lease.tenantId } : {}),
});

/**
 * Creates the pool, or brings it to another spec or workload. A later version of either is never taken back: of two
 * changes whose words cross on their way, the one that the registry took last is what counts.
 */
export function configured(
  before: PoolRecord | null,
  slots: readonly Slot[],
  given: Given,
  by: By,
  now: number,
): Outcome<Decision> {
  const { workload, workloadVersion, registered } = given;
  if (before?.drain && !isDeleted(before)) return beingDeleted(before);
  // Words of the life that ended, which are late: its name may be registered again, but not by them.
  if (before && isDeleted(before) && registered && registered.createdAt === before.registered?.createdAt) {
    return beingDeleted(before);
  }
  const spec = before && !isDeleted(before) && isOlder(registered, before.registered) ? before.spec : given.spec;
  const kept = { ...(spec === given.spec && registered ? { registered } : {}) };
  if (!before || isDeleted(before)) {
    const record = { ...newPool(spec, workload, workloadVersion), ...kept };
    return done({ record, entries: [entry("pool.created", before, record, by, now, { spec, workloadVersion })] });
  }
  if (spec.workloadId !== before.spec.workloadId) {
    const errors = [{ pointer: "/workloadId", detail: "cannot change; create another pool" }];
    return failed("invalid", "A pool keeps its workload.", { extra: { errors } });
  }
  const upgrade = workloadVersion > before.workloadVersion;
  const respecified = stateHash(spec) !== stateHash(before.spec);
  if (!upgrade && !respecified) {
    const same = !kept.registered || !isOlder(before.registered, kept.registered);
    return done({ record: same ? before : { ...before, ...kept }, entries: [] });
  }
  const { targetUntil, ...rest } = before;
  const starts = ({ tier, network }: PoolSpec) => stateHash([tier ?? null, network?.name ?? null]);
  const sizes = ({ minSize, maxSize, schedule }: PoolSpec) => stateHash([minSize, maxSize, schedule ?? null]);
  const resized = sizes(spec) !== sizes(before.spec);
  const record: PoolRecord = {
    ...rest,
    ...kept,
    spec,
    ...(resized ? { target: null } : targetUntil === undefined ? {} : { targetUntil }),
    ...(upgrade ? { workload, workloadVersion, earlier: earlierOf(before, slots) } : {}),
    // What is started is something else: if that mends it, it has its chance at once.
    ...(upgrade || starts(spec) !== starts(before.spec) ? { failures: null, breaker: null } : {}),
  };
  const closed = before.breaker && !record.breaker ? [alerts.breakerCleared(record, now)] : [];
  return done({
    record,
    entries: [entry("pool.updated", before, record, by, now, { spec, workloadVersion }), ...closed],
  });
}

/** Of two registrations whether the first was made before the second. What is not known is never older. */
const isOlder = (one: Registration | undefined, other: Registration | undefined): boolean =>
  one !== undefined &&
  other !== undefined &&
  (one.createdAt < other.createdAt || (one.createdAt === other.createdAt && one.version < other.version));

export function paused(before: PoolRecord, refill: "paused" | "running", by: By, now: number): Decision {
  const record = { ...before, paused: refill === "paused" };
  return { record, entries: [entry(record.paused ? "pool.paused" : "pool.resumed", before, record, by, now)] };
}

export function scaled(
  before: PoolRecord,
  slots: readonly Slot[],
  target: number,
  by: By,
  now: number,
): Outcome<Decision> {
  if (before.drain) return beingDeleted(before);
  const least = minimumOf(before, now);
  const most = Math.max(least, before.spec.maxSize - leased(slots).length);
  if (target < least || target > most) {
    const from = least === before.spec.minSize ? "minSize" : "as scheduled now";
    const errors = [
      { pointer: "/target", detail: `must be from ${least} (${from}) to ${most} (maxSize without what is claimed)` },
    ];
    return failed("invalid", "The pool cannot be scaled to that.", { extra: { errors } });
  }
  const { targetUntil: _, ...rest } = before;
  const until = nextEdge(before.spec.schedule, now);
  const record = { ...rest, target, ...(until === null ? {} : { targetUntil: until }) };
  const detail = { from: targetOf(before, now), to: target };
  return done({ record, entries: [entry("pool.scaled", before, record, by, now, detail)] });
}

export function breakerReset(before: PoolRecord, by: By, now: number): Decision {
  const record = { ...before, failures: null, breaker: null };
  const detail = { failures: before.failures?.count ?? 0, wasOpen: before.breaker !== null };
  const cleared = before.breaker ? [alerts.breakerCleared(record, now)] : [];
  return { record, entries: [entry("pool.breaker_reset", before, record, by, now, detail), ...cleared] };
}

/** The beginning of a deletion. Asked for again, it goes on; a release that failed is asked for again only by somebody who says `release`. */
export function drained(
  before: PoolRecord,
  slots: readonly Slot[],
  claimed: "refuse" | "release",
  operationId: string,
  by: By,
  now: number,
): Outcome<Decision> {
  const held = leased(slots);
  const releases = claimed === "release";
  const usedBy = held.map((slot) => `tenant:${slot.lease?.tenantId}`).sort();
  if (!before.drain && !releases && held.length > 0) {
    return failed("in_use", `Pool ${before.id} serves ${held.length} tenants.`, { extra: { usedBy } });
  }
  if (before.drain && !releases) return done({ record: before, entries: [] });
  const drain: Drain = before.drain
    ? { ...before.drain, releases, failed: [] }
    : { operationId, startedAt: now, by, releases, failed: [], endedAt: null };
  const record = { ...before, drain };
  return done({ record, entries: [entry("pool.draining", before, record, by, now, { releases, usedBy })] });
}

/** What remains of a deleted pool: who it was, for its chain and for whoever asks how the deletion ended. */
export function deleted(before: PoolRecord, drain: Drain, now: number): Decision {
  const record: PoolRecord = {
    ...before,
    earlier: [],
    failures: null,
    breaker: null,
    exhaustedAt: null,
    fullTiers: [],
    drain: { ...drain, endedAt: now },
  };
  // The request is recorded where it began; this is its end, which may be much later.
  const by = { ...drain.by, requestId: null };
  const cleared = [
    ...(before.breaker ? [alerts.breakerCleared(record, now)] : []),
    ...(before.exhaustedAt == null ? [] : [alerts.exhaustionCleared(record, now)]),
    ...alerts.tiersCleared(before, () => true, now).entries,
  ];
  return { record, entries: [...cleared, entry("pool.deleted", before, record, by, now)] };
}

/** A container that somebody ends. A slot that serves a tenant goes only with what its tenant did not save. */
export function removed(
  record: PoolRecord,
  slot: Slot,
  claimed: "refuse" | "give-up",
  by: By,
  now: number,
): Outcome<{ slots: Slot[]; entries: AuditEntry[] }> {
  if (slot.state === "draining") return done({ slots: [], entries: [] });
  if (slot.lease && claimed === "refuse") {
    const { tenantId } = slot.lease;
    const detail = `The container serves tenant ${tenantId}. Release or restart the tenant, which saves its state, or remove it with force=true, which does not.`;
    return failed("in_use", detail, { extra: { usedBy: [`tenant:${tenantId}`] } });
  }
  const detail = {
    containerId: slot.containerId,
    tenantId: slot.lease?.tenantId ?? null,
    force: claimed === "give-up",
  };
  return done({
    slots: [{ ...slot, state: "draining", since: now }],
    entries: [audited(by, now, "container.removed", subjectOf(record), { detail })],
  });
}

/** A command in a container: its program and a hash, never its arguments. */
export function executed(record: PoolRecord, slot: Slot, note: ExecNote, by: By, now: number): AuditEntry {
  const program = note.program.slice(0, 256);
  const detail = { ...note, program, tenantId: slot.lease?.tenantId ?? null };
  return audited(by, now, "container.exec", subjectOf(record), { detail });
}

/** The versions that slots still run, after the present one became an earlier one. */
function earlierOf(before: PoolRecord, slots: readonly Slot[]): PoolRecord["earlier"] {
  const run = new Set(slots.map((slot) => slot.workloadVersion));
  const known = [...before.earlier, { version: before.workloadVersion, workload: before.workload }];
  return known.filter(({ version }) => run.has(version));
}

export const beingDeleted = ({ id }: PoolRecord) =>
  failed("invalid_transition", `Pool ${id} is being deleted.`, { extra: { refused: "pool_draining" } });
