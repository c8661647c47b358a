import { those, type Violation, violation } from "./violation.ts";

/** Rules at the moment of an effect: a request that a workload got, the end of a container. Pure. */

export interface Reached {
  /** The container that got it. */
  containerId: string;
  /** Whom the request was for, as the proxy told the workload. */
  tenantId: string;
}

/** What the tenant's stored record said at that moment. */
export interface Holding {
  state: string;
  held: { containerId: string; epoch: number } | null;
  /** Containers that it has left, whose end is not confirmed yet. */
  leaving: readonly string[];
}

/**
 * I8: a request reaches the container that its tenant holds, or one that the tenant has left and whose end is not
 * confirmed: it may be out of everybody's reach but the sender's, and then only the vault's fence holds it (P-ONE).
 */
export function reached({ containerId, tenantId }: Reached, { state, held, leaving }: Holding): Violation[] {
  if (held?.containerId === containerId || leaving.includes(containerId)) return [];
  const holds = held ? `holds ${held.containerId}` : "holds none";
  return [violation("fence", `a request for ${tenantId} reached ${containerId}; the tenant is ${state} and ${holds}`)];
}

/** I8: the same of the epoch that the sender knows: one that was superseded opens nothing, also at the same container. */
export function accepted(routed: Reached & { epoch: number }, { held }: Pick<Holding, "held">): Violation[] {
  const { containerId, tenantId, epoch } = routed;
  const isOld = held?.containerId === containerId && epoch < held.epoch;
  return those(
    isOld &&
      violation(
        "fence",
        `${containerId} took a request of ${tenantId} for epoch ${epoch}; it serves epoch ${held.epoch}`,
      ),
  );
}

/** A container is told to end. `holder`: the tenant whose stored record holds it at that moment. */
export const told = (containerId: string, reason: string, holder: string | null): Violation[] =>
  those(holder !== null && violation("taken", `${containerId} is told to end (${reason}), and ${holder} holds it`));

/** How often a workload got one and the same request. Reading may be done again. */
export const repeated = (request: string, method: string, times: number): Violation[] =>
  those(times > 1 && method !== "GET" && violation("once", `${method} ${request} reached workloads ${times} times`));

/** I3, P-RESTORE: what is true of a container at the moment at which its tenant becomes active in it. */
export interface Activated {
  tenantId: string;
  containerId: string;
  running: boolean;
  /** Whether its workload ever answered on its port. */
  answered: boolean;
  /** What it holds; null where it has no state, or its workload has written since. */
  holds: string | null;
  /** What was saved; null: nothing, or it may begin fresh. */
  saved: string | null;
}

export function activated({ tenantId, containerId, answered, holds, saved }: Activated): Violation[] {
  return those(
    !answered && violation("ready", `${tenantId} is active in ${containerId}, whose workload never answered`),
    holds !== null &&
      saved !== null &&
      holds !== saved &&
      violation(
        "restored",
        `${tenantId} is active in ${containerId}, which holds something else than was saved:${difference(holds, saved)}`,
      ),
  );
}

/** P-NOKEY: nothing that a container was given holds any of these values. */
export function keysIn(containerId: string, texts: Iterable<string>, secrets: readonly string[]): Violation[] {
  for (const text of texts) {
    const found = secrets.find((secret) => text.includes(secret));
    if (found) return [violation("keys", `${containerId} was given a key that begins with ${found.slice(0, 4)}`)];
  }
  return [];
}

/** Lines of directories that are in one of them only. */
export function difference(is: string, should: string): string {
  const [has, wants] = [is.split("\n"), should.split("\n")];
  const extra = has.filter((line) => !wants.includes(line)).map((line) => `\n    + ${line}`);
  const missing = wants.filter((line) => !has.includes(line)).map((line) => `\n    - ${line}`);
  return [...extra.slice(0, 4), ...missing.slice(0, 4)].join("");
}
