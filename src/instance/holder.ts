import { poolOf, tenantOf } from "../durable/stubs.ts";
import type { Epoch, TenantId } from "../ids.ts";
import type { Assigned, BootPlan, InstanceState } from "./types.ts";

/** Whom a container serves, as its Instance has it in memory. */
export interface Holder {
  tenantId: TenantId;
  epoch: Epoch;
  /** Set when the assignment succeeded in this life of the object. */
  assigned?: Assigned;
}

interface Whom {
  state: Extract<InstanceState, "warm" | "assigned" | "saving">;
  holder: Holder | null;
  /** Whom the pool gave the container to, before it serves: its tenant assigns it again. */
  leasedTo: Holder | null;
}

/** Asks the pool to whom it gave a container, and that tenant what the container is to it (docs/adr/0001). @throws when either does not answer */
export async function whomItServes(env: Env, { poolId, containerId }: BootPlan): Promise<Whom> {
  const lease = await poolOf(env, poolId).holder(containerId);
  if (!lease) return { state: "warm", holder: null, leasedTo: null };
  const served = await tenantOf(env, lease.tenantId).servedBy(containerId);
  if (!served) return { state: "warm", holder: null, leasedTo: lease };
  const holder = { tenantId: lease.tenantId, epoch: served.epoch };
  return { state: served.admission === "open" ? "assigned" : "saving", holder, leasedTo: null };
}
