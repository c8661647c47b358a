import { type AuditEntry, audited, stateHash } from "../audit/entry.ts";
import { type By, SYSTEM } from "../auth/principal.ts";
import { done, failed, type Outcome } from "../outcome.ts";
import type { PoolSpec, Workload } from "../registry/specs.ts";
import { leased } from "./plan-lease.ts";
import { type Drain, isDeleted, newPool, type PoolRecord, type Slot, targetOf } from "./record.ts";
import type { ExecNote } from "./types.ts";

/** What operators change of a pool, and what is recorded of it. Pure; times in ms since 1970. */

/** The record that is to be stored with its entries; the same record as before and no entry when nothing changes. */
export interface Decision {
  record: PoolRecord;
  entries: AuditEntry[];
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

export const subjectOf = ({ id }: PoolRecord): string => `pool:${id}`;

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

/** Creates the pool, or brings it to another spec or workload. A later version of the workload is never taken back. */
export function configured(
  before: PoolRecord | null,
  slots: readonly Slot[],
  given: { spec: PoolSpec; workload: Workload; workloadVersion: number },
  by: By,
  now: number,
): Outcome<Decision> {
  const { spec, workload, workloadVersion } = given;
  if (before?.drain && !isDeleted(before)) return beingDeleted(before);
  if (!before || isDeleted(before)) {
    const record = newPool(spec, workload, workloadVersion);
    return done({ record, entries: [entry("pool.created", before, record, by, now, { spec, workloadVersion })] });
  }
  if (spec.workloadId !== before.spec.workloadId) {
    const errors = [{ pointer: "/workloadId", detail: "cannot change; create another pool" }];
    return failed("invalid", "A pool keeps its workload.", { extra: { errors } });
  }
  const upgrade = workloadVersion > before.workloadVersion;
  const respecified = stateHash(spec) !== stateHash(before.spec);
  if (!upgrade && !respecified) return done({ record: before, entries: [] });
  const resized = spec.minSize !== before.spec.minSize || spec.maxSize !== before.spec.maxSize;
  const record: PoolRecord = {
    ...before,
    spec,
    ...(resized ? { target: null } : {}),
    // A workload that was mended gets its chance at once.
    ...(upgrade ? { workload, workloadVersion, earlier: earlierOf(before, slots), failures: null, breaker: null } : {}),
  };
  return done({ record, entries: [entry("pool.updated", before, record, by, now, { spec, workloadVersion })] });
}

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
  const { minSize, maxSize } = before.spec;
  const most = Math.max(minSize, maxSize - leased(slots).length);
  if (target < minSize || target > most) {
    const errors = [
      { pointer: "/target", detail: `must be from ${minSize} (minSize) to ${most} (maxSize without what is claimed)` },
    ];
    return failed("invalid", "The pool cannot be scaled to that.", { extra: { errors } });
  }
  const record = { ...before, target };
  const detail = { from: targetOf(before), to: target };
  return done({ record, entries: [entry("pool.scaled", before, record, by, now, detail)] });
}

export function breakerReset(before: PoolRecord, by: By, now: number): Decision {
  const record = { ...before, failures: null, breaker: null };
  const detail = { failures: before.failures?.count ?? 0, wasOpen: before.breaker !== null };
  return { record, entries: [entry("pool.breaker_reset", before, record, by, now, detail)] };
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
    drain: { ...drain, endedAt: now },
  };
  // The request is recorded where it began; this is its end, which may be much later.
  const by = { ...drain.by, requestId: null };
  return { record, entries: [entry("pool.deleted", before, record, by, now)] };
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

export const beingDeleted = ({ id }: PoolRecord) => failed("invalid_transition", `Pool ${id} is being deleted.`);
