import { fleetOf, instanceOf, poolOf } from "../durable/stubs.ts";
import type { FleetLease } from "../fleet/types.ts";
import type { ContainerId, PoolId } from "../ids.ts";
import { findPool } from "../registry/store.ts";
import { ended, slotsOf } from "./pools.ts";
import type { Part, Sweep } from "./types.ts";
import { examine, type Verdict } from "./verdict.ts";

/** Longer than any start. */
const GRACE_MS = 60 * 60_000;

/** What the Fleet counts, and no pool has: it would count towards its tier's cap for ever (P-CAP). */
export async function sweepLeases(sweep: Sweep, after: string): Promise<Part> {
  const leases = await fleetOf(sweep.env).leases(after, sweep.limit);
  const old = leases.filter(({ at }) => sweep.now - at >= GRACE_MS);
  const things = old.map((lease) => ({ id: lease.containerId as string, thing: lease }));
  // A container that old gets no slot any more: what a pool had at the beginning of the page is enough.
  const slots = new Map<PoolId, Promise<ReadonlySet<ContainerId>>>();
  const judge = async ({ containerId, poolId }: FleetLease): Promise<Verdict> => {
    const asked = slots.get(poolId) ?? slotsOf(sweep, poolId);
    slots.set(poolId, asked);
    if ((await asked).has(containerId)) return null;
    const orphan = `it is counted for pool ${poolId}, which does not have it`;
    const isThere = (await poolOf(sweep.env, poolId).describe()).ok;
    if (!isThere && (await findPool(sweep.env.DB, poolId))) {
      return { orphan, but: "the pool is registered, and its object knows nothing of itself" };
    }
    // A container that serves somebody is never taken away by what a list says.
    const { tenantId } = await instanceOf(sweep.env, containerId).observe();
    return tenantId === null ? { orphan } : { orphan, but: `it says that it serves ${tenantId}` };
  };
  const part = await examine(sweep, "leases", things, judge, ({ poolId, containerId }) =>
    ended(sweep, poolId, containerId),
  );
  return { ...part, after: leases.length < sweep.limit ? null : (leases.at(-1)?.containerId ?? null) };
}
