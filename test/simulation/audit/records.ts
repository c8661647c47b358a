import { those, type Violation, violation } from "./violation.ts";

/** Rules about what the objects store: deadlines, alarms and journals. Pure; times in ms since 1970. */

/** As test data: the parts of a tenant's record that these rules are about. */
export interface SeenTenant {
  tenantId: string;
  state: string;
  epoch: number;
  held: { containerId: string; epoch: number } | null;
  operation: { id: string; deadlineAt: number } | null;
  retiring: readonly { containerId: string }[];
  hold: { kind: "retry"; at: number } | { kind: "guard"; until: number } | null;
}

const TRANSITIONAL: ReadonlySet<string> = new Set([
  "claiming",
  "waking",
  "recovering",
  "saving",
  "sleeping",
  "releasing",
  "destroying",
]);
export const isTransitional = (state: string): boolean => TRANSITIONAL.has(state);

/** The longest that anything of a tenant may take (an import, with its grace). */
const LONGEST_MS = 3 * 3_600_000;

/** I6: what waits for something says until when. */
export function exit(tenant: SeenTenant, now: number): Violation[] {
  const { tenantId, state, operation, hold, held } = tenant;
  const kept = state === "release_failed";
  return those(
    isTransitional(state) && !operation && violation("exit", `${tenantId} is ${state} without an operation`),
    operation &&
      !(operation.deadlineAt <= now + LONGEST_MS) &&
      violation(
        "exit",
        `${operation.id} of ${tenantId} has no deadline within hours: ${operation.deadlineAt - now} ms`,
      ),
    kept && !hold && violation("exit", `${tenantId} is ${state} and nothing says until when`),
    kept && !held && violation("exit", `${tenantId} is ${state} without a container`),
    state === "active" && !held && violation("exit", `${tenantId} is active without a container`),
  );
}

/** By when a tenant has to look at itself again; null: nothing is due. Half as often again as it promises, at least. */
export function dueOf(tenant: SeenTenant, now: number): number | null {
  const { state, operation, hold, retiring } = tenant;
  const due: number[] = [];
  if (operation) due.push(operation.deadlineAt);
  if (retiring.length > 0 || state === "destroying") due.push(now + 15 * 60_000);
  if (state === "active") due.push(now + 90_000);
  if (hold) due.push(hold.kind === "retry" ? hold.at : hold.until);
  // What is overdue already (the clock jumped) can be due no sooner than now.
  return due.length === 0 ? null : Math.max(now, Math.min(...due));
}

/**
 * I9: of an object for which something is due. An alarm that a fault took away is not missed until the object was asked
 * something again (`excused`).
 */
export function armed(
  name: string,
  due: number | null,
  alarm: number | null,
  excused: boolean,
  graceMs: number,
): Violation[] {
  if (due === null || excused) return [];
  if (alarm === null) return [violation("alarm", `${name} has something due and no alarm`)];
  return those(
    alarm > due + graceMs && violation("alarm", `${name} has something due ${alarm - due} ms before its alarm`),
  );
}

/** One transaction of an object with a journal. */
export interface Written {
  name: string;
  /** The stored document, before and after. */
  before: string | null;
  after: string | null;
  /** Rows that came with it. */
  entries: readonly Entry[];
}

export interface Entry {
  seq: number;
  after: string | null;
  action: string;
}

/** What a change of a tenant that everybody has to be able to see consists of. */
const stateOf = (text: string | null): string | null => {
  if (text === null) return null;
  const { state, desired, epoch, held, tier, tokenVersion } = JSON.parse(text) as Record<string, unknown>;
  return JSON.stringify([
    state,
    desired,
    epoch,
    (held as { containerId?: string } | null)?.containerId,
    tier,
    tokenVersion,
  ]);
};

/**
 * I10, of a tenant: a transaction that changes its state has its entry; one entry per transition, whose hash is that of
 * the record that came with it.
 */
export function recorded(written: Written, hashOf: (text: string) => string): Violation[] {
  const { name, before, after, entries } = written;
  if (after === null) return [];
  const [from, to] = [stateOf(before), stateOf(after)];
  const hash = hashOf(after);
  const alien = entries.find((entry) => entry.after !== null && entry.after !== hash);
  const doubled = entries.find((entry, index) =>
    entries.slice(0, index).some((other) => other.action === entry.action),
  );
  return those(
    from !== to && entries.length === 0 && violation("journal", `${name} went from ${from} to ${to} without an entry`),
    alien &&
      violation(
        "journal",
        `${name}: ${alien.action} (${alien.seq}) is about another record than the one stored with it`,
      ),
    doubled && violation("journal", `${name}: ${doubled.action} is recorded twice by one transaction`),
  );
}

/** An epoch never goes back, and a container comes with a newer one. */
export function epochs(before: SeenTenant | null, after: SeenTenant): Violation[] {
  if (before === null) return [];
  const { tenantId } = after;
  const isNew = after.held !== null && after.held.containerId !== before.held?.containerId;
  return those(
    after.epoch < before.epoch &&
      violation("fence", `${tenantId} went back from epoch ${before.epoch} to ${after.epoch}`),
    isNew &&
      before.held !== null &&
      (after.held?.epoch ?? 0) <= before.held.epoch &&
      violation(
        "fence",
        `${tenantId} came to ${after.held?.containerId} under the epoch of ${before.held.containerId}`,
      ),
  );
}
