import type { SeenSlot } from "./containers.ts";
import { those, type Violation, violation } from "./violation.ts";

/** What has to be true once nothing goes wrong any more and time went by. Pure; times in ms since 1970. */

export interface RestingTenant {
  tenantId: string;
  state: string;
  desired: string;
  held: { containerId: string } | null;
  operation: { id: string; kind: string; step?: string } | null;
  retiring: readonly { containerId: string }[];
  errors: readonly { code: string }[];
  /** What a request of it is answered with; null where none was sent. */
  probe: number | null;
  /** Its container runs and never answers again. */
  isFrozen: boolean;
}

/** Where a tenant may stay: what it wants to be, or what a person has to see. */
const RESTS: ReadonlySet<string> = new Set(["idle", "active", "asleep", "suspended", "destroyed", "error"]);

const MAY_DIFFER: ReadonlySet<string> = new Set(["active", "error", "suspended"]);

export function tenantAtRest(
  { tenantId, state, desired, held, operation, retiring, errors, probe, isFrozen }: RestingTenant,
  running: ReadonlySet<string>,
): Violation[] {
  const wrong = (what: string) => violation("settled", `${tenantId} ${what}`);
  const isThere = state === "active" && held !== null;
  // What a frozen container holds cannot be saved, and is not thrown away either: a person decides. Nothing else may stay so.
  if (state === "release_failed" && isFrozen && errors.length > 0) return [];
  return those(
    !RESTS.has(state) && wrong(`is still ${state}`),
    operation !== null && wrong(`is still at ${operation.kind} (${operation.id})`),
    retiring.length > 0 &&
      wrong(`still has to get rid of ${retiring.map(({ containerId }) => containerId).join(", ")}`),
    state === "error" && errors.length === 0 && wrong("is in error, and does not say why"),
    // A person suspended it; what it wanted before is what it goes back to.
    desired === "active" && !MAY_DIFFER.has(state) && wrong(`is to be active and is ${state}`),
    isThere && !running.has(held.containerId) && wrong(`is active in ${held.containerId}, which does not run`),
    isThere && probe !== null && probe !== 200 && wrong(`is active, and answers ${probe}`),
  );
}

export interface RestingPool {
  id: string;
  isDeleted: boolean;
  /** Being deleted, with tenants whose release failed: it waits for a person. */
  isStuck: boolean;
  isPaused: boolean;
  /** Its starts failed lately, so that it waits. */
  waits: boolean;
  target: number;
  maxSize: number;
  slots: readonly SeenSlot[];
}

/** `room`: how many containers of its tier may still start. */
export function poolAtRest(pool: RestingPool, running: ReadonlySet<string>, room: number): Violation[] {
  const wrong = (what: string) => violation("settled", `pool ${pool.id} ${what}`);
  const { slots, target, maxSize } = pool;
  const warm = slots.filter(({ state, lease }) => state === "warm" && !lease).length;
  const refills = !pool.isDeleted && !pool.isStuck && !pool.isPaused && !pool.waits;
  const possible = Math.min(target, warm + Math.max(0, maxSize - slots.length), warm + room);
  return those(
    ...slots.map(({ containerId, state }) =>
      state === "draining" || state === "starting" || state === "failed"
        ? wrong(`still has ${containerId}, ${state}`)
        : null,
    ),
    ...slots.map(({ containerId }) =>
      running.has(containerId) ? null : wrong(`has ${containerId}, which does not run`),
    ),
    refills && warm < possible && wrong(`has ${warm} warm containers instead of ${possible}`),
    pool.isDeleted && slots.length > 0 && wrong(`is deleted and has ${slots.length} slots`),
  );
}

/** Whose is whose: containers and slots, slots and tenants, containers and admissions. */
export function nothingLost(
  slots: readonly SeenSlot[],
  tenants: readonly Pick<RestingTenant, "tenantId" | "held">[],
  running: readonly string[],
  admitted: readonly string[],
): Violation[] {
  const wrong = (what: string) => violation("settled", what);
  const held = new Map(
    tenants.flatMap(({ tenantId, held: one }) => (one ? [[one.containerId, tenantId] as const] : [])),
  );
  return those(
    ...running.map((id) =>
      slots.some(({ containerId }) => containerId === id) ? null : wrong(`${id} runs, and no pool has a slot of it`),
    ),
    ...running.map((id) => (admitted.includes(id) ? null : wrong(`${id} runs, and the fleet does not count it`))),
    ...admitted.map((id) => (running.includes(id) ? null : wrong(`the fleet counts ${id}, which does not run`))),
    ...slots.map(({ containerId, lease }) =>
      lease && held.get(containerId) !== lease.tenantId
        ? wrong(`${containerId} is leased to ${lease.tenantId}, which does not hold it`)
        : null,
    ),
    ...[...held].map(([id, tenantId]) =>
      slots.some(({ containerId, lease }) => containerId === id && lease?.tenantId === tenantId)
        ? null
        : wrong(`${tenantId} holds ${id}, of which no slot is leased to it`),
    ),
  );
}

/** A copy in D1, and what its owner says. */
export function sameRows(name: string, copy: readonly string[], own: readonly string[]): Violation[] {
  const missing = own.filter((row) => !copy.includes(row));
  const extra = copy.filter((row) => !own.includes(row));
  return those(
    missing.length > 0 && violation("settled", `D1's ${name} lack ${missing.join(" ")}`),
    extra.length > 0 && violation("settled", `D1's ${name} have ${extra.join(" ")}, which is not so`),
  );
}

export interface RestingVault {
  tenantId: string;
  /** Saves that are open, and since when. */
  open: readonly { saveId: string; at: number }[];
  /** Reserved uploads, and since when. */
  uploads: readonly { object: string; at: number }[];
  /** Everything that it has in R2. */
  keys: readonly string[];
  /** All that it needs of that. */
  needed: ReadonlySet<string>;
}

/** Longer than any save lasts: what was reserved before it can belong to nobody (src/vault/saving.ts, ORPHAN_MS). */
const ORPHAN_MS = 24 * 3_600_000;

export function vaultAtRest({ tenantId, uploads, keys, needed }: RestingVault, now: number): Violation[] {
  const wrong = (what: string) => violation("settled", `the vault of ${tenantId} ${what}`);
  const old = uploads.filter(({ at }) => at < now - ORPHAN_MS - 2 * 3_600_000);
  const extra = keys.filter((key) => !needed.has(key));
  return those(
    old.length > 0 && wrong(`still waits for ${old.length} uploads of yesterday`),
    extra.length > 0 && wrong(`has ${extra.join(", ")} in R2, which it does not need`),
    ...[...needed].map((key) => (keys.includes(key) ? null : wrong(`lacks ${key} in R2`))),
  );
}
