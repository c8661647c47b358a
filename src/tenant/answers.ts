import type { SavedView } from "../instance/types.ts";
import { savedView } from "./planning.ts";
import { driftOf, type Held, type Made, type TenantRecord } from "./record.ts";
import type { ActionAnswer, ClaimAnswer, ReleaseAnswer } from "./views.ts";
import type { Launch } from "./vocabulary.ts";

/** What whoever waited is told at the end. Pure. */

export function claimAnswer(record: TenantRecord, held: Held, launch: Launch): ClaimAnswer {
  const drift = driftOf(record);
  return {
    tenantId: record.tenantId,
    containerId: held.containerId,
    poolId: held.poolId,
    state: record.state,
    launch,
    ...(launch !== "existing" && held.reason ? { reason: held.reason } : {}),
    epoch: held.epoch,
    restored: held.restored,
    ...(drift.length > 0 ? { pendingRestart: true as const, drift } : {}),
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

export function releaseAnswer(
  record: TenantRecord,
  committed: SavedView | null,
  timings: Record<string, number> = {},
): ReleaseAnswer {
  const { tenantId, state } = record;
  return { tenantId, state, saved: savedView(committed), timings };
}
