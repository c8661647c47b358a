import { COOLDOWN } from "../durable/cadence.ts";
import { type Epoch, epoch, generation, type PoolId } from "../ids.ts";
import type { Failure } from "../outcome.ts";
import { actionAnswer, claimAnswer } from "./answers.ts";
import type { Fresh, JournalEntry, Limits, Plan, Step, StepResult } from "./events.ts";
import { recoveryFailed } from "./plan-recover.ts";
import { droppedBy, end, move, nothing, operationOf, refuse, withError } from "./planning.ts";
import type { Held, Operation, TenantRecord } from "./record.ts";
import { startingAt } from "./room.ts";
import { claimRun, recorded, scheduledAnew, takenUp } from "./syncs.ts";
import type { OperationKind } from "./vocabulary.ts";

/** Decisions about a start: from its lease to the container that serves, or to the reason why none does. */

/** A leased container that turned out dead is replaced this often before the start fails. */
const START_ATTEMPTS = 3;

/** A container that died, or a call that broke off (an object was evicted or deployed): another one may do. */
const PASSING: readonly Failure["code"][] = ["container_unavailable", "operation_interrupted"];

type Result<T extends StepResult["type"]> = Extract<StepResult, { type: T }>;

export const contentDetail = ({ delivery, secrets }: Pick<TenantRecord, "delivery" | "secrets">) => ({
  configVersion: delivery.configVersion,
  secretsVersion: secrets?.version ?? 0,
});

/** What a tenant that was made anew lacks still. */
export const needsOf = ({ rebuilt, delivery, secrets }: TenantRecord): ("config" | "secrets")[] =>
  rebuilt?.needs.filter((part) => (part === "config" ? delivery.config === undefined : secrets === null)) ?? [];

/** What a start may have beside its kind. */
export interface Beginning {
  /** Before anything is started. */
  steps?: Step[];
  detail?: Record<string, unknown>;
  /** ms since 1970; nothing is started earlier. */
  notBefore?: number;
  /** How long it may wait for capacity, in ms. */
  capacityWaitMs?: number;
  /** Nobody asked for it but the tenant's lifecycle. */
  byLifecycle?: true;
}

/** Refused where the tenant lacks what a start has to give it; null for every other tenant. */
export function lacking(record: TenantRecord): Plan | null {
  const needs = needsOf(record);
  if (needs.length === 0) return null;
  const detail = `The tenant was made anew from what others knew of it, which is not its ${needs.join(" and its ")}: claim it with them.`;
  return refuse("state_missing", detail, { needs });
}

/** Epoch + 1 and the first step of a start; everything durable that a start needs is in this one record. */
export function begin(
  record: TenantRecord,
  kind: OperationKind & ("claim" | "wake" | "recover"),
  startsFresh: Operation["fresh"],
  fresh: Fresh,
  limits: Limits,
  now: number,
  { steps = [], detail = {}, notBefore = now, capacityWaitMs = 0, byLifecycle }: Beginning = {},
): Plan {
  if (record.poolId === null) return refuse("invalid", "This tenant has no pool.");
  const lacks = startsFresh === "never" ? lacking(record) : null;
  if (lacks) return lacks;
  const next = epoch(record.epoch + 1);
  const begun: Operation = {
    ...operationOf(record, kind, fresh, limits.startMs, now),
    fresh: startsFresh,
    ...(notBefore > now ? { notBefore } : {}),
    ...(byLifecycle ? { byLifecycle } : {}),
  };
  const operation = startingAt(begun, notBefore, capacityWaitMs, limits);
  const transition = kind !== "recover" ? kind : record.state === "active" ? "lost" : "recover";
  // Whoever starts what crashed again and again says that it is to be tried again.
  const forgiven = kind !== "recover" && record.state === "error" ? { crashes: [] } : {};
  return move(
    record,
    transition,
    { epoch: next, operation, stoppedReason: null, ...forgiven },
    {
      steps: notBefore > now ? steps : [...steps, leaseStep(operation, record.poolId, next)],
      detail: {
        operation: operation.id,
        poolId: record.poolId,
        ...(notBefore > now ? { retryAt: notBefore } : {}),
        ...contentDetail(record),
        ...detail,
      },
    },
  );
}

export const leaseStep = (operation: Operation, poolId: PoolId, forEpoch: Epoch): Step => ({
  do: "lease",
  operationId: operation.id,
  poolId,
  epoch: forEpoch,
});

/** A lease is not stored here: asking the Pool again for the same epoch gives the same one. */
export function leased(record: TenantRecord, operation: Operation, event: Result<"leased">): Plan {
  const step: Step = {
    do: "assign",
    operationId: operation.id,
    lease: event.lease,
    epoch: record.epoch,
    fresh: operation.fresh === "now",
  };
  return { kind: "go", record, steps: [step], journal: [] };
}

export function assigned(before: TenantRecord, operation: Operation, event: Result<"assigned">, now: number): Plan {
  const { missing: _, rebuilt: __, ...record } = before;
  if (record.poolId === null) return nothing(before);
  const { lease } = event;
  const hasState = lease.workload.volumes.state !== undefined;
  const held: Held = {
    containerId: lease.containerId,
    poolId: lease.poolId,
    epoch: record.epoch,
    port: lease.workload.port,
    tier: lease.tier,
    ...(lease.workloadVersion === undefined ? {} : { workloadVersion: lease.workloadVersion }),
    hasState,
    launch: lease.launch,
    ...(lease.reason ? { reason: lease.reason } : {}),
    idleTimeoutMs: lease.idleTimeoutMs,
    since: now,
    restored: event.assigned.restored,
    ...(event.assigned.gateway ? { gateway: event.assigned.gateway } : {}),
    timings: event.timings,
  };
  const ran =
    lease.workloadVersion === undefined ? {} : { ran: { poolId: held.poolId, version: lease.workloadVersion } };
  // What an admin went on without is not looked for again.
  const withoutState = operation.fresh === "now" && before.missing !== undefined;
  const next: TenantRecord = {
    ...record,
    ...ran,
    operation: null,
    held,
    delivered: event.fingerprint,
    generation: event.assigned.restored?.generation ?? (withoutState ? generation(0) : record.generation),
    // The workload may write from now on. What was lost unsaved stays visible until a save succeeds.
    unsavedSince: hasState ? (operation.kind === "recover" ? (record.unsavedSince ?? now) : now) : null,
    lastActivityAt: now,
    desired: "active",
    ...(operation.kind === "recover" ? { restarts: (record.restarts ?? 0) + 1 } : {}),
  };
  const came = (event.assigned.fetched ?? []).map(claimRun);
  const known = scheduledAnew(takenUp(record.syncs, event.specs ?? [], now), now);
  const nothingSent = { fingerprint: null, jitter: 0 };
  const syncs = known && came.reduce((all, run) => recorded(all, run, nothingSent), known);
  if (syncs) next.syncs = syncs;
  const active = { ...next, state: "active" as const };
  const answer =
    operation.kind === "restart" || operation.kind === "restore"
      ? actionAnswer(active, operation.saved ?? null, event.timings, operation.restore?.made)
      : claimAnswer(active, held, lease.launch);
  const planned = move(
    next,
    "assigned",
    {},
    {
      ended: end(record, operation, now, { result: answer }),
      detail: { containerId: lease.containerId, launch: lease.launch, generation: next.generation },
    },
  );
  return planned.kind === "go" && came.length > 0 ? { ...planned, synced: came } : planned;
}

/** How a start that failed is tried again, on another container; null when it is not. */
function retryOf(operation: Operation, failure: Failure): Operation | null {
  const again = { ...operation, attempts: operation.attempts + 1 };
  const unrestored = failure.code === "restore_failed" || failure.code === "state_missing";
  if (unrestored && operation.fresh === "if-restore-fails") return { ...again, fresh: "now" };
  return PASSING.includes(failure.code) && operation.attempts < START_ATTEMPTS ? again : null;
}

export function startFailed(
  before: TenantRecord,
  operation: Operation,
  event: Result<"start_failed">,
  limits: Limits,
  now: number,
): Plan {
  const { failure, lease } = event;
  const record = withMissing(before, failure, now);
  const lost = record === before ? [] : [{ type: "data.loss_suspected", detail: { generation: record.generation } }];
  if (operation.kind === "recover") return also(recoveryFailed(record, operation, event, limits, now), lost);
  const { retiring, steps } = droppedBy(record, lease, failure.code);
  const errors = withError(record, failure, now);
  const again = retryOf(operation, failure);
  if (again && now < operation.deadlineAt && record.poolId) {
    const next = epoch(record.epoch + 1);
    return {
      kind: "go",
      record: { ...record, retiring, epoch: next, operation: again, errors },
      steps: [...steps, leaseStep(again, record.poolId, next)],
      journal: [...lost, { type: "tenant.start_retried", detail: { epoch: next, code: failure.code } }],
    };
  }
  const transition = isNothingStarted(failure) && operation.from !== "error" ? "refused" : "failed";
  // Where nothing came of it, nothing is wanted any more either: the next claim or request says so again.
  const back = operation.kind === "claim" ? ("idle" as const) : ("asleep" as const);
  const desired = transition === "refused" ? back : record.desired;
  const stoppedReason = failure.code === "capacity_exhausted" ? ("capacity" as const) : ("failure" as const);
  const later = operation.byLifecycle ? { wakeAt: now + COOLDOWN.wake } : {};
  const planned = move(
    record,
    transition,
    { operation: null, retiring, desired, stoppedReason, errors, ...later },
    { steps, ended: end(record, operation, now, { error: failure }), detail: { code: failure.code } },
  );
  return also(planned, lost);
}

const also = (planned: Plan, entries: JournalEntry[]): Plan =>
  planned.kind === "go" && entries.length > 0 ? { ...planned, journal: [...entries, ...planned.journal] } : planned;

/** What its vault does not have any more although it had: nothing starts on an empty directory as if that were all. */
function withMissing(record: TenantRecord, { code }: Failure, now: number): TenantRecord {
  if (code !== "state_missing" || record.missing) return record;
  return { ...record, missing: { at: now, generation: generation(record.generation) } };
}

/** Codes of starts after which nothing runs that did not run before; and a pool that is not there, or is being deleted. */
const NOTHING_STARTED: readonly Failure["code"][] = ["capacity_exhausted", "start_failed", "container_unavailable"];
const isNothingStarted = ({ code, extra }: Failure): boolean =>
  NOTHING_STARTED.includes(code) || extra?.refused !== undefined;
