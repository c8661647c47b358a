import { atMost } from "../durable/at-most.ts";
import { messageOf, within } from "../durable/deadline.ts";
import { poolOf } from "../durable/stubs.ts";
import type { ContainerId, PoolId } from "../ids.ts";
import { log } from "../log.ts";
import { TIERS, type Tier } from "../runtime/port.ts";
import type { Counted } from "./types.ts";

/** What the Fleet asks of others: which containers there are. */

const AT_ONCE = 25;
const POOL_MS = 5_000;
const D1_MS = 5_000;
/** More than any deployment has pools or containers; a census that is not whole is none. */
const MOST = 100_000;

type Found = Counted & { poolId: PoolId };

interface Row {
  container_id: string;
  pool_id: string;
  tier: string;
}

/**
 * Everything that runs or may, from the pools themselves; of one that does not answer, what D1 was last told.
 * @throws when D1 does not answer
 */
export async function census(env: Env): Promise<Found[]> {
  const [pools, containers] = await within(
    D1_MS,
    "registry",
    env.DB.batch<Row & { id: string }>([
      env.DB.prepare(`SELECT id FROM pools UNION SELECT DISTINCT pool_id FROM containers LIMIT ${MOST}`),
      env.DB.prepare(`SELECT container_id, pool_id, tier FROM containers LIMIT ${MOST}`),
    ]),
  );
  const copied = (containers?.results ?? []).map(foundOf);
  const found: Found[] = [];
  await atMost(
    AT_ONCE,
    (pools?.results ?? []).map(({ id }) => id as PoolId),
    async (poolId) => {
      const said = await saidBy(env, poolId);
      found.push(...(said ?? copied.filter((one) => one.poolId === poolId)));
    },
  );
  return found;
}

/** Asks pools about the containers that are counted as theirs; what they do about it, they tell by renewing and releasing. */
export async function recount(
  env: Env,
  pools: readonly { poolId: PoolId; counted: readonly ContainerId[] }[],
): Promise<void> {
  await atMost(AT_ONCE, pools, async ({ poolId, counted }) => {
    try {
      await within(POOL_MS, "recount", poolOf(env, poolId).recount(poolId, counted));
    } catch (error) {
      log.warn("a pool did not say what it has; all of it counts on", { pool: poolId, error: messageOf(error) });
    }
  });
}

async function saidBy(env: Env, poolId: PoolId): Promise<Found[] | null> {
  try {
    const held = await within(POOL_MS, "census", poolOf(env, poolId).counted());
    return held?.map((one) => ({ ...one, poolId })) ?? null;
  } catch {
    return null;
  }
}

const foundOf = ({ container_id, pool_id, tier }: Row): Found => ({
  containerId: container_id as ContainerId,
  poolId: pool_id as PoolId,
  tier: TIERS.find((one) => one === tier) as Tier,
});
