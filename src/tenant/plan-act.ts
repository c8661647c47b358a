import type { By } from "../auth/principal.ts";
import type { Fresh, Limits, Plan, PlannedAction } from "./events.ts";
import { claim } from "./plan-claim.ts";
import { destroy } from "./plan-destroy.ts";
import { forcing, restart, sync } from "./plan-restart.ts";
import { restore } from "./plan-restore.ts";
import { beginSave } from "./plan-save.ts";
import { beginManual, specsOf } from "./plan-sync.ts";
import { callingOff, inProgress, joining, move, nothing, refuse } from "./planning.ts";
import { isLossy, type Operation, type Suspension, type TenantRecord } from "./record.ts";
import type { ReleaseRequest } from "./requests.ts";
import { takenUp } from "./syncs.ts";
import type { OperationKind, TenantState } from "./vocabulary.ts";

/** What an operator's or a tenant's wish means in each state. A wish that is granted already changes nothing. */
export function act(
  record: TenantRecord,
  action: PlannedAction,
  by: By,
  fresh: Fresh,
  limits: Limits,
  now: number,
): Plan {
  if (action.kind === "destroy") return destroy(record, action, by, fresh, limits, now);
  if (action.kind === "stop" || action.kind === "suspend") {
    const off = callingOff(record, now, (bare) => act(bare, action, by, fresh, limits, now));
    if (off) return off;
  }
  if (record.operation) {
    const joins = isSame(action, record.operation) && !isLossy(record.operation);
    return joins ? joining(record, false) : inProgress(record);
  }
  switch (action.kind) {
    case "stop":
      return stop(record, forcing(action), fresh, limits, now);
    case "start":
      return start(record, action, fresh, limits, now);
    case "restart":
      if (record.held) return restart(record, action, fresh, limits, now);
      return HAS_NOTHING[record.state]
        ? withoutContainer(record, "restarted")
        : start(record, action, fresh, limits, now);
    case "sync":
      return save(record, action, fresh, limits, now);
    case "restore":
      return restore(record, action, fresh, limits, now);
    case "suspend":
      return suspend(record, action.reason, by, fresh, limits, now);
    case "resume":
      return resume(record);
  }
}

type Kind = PlannedAction["kind"];

/** Operations that lead to what is asked for. */
const JOINS: { readonly [K in Kind]?: readonly OperationKind[] } = {
  stop: ["sleep"],
  start: ["claim", "wake", "recover"],
  restart: ["restart"],
  sync: ["sync"],
  restore: ["restore"],
  suspend: ["suspend"],
};

/** Not a restart of something else or to another generation, nor a save where the way back was asked for. */
function isSame(action: PlannedAction, { kind, restart, restore, spec }: Operation): boolean {
  if (JOINS[action.kind]?.includes(kind) !== true) return false;
  if (action.kind === "restart") return action.scope === restart?.scope;
  if (action.kind === "restore") return action.generation === restore?.generation;
  return action.kind !== "sync" || (action.direction !== "inward" && action.spec === spec?.id);
}

const WAYS = { outward: "up", inward: "down", both: "both" } as const;

/** Whether to wait for an operation of this kind is an answer to that wish. Total. */
export const leadsTo = (kind: Kind, operation: OperationKind): boolean =>
  kind === operation || JOINS[kind]?.includes(operation) === true;

const HAS_NOTHING: { readonly [S in TenantState]?: true } = { idle: true, suspended: true, destroyed: true };

function stop(record: TenantRecord, request: ReleaseRequest, fresh: Fresh, limits: Limits, now: number): Plan {
  switch (record.state) {
    case "active":
    case "release_failed":
      return beginSave(record, "sleep", request, fresh, limits, now);
    case "error":
    case "recovering":
      // Nothing runs, and nothing is to: the next request wakes it, and is told what comes of it.
      return move(record, "slept", { desired: "asleep", stoppedReason: "user" });
    case "asleep":
      return stays(record);
    case "idle":
    case "suspended":
      return nothing(record);
    default:
      return withoutContainer(record, "stopped");
  }
}

/** One that is always on and waits for capacity does not start any more; any other sleeps as it did. */
function stays(record: TenantRecord): Plan {
  if (record.lifecycle.mode !== "always-on" || record.wakeAt === null) return nothing(record);
  return {
    kind: "go",
    record: { ...record, wakeAt: null, stoppedReason: "user" },
    steps: [],
    journal: [{ type: "tenant.stopped", detail: { epoch: record.epoch } }],
  };
}

/** As a claim that brings nothing. */
function start(
  record: TenantRecord,
  { capacityWaitMs = 0 }: PlannedAction,
  fresh: Fresh,
  limits: Limits,
  now: number,
): Plan {
  if (record.state === "destroyed") return withoutContainer(record, "started");
  const plain = { type: "claim", poolId: null, delivery: null, allowFresh: false, capacityWaitMs } as const;
  return claim(record, plain, fresh, limits, now);
}

function save(
  record: TenantRecord,
  action: Extract<PlannedAction, { kind: "sync" }>,
  fresh: Fresh,
  limits: Limits,
  now: number,
): Plan {
  if (record.state === "release_failed" || record.state === "error") return withoutContainer(record, "synchronised");
  const specs = specsOf(action);
  if (!specs.ok) return { kind: "refuse", failure: specs.failure };
  if (!record.held) return nothing(record); // what is saved is all there is
  const syncs = takenUp(record.syncs, action.specs ?? [], now);
  const known = syncs ? { ...record, syncs } : record;
  const way = WAYS[action.direction];
  const [spec] = specs.value;
  if (action.spec !== undefined && spec?.kind !== "state") {
    return beginManual(known, { specs: specs.value, way, spec: action.spec }, fresh, limits, now);
  }
  if (!record.held.hasState) return beginManual(known, { specs: specs.value, way }, fresh, limits, now);
  // A fresh container fetches what its specs bring when it is claimed.
  if (action.direction === "inward") {
    const { capacityWaitMs = 0 } = action;
    return restart(record, { kind: "restart", scope: "container", capacityWaitMs }, fresh, limits, now);
  }
  const rest = action.spec === undefined ? specs.value.map(({ id }) => id) : [];
  return sync(
    known,
    { specs: rest, way, ...(action.spec === undefined ? {} : { spec: action.spec }) },
    fresh,
    limits,
    now,
  );
}

function suspend(
  record: TenantRecord,
  reason: string | undefined,
  by: By,
  fresh: Fresh,
  limits: Limits,
  now: number,
): Plan {
  if (record.state === "suspended") return nothing(record);
  const isIdle = record.state === "idle" || (record.state === "error" && record.desired !== "active");
  const from = isIdle ? ("idle" as const) : ("asleep" as const);
  const suspension: Suspension = {
    at: now,
    actor: by.actor,
    ...(reason === undefined ? {} : { reason }),
    from,
    ...(record.state === "asleep" && record.stoppedReason === "user" ? { stopped: "user" } : {}),
  };
  const noted = { ...record, suspension };
  switch (record.state) {
    case "active":
    case "release_failed":
      return beginSave(noted, "suspend", {}, fresh, limits, now);
    case "idle":
    case "asleep":
    case "error":
    case "recovering":
      return move(noted, "suspended", { stoppedReason: "policy" }, { detail: { reason: reason ?? null } });
    default:
      return withoutContainer(record, "suspended");
  }
}

function resume(record: TenantRecord): Plan {
  if (record.state !== "suspended") return nothing(record);
  const from = record.suspension?.from ?? "idle";
  const stoppedReason = record.suspension?.stopped ?? record.stoppedReason;
  const back = { suspension: null, desired: from, stoppedReason };
  return move(record, from === "asleep" ? "resumed_asleep" : "resumed_idle", back);
}

const withoutContainer = (record: TenantRecord, what: string): Plan =>
  refuse("invalid_transition", `A tenant that is ${record.state} cannot be ${what}.`, { state: record.state });
