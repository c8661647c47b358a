import type { TenantId } from "../ids.ts";
import type { Saved, SavedView } from "../instance/types.ts";
import { type Failure, failed } from "../outcome.ts";
import type { Lease } from "../pool/types.ts";
import { partViews } from "./destruction.ts";
import type { Fresh, JournalEntry, Plan, Step } from "./events.ts";
import { after, type TenantTransition } from "./lifecycle.ts";
import { isWaiting, type Operation, type Retiring, type TenantRecord } from "./record.ts";
import type { ClaimAnswer, OperationView, ReleaseAnswer } from "./views.ts";
import type { OperationKind } from "./vocabulary.ts";

/** The vocabulary that the plans of starting, saving and waiting share. */

export const refuse = (code: Failure["code"], detail: string, extra?: Record<string, unknown>): Plan => ({
  kind: "refuse",
  failure: { code, detail, ...(extra ? { extra } : {}) },
});

export const neverSeen = (tenantId: TenantId): { ok: false; failure: Failure } =>
  failed("not_found", `There is no tenant ${tenantId}.`);

/** Nothing to do: a duplicate, or the late reply of something that is over. */
export const nothing = (record: TenantRecord): Plan => ({ kind: "go", record, steps: [], journal: [] });

/** Moves along the lifecycle table; an illegal event is refused as `invalid_transition`. */
export function move(
  record: TenantRecord,
  transition: TenantTransition,
  changes: Partial<TenantRecord>,
  more: { steps?: Step[]; ended?: OperationView; detail?: Record<string, unknown> } = {},
): Plan {
  const state = after(record.state, transition);
  if (state === null) {
    return refuse("invalid_transition", `A tenant that is ${record.state} cannot ${transition}.`, {
      state: record.state,
    });
  }
  const next = { ...record, ...changes, state };
  const entry: JournalEntry = {
    type: `tenant.${transition}`,
    detail: { from: record.state, to: state, epoch: next.epoch, ...more.detail },
  };
  return {
    kind: "go",
    record: next,
    steps: more.steps ?? [],
    journal: [entry],
    ...(more.ended ? { ended: more.ended } : {}),
  };
}

/** An operation that begins now, and may take `ms`. */
export const operationOf = (
  record: TenantRecord,
  kind: OperationKind,
  fresh: Fresh,
  ms: number,
  now: number,
): Operation => ({
  id: fresh.operationId,
  kind,
  startedAt: now,
  deadlineAt: now + ms,
  attempts: 1,
  from: record.state,
  fresh: "never",
});

/** The end of the operation in flight, as clients see it. */
export function end(
  record: TenantRecord,
  operation: Operation,
  now: number,
  result: { result: ClaimAnswer | ReleaseAnswer } | { error: Failure } | { cancelled: string },
): OperationView {
  const common = { ...view(record, operation), endedAt: now };
  const { notSaved } = operation;
  if ("result" in result) {
    return { ...common, status: "succeeded", result: { ...result.result, ...(notSaved ? { notSaved } : {}) } };
  }
  if ("error" in result) return { ...common, status: "failed", error: result.error };
  return { ...common, status: "cancelled", step: result.cancelled };
}

export function view(record: TenantRecord, operation: Operation): OperationView {
  return {
    id: operation.id,
    tenantId: record.tenantId,
    kind: operation.kind,
    status: "running",
    step: record.state,
    startedAt: operation.startedAt,
    deadlineAt: operation.deadlineAt,
    attempts: operation.attempts,
    ...(operation.notBefore === undefined ? {} : { retryAt: operation.notBefore }),
    ...(operation.kind === "destroy" ? { parts: partViews(record) } : {}),
  };
}

/** Without the timings that a save carries along. */
export function savedView(saved: Saved | null): SavedView | null {
  if (!saved) return null;
  const { timings: _, ...view } = saved;
  return view;
}

export const withError = (record: TenantRecord, failure: Failure, now: number): TenantRecord["errors"] =>
  [{ ...failure, at: now }, ...record.errors].slice(0, 10);

type RetireStep = Extract<Step, { do: "retire" }>;
export const retireStep = ({ containerId, poolId }: Retiring, reason: string): RetireStep => ({
  do: "retire",
  containerId,
  poolId,
  reason,
});

/** The steps that destroy a held container, and the note that it is not confirmed gone. */
export function letGo(record: TenantRecord, reason: string): { retiring: TenantRecord["retiring"]; steps: Step[] } {
  if (!record.held) return { retiring: record.retiring, steps: [] };
  const { containerId, poolId } = record.held;
  return {
    retiring: [...record.retiring, { containerId, poolId }],
    steps: [retireStep({ containerId, poolId }, reason)],
  };
}

/** The same for the container of a lease that was not kept. */
export function droppedBy(
  record: TenantRecord,
  lease: Lease | null,
  reason: string,
): { retiring: TenantRecord["retiring"]; steps: Step[] } {
  // A fallback pool's container is that pool's to end.
  const poolId = lease?.poolId ?? record.poolId;
  if (!lease || !poolId) return { retiring: record.retiring, steps: [] };
  const slot = { containerId: lease.containerId, poolId: lease.poolId };
  return { retiring: [...record.retiring, slot], steps: [retireStep(slot, reason)] };
}

/**
 * What is asked for between two attempts of a recovery, when nothing of it is under way, ends the recovery: the plan of the
 * tenant without it. Null for a tenant that is not between two. A plan that ends an operation of its own keeps the answer.
 */
export function callingOff(record: TenantRecord, now: number, planned: (bare: TenantRecord) => Plan): Plan | null {
  const { operation } = record;
  if (record.state !== "recovering" || !operation || !isWaiting(operation, now)) return null;
  const next = planned({ ...record, operation: null });
  if (next.kind !== "go") return next;
  return { ...next, also: [end(record, operation, now, { cancelled: "called off" })] };
}

export function joining(record: TenantRecord, again: boolean): Plan {
  return record.operation ? { kind: "wait", operationId: record.operation.id, again } : nothing(record);
}

export const inProgress = (record: TenantRecord): Plan =>
  refuse("operation_in_progress", `The tenant is ${record.state}.`, {
    operation: record.operation?.id,
    state: record.state,
  });
