import { epoch } from "../ids.ts";
import type { Failure } from "../outcome.ts";
import { claimAnswer } from "./answers.ts";
import type { Fresh, Limits, Plan, StepResult } from "./events.ts";
import { end, joining, move, operationOf, refuse, withError } from "./planning.ts";
import type { Operation, TenantRecord } from "./record.ts";

type Result<T extends StepResult["type"]> = Extract<StepResult, { type: T }>;

/**
 * A failed release is called off: the same container serves again, under a new epoch. It is the container's epoch from
 * here on, whether the Instance comes to hear of it or not. What an earlier save of this release sent no longer says
 * what the container holds as soon as its workload may run again: a save after this has a new name, and what a guard had
 * refused before is neither what `force` accepts then nor all that would be lost.
 */
export function resume(record: TenantRecord, fresh: Fresh, limits: Limits, now: number): Plan {
  if (record.operation) return joining(record, true);
  if (!record.held) return refuse("invalid_transition", "The container is gone.", { state: record.state });
  const next = epoch(record.epoch + 1);
  const operation = operationOf(record, "claim", fresh, limits.startMs, now);
  const held = { ...record.held, epoch: next };
  return {
    kind: "go",
    record: { ...record, epoch: next, held, hold: outdated(record.hold, fresh), operation },
    steps: [{ do: "resume", operationId: operation.id, containerId: held.containerId, epoch: next }],
    journal: [{ type: "tenant.resuming", detail: { epoch: next, operation: operation.id } }],
  };
}

function outdated(hold: TenantRecord["hold"], { saveId }: Fresh): TenantRecord["hold"] {
  return hold?.kind === "guard" ? { kind: "guard", until: hold.until } : hold && { ...hold, saveId };
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
    stoppedReason: null,
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
