import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type ContainerId, epoch, type TenantId } from "../../src/ids.ts";
import { occupied, planLease } from "../../src/pool/plan-lease.ts";
import { FILL_CONCURRENCY, nextAlarm, planRefill, planReplace, planShrink } from "../../src/pool/plan-size.ts";
import { newPool, type PoolRecord, type Slot } from "../../src/pool/record.ts";
import { poolSchema, workloadSchema } from "../../src/registry/specs.ts";

const aPool = (spec: { minSize?: number; maxSize?: number } = {}, more: Partial<PoolRecord> = {}): PoolRecord => ({
  ...newPool(
    poolSchema.parse({ id: "demo", workloadId: "sandbox", minSize: 2, maxSize: 5, ...spec }),
    workloadSchema.parse({ id: "sandbox", image: "sandbox" }),
    1,
  ),
  ...more,
});
const aSlot = (n: number, slot: Partial<Slot> = {}): Slot => ({
  containerId: `c-${n}` as ContainerId,
  state: "warm",
  tier: "lite",
  workloadVersion: 1,
  startedAt: n,
  startMs: 500,
  since: n,
  lease: null,
  ...slot,
});
const leasedTo = (tenant: string, at: number): Partial<Slot> => ({
  state: "assigned",
  lease: { tenantId: tenant as TenantId, epoch: epoch(at), launch: "warm", confirmBy: null },
});
const request = (tenant: string, at: number) => ({ tenantId: tenant as TenantId, epoch: epoch(at) });

describe("a lease", () => {
  it("takes the warm slot that waited longest", () => {
    expect(planLease(aPool(), [aSlot(2), aSlot(1)], request("alice", 1)).plan).toMatchObject({
      kind: "warm",
      slot: { containerId: "c-1" },
    });
  });

  it("asked for twice is the same lease", () => {
    const slots = [aSlot(1, leasedTo("alice", 3)), aSlot(2)];
    expect(planLease(aPool(), slots, request("alice", 3)).plan).toMatchObject({
      kind: "again",
      slot: { containerId: "c-1" },
    });
  });

  it("of an older epoch than the tenant's latest is refused, and takes nothing", () => {
    const slots = [aSlot(1, leasedTo("alice", 3)), aSlot(2)];
    expect(planLease(aPool(), slots, request("alice", 2))).toEqual({ plan: { kind: "stale" }, superseded: [] });
  });

  it("with a higher epoch retires the tenant's older slot", () => {
    const slots = [aSlot(1, leasedTo("alice", 3)), aSlot(2)];
    const { plan, superseded } = planLease(aPool(), slots, request("alice", 4));
    expect(plan).toMatchObject({ kind: "warm", slot: { containerId: "c-2" } });
    expect(superseded.map((slot) => slot.containerId)).toEqual(["c-1"]);
  });

  it("takes a container on its way before it starts another", () => {
    const slots = [aSlot(1, { state: "starting" })];
    expect(planLease(aPool(), slots, request("alice", 1)).plan).toMatchObject({
      kind: "reserve",
      slot: { containerId: "c-1" },
      reason: "no_warm_slot",
    });
  });

  it("starts cold for another tier, and says so", () => {
    expect(planLease(aPool(), [aSlot(1)], { ...request("alice", 1), tier: "standard-1" }).plan).toEqual({
      kind: "start",
      reason: "other_tier",
    });
  });

  it("is refused when maxSize containers are there", () => {
    const slots = [1, 2, 3, 4, 5].map((n) => aSlot(n, leasedTo(`t${n}`, 1)));
    expect(planLease(aPool(), slots, request("alice", 1)).plan).toEqual({ kind: "full" });
  });
});

describe("refill", () => {
  it("counts what is on its way, starts two at a time, and nothing while paused", () => {
    expect(planRefill(aPool(), [], 0, 0)).toBe(2);
    expect(planRefill(aPool(), [aSlot(1, { state: "starting" })], 1, 0)).toBe(1);
    expect(planRefill(aPool({ minSize: 5 }), [], 0, 0)).toBe(FILL_CONCURRENCY);
    expect(planRefill({ ...aPool(), paused: true }, [], 0, 0)).toBe(0);
  });

  it("lets a surplus warm slot go only after the idle timeout", () => {
    const slots = [aSlot(1), aSlot(2), aSlot(3)];
    expect(planShrink(aPool(), slots, 1_000)).toEqual([]);
    expect(planShrink(aPool(), slots, 900_001)).toEqual(["c-1"]);
  });
});

describe("whatever a pool holds", () => {
  const slot = fc.record({
    n: fc.integer({ min: 1, max: 40 }),
    state: fc.constantFrom("starting", "warm", "assigned", "draining", "failed" as const),
    tenant: fc.option(fc.constantFrom("alice", "bob", "carol"), { nil: null }),
    at: fc.integer({ min: 1, max: 3 }),
  });
  const slotsOf = (raw: { n: number; state: Slot["state"]; tenant: string | null; at: number }[]): Slot[] => {
    const byId = new Map(
      raw.map(({ n, state, tenant, at }) => {
        const leased = state === "assigned" || (state === "starting" && tenant !== null);
        return [n, aSlot(n, leased ? { ...leasedTo(tenant ?? "dave", at), state } : { state })];
      }),
    );
    return [...byId.values()];
  };

  it("a slot with a tenant is never given to another, and maxSize is never exceeded", () => {
    fc.assert(
      fc.property(
        fc.array(slot, { maxLength: 12 }),
        fc.constantFrom("alice", "bob"),
        fc.integer({ min: 1, max: 4 }),
        (raw, tenant, at) => {
          const slots = slotsOf(raw);
          const pool = aPool({ minSize: 3, maxSize: 8 });
          const { plan, superseded } = planLease(pool, slots, request(tenant, at));
          if (plan.kind === "warm" || plan.kind === "reserve") expect(plan.slot.lease).toBeNull();
          if (plan.kind === "again") expect(plan.slot.lease).toMatchObject({ tenantId: tenant, epoch: at });
          for (const old of superseded) expect(old.lease?.tenantId).toBe(tenant);
          if (plan.kind === "start") expect(occupied(slots) - superseded.length).toBeLessThan(8);
          expect(occupied(slots) + planRefill(pool, slots, 0, 0)).toBeLessThanOrEqual(Math.max(8, occupied(slots)));
        },
      ),
    );
  });
});
