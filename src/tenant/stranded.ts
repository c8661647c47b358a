import type { Going, Limits } from "./events.ts";
import { TRANSITIONAL } from "./lifecycle.ts";
import { withError } from "./planning.ts";
import type { TenantRecord } from "./record.ts";

/**
 * A state that waits for an operation, and none is there; or one that serves, and no container. No event leads to either,
 * and if one ever did it would not stay: every state has an exit.
 */
export const isStranded = ({ state, held, operation }: TenantRecord): boolean =>
  operation === null && (state === "active" ? held === null : TRANSITIONAL.includes(state));

/** Null for a tenant that is not. */
export function stranded(record: TenantRecord, limits: Limits, now: number): Going | null {
  if (!isStranded(record)) return null;
  const { state, held, epoch } = record;
  const detail = state === "active" ? "It was active without a container." : `It was ${state} without an operation.`;
  const errors = withError(record, { code: "operation_interrupted", detail }, now);
  const leads = held
    ? ({ state: "release_failed", hold: { kind: "guard", until: now + limits.guardHoldMs } } as const)
    : ({ state: "error", stoppedReason: "failure", hold: null } as const);
  const journal = [{ type: "tenant.stranded", detail: { from: state, to: leads.state, epoch } }];
  return { kind: "go", record: { ...record, ...leads, errors }, steps: [], journal };
}
