import type { ErrorCode } from "../errors/codes.ts";
import type { TenantId } from "../ids.ts";
import { upgradeOf } from "../registry/upgrade.ts";
import { occupied } from "./plan-lease.ts";
import { isCurrent, isDeleted, type PoolRecord, type Slot, tierOf } from "./record.ts";
import type { RolloutView } from "./types.ts";

/**
 * How a pool brings its tenants to the present version of its workload, a few at a time. What is left to do is read from
 * the slots' versions, each time anew; stored is only what they do not say: who is on the way, who failed, whether it
 * was halted. Pure; times in ms since 1970.
 */

export interface Rollout {
  /** The version that it leads to. */
  to: number;
  startedAt: number;
  /** Set while nothing is left to do. */
  endedAt: number | null;
  moving: Moving[];
  /** Tenants that were healthy on it for long enough. */
  upgraded: number;
  /** Since it began, or somebody resumed it. They are not asked again. */
  failed: RolloutFailure[];
  halted: { at: number; actor: string; reason: string } | null;
}

/** A tenant that was asked to restart, and is looked at until it did well for a while. */
export interface Moving {
  tenantId: TenantId;
  askedAt: number;
  /** Of its restart; null until its answer is known. */
  operationId: string | null;
  /** Since when it runs the new version. */
  readySince: number | null;
}

export interface RolloutFailure {
  tenantId: TenantId;
  code: ErrorCode;
  detail: string;
  at: number;
}

export type RolloutStep =
  /** Asks a tenant to restart onto the version; asked again, it says what it is at. */
  | { do: "ask"; tenantId: TenantId; to: number }
  | { do: "follow"; tenantId: TenantId; operationId: string }
  | { do: "watch"; tenantId: TenantId; to: number };

export interface RolloutPlan {
  /** As it is to be stored; the same object as before when nothing changes. */
  rollout: Rollout | null;
  steps: RolloutStep[];
}

/** A restart with its save and its start has deadlines of its own; whoever is not well by then is a failure. */
const MOVE_MS = 30 * 60_000;
const KEPT_FAILURES = 20;

/** What to do next. `later`: until when a tenant that was busy is not asked again. */
export function planRollout(
  record: PoolRecord,
  slots: readonly Slot[],
  later: ReadonlyMap<TenantId, number>,
  now: number,
): RolloutPlan {
  const before = record.rollout;
  if (upgradeOf(record.spec).policy !== "rolling" || isDeleted(record)) return { rollout: null, steps: [] };
  const outdated = outdatedOf(record, slots);
  const known = before?.to === record.workloadVersion ? before : null;
  // Nobody is left to be moved: a halt of an earlier one is over with it.
  if (!known && outdated.length === 0) return { rollout: before?.halted ? null : before, steps: [] };
  const running = withoutLate(known ?? begun(record.workloadVersion, now), record, now);
  if (record.drain || record.paused) return { rollout: running, steps: [] };
  const checked = outdated.length > 0 ? haltedByBreaker(running, record, now) : running;
  const moved = checked.halted ? checked : withNext(checked, record, slots, outdated, later, now);
  const rollout = ended(moved, outdated, now);
  return { rollout, steps: rollout.moving.map((one) => stepOf(one, rollout.to)) };
}

/** Containers of the pool's own tenants that run an older version than it starts. Another pool's tenants follow that one's policy. */
export const outdatedOf = (record: PoolRecord, slots: readonly Slot[]): Slot[] =>
  slots.filter(
    ({ state, lease, workloadVersion }) =>
      state === "assigned" && lease !== null && lease.of === undefined && workloadVersion < record.workloadVersion,
  );

/** Slots that are kept warm beyond the target, so that nobody is moved onto a version that never became ready. */
export function sparesOf(record: PoolRecord, slots: readonly Slot[]): number {
  const { policy, concurrency } = upgradeOf(record.spec);
  if (policy !== "rolling" || record.rollout?.halted) return 0;
  const waiting = outdatedOf(record, slots).filter((slot) => slot.tier === tierOf(record)).length;
  return Math.min(concurrency, waiting);
}

/** A halt that somebody asks for, or the end of one. A resumption asks again whoever failed. */
export function halted(rollout: Rollout, actor: string, reason: string, now: number): Rollout {
  return rollout.halted ? rollout : { ...rollout, halted: { at: now, actor, reason } };
}
export const resumed = (rollout: Rollout): Rollout =>
  rollout.halted ? { ...rollout, halted: null, failed: [], endedAt: null } : rollout;

const begun = (to: number, now: number): Rollout => ({
  to,
  startedAt: now,
  endedAt: null,
  moving: [],
  upgraded: 0,
  failed: [],
  halted: null,
});

/** Whoever took too long failed. */
function withoutLate(rollout: Rollout, record: PoolRecord, now: number): Rollout {
  const late = rollout.moving.filter(({ askedAt }) => now - askedAt >= MOVE_MS);
  return late.reduce(
    (all, { tenantId }) =>
      afterFailure(all, record, tenantId, "deadline_exceeded", "It was not well on the new version in time.", now),
    rollout,
  );
}

/** A version whose containers do not start is nobody's to be moved onto. */
function haltedByBreaker(rollout: Rollout, { breaker, failures }: PoolRecord, now: number): Rollout {
  if (!breaker || rollout.halted) return rollout;
  const why = failures ? `: ${failures.detail}` : ".";
  return halted(rollout, "system", `The pool's breaker is open${why}`, now);
}

/** With those that are moved next: as many as the policy lets at once, one until the first did well. */
function withNext(
  rollout: Rollout,
  record: PoolRecord,
  slots: readonly Slot[],
  outdated: readonly Slot[],
  later: ReadonlyMap<TenantId, number>,
  now: number,
): Rollout {
  const { concurrency } = upgradeOf(record.spec);
  const passed = new Set([...rollout.moving, ...rollout.failed].map(({ tenantId }) => tenantId));
  const atOnce = (rollout.upgraded === 0 ? 1 : concurrency) - rollout.moving.length;
  const next = outdated
    .flatMap(({ lease }) => (lease ? [lease.tenantId] : []))
    .filter((tenantId) => !passed.has(tenantId) && (later.get(tenantId) ?? 0) <= now)
    .slice(0, Math.max(0, Math.min(atOnce, places(record, slots))));
  if (next.length === 0) return rollout;
  const moving = next.map((tenantId) => ({ tenantId, askedAt: now, operationId: null, readySince: null }));
  return { ...rollout, endedAt: null, moving: [...rollout.moving, ...moving] };
}

/** How many may be moved for what is warm of the new version. A pool without room for a spare has none to wait for. */
function places(record: PoolRecord, slots: readonly Slot[]): number {
  const free = slots.filter((slot) => slot.lease === null && isCurrent(record, slot));
  const warm = free.filter((slot) => slot.state === "warm").length;
  const hasRoom = occupied(slots) < record.spec.maxSize && !lacksCapacity(record);
  const comes = free.length > warm || hasRoom;
  return warm > 0 || (comes && sparesOf(record, slots) > 0) ? warm : 1;
}

/** Nothing is wrong with the version: no container can be had beside those that there are. */
const lacksCapacity = ({ failures }: PoolRecord): boolean =>
  failures !== null && failures.recent.length === 0 && failures.notBefore > 0;

function ended(rollout: Rollout, outdated: readonly Slot[], now: number): Rollout {
  const failed = new Set(rollout.failed.map(({ tenantId }) => tenantId));
  const isOver = rollout.moving.length === 0 && outdated.every(({ lease }) => lease && failed.has(lease.tenantId));
  if (!isOver || rollout.halted) return rollout.endedAt === null ? rollout : { ...rollout, endedAt: null };
  return rollout.endedAt === null ? { ...rollout, endedAt: now } : rollout;
}

const stepOf = ({ tenantId, operationId, readySince }: Moving, to: number): RolloutStep =>
  readySince !== null
    ? { do: "watch", tenantId, to }
    : operationId !== null
      ? { do: "follow", tenantId, operationId }
      : { do: "ask", tenantId, to };

/** What a step came to. */
export type RolloutEvent = { tenantId: TenantId } & (
  | { type: "begun"; operationId: string }
  /** It runs the version, and is well as far as anybody sees. */
  | { type: "ready" }
  /** It is busy, asleep or on its way elsewhere: it comes by itself, or is asked again. */
  | { type: "left" }
  | { type: "failed"; code: ErrorCode; detail: string }
  /** Nobody answered, or there is nothing new. */
  | { type: "nothing" }
);

/** The rollout after what a step came to; the same object where that changes nothing. */
export function afterStep(rollout: Rollout, record: PoolRecord, event: RolloutEvent, now: number): Rollout {
  const one = rollout.moving.find(({ tenantId }) => tenantId === event.tenantId);
  if (!one) return rollout; // late: it was decided otherwise meanwhile
  switch (event.type) {
    case "nothing":
      return rollout;
    case "begun":
      return one.operationId === event.operationId
        ? rollout
        : replaced(rollout, { ...one, operationId: event.operationId });
    case "left":
      return without(rollout, event.tenantId);
    case "failed":
      return afterFailure(rollout, record, event.tenantId, event.code, event.detail, now);
    case "ready":
      if (one.readySince === null) return replaced(rollout, { ...one, readySince: now });
      if (now - one.readySince < upgradeOf(record.spec).healthyMs) return rollout;
      return { ...without(rollout, event.tenantId), upgraded: rollout.upgraded + 1 };
  }
}

function afterFailure(
  rollout: Rollout,
  record: PoolRecord,
  tenantId: TenantId,
  code: ErrorCode,
  detail: string,
  now: number,
): Rollout {
  const failed = [...rollout.failed, { tenantId, code, detail, at: now }].slice(-KEPT_FAILURES);
  const after = { ...without(rollout, tenantId), failed };
  if (failed.length < upgradeOf(record.spec).maxFailures) return after;
  return halted(after, "system", `${failed.length} tenants failed on version ${rollout.to}; the last: ${detail}`, now);
}

const without = (rollout: Rollout, tenantId: TenantId): Rollout => ({
  ...rollout,
  moving: rollout.moving.filter((one) => one.tenantId !== tenantId),
});

const replaced = (rollout: Rollout, one: Moving): Rollout => ({
  ...rollout,
  moving: rollout.moving.map((other) => (other.tenantId === one.tenantId ? one : other)),
});

/** A rollout as it is shown. `idle`: no tenant has to be brought anywhere, or their policy is another. */
export function rolloutView(record: PoolRecord, slots: readonly Slot[]): RolloutView {
  const { rollout } = record;
  const known = rollout?.to === record.workloadVersion ? rollout : null;
  return {
    ...upgradeOf(record.spec),
    state: !known ? "idle" : known.halted ? "halted" : known.endedAt !== null ? "done" : "rolling",
    to: record.workloadVersion,
    outdated: outdatedOf(record, slots).length,
    moving: (known?.moving ?? []).map(({ tenantId, askedAt, operationId, readySince }) => ({
      tenantId,
      since: readySince ?? askedAt,
      step: readySince !== null ? "watched" : operationId !== null ? "restarting" : "asked",
    })),
    upgraded: known?.upgraded ?? 0,
    failed: known?.failed ?? [],
    halted: known?.halted ?? null,
    startedAt: known?.startedAt ?? null,
    endedAt: known?.endedAt ?? null,
  };
}
