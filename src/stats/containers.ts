import type { ContainerId, Epoch, PoolId, TenantId } from "../ids.ts";
import type { SlotState, SlotView } from "../pool/types.ts";
import type { Page } from "../registry/store.ts";
import type { Tier } from "../runtime/port.ts";

/** Containers as their pools told D1 (src/pool/projection.ts). */

export interface ContainerFilter {
  poolId?: string | undefined;
  state?: string | undefined;
  tenantId?: string | undefined;
}

interface Row {
  container_id: string;
  pool_id: string;
  workload_id: string;
  workload_version: number;
  image: string;
  state: string;
  tier: string;
  tenant_id: string | null;
  epoch: number | null;
  started_at: number;
  since: number;
}

const COLUMNS =
  "container_id, pool_id, workload_id, workload_version, image, state, tier, tenant_id, epoch, started_at, since";

/** By id. */
export async function listContainers(
  db: D1Database,
  { poolId, state, tenantId }: ContainerFilter,
  after: string,
  limit: number,
): Promise<Page<SlotView>> {
  const wanted = Object.entries({ pool_id: poolId, state, tenant_id: tenantId }).filter(
    ([, value]) => value !== undefined,
  );
  const where = ["container_id > ?", ...wanted.map(([column]) => `${column} = ?`)].join(" AND ");
  const { results } = await db
    .prepare(`SELECT ${COLUMNS} FROM containers WHERE ${where} ORDER BY container_id LIMIT ?`)
    .bind(after, ...wanted.map(([, value]) => value), limit + 1)
    .all<Row>();
  const shown = results.slice(0, limit);
  return { items: shown.map(viewOf), next: results.length > limit ? (shown.at(-1)?.container_id ?? null) : null };
}

/** The pool of a container that a list shows; null for one that is in none. */
export async function poolOfContainer(db: D1Database, id: ContainerId): Promise<PoolId | null> {
  const row = await db
    .prepare("SELECT pool_id FROM containers WHERE container_id = ?")
    .bind(id)
    .first<{ pool_id: string }>();
  return row && (row.pool_id as PoolId);
}

const viewOf = (row: Row): SlotView => ({
  containerId: row.container_id as ContainerId,
  poolId: row.pool_id as PoolId,
  workloadId: row.workload_id,
  workloadVersion: row.workload_version,
  image: row.image,
  state: row.state as SlotState,
  tier: row.tier as Tier,
  tenantId: row.tenant_id as TenantId | null,
  epoch: row.epoch as Epoch | null,
  startedAt: row.started_at,
  since: row.since,
});
