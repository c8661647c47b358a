import { type PoolId, parsePoolId } from "../ids.ts";

/** The operation of a pool's deletion names its pool, so that it can be found without an index: `pop-<random>.<pool id>`. */
export const deletionId = (random: string, poolId: PoolId): string => `pop-${random}.${poolId}`;

/** Whose deletion this is; null for what is no such id. */
export function poolOfOperation(id: string): PoolId | null {
  const poolId = /^pop-[0-9a-f]{32}\.(.{1,63})$/.exec(id)?.[1];
  return poolId === undefined ? null : parsePoolId(poolId);
}
