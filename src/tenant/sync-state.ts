import { within } from "../durable/deadline.ts";
import { instanceOf } from "../durable/stubs.ts";
import type { ContainerId } from "../ids.ts";
import type { SpecProgress } from "../instance/types.ts";
import { view } from "./planning.ts";
import type { TenantRecord } from "./record.ts";
import { savesOf } from "./status.ts";
import { NO_SYNCS, stateOf } from "./syncs.ts";
import type { TenantSyncState } from "./views.ts";

const PROGRESS_MS = 2_000;

/** What one sync spec of the tenant's pool is at. What is known of it is answered, whether the container says more or not. */
export async function syncStateOf(env: Env, record: TenantRecord, specId: string): Promise<TenantSyncState> {
  const { tenantId, syncs, operation, held } = record;
  const ofOperation = operation?.syncs?.todo[0] === specId ? operation.syncs : null;
  const running = syncs?.running?.specId === specId ? syncs.running : ofOperation;
  const progress = running && held ? await progressOf(env, held.containerId, running.runId) : null;
  return {
    tenantId,
    state: stateOf(syncs ?? NO_SYNCS, specId),
    pending: held !== null && syncs?.specs.find(({ id }) => id === specId)?.outward === true,
    saves: { tenantId, ...(operation ? { operation: view(record, operation) } : {}), syncStatus: savesOf(record) },
    running: running && { startedAt: running.startedAt, progress },
  };
}

/** Null when nobody says so in time. */
async function progressOf(env: Env, containerId: ContainerId, runId: string): Promise<SpecProgress | null> {
  return within(PROGRESS_MS, "progress", instanceOf(env, containerId).syncProgress(runId)).catch(() => null);
}
