import { configOf } from "../config.ts";
import { within } from "../durable/deadline.ts";
import { poolOf, tenantOf } from "../durable/stubs.ts";
import type { Epoch, TenantId } from "../ids.ts";
import { log } from "../log.ts";
import { type GatewayGrant, gatewayToken } from "../sessions/gateway-token.ts";
import type { Assigned, BootPlan, InstanceState } from "./types.ts";

/** Whom a container serves, as its Instance has it in memory. */
export interface Holder {
  tenantId: TenantId;
  epoch: Epoch;
  /** What the container was given to know the proxy by. */
  gatewayToken?: string;
  /** Set when the assignment succeeded in this life of the object. */
  assigned?: Assigned;
}

interface Whom {
  state: Extract<InstanceState, "warm" | "assigned" | "saving">;
  holder: Holder | null;
  /** Whom the pool gave the container to, before it serves: its tenant assigns it again. */
  leasedTo: Holder | null;
  /** When it was assigned, where it serves somebody. */
  since?: number;
}

/** `grant`: from what its gateway token is derived, where it has one. */
export function holderOf(env: Env, tenantId: TenantId, epoch: Epoch, grant: GatewayGrant | undefined): Holder {
  const token = grant && gatewayToken(configOf(env), tenantId, grant);
  if (token === null) {
    const why = "its gateway token was made with a secret that is not configured any more: a restart gives it another";
    log.warn("requests go without a gateway token", { tenantId, why });
  }
  return { tenantId, epoch, ...(token ? { gatewayToken: token } : {}) };
}

/** The object takes no call before it knows, for at most 30 s (platform). */
const ANSWER_MS = 8_000;

/** Asks the pool to whom it gave a container, and that tenant what the container is to it (docs/adr/0001). @throws when either does not answer */
export async function whomItServes(env: Env, { poolId, containerId }: BootPlan): Promise<Whom> {
  const lease = await within(ANSWER_MS, "holder", poolOf(env, poolId).holder(containerId));
  if (!lease) return { state: "warm", holder: null, leasedTo: null };
  const served = await within(ANSWER_MS, "servedBy", tenantOf(env, lease.tenantId).servedBy(containerId));
  if (!served) return { state: "warm", holder: null, leasedTo: lease };
  const holder = holderOf(env, lease.tenantId, served.epoch, served.gateway);
  return { state: served.admission === "open" ? "assigned" : "saving", holder, leasedTo: null, since: served.since };
}
