import { listPoolIds } from "../admin/pages.ts";
import { messageOf, within } from "../durable/deadline.ts";
import { poolOf, tenantOf } from "../durable/stubs.ts";
import type { ContainerId, Epoch, PoolId, TenantId } from "../ids.ts";
import type { SlotView } from "../pool/types.ts";
import { nothingFound, type Part, type Sweep } from "./types.ts";
import { examine, type Verdict } from "./verdict.ts";

/** Longer than any operation of a tenant: a container that was given out this long ago is somebody's, or nobody's. */
const GRACE_MS = 60 * 60_000;
const ASK_MS = 15_000;

type Held = SlotView & { tenantId: TenantId; epoch: Epoch };

/** Pools, one after the other: their alarms, slots that serve nobody, and rows of D1 for containers that no pool has. */
export async function sweepPools(sweep: Sweep, after: string): Promise<Part> {
  // A pool may have a thousand slots, and each is asked about.
  const ids = await listPoolIds(sweep.env.DB, after, 1);
  const [id] = ids;
  if (id === undefined) return sweepDeleted(sweep, after.startsWith(DELETED) ? after.slice(DELETED.length) : "");
  const part = { ...nothingFound(), after: id as string };
  try {
    const pool = () => poolOf(sweep.env, id);
    const wasLost = (await within(ASK_MS, "touch", pool().touch(sweep.mode))) === "lost";
    if (wasLost) {
      const finding = { kind: "due" as const, id: `pool:${id}`, detail: "its alarm was lost" };
      part.found.push(finding);
      if (sweep.mode === "mend") part.removed.push(finding);
    }
    part.checked += 1;
    part.calls += 4;
    const slots = await within(ASK_MS, "containers", pool().containers());
    if (!slots.ok) return part;
    return joined(part, await sweepSlots(sweep, id, slots.value), await sweepRows(sweep, id, slots.value));
  } catch (error) {
    return { ...part, failed: [{ id: `pool:${id}`, detail: messageOf(error) }] };
  }
}

/** Slots with a tenant that says it has another container, or none. */
function sweepSlots(sweep: Sweep, poolId: PoolId, slots: readonly SlotView[]): Promise<Part> {
  const held = slots.flatMap((slot) =>
    slot.state === "assigned" && slot.tenantId !== null && slot.epoch !== null && sweep.now - slot.since >= GRACE_MS
      ? [{ id: slot.containerId as string, thing: { ...slot, tenantId: slot.tenantId, epoch: slot.epoch } }]
      : [],
  );
  const judge = async ({ containerId, tenantId, epoch }: Held): Promise<Verdict> => {
    const tenant = () => tenantOf(sweep.env, tenantId);
    if ((await tenant().owns(containerId, epoch)) !== false) return null;
    const orphan = `it is leased to ${tenantId}, which does not have it`;
    // A tenant whose object lost everything says the same, and may want what is in the container back.
    const standing = await tenant().touch("look");
    if (!standing) return { orphan, but: "the tenant's object knows nothing of itself" };
    if (standing.operation) return { orphan, but: `the tenant is ${standing.state}` };
    const holder = await poolOf(sweep.env, poolId).holder(containerId);
    return holder?.tenantId === tenantId && holder.epoch === epoch ? { orphan } : null;
  };
  return examine(sweep, "pools", held, judge, ({ containerId }) => ended(sweep, poolId, containerId));
}

/** Rows of containers that the pool does not have. */
async function sweepRows(sweep: Sweep, poolId: PoolId, slots: readonly SlotView[]): Promise<Part> {
  const { results } = await sweep.env.DB.prepare(
    `SELECT container_id, pool_id FROM containers WHERE pool_id = ?1 AND updated_at < ?2
     AND container_id NOT IN (SELECT value FROM json_each(?3)) ORDER BY container_id LIMIT ?4`,
  )
    .bind(poolId, sweep.now - GRACE_MS, JSON.stringify(slots.map((slot) => slot.containerId)), sweep.limit)
    .all<Row>();
  return endRows(sweep, results);
}

/** Behind every id of a pool. */
const DELETED = "~";

/** The same of pools that are not registered any more: they have no list in which their rows would be missed. */
async function sweepDeleted(sweep: Sweep, after: string): Promise<Part> {
  const { results } = await sweep.env.DB.prepare(
    `SELECT container_id, pool_id FROM containers WHERE updated_at < ? AND container_id > ?
     AND pool_id NOT IN (SELECT id FROM pools) ORDER BY container_id LIMIT ?`,
  )
    .bind(sweep.now - GRACE_MS, after, sweep.limit)
    .all<Row>();
  const last = results.length < sweep.limit ? undefined : results.at(-1);
  return { ...(await endRows(sweep, results)), after: last ? `${DELETED}${last.container_id}` : null };
}

interface Row {
  container_id: ContainerId;
  pool_id: PoolId;
}

/** The container is ended, if it is there, and the row goes. */
async function endRows(sweep: Sweep, rows: readonly Row[]): Promise<Part> {
  const things = rows.map((row) => ({ id: row.container_id as string, thing: row }));
  const judge = async ({ container_id: id, pool_id: poolId }: Row): Promise<Verdict> =>
    (await slotsOf(sweep, poolId)).has(id) ? null : { orphan: `D1 shows it in pool ${poolId}, which does not have it` };
  const part = await examine(sweep, "pools", things, judge, (row) => ended(sweep, row.pool_id, row.container_id));
  const gone = part.removed.map(({ id }) => id);
  if (gone.length > 0) {
    await sweep.env.DB.prepare("DELETE FROM containers WHERE container_id IN (SELECT value FROM json_each(?))")
      .bind(JSON.stringify(gone))
      .run();
  }
  return part;
}

/** None where the pool is not there. */
export async function slotsOf(sweep: Sweep, poolId: PoolId): Promise<ReadonlySet<ContainerId>> {
  const slots = await poolOf(sweep.env, poolId).containers();
  return new Set(slots.ok ? slots.value.map(({ containerId }) => containerId) : []);
}

/** Through the pool, which gives its lease back too; legal for containers that it does not know. */
export const ended = async (sweep: Sweep, poolId: PoolId, id: ContainerId): Promise<boolean> =>
  (await poolOf(sweep.env, poolId).retire(id, "orphan")).ok;

/** Into the first, which is nobody else's. */
function joined(all: Part, ...rest: readonly Part[]): Part {
  for (const part of rest) {
    all.checked += part.checked;
    all.calls += part.calls;
    all.found.push(...part.found);
    all.removed.push(...part.removed);
    all.skipped.push(...part.skipped);
    all.failed.push(...part.failed);
  }
  return all;
}
