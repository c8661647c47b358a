import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { SYSTEM } from "../../src/auth/principal.ts";
import type { ContainerId } from "../../src/ids.ts";
import { leaseSlot, occupied, planLease, STARTS_PER_TENANT } from "../../src/pool/plan-lease.ts";
import { FILL_CONCURRENCY, nextAlarm, planRefill, planReplace, planShrink } from "../../src/pool/plan-size.ts";
import type { Slot } from "../../src/pool/record.ts";
import { aPool, aSlot, leasedTo, aRequest as request } from "../support/pool-fixtures.ts";

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

  it("that demands a version passes over older slots, and says so", () => {
    const pool = aPool({}, { workloadVersion: 3 });
    const slots = [aSlot(1, { workloadVersion: 2 })];
    const demanding = { ...request("alice", 1), minWorkloadVersion: 3 };
    expect(planLease(pool, slots, demanding).plan).toEqual({ kind: "start", reason: "other_version" });
    const coming = aSlot(2, { state: "starting", workloadVersion: 3 });
    expect(planLease(pool, [...slots, coming], demanding).plan).toMatchObject({ kind: "reserve", slot: coming });
    expect(planLease(pool, slots, request("alice", 1)).plan).toMatchObject({ kind: "warm" });
  });

  it("passes over what was started on a network that the pool does not allow any more, and says so", () => {
    const pool = aPool({ network: { name: "none" } });
    const [open, own, closed] = [
      aSlot(1, { network: "open" }),
      aSlot(2, { network: null }),
      aSlot(3, { network: "none" }),
    ];
    expect(planLease(pool, [open, own], request("alice", 1)).plan).toEqual({ kind: "start", reason: "other_network" });
    expect(planLease(pool, [open, own, closed], request("alice", 1)).plan).toEqual({ kind: "warm", slot: closed });
    expect(planReplace(pool, [open, own, closed], 0)).toEqual(["c-1"]);
    expect(planRefill(pool, [open, own], 0, 0)).toBe(2);
    expect(planLease(pool, [aSlot(4)], request("alice", 1)).plan.kind).toBe("warm"); // of before that was kept
  });

  it("asked for twice is refused where nobody knows any more what its container was started with", () => {
    const slot = aSlot(1, { ...leasedTo("alice", 3), workloadVersion: 1 });
    const pool = aPool({}, { workloadVersion: 3 });
    expect(planLease(pool, [slot], request("alice", 3))).toEqual({ plan: { kind: "forgotten", slot }, superseded: [] });
    expect(planLease(pool, [slot], request("alice", 4)).superseded).toEqual([slot]);
  });

  it("prefers the latest version, and never takes a slot of another tier", () => {
    const newer = aSlot(9, { workloadVersion: 2 });
    expect(planLease(aPool(), [aSlot(1), newer], request("alice", 1)).plan).toEqual({ kind: "warm", slot: newer });
    const other = [aSlot(1, { tier: "basic" })];
    expect(planLease(aPool(), other, request("alice", 1)).plan).toEqual({ kind: "start", reason: "no_warm_slot" });
    const wanted = { ...request("alice", 1), tier: "basic" as const };
    expect(planLease(aPool(), other, wanted).plan).toMatchObject({ kind: "warm" });
  });

  it("of a pool that is being deleted is refused, but the one that is held stays", () => {
    const drain = { operationId: "pop", startedAt: 1, by: SYSTEM, releases: true, failed: [], endedAt: null };
    const slots = [aSlot(1, leasedTo("alice", 3)), aSlot(2)];
    expect(planLease(aPool({}, { drain }), slots, request("alice", 3)).plan).toMatchObject({ kind: "again" });
    expect(planLease(aPool({}, { drain }), slots, request("alice", 4))).toEqual({
      plan: { kind: "draining" },
      superseded: [],
    });
  });

  it("is refused when maxSize containers are there", () => {
    const slots = [1, 2, 3, 4, 5].map((n) => aSlot(n, leasedTo(`t${n}`, 1)));
    expect(planLease(aPool(), slots, request("alice", 1)).plan).toEqual({ kind: "full", of: "pool" });
  });
});

describe("a tenant's share of starts", () => {
  /** What happens to a pool: who asks anew, and what becomes of the oldest container that starts or ends. */
  const happening = fc.oneof(
    fc.record({ does: fc.constant("ask" as const), tenant: fc.constantFrom("greedy", "modest") }),
    fc.record({ does: fc.constantFrom("started", "failed", "gone", "warmed"), tenant: fc.constant("") }),
  );

  it("is three containers that begin or end, however often it asks; nobody else is held up, and it goes on when one is done", () => {
    fc.assert(
      fc.property(fc.array(happening, { maxLength: 80 }), (happenings) => {
        const pool = aPool({ minSize: 0, maxSize: 10_000 });
        let slots: Slot[] = [];
        const change = (slot: Slot | undefined, more: Partial<Slot> | null) => {
          slots = slots.flatMap((one) => (one !== slot ? [one] : more === null ? [] : [{ ...one, ...more }]));
        };
        const unsettled = (tenant: string) =>
          slots.filter(({ lease, state }) => lease?.tenantId === tenant && ["starting", "draining"].includes(state));
        for (const [n, { does, tenant }] of happenings.entries()) {
          const starting = slots.find(({ state }) => state === "starting");
          if (does === "started") change(starting, { state: starting?.lease ? "assigned" : "warm" });
          if (does === "failed") change(starting, { state: "draining" });
          if (does === "gone")
            change(
              slots.find(({ state }) => state === "draining"),
              null,
            );
          if (does === "warmed") slots.push(aSlot(10_000 + n, { state: "starting" }));
          if (does !== "ask") continue;
          const asked = request(tenant, n + 1);
          const { plan, superseded } = planLease(pool, slots, asked);
          const before = unsettled(tenant).length;
          if (plan.kind === "full") {
            expect(plan.of).toBe("tenant");
            expect(before).toBeGreaterThanOrEqual(STARTS_PER_TENANT);
          } else if (plan.kind !== "warm") {
            expect(before).toBeLessThan(STARTS_PER_TENANT);
          }
          for (const slot of superseded) change(slot, { state: "draining" });
          if (plan.kind !== "warm" && plan.kind !== "reserve" && plan.kind !== "start") continue;
          const taken = leaseSlot(pool, plan, asked, `c-${n}` as ContainerId, n);
          slots = [...slots.filter(({ containerId }) => containerId !== taken.containerId), taken];
        }
      }),
    );
  });

  it("does not count against what is warm, nor against another tenant", () => {
    const ending = [1, 2, 3].map((n) => aSlot(n, { ...leasedTo("greedy", n), state: "draining" }));
    const pool = aPool({ minSize: 0, maxSize: 10 });
    const full = { kind: "full", of: "tenant" };
    const coming = aSlot(4, { state: "starting" });
    expect(planLease(pool, ending, request("greedy", 9)).plan).toEqual(full);
    expect(planLease(pool, [...ending, coming], request("greedy", 9)).plan).toEqual(full);
    expect(planLease(pool, [...ending, aSlot(5)], request("greedy", 9)).plan).toMatchObject({ kind: "warm" });
    expect(planLease(pool, ending, request("modest", 9)).plan).toMatchObject({ kind: "start" });
    expect(planLease(pool, ending.slice(1), request("greedy", 9)).plan).toMatchObject({ kind: "start" });
  });
});

describe("refill", () => {
  it("counts what is on its way, starts two at a time, and nothing while paused", () => {
    expect(planRefill(aPool(), [], 0, 0)).toBe(2);
    expect(planRefill(aPool(), [aSlot(1, { state: "starting" })], 1, 0)).toBe(1);
    expect(planRefill(aPool({ minSize: 5 }), [], 0, 0)).toBe(FILL_CONCURRENCY);
    expect(planRefill({ ...aPool(), paused: true }, [], 0, 0)).toBe(0);
  });

  it("follows the target instead of minSize, and waits for what failed", () => {
    expect(planRefill(aPool({}, { target: 3 }), [aSlot(1), aSlot(2)], 0, 0)).toBe(1);
    const failures = { count: 1, recent: [], successes: 0, detail: "", notBefore: 5_000 };
    expect(planRefill(aPool({}, { failures }), [], 0, 4_999)).toBe(0);
    expect(planRefill(aPool({}, { failures }), [], 0, 5_000)).toBe(2);
  });

  it("tries one start alone when the breaker is half-open, none while it is open", () => {
    const pool = aPool({}, { breaker: { openedAt: 0, retryAt: 60_000, opened: 1 } });
    expect(planRefill(pool, [], 0, 59_999)).toBe(0);
    expect(planRefill(pool, [], 0, 60_000)).toBe(1);
    expect(planRefill(pool, [aSlot(1, { state: "starting" })], 1, 60_000)).toBe(0);
  });

  it("looks again in time for what is due, and never again for a deleted pool", () => {
    const quiet = nextAlarm(aPool(), [aSlot(1), aSlot(2)], 1_000, 0);
    expect(quiet).toBe(61_000);
    expect(nextAlarm(aPool(), [aSlot(1, { state: "draining" })], 1_000, 0)).toBe(6_000);
    const pool = aPool({ minSize: 0 });
    expect(nextAlarm({ ...pool, spec: { ...pool.spec, idleTimeoutMs: 2_000 } }, [aSlot(1)], 1_000, 0)).toBe(2_001);
    const failures = { count: 1, recent: [], successes: 0, detail: "", notBefore: 5_000 };
    expect(nextAlarm(aPool({}, { failures }), [], 1_000, 0)).toBe(5_000);
    const drain = { operationId: "pop", startedAt: 1, by: SYSTEM, releases: true, failed: [], endedAt: 2 };
    expect(nextAlarm(aPool({}, { drain }), [], 1_000, 0)).toBeNull();
  });

  it("lets a surplus warm slot go only after the idle timeout", () => {
    const slots = [aSlot(1), aSlot(2), aSlot(3)];
    expect(planShrink(aPool(), slots, 1_000)).toEqual([]);
    expect(planShrink(aPool(), slots, 900_001)).toEqual(["c-1"]);
  });
});

describe("slots of an older version", () => {
  const pool = (spec: { minSize?: number; maxSize?: number } = {}) => aPool(spec, { workloadVersion: 2 });
  const current = (n: number, state: Slot["state"] = "warm") => aSlot(n, { workloadVersion: 2, state });

  it("stay until one of the present version is warm, and then go one for one", () => {
    const old = [aSlot(1), aSlot(2)];
    expect(planReplace(pool(), old, 0)).toEqual([]);
    expect(planRefill(pool(), old, 0, 0)).toBe(2);
    expect(planReplace(pool(), [...old, current(3, "starting")], 0)).toEqual([]);
    expect(planReplace(pool(), [...old, current(3)], 0)).toEqual(["c-1"]);
    expect(planReplace(pool(), [...old, current(3), current(4)], 0)).toEqual(["c-1", "c-2"]);
  });

  it("make room, one at a time, where maxSize leaves none", () => {
    const old = [aSlot(1), aSlot(2)];
    expect(planReplace(pool({ maxSize: 2 }), old, 0)).toEqual(["c-1"]);
    expect(planReplace(pool({ maxSize: 2 }), [aSlot(2), current(3, "starting")], 0)).toEqual([]);
  });

  it("stay while the pool is paused", () => {
    expect(planReplace({ ...pool(), paused: true }, [aSlot(1), aSlot(2), current(3)], 0)).toEqual([]);
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
