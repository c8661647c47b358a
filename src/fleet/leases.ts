import type { ContainerId, PoolId } from "../ids.ts";
import type { AdmissionRow } from "./store.ts";
import type { Counted } from "./types.ts";

/**
 * An admission is a lease that its pool keeps alive by saying, at least every minute, what it has. One that is overdue is
 * asked about and counts on meanwhile. Pure; times in ms since 1970.
 */

/** Three looks of a pool, and some. */
export const LEASE_MS = 200_000;
/** What was admitted since cannot be in what the pool said. */
const FRESH_MS = 60_000;

/** When the pools are looked after next. */
export const nextRecount = (now: number, random: number): number => Math.ceil(now + LEASE_MS * (1 + random / 5));

/** The pools whose leases ran out. */
export const overdue = (pools: readonly PoolId[], renewed: ReadonlyMap<PoolId, number>, now: number): PoolId[] =>
  pools.filter((poolId) => {
    const at = renewed.get(poolId);
    return at === undefined || now - at >= LEASE_MS || at > now;
  });

/** What is counted for a pool which it did not name. */
export function strangersOf(counted: readonly AdmissionRow[], held: readonly Counted[], now: number): ContainerId[] {
  const named = new Set(held.map((one) => one.containerId));
  return counted
    .filter(({ containerId, at }) => !named.has(containerId) && Math.abs(now - at) >= FRESH_MS)
    .map(({ containerId }) => containerId);
}
