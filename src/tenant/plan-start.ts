import { type ContainerId, type Epoch, epoch, type PoolId } from "../ids.ts";
import type { SavedView } from "../instance/types.ts";
import type { Failure } from "../outcome.ts";
import { merged } from "./delivery.ts";
import type { Fresh, Limits, Plan, Step, StepResult, TenantEvent } from "./events.ts";
import { end, letGo, move, nothing, operationOf, refuse, savedView, withError } from "./planning.ts";
import { type Held, isOutdated, type Loss, type Made, type Operation, type TenantRecord } from "./record.ts";
import { claimRun, recorded, scheduledAnew, takenUp } from "./syncs.ts";
import type { ActionAnswer, ClaimAnswer, Launch, OperationKind } from "./types.ts";

/** Decisions on the way to a container: claim, wake, recover and the resumption of a failed release. */

/** A leased container that turned out dead is replaced this often before the start fails. */
const START_ATTEMPTS = 3;

/** A container that died, or a call that broke off (an object was evicted or deployed): another one may do. */
const PASSING: readonly Failure["code"][] = ["container_unavailable", "operation_interrupted"];

type Claim = Extract<TenantEvent, { type: "claim" }>;
type Result<T extends StepResult["type"]> = Extract<StepResult, { type: T }>;

export function claim(record: TenantRecord, event: Claim, fresh: Fresh, limits: Limits, now: number): Plan {
  const poolId = event.poolId ?? record.poolId;
  const moving = event.poolId !== null && record.poolId !== null && event.poolId !== record.poolId;
  const { newConfig, ...content } = merged(record, event.delivery);
  const isNew = content.delivery !== record.delivery || content.secrets !== record.secrets;
  const kept = newConfig ? { newConfig } : {};
  switch (record.state) {
    case "active":
      if (moving) return claimedElsewhere(record);
      if (!isNew) return nothing(record);
      return {
        kind: "go",
        record: { ...record, ...content },
        steps: [],
        journal: [{ type: "tenant.config_changed", detail: contentDetail(content) }],
        ...kept,
      };
    case "claiming":
    case "waking":
    case "recovering":
      if (moving) return claimedElsewhere(record);
      // The start under way may have other config in its hands: this claim is planned anew after it.
      return joining(
        record,
        content.delivery.configVersion !== record.delivery.configVersion || content.secrets !== record.secrets,
      );
    case "saving":
    case "sleeping":
      if (moving) return claimedElsewhere(record);
      return joining(record, true);
    case "release_failed":
      if (moving) return claimedElsewhere(record);
      return keeping(resume({ ...record, ...content }, fresh, limits, now), kept);
    case "idle":
    case "error":
    case "asleep":
    case "destroyed": {
      // A restore or an import where nothing runs ends first.
      if (record.operation) return joining(record, true);
      if (poolId === null)
        return refuse("invalid", "This tenant has no pool yet; name one in `poolId`.", {
          errors: [{ pointer: "/poolId", detail: "required" }],
        });
      // What is to be gone is not restored, and what a new life saves is not deleted with it.
      if (record.destruction?.data === "delete")
        return refuse("invalid_transition", "What this tenant saved is being deleted; claim it again after that.", {
          state: record.state,
        });
      const changes = { ...content, poolId, desired: "active" as const, hold: null, destruction: null };
      const planned = begin(
        { ...record, ...changes },
        record.state === "asleep" ? "wake" : "claim",
        event.allowFresh ? "if-restore-fails" : "never",
        fresh,
        limits,
        now,
      );
      return keeping(planned, kept);
    }
    case "releasing":
      return inProgress(record);
    case "suspended":
      return refuse("suspended", "The tenant is suspended.");
    case "destroying":
      return refuse("invalid_transition", `A tenant that is ${record.state} cannot be claimed.`, {
        state: record.state,
      });
  }
}

const keeping = (planned: Plan, kept: { newConfig?: { version: number; config: unknown } }): Plan =>
  planned.kind === "go" ? { ...planned, ...kept } : planned;

export const contentDetail = ({ delivery, secrets }: Pick<TenantRecord, "delivery" | "secrets">) => ({
  configVersion: delivery.configVersion,
  secretsVersion: secrets?.version ?? 0,
});

export function wake(record: TenantRecord, fresh: Fresh, limits: Limits, now: number): Plan {
  if (record.state === "asleep" && !record.operation)
    return begin({ ...record, desired: "active" }, "wake", "never", fresh, limits, now);
  const again = record.state === "sleeping" || record.state === "asleep";
  return record.operation ? joining(record, again) : nothing(record);
}

/** The container of `event` is gone: what was unsaved in it is lost and said so, and a fresh one takes its place. */
export function lost(
  record: TenantRecord,
  event: Extract<TenantEvent, { type: "lost" }>,
  fresh: Fresh,
  limits: Limits,
  now: number,
): Plan {
  if (record.held?.containerId !== event.containerId || record.held.epoch !== event.epoch) return nothing(record);
  const bare = { ...record, held: null, lastLoss: lossOf(record, event.containerId, event.detail, now) };
  const { retiring, steps } = letGo(record, "lost");
  if (record.state === "active") {
    const { operation } = record; // a save or a restart of the running workload ends with its container
    const detail = `The container was lost during the ${operation?.kind}: ${event.detail}`;
    const ended = operation && end(record, operation, now, { error: { code: "container_unavailable", detail } });
    const planned = begin({ ...bare, retiring }, "recover", "never", fresh, limits, now, steps);
    return planned.kind === "go" && ended ? { ...planned, ended } : planned;
  }
  if (record.state === "release_failed") {
    const [transition, desired] = record.suspension ? (["suspended", "asleep"] as const) : (["lost", "idle"] as const);
    return move(
      { ...record, ...bare, retiring },
      transition,
      { desired, hold: null, unsavedSince: null },
      { steps, detail: { reason: event.detail } },
    );
  }
  return nothing(record); // an operation in flight will meet it
}

/** Epoch + 1 and the first step of a start; everything durable that a start needs is in this one record. */
export function begin(
  record: TenantRecord,
  kind: OperationKind & ("claim" | "wake" | "recover"),
  startsFresh: Operation["fresh"],
  fresh: Fresh,
  limits: Limits,
  now: number,
  before: Step[] = [],
): Plan {
  if (record.poolId === null) return refuse("invalid", "This tenant has no pool.");
  const next = epoch(record.epoch + 1);
  const operation: Operation = {
    ...operationOf(record, kind, fresh, limits.startMs, now),
    fresh: startsFresh,
  };
  const transition = kind === "recover" ? "lost" : kind;
  return move(
    record,
    transition,
    { epoch: next, operation },
    {
      steps: [...before, leaseStep(operation, record.poolId, next)],
      detail: { operation: operation.id, poolId: record.poolId, ...contentDetail(record) },
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

export function assigned(record: TenantRecord, operation: Operation, event: Result<"assigned">, now: number): Plan {
  if (record.poolId === null) return nothing(record);
  const { lease } = event;
  const hasState = lease.workload.volumes.state !== undefined;
  const held: Held = {
    containerId: lease.containerId,
    poolId: record.poolId,
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
  const next: TenantRecord = {
    ...record,
    operation: null,
    held,
    delivered: event.fingerprint,
    generation: event.assigned.restored?.generation ?? record.generation,
    // The workload may write from now on. What was lost unsaved stays visible until a save succeeds.
    unsavedSince: hasState ? (operation.kind === "recover" ? (record.unsavedSince ?? now) : now) : null,
    lastActivityAt: now,
    desired: "active",
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
  if (failure.code === "restore_failed" && operation.fresh === "if-restore-fails") return { ...again, fresh: "now" };
  return PASSING.includes(failure.code) && operation.attempts < START_ATTEMPTS ? again : null;
}

export function startFailed(
  record: TenantRecord,
  operation: Operation,
  event: Result<"start_failed">,
  now: number,
): Plan {
  const { failure, lease } = event;
  const dropped = lease && record.poolId ? [{ containerId: lease.containerId, poolId: record.poolId }] : [];
  const retire: Step[] = dropped.map((slot) => ({ do: "retire", ...slot, reason: failure.code }));
  const retiring = [...record.retiring, ...dropped];
  const again = retryOf(operation, failure);
  if (again && now < operation.deadlineAt && record.poolId) {
    const next = epoch(record.epoch + 1);
    return {
      kind: "go",
      record: { ...record, retiring, epoch: next, operation: again, errors: withError(record, failure, now) },
      steps: [...retire, leaseStep(again, record.poolId, next)],
      journal: [{ type: "tenant.start_retried", detail: { epoch: next, code: failure.code } }],
    };
  }
  const nothingStarted =
    failure.code === "capacity_exhausted" ||
    failure.code === "start_failed" ||
    failure.code === "container_unavailable";
  const transition = nothingStarted && operation.from !== "error" ? "refused" : "failed";
  const desired = transition === "refused" && operation.kind === "claim" ? ("idle" as const) : record.desired;
  const stoppedReason = failure.code === "capacity_exhausted" ? ("capacity" as const) : ("failure" as const);
  return move(
    record,
    transition,
    { operation: null, retiring, desired, stoppedReason, errors: withError(record, failure, now) },
    {
      steps: retire,
      ended: end(record, operation, now, { error: failure }),
      detail: { code: failure.code },
    },
  );
}

/**
 * A failed release is called off: the same container serves again, under a new epoch. It is the container's epoch from
 * here on, whether the Instance comes to hear of it or not. What an earlier save of this release sent no longer says
 * what the container holds as soon as its workload may run again, so a save after this has a new name.
 */
export function resume(record: TenantRecord, fresh: Fresh, limits: Limits, now: number): Plan {
  if (record.operation) return joining(record, true);
  if (!record.held) return refuse("invalid_transition", "The container is gone.", { state: record.state });
  const next = epoch(record.epoch + 1);
  const operation = operationOf(record, "claim", fresh, limits.startMs, now);
  const held = { ...record.held, epoch: next };
  const hold = record.hold?.kind === "retry" ? { ...record.hold, saveId: fresh.saveId } : record.hold;
  return {
    kind: "go",
    record: { ...record, epoch: next, held, hold, operation },
    steps: [{ do: "resume", operationId: operation.id, containerId: held.containerId, epoch: next }],
    journal: [{ type: "tenant.resuming", detail: { epoch: next, operation: operation.id } }],
  };
}

export function resumed(record: TenantRecord, operation: Operation, event: Result<"resumed">, now: number): Plan {
  if (event.failure || !record.held) {
    const failure: Failure = event.failure ?? { code: "container_unavailable", detail: "The container is gone." };
    return {
      kind: "go",
      record: { ...record, operation: null, errors: withError(record, failure, now) },
      steps: record.held ? [{ do: "observe", containerId: record.held.containerId }] : [],
      ended: end(record, operation, now, { error: failure }),
      journal: [{ type: "tenant.resume_failed", detail: { code: failure.code } }],
    };
  }
  const held = { ...record.held, since: now };
  const next = {
    ...record,
    held,
    operation: null,
    hold: null,
    suspension: null,
    desired: "active" as const,
    lastActivityAt: now,
  };
  return move(
    next,
    "resume",
    {},
    {
      ended: end(record, operation, now, { result: claimAnswer({ ...next, state: "active" }, held, "existing") }),
      detail: { containerId: held.containerId },
    },
  );
}

export function claimAnswer(record: TenantRecord, held: Held, launch: Launch): ClaimAnswer {
  const pending = isOutdated(record);
  return {
    tenantId: record.tenantId,
    containerId: held.containerId,
    poolId: held.poolId,
    state: record.state,
    launch,
    ...(launch !== "existing" && held.reason ? { reason: held.reason } : {}),
    epoch: held.epoch,
    restored: held.restored,
    ...(pending ? { pendingRestart: true as const } : {}),
    timings: launch === "existing" ? {} : held.timings,
  };
}

export function actionAnswer(
  record: TenantRecord,
  saved: SavedView | null,
  timings: Record<string, number> = {},
  made?: Made,
): ActionAnswer {
  const { tenantId, state, epoch: at, held } = record;
  return {
    tenantId,
    state,
    ...(held ? { containerId: held.containerId } : {}),
    epoch: at,
    saved: savedView(saved),
    ...(made ? { restored: made.from, generation: made.committed.generation } : {}),
    timings,
  };
}

export function lossOf(record: TenantRecord, containerId: ContainerId, detail: string, now: number): Loss | null {
  if (record.unsavedSince === null) return record.lastLoss;
  return { containerId, at: now, unsavedSince: record.unsavedSince, generation: record.generation, detail };
}

export function joining(record: TenantRecord, again: boolean): Plan {
  return record.operation ? { kind: "wait", operationId: record.operation.id, again } : nothing(record);
}

export const inProgress = (record: TenantRecord): Plan =>
  refuse("operation_in_progress", `The tenant is ${record.state}.`, {
    operation: record.operation?.id,
    state: record.state,
  });

const claimedElsewhere = (record: TenantRecord): Plan =>
  refuse("claimed_elsewhere", `The tenant holds a container in pool ${record.poolId}.`, { poolId: record.poolId });
