import { type ErrorCode, entryOf } from "../../src/errors/codes.ts";
import type { Failure } from "../../src/outcome.ts";
import type { Plan, PlannedAction, TenantEvent } from "../../src/tenant/events.ts";
import { begun, isAnswer } from "../../src/tenant/machine.ts";
import { plan } from "../../src/tenant/plan.ts";
import { newTenant, type TenantRecord } from "../../src/tenant/record.ts";
import type { OperationView } from "../../src/tenant/views.ts";
import { FRESH, LIMITS, NOW, SPEC } from "./standings.ts";

/** What a client is answered; `code` of a problem. */
export interface Answer {
  status: number;
  code?: ErrorCode;
}

export const answered = (status: number): Answer => ({ status });
export const problem = (code: ErrorCode): Answer => ({ status: entryOf(code).status, code });

const refused = ({ code }: Failure): Answer => problem(code);

/** How a call is answered about a tenant; null: one never seen. */
export type Decision = (record: TenantRecord | null) => Answer;

/** Of what is there for whoever is known. */
export const always =
  (status: number): Decision =>
  (record) =>
    record ? answered(status) : problem("not_found");

/**
 * Of an event that may begin an operation, and is not waited for: what `Machine.ask` makes of its plan.
 * `done`: the status where there was nothing to do.
 */
export const asked =
  (event: TenantEvent, done = 200): Decision =>
  (record) => {
    if (!record) return problem("not_found");
    const planned = plan(record, event, FRESH, LIMITS, NOW);
    switch (planned.kind) {
      case "refuse":
        return refused(planned.failure);
      case "wait":
        return record.operation && isAnswer(event, record.operation.kind)
          ? answered(202)
          : problem("operation_in_progress");
      case "go": {
        if (begun(planned, FRESH) === null) return answered(done);
        const ended = endOf(planned);
        if (ended === null) return answered(202);
        return ended.error ? refused(ended.error) : answered(done);
      }
    }
  };

/** How the operation that a plan began ended, where that is at once; what ends may also be another one, which it called off. */
function endOf({ record, steps, ended }: Extract<Plan, { kind: "go" }>): OperationView | null {
  if (ended?.id === FRESH.operationId) return ended;
  if (steps.length === 0 || steps.some((step) => step.do !== "settle")) return null;
  const settled = plan(record, { type: "settled" }, FRESH, LIMITS, NOW);
  return settled.kind === "go" ? (settled.ended ?? null) : null;
}

export const acted = (action: PlannedAction): Decision =>
  asked({ type: "act", action: { ...action, specs: [SPEC] }, by: { actor: "key:admin", requestId: null } });

/** A claim is what a tenant begins with. */
export const claimed =
  (event: TenantEvent): Decision =>
  (record) =>
    asked(event)(record ?? newTenant(NEW, NOW));

const NEW = "new" as TenantRecord["tenantId"];

/** Of an event whose plan is the answer, whoever asks is told at once. */
export const taken =
  (event: TenantEvent, done: number, of: (record: TenantRecord | null) => TenantRecord | null = (it) => it): Decision =>
  (before) => {
    const record = of(before);
    if (!record) return problem("not_found");
    const planned = plan(record, event, FRESH, LIMITS, NOW);
    return planned.kind === "refuse" ? refused(planned.failure) : answered(done);
  };

export const orNew = (record: TenantRecord | null): TenantRecord => record ?? newTenant(NEW, NOW);
