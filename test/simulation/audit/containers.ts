import { those, type Violation, violation } from "./violation.ts";

/** Rules about containers and slots: who holds what, and how many there are. Pure, over what was seen from outside. */

export interface SeenSlot {
  containerId: string;
  poolId: string;
  state: string;
  tier: string;
  lease: { tenantId: string; epoch: number } | null;
}

export interface SeenPool {
  id: string;
  maxSize: number;
  slots: readonly SeenSlot[];
}

/** I1: of the slots that are not on their way out, a tenant has one. */
export function leasesOf(pools: readonly SeenPool[]): Violation[] {
  const byTenant = new Map<string, SeenSlot[]>();
  for (const slot of pools.flatMap(({ slots }) => slots)) {
    if (!slot.lease || slot.state === "draining" || slot.state === "failed") continue;
    byTenant.set(slot.lease.tenantId, [...(byTenant.get(slot.lease.tenantId) ?? []), slot]);
  }
  return [...byTenant].flatMap(([tenantId, slots]) =>
    samePool(slots).length > 1
      ? [violation("one-container", `${tenantId} has leases of ${samePool(slots).map(nameOf).join(" and ")}`)]
      : [],
  );
}

/**
 * In two pools a tenant has two leases for the moment in which it moved and the first pool's call got lost; the second
 * pool cannot know. In one pool there is no such excuse.
 */
function samePool(slots: readonly SeenSlot[]): readonly SeenSlot[] {
  const [first] = slots;
  return slots.filter(({ poolId }) => poolId === first?.poolId);
}

const nameOf = ({ containerId, lease }: SeenSlot): string => `${containerId} (epoch ${lease?.epoch})`;

/** What one pool's transaction made of it. */
export function pool({ id, maxSize, slots }: SeenPool, before: SeenPool | null): Violation[] {
  const occupied = slots.filter(({ state }) => state !== "draining" && state !== "failed");
  const occupiedBefore = before?.slots.filter(({ state }) => state !== "draining" && state !== "failed") ?? [];
  // One that was larger before it was resized only does not grow.
  const grew = occupied.length > Math.max(maxSize, occupiedBefore.length);
  return those(
    grew && violation("pool", `${id} holds ${occupied.length} slots, its maxSize is ${maxSize}`),
    ...slots.map((slot) =>
      passedOn(
        slot,
        before?.slots.find(({ containerId }) => containerId === slot.containerId),
      ),
    ),
  );
}

/** I2: a lease is given once. */
function passedOn(slot: SeenSlot, before: SeenSlot | undefined): Violation | null {
  if (!before) return null;
  const had = before.lease?.tenantId ?? null;
  const has = slot.lease?.tenantId ?? null;
  if (had !== null && has !== had)
    return violation("one-tenant", `the slot of ${slot.containerId} went from ${had} to ${has}`);
  if (before.state === "draining" && slot.state !== "draining") {
    return violation("one-tenant", `${slot.containerId} came back from draining as ${slot.state}`);
  }
  return null;
}

/** I2: whom a container was made to serve, ever. */
export const servedTenants = (containerId: string, tenants: ReadonlySet<string>): Violation[] =>
  those(tenants.size > 1 && violation("one-tenant", `${containerId} served ${[...tenants].sort().join(" and ")}`));

/** What a record names no more has ended. `owner`: a tenant or a pool; `before`, `after`: the containers that its record names. */
export const forgotten = (
  owner: string,
  before: readonly string[],
  after: readonly string[],
  runs: (id: string) => boolean,
): Violation[] =>
  before
    .filter((id) => !after.includes(id) && runs(id))
    .map((id) => violation("gone", `${owner} has forgotten ${id}, which runs`));

/** I4, P-CAP: containers that exist, by tier. */
export function caps(
  running: readonly { id: string; tier: string }[],
  limits: Readonly<Record<string, number>>,
): Violation[] {
  return Object.entries(limits).flatMap(([tier, cap]) => {
    const of = running.filter((container) => container.tier === tier);
    return of.length > cap ? [violation("cap", `${of.length} containers of tier ${tier} run, the cap is ${cap}`)] : [];
  });
}
