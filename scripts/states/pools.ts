import type { ContainerId, Epoch, TenantId } from "../../src/ids.ts";
import type { Outcome } from "../../src/outcome.ts";
import { breakerReset, configured, drained, paused, scaled } from "../../src/pool/administer.ts";
import { newSlot } from "../../src/pool/plan-lease.ts";
import { newPool, type PoolRecord, type Slot } from "../../src/pool/record.ts";
import { steered } from "../../src/pool/rollouts.ts";
import { poolSchema, workloadSchema } from "../../src/registry/specs.ts";
import { type Answer, answered, problem } from "./answer.ts";
import { type Call, tableOf } from "./table.ts";

/** Pools to ask things of. test/support/pool-standings.ts makes real ones that stand so. */

/** Null for a pool that is not registered. */
export type PoolStanding = { record: PoolRecord; slots: readonly Slot[] } | null;

export const NOW = 1_000_000;
export const BY = { actor: "key:admin", requestId: null };
const P = "/api/v1/pools/{id}";
export const SIZES = { minSize: 1, maxSize: 4, idleTimeoutMs: 900_000 };
export const spec = poolSchema.parse({ id: "pool", workloadId: "pool", ...SIZES });
export const workload = workloadSchema.parse({ id: "pool", image: "sandbox" });

export const record = newPool(spec, workload, 1);
export const slot = (change: Partial<Slot>): Slot => ({
  ...newSlot(record, "c-aaaaaaaaaaaaaaaaaaaa" as ContainerId, NOW),
  state: "warm",
  ...change,
});
const confirmBy = null;
export const leased = slot({
  state: "assigned",
  lease: { tenantId: "tenant" as TenantId, epoch: 1 as Epoch, launch: "warm", confirmBy },
});
const decided = (outcome: Outcome<{ record: PoolRecord }>): PoolRecord => {
  if (!outcome.ok) throw new Error(outcome.failure.detail);
  return outcome.value.record;
};

const standings = {
  "not registered": null,
  warm: { record, slots: [slot({})] },
  serving: { record, slots: [leased] },
  paused: { record: paused(record, "paused", BY, NOW).record, slots: [slot({})] },
  "being deleted": { record: decided(drained(record, [leased], "release", "op", BY, NOW)), slots: [leased] },
} satisfies Record<string, PoolStanding>;
export type PoolStandingName = keyof typeof standings;

/** The answer of a decision; none is asked for where there is no such pool. */
const of =
  (decide: (pool: NonNullable<PoolStanding>) => Outcome<unknown> | null, done = 200): Call<PoolStanding>["decide"] =>
  (pool): Answer => {
    if (!pool) return problem("not_found");
    const outcome = decide(pool);
    return outcome && !outcome.ok ? problem(outcome.failure.code) : answered(done);
  };
const reads = of(() => null);
const given = { spec, workload, workloadVersion: 1 };

const CALLS: readonly Call<PoolStanding>[] = [
  { operation: `GET ${P}`, decide: reads },
  { operation: `GET ${P}/containers`, decide: reads },
  { operation: `GET ${P}/rollout`, decide: reads },
  {
    operation: `PUT ${P}`,
    body: SIZES,
    decide: of(({ record: before, slots }) => configured(before, slots, given as never, BY, NOW)),
  },
  {
    operation: `POST ${P}/scale`,
    body: { target: SIZES.minSize },
    decide: of(({ record: before, slots }) => scaled(before, slots, SIZES.minSize, BY, NOW)),
  },
  {
    operation: `POST ${P}/rollout`,
    body: { action: "halt" },
    decide: of(({ record: before }) => steered(before, "halt", BY, NOW)),
  },
  {
    operation: `POST ${P}/breaker/reset`,
    decide: of(({ record: before }) => ({ ok: true, value: breakerReset(before, BY, NOW) })),
  },
  {
    operation: `POST ${P}/pause`,
    decide: of(({ record: before }) => ({ ok: true, value: paused(before, "paused", BY, NOW) })),
  },
  {
    operation: `POST ${P}/resume`,
    decide: of(({ record: before }) => ({ ok: true, value: paused(before, "running", BY, NOW) })),
  },
  {
    operation: `DELETE ${P}`,
    query: "wait=0s",
    decide: of(({ record: before, slots }) => drained(before, slots, "refuse", "op", BY, NOW), 202),
  },
  {
    operation: `DELETE ${P}`,
    with: "force",
    query: "wait=0s&force=true",
    decide: of(({ record: before, slots }) => drained(before, slots, "release", "op", BY, NOW), 202),
  },
];

export const pools = tableOf(
  P,
  Object.entries(standings).map(([name, standing]) => ({ name: name as PoolStandingName, standing })),
  CALLS,
);
