import { epoch } from "../ids.ts";
import { actionAnswer } from "./answers.ts";
import { erasureDue } from "./destruction.ts";
import type { Fresh, Limits, Plan, Step, StepResult, TenantEvent } from "./events.ts";
import { end, inProgress, move, nothing, operationOf, refuse, withError } from "./planning.ts";
import type { Operation, TenantRecord } from "./record.ts";

/**
 * Decisions about state that comes from outside: a tar, or another tenant's. Whoever brings it holds the tenant for as
 * long as the operation lasts, writes to its vault under the operation's epoch, and tells the end. If nobody does, the
 * deadline ends it: the vault says what became of it, and shuts out whoever still writes.
 */

type Import = Extract<TenantEvent, { type: "import" }>;
type Result<T extends StepResult["type"]> = Extract<StepResult, { type: T }>;

export function beginImport(record: TenantRecord, event: Import, fresh: Fresh, limits: Limits, now: number): Plan {
  const { source, force, token } = event.request;
  if (record.operation?.kind === "import" && record.operation.import?.token === token) return nothing(record);
  if (record.operation) return inProgress(record);
  switch (record.state) {
    case "idle":
    case "asleep":
    case "suspended":
    case "error":
      break;
    case "active":
    case "release_failed":
      // A vault that lost its index takes nothing from the container anyway; what that holds is saved after its next epoch.
      if (source.kind === "rebuild" && !force) break;
      return hasContainer(record);
    case "destroyed":
      if (erasureDue(record) === null) break;
      return refuse("invalid_transition", "What this tenant saved is being deleted; import after that.", {
        state: record.state,
      });
    default:
      return hasContainer(record);
  }
  if (source.kind === "clone" && record.generation > 0 && !force) {
    const detail = `The tenant has saved state (generation ${record.generation}). \`force\` makes the copy its next generation.`;
    return refuse("already_exists", detail, { generation: record.generation });
  }
  const next = epoch(record.epoch + 1);
  const operation: Operation = {
    ...operationOf(record, "import", fresh, limits.importMs, now),
    saveId: fresh.saveId,
    import: { source, epoch: next, token },
  };
  const from = source.kind === "clone" ? { from: source.tenantId, generation: source.generation } : {};
  const of = source.kind === "rebuild" && source.spec !== undefined ? { spec: source.spec } : {};
  return {
    kind: "go",
    record: { ...record, epoch: next, operation },
    steps: [],
    journal: [
      {
        type: isRebuild(operation) ? "tenant.rebuild" : "tenant.import",
        detail: { operation: operation.id, epoch: next, source: source.kind, force, ...from, ...of },
      },
    ],
  };
}

const hasContainer = ({ state }: TenantRecord): Plan =>
  refuse("invalid_transition", "The tenant has a container; stop or release it first.", { state });

export function imported(
  record: TenantRecord,
  operation: Operation,
  { outcome }: Result<"imported">,
  now: number,
): Plan {
  if (!outcome.ok) {
    const { failure } = outcome;
    return {
      kind: "go",
      record: { ...record, operation: null, errors: withError(record, failure, now) },
      steps: [],
      ended: end(record, operation, now, { error: failure }),
      journal: [
        {
          type: isRebuild(operation) ? "tenant.rebuild_failed" : "tenant.import_failed",
          detail: { operation: operation.id, code: failure.code },
        },
      ],
    };
  }
  const { generation, files, bytes, changed } = outcome.value;
  const ended: TenantRecord = { ...record, operation: null };
  // The vault of a sync spec has generations of its own.
  const { missing: _, ...found } = ended;
  const next: TenantRecord = isOfSpec(operation) ? ended : { ...found, generation, lastSaveAt: now };
  const leads = { error: "asleep", destroyed: "idle" } as const;
  const leaves = (record.state === "error" || record.state === "destroyed") && !isOfSpec(operation);
  const state = leaves ? leads[record.state as keyof typeof leads] : record.state;
  const answer = actionAnswer({ ...next, state }, null, { total: now - operation.startedAt });
  const result = { ...answer, generation, imported: { generation, files, bytes, changed } };
  const view = end(record, operation, now, { result });
  const detail = { operation: operation.id, generation, files, bytes, changed };
  const type = isRebuild(operation) ? "tenant.rebuilt" : "tenant.imported";
  if (state !== record.state) {
    // What was destroyed is kept no longer by a date: the tenant lives again.
    const desired = state === "asleep" ? ("asleep" as const) : ("idle" as const);
    return move(next, "restored", { desired, destruction: null }, { ended: view, detail });
  }
  return { kind: "go", record: next, steps: [], ended: view, journal: [{ type, detail }] };
}

function isOfSpec(operation: Operation): boolean {
  const source = operation.import?.source;
  return source?.kind === "rebuild" && source.spec !== undefined;
}

const isRebuild = (operation: Operation): boolean => operation.import?.source.kind === "rebuild";

/** Asked again until the vault has answered; the first time when the deadline is over. */
export function conclude(record: TenantRecord, operation: Operation, limits: Limits, now: number): Plan {
  const later = { ...operation, deadlineAt: now + limits.saveMs, attempts: operation.attempts + 1 };
  const next: TenantRecord = { ...record, epoch: epoch(record.epoch + 1), operation: later };
  return { kind: "go", record: next, steps: concludeSteps(next, later), journal: [] };
}

/** While it may still be written, nobody but whoever writes it has anything to do. */
export function concludeSteps({ epoch: at }: TenantRecord, operation: Operation): Step[] {
  if (operation.attempts === 1 || !operation.import) return [];
  return [{ do: "conclude", operationId: operation.id, epoch: at, imported: operation.import.epoch }];
}
