import { epoch } from "../ids.ts";
import type { Failure } from "../outcome.ts";
import type { ErasureProof } from "../vault/types.ts";
import { actionAnswer } from "./answers.ts";
import type { Fresh, Limits, Plan, PlannedAction, Step } from "./events.ts";
import { concludeSteps } from "./plan-import.ts";
import { quiesceStep } from "./plan-save.ts";

import { end, letGo, move, nothing, operationOf, withError } from "./planning.ts";
import type { Destruction, Operation, TenantRecord } from "./record.ts";

/** Decisions about the end of a tenant: the parts to delete are stored first, then each is deleted, and not found is done. */

/** How long the data of a destroyed tenant is kept. */
const KEPT_MS = 30 * 86_400_000;

type Destroy = Extract<PlannedAction, { kind: "destroy" }>;

/** Legal in every state; cancels what is in flight. What would be kept is saved first, where there is something to save. */
export function destroy(record: TenantRecord, action: Destroy, fresh: Fresh, limits: Limits, now: number): Plan {
  if (record.state === "destroyed") return action.deleteData ? eraseKept(record) : nothing(record);
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
  const destruction = { data: action.deleteData ? ("delete" as const) : ("keep" as const), dataUntil: null };
  const next: TenantRecord = { ...record, operation, destruction, hold: null, desired: "destroyed" };
  const ended = before ? { ended: end(record, before, now, { cancelled: "destroy" }) } : {};
  const detail = { operation: operation.id, deleteData: action.deleteData };
  const keepsState = record.held?.hasState && !action.deleteData && record.hold?.kind !== "guard";
  if (keepsState) return move(next, "destroy", {}, { steps: [quiesceStep(next, operation)], detail, ...ended });
  const planned = move(next, "destroy", {}, { detail, ...ended });
  if (planned.kind !== "go") return planned;
  const removal = removed(planned.record, operation);
  // Whoever brings in what is kept no longer is shut out at once.
  if (removal.kind !== "go") return removal;
  const cut = before?.kind === "import" ? { ...before, attempts: before.attempts + 1 } : null;
  const shut = cut ? concludeSteps(removal.record, cut) : [];
  return { ...planned, record: removal.record, steps: [...shut, ...removal.steps] };
}

/** What is left to do once nothing has to be saved any more. A new epoch shuts out whatever still acts for the tenant. */
export function removed(record: TenantRecord, operation: Operation): Plan {
  const { retiring } = letGo(record, "destroy");
  const { saveId: _, ...withoutSave } = operation;
  const next: TenantRecord = {
    ...record,
    epoch: epoch(record.epoch + 1),
    held: null,
    retiring,
    delivery: { configVersion: record.delivery.configVersion },
    secrets: null,
    delivered: null,
    suspension: null,
    unsavedSince: null,
    tokenVersion: record.tokenVersion + 1,
    operation: withoutSave,
  };
  return { kind: "go", record: next, steps: removalSteps(next), journal: [] };
}

/** Everything that is not confirmed gone, again. */
export function removalSteps(record: TenantRecord): Step[] {
  const erase: Step[] = record.destruction?.data === "delete" ? [{ do: "erase", epoch: record.epoch }] : [];
  // A destruction without containers and data to delete ends with this look at what there is.
  return [
    ...erase,
    ...record.retiring.map((slot): Step => ({ do: "retire", ...slot, reason: "destroy" })),
    { do: "settle" },
  ];
}

/** `proof`: what was deleted, and that a listing after it found nothing. */
export function erased(record: TenantRecord, proof: ErasureProof, now: number): Plan {
  if (record.destruction?.data !== "delete") return nothing(record);
  const next = { ...record, generation: 0, destruction: { data: "deleted" as const, dataUntil: null, proof } };
  if (record.state !== "destroyed") return ended(next, now);
  const journal = [{ type: "tenant.data_deleted", detail: proofDetail(next.destruction) }];
  return { kind: "go", record: next, steps: [], journal };
}

export function eraseFailed(record: TenantRecord, failure: Failure, now: number): Plan {
  if (record.destruction?.data !== "delete") return nothing(record);
  return { kind: "go", record: { ...record, errors: withError(record, failure, now) }, steps: [], journal: [] };
}

/** The end, when every part is confirmed gone. */
export function ended(record: TenantRecord, now: number): Plan {
  const { destruction, operation } = record;
  const changed: Plan = { kind: "go", record, steps: [], journal: [] };
  const isSaving = operation?.saveId !== undefined;
  if (record.state !== "destroying" || !destruction || !operation || isSaving) return changed;
  if (record.retiring.length > 0 || destruction.data === "delete") return changed;
  // An import that the destruction cut off may have committed.
  const keeps = destruction.data === "keep" && (hasData(record) || operation.import !== undefined);
  const dataUntil = keeps ? now + KEPT_MS : null;
  const next = { ...record, operation: null, destruction: { ...destruction, dataUntil } };
  const gone = { ...next, state: "destroyed" as const };
  const answer = actionAnswer(gone, null, { total: now - operation.startedAt });
  const result = { ...answer, ...(destruction.proof ? { erased: destruction.proof } : {}) };
  const detail = { dataUntil, ...proofDetail(destruction) };
  return move(next, "destroyed", {}, { ended: end(record, operation, now, { result }), detail });
}

/** As the record of the deletion says it. */
const proofDetail = ({ proof }: Destruction): Record<string, unknown> => (proof ? { erased: proof } : {});
const hasData = ({ generation, syncs }: TenantRecord): boolean => generation > 0 || (syncs?.used.length ?? 0) > 0;

/** What was kept is not to be kept any longer. */
export function eraseKept(record: TenantRecord): Plan {
  if (record.destruction?.data !== "keep") return nothing(record);
  const next = { ...record, destruction: { data: "delete" as const, dataUntil: null } };
  return {
    kind: "go",
    record: next,
    steps: [{ do: "erase", epoch: record.epoch }],
    journal: [{ type: "tenant.data_expired" }],
  };
}
