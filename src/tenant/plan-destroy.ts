import type { By } from "../auth/principal.ts";
import { epoch } from "../ids.ts";
import type { Failure } from "../outcome.ts";
import type { ErasureProof } from "../vault/types.ts";
import { destroyDelay } from "./alarms.ts";
import { actionAnswer } from "./answers.ts";
import { attempted, erasureDue, missingParts, newParts, type Part, partsOf, withPart } from "./destruction.ts";
import type { Fresh, Limits, Plan, PlannedAction, Step } from "./events.ts";
import { concludeSteps } from "./plan-import.ts";
import { quiesceStep, saveFailed } from "./plan-save.ts";
import { end, letGo, move, nothing, operationOf, retireStep, withError } from "./planning.ts";
import type { Destruction, Operation, TenantRecord } from "./record.ts";

/**
 * Decisions about the end of a tenant, in two phases: the parts to delete are stored first, then each is deleted until it
 * is confirmed gone, and not found is gone. Nothing here starts anything. What stays is the record of it: its epoch shuts
 * out whatever still acts for the tenant, and its chain of records goes on when it is claimed again.
 */

/** How long the data of a destroyed tenant is kept. */
const KEPT_MS = 30 * 86_400_000;
/** After so many attempts a person should look. */
const ATTEMPTS = 50;

type Destroy = Extract<PlannedAction, { kind: "destroy" }>;

/** Legal in every state; cancels what is in flight. What would be kept is saved first, where there is something to save. */
export function destroy(
  record: TenantRecord,
  action: Destroy,
  by: By,
  fresh: Fresh,
  limits: Limits,
  now: number,
): Plan {
  if (record.state === "destroyed") return action.deleteData ? eraseKept(record, now) : nothing(record);
  const before = record.operation;
  if (record.state === "destroying" && before) {
    const escalates = action.deleteData && record.destruction?.data === "keep";
    if (!escalates) return { kind: "wait", operationId: before.id, again: false };
  }
  const operation: Operation = {
    ...operationOf(record, "destroy", fresh, limits.saveMs, now),
    release: {},
    saveId: record.hold?.kind === "retry" ? record.hold.saveId : fresh.saveId,
    ...(before?.import ? { import: before.import } : {}),
  };
  const data = action.deleteData ? ("delete" as const) : ("keep" as const);
  const destruction = { data, dataUntil: null, requestedAt: now, by: by.actor, parts: newParts(data) };
  const next: TenantRecord = { ...record, operation, destruction, hold: null, desired: "destroyed" };
  const ended = before ? { ended: end(record, before, now, { cancelled: "destroy" }) } : {};
  const detail = { operation: operation.id, deleteData: action.deleteData };
  const isAside = record.hold?.kind === "guard" && record.hold.generation !== undefined;
  const keepsState = record.held?.hasState && !action.deleteData && !isAside;
  if (keepsState) return move(next, "destroy", {}, { steps: [quiesceStep(next, operation)], detail, ...ended });
  const planned = move(next, "destroy", {}, { detail, ...ended });
  if (planned.kind !== "go") return planned;
  const removal = removed(planned.record, operation, now);
  // Whoever brings in what is kept no longer is shut out at once.
  if (removal.kind !== "go") return removal;
  const cut = before?.kind === "import" ? { ...before, attempts: before.attempts + 1 } : null;
  const shut = cut ? concludeSteps(removal.record, cut) : [];
  return { ...planned, record: removal.record, steps: [...shut, ...removal.steps] };
}

/** What is left to do once nothing has to be saved any more. A new epoch shuts out whatever still acts for the tenant. */
export function removed(record: TenantRecord, operation: Operation, now: number): Plan {
  const { retiring } = letGo(record, "destroy");
  const { saveId: _, ...withoutSave } = operation;
  const { missing: __, rebuilt: ___, ...bare } = record;
  const destruction = record.destruction ?? { data: "keep" as const, dataUntil: null };
  const begun: TenantRecord = {
    ...bare,
    epoch: epoch(record.epoch + 1),
    held: null,
    retiring,
    delivery: { configVersion: record.delivery.configVersion },
    secrets: null,
    delivered: null,
    suspension: null,
    unsavedSince: null,
    tokenVersion: record.tokenVersion + 1,
    operation: { ...withoutSave, attempts: 1, deadlineAt: now + destroyDelay(1) },
  };
  const next = { ...begun, destruction: attempted(begun, { ...destruction, parts: partsOf(destruction) }) };
  const journal = [{ type: "tenant.removing", detail: { operation: operation.id, epoch: next.epoch } }];
  return { kind: "go", record: next, steps: removalSteps(next), journal };
}

/** Everything that is not confirmed gone, again. */
export function removalSteps(record: TenantRecord): Step[] {
  const { epoch } = record;
  const others = missingParts(record).filter((part) => part !== "container");
  const steps = others.map(
    (part): Step => (part === "state" ? { do: "erase", epoch } : { do: "withdraw", part, epoch }),
  );
  return [...retireAgain(record), ...steps, ...endSteps(record)];
}

const retireAgain = ({ retiring }: TenantRecord): Step[] => retiring.map((slot) => retireStep(slot, "destroy"));

/** What waits for the containers that are going. A lease that was under way is known to the pool alone. */
function endSteps(record: TenantRecord): Step[] {
  const look = { do: "withdraw", part: "container", epoch: record.epoch } as const;
  // A destruction of which nothing is left ends with a look at what there is.
  return [...(missingParts(record).includes("container") ? [look] : []), { do: "settle" }];
}

/** The alarm of a tenant that is being destroyed: deletes what is left, and nothing else. */
export function tickDestroying(
  record: TenantRecord,
  running: boolean,
  fresh: Fresh,
  limits: Limits,
  now: number,
): Plan {
  const { operation, destruction } = record;
  if (!operation || !destruction) {
    const lost = operationOf(record, "destroy", fresh, limits.saveMs, now);
    return removed({ ...record, destruction: destruction ?? { data: "keep", dataUntil: null } }, lost, now);
  }
  if (operation.saveId !== undefined) {
    if (now < operation.deadlineAt) {
      const steps = running || !record.held ? [] : [quiesceStep(record, operation)];
      if (running || record.held) return { kind: "go", record, steps, journal: [] };
    }
    // What could not be saved by now is not waited for any longer.
    const late = { code: "deadline_exceeded" as const, detail: "The last save took longer than its deadline." };
    return saveFailed(record, operation, late, limits, now);
  }
  if (now < operation.deadlineAt) {
    const steps = running ? [] : [...retireAgain(record), ...endSteps(record)];
    return { kind: "go", record, steps, journal: [] };
  }
  const attempts = operation.attempts + 1;
  const later = { ...operation, attempts, deadlineAt: now + destroyDelay(attempts) };
  const isAbandoned = attempts >= ATTEMPTS && destruction.abandonedAt === undefined;
  const tried = attempted(record, isAbandoned ? { ...destruction, abandonedAt: now } : destruction);
  const next = { ...record, operation: later, destruction: tried };
  const journal = isAbandoned
    ? [{ type: "tenant.destroy_abandoned", detail: { attempts, missing: missingParts(next) } }]
    : [];
  return { kind: "go", record: next, steps: removalSteps(next), journal };
}

/** The alarm of a destroyed tenant whose data is to be gone, or has been kept long enough. */
export function tickDestroyed(record: TenantRecord, now: number): Plan | null {
  const { destruction } = record;
  if (!destruction) return null;
  if (destruction.dataUntil !== null && now >= destruction.dataUntil) return eraseKept(record, now);
  if (erasureDue(record) === null) return null;
  if (now < (destruction.retryAt ?? 0)) return nothing(record);
  return eraseAgain(record, destruction, now, []);
}

/** `proof`: what was deleted, and that a listing after it found nothing. */
export function erased(record: TenantRecord, proof: ErasureProof, now: number): Plan {
  const before = record.destruction;
  if (before?.data !== "delete") return nothing(record);
  const destruction = { ...withPart(before, "state", "done", now), data: "deleted" as const, dataUntil: null, proof };
  const next = { ...record, generation: 0, destruction };
  if (record.state !== "destroyed") return ended(next, now);
  const journal = [{ type: "tenant.data_deleted", detail: proofDetail(destruction) }];
  return { kind: "go", record: next, steps: [], journal };
}

export function eraseFailed(record: TenantRecord, failure: Failure, now: number): Plan {
  if (record.destruction?.data !== "delete") return nothing(record);
  const destruction = withPart(record.destruction, "state", failure, now);
  const errors = withError(record, failure, now);
  return { kind: "go", record: { ...record, destruction, errors }, steps: [], journal: [] };
}

/** What became of another part. */
export function withdrawn(record: TenantRecord, part: Part, failure: Failure | null, now: number): Plan {
  const before = record.destruction;
  if (!before || (record.state !== "destroying" && record.state !== "destroyed")) return nothing(record);
  const destruction = withPart(before, part, failure ?? "done", now);
  if (destruction === before) return nothing(record);
  return ended({ ...record, destruction }, now);
}

/** A container that did not go: told again by the alarm. */
export function notRetired(record: TenantRecord, failure: Failure, now: number): Plan {
  const before = record.destruction;
  if (record.state !== "destroying" || !before) return nothing(record);
  if (partsOf(before).container?.lastError?.detail === failure.detail) return nothing(record);
  return {
    kind: "go",
    record: { ...record, destruction: withPart(before, "container", failure, now) },
    steps: [],
    journal: [],
  };
}

/** The end, when every part is confirmed gone. */
export function ended(record: TenantRecord, now: number): Plan {
  const { destruction, operation } = record;
  const changed: Plan = { kind: "go", record, steps: [], journal: [] };
  const isSaving = operation?.saveId !== undefined;
  if (record.state !== "destroying" || !destruction || !operation || isSaving) return changed;
  if (missingParts(record).length > 0 || destruction.data === "delete") return changed;
  // An import that the destruction cut off may have committed.
  const keeps = destruction.data === "keep" && (hasData(record) || operation.import !== undefined);
  const dataUntil = keeps ? now + KEPT_MS : null;
  const { abandonedAt: _, ...rest } = destruction;
  const next = { ...record, operation: null, destruction: { ...rest, dataUntil } };
  const gone = { ...next, state: "destroyed" as const };
  const answer = actionAnswer(gone, operation.saved ?? null, { total: now - operation.startedAt });
  const result = { ...answer, ...(destruction.proof ? { erased: destruction.proof } : {}) };
  const detail = { dataUntil, ...proofDetail(destruction) };
  return move(next, "destroyed", {}, { ended: end(record, operation, now, { result }), detail });
}

/** As the record of the deletion says it. */
const proofDetail = ({ proof }: Destruction): Record<string, unknown> => (proof ? { erased: proof } : {});
const hasData = ({ generation, syncs }: TenantRecord): boolean => generation > 0 || (syncs?.used.length ?? 0) > 0;

/** What was kept is not to be kept any longer. */
export function eraseKept(record: TenantRecord, now: number): Plan {
  if (record.destruction?.data !== "keep") return nothing(record);
  const { specs, state, pool } = newParts("delete");
  const parts = { ...record.destruction.parts, specs, state, pool };
  const destruction = { ...record.destruction, data: "delete" as const, dataUntil: null, parts } as Destruction;
  return eraseAgain(record, destruction, now, [{ type: "tenant.data_expired" }]);
}

function eraseAgain(record: TenantRecord, destruction: Destruction, now: number, journal: { type: string }[]): Plan {
  const tried = attempted(record, destruction);
  const attempts = Math.max(...Object.values(partsOf(tried)).map((part) => (part.done ? 0 : part.attempts)), 1);
  const next = { ...record, destruction: { ...tried, retryAt: now + destroyDelay(attempts) } };
  const steps = removalSteps(next).filter((step) => step.do === "erase" || step.do === "withdraw");
  return { kind: "go", record: next, steps, journal };
}
