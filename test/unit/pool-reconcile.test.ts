import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { COOLDOWN } from "../../src/durable/cadence.ts";
import type { ContainerId } from "../../src/ids.ts";
import { DRY_MS, exhaustion, NOTED_MS, tierAdmitted, tierRefused, tiersQuiet } from "../../src/pool/alerts.ts";
import { afterFailedStart } from "../../src/pool/failed-start.ts";
import { afterTry, endingDue } from "../../src/pool/plan-ending.ts";
import { newSlot, occupied } from "../../src/pool/plan-lease.ts";
import { type Memory, type PoolStep, planReconcile } from "../../src/pool/plan-reconcile.ts";
import { nextAlarm } from "../../src/pool/plan-size.ts";
import { type PoolRecord, readRecord, type Slot } from "../../src/pool/record.ts";
import { aPool, aSlot, leasedTo } from "../support/pool-fixtures.ts";

const CEILING = 400_000;
const NOW = 10_000_000;

/** What an object's memory knows: nothing, but for what is said. */
const memoryOf = (more: Partial<Memory> = {}): Memory => ({
  isStarting: () => false,
  isEnding: () => false,
  lookAt: () => NOW + 30_000,
  waiting: 0,
  isFirstLook: false,
  ...more,
});

/** A pool's world, in which every step works at once. */
class World {
  slots: Slot[];
  readonly record: PoolRecord;
  readonly looked = new Map<ContainerId, number>();
  readonly starting = new Set<ContainerId>();
  made = 1_000;
  constructor(record: PoolRecord, slots: readonly Slot[]) {
    this.record = record;
    this.slots = [...slots];
  }
  get memory(): Memory {
    return memoryOf({
      isStarting: (id) => this.starting.has(id),
      lookAt: (id) => this.looked.get(id) ?? null,
    });
  }
  plan(): PoolStep[] {
    return planReconcile(this.record, this.slots, this.memory, CEILING, NOW);
  }
  perform(step: PoolStep): void {
    if (step.do === "start") {
      for (let n = 0; n < step.count; n += 1) {
        this.made += 1;
        const slot = newSlot(this.record, `c-${this.made}` as ContainerId, NOW);
        this.starting.add(slot.containerId);
        this.slots.push(slot);
      }
      return;
    }
    const { containerId } = step;
    if (step.do === "look") this.looked.set(containerId, NOW + 50_000);
    if (step.do === "resume") this.starting.add(containerId);
    this.slots = this.slots.map((slot) => {
      if (slot.containerId !== containerId) return slot;
      if (step.do === "confirm" && slot.lease) return { ...slot, lease: { ...slot.lease, confirmBy: null } };
      return step.do === "retire" ? afterTry({ ...slot, state: "draining", since: NOW }, NOW, 0).slot : slot;
    });
  }
}

const slotOf = fc
  .record({
    n: fc.integer({ min: 1, max: 40 }),
    state: fc.constantFrom("starting", "warm", "assigned", "draining", "failed" as const),
    age: fc.integer({ min: 0, max: 2_000_000 }),
    version: fc.integer({ min: 1, max: 2 }),
    tier: fc.constantFrom("lite", "basic" as const),
    confirmIn: fc.option(fc.integer({ min: -1_000, max: 60_000 }), { nil: null }),
    tries: fc.integer({ min: 0, max: 60 }),
  })
  .map(({ n, state, age, version, tier, confirmIn, tries }): Slot => {
    const at = NOW - age;
    const slot = aSlot(n, { state, since: at, startedAt: at, workloadVersion: version, tier });
    const { lease = null } = leasedTo(`t-${n}`, 1);
    const ending = { attempts: tries, nextAt: at, abandonedAt: null };
    if (state === "assigned") return { ...slot, lease: lease && { ...lease, confirmBy: confirmIn && NOW + confirmIn } };
    return state === "draining" && tries > 0 ? { ...slot, ending } : slot;
  });
const slotsOf = fc
  .array(slotOf, { maxLength: 20 })
  .map((slots) => [...new Map(slots.map((slot) => [slot.containerId, slot])).values()]);
const poolOf = fc
  .record({ minSize: fc.integer({ min: 0, max: 6 }), paused: fc.boolean(), version: fc.integer({ min: 1, max: 2 }) })
  .map(({ minSize, paused, version }) => aPool({ minSize, maxSize: 8 }, { paused, workloadVersion: version }));

describe("a reconciliation", () => {
  it("asked for again after all of it was done is nothing, and never exceeds maxSize or the target", () => {
    fc.assert(
      fc.property(poolOf, slotsOf, (record, slots) => {
        const world = new World(record, slots);
        const before = occupied(world.slots);
        for (const step of world.plan()) world.perform(step);
        expect(world.plan()).toEqual([]);
        expect(occupied(world.slots)).toBeLessThanOrEqual(Math.max(8, before));
      }),
    );
  });

  it("comes to the target when its starts succeed, whatever there was", () => {
    fc.assert(
      fc.property(poolOf, slotsOf, (record, slots) => {
        const world = new World({ ...record, paused: false }, slots);
        for (let round = 0; round < 30; round += 1) {
          for (const step of world.plan()) world.perform(step);
          world.slots = world.slots.flatMap((slot): Slot[] => {
            if (slot.state === "draining") return [];
            if (slot.state !== "starting" || !world.starting.delete(slot.containerId)) return [slot];
            return [{ ...slot, state: slot.lease ? "assigned" : "warm", since: NOW }];
          });
        }
        const { minSize, maxSize } = record.spec;
        const current = world.slots.filter(
          (slot) => slot.state === "warm" && slot.tier === "lite" && slot.workloadVersion >= record.workloadVersion,
        );
        const claimed = world.slots.filter((slot) => slot.state === "assigned").length;
        expect(current.length).toBeGreaterThanOrEqual(Math.min(minSize, Math.max(0, maxSize - claimed)));
      }),
    );
  });

  it("looks only at warm slots whose look is due, at all of them after a restart, and when the clock went back", () => {
    const slots = [aSlot(1), aSlot(2), aSlot(3, leasedTo("alice", 1))];
    const looks = (lookAt: Memory["lookAt"]) =>
      planReconcile(aPool(), slots, memoryOf({ lookAt }), CEILING, NOW).filter((step) => step.do === "look");
    expect(looks(() => NOW + 30_000)).toEqual([]);
    expect(looks((id) => NOW + (id === "c-2" ? 5_000 : 30_000))).toEqual([{ do: "look", containerId: "c-2" }]);
    expect(looks(() => null)).toHaveLength(2);
    expect(looks(() => NOW + 3_600_000)).toHaveLength(2);
  });

  it("gives every state that passes a ceiling", () => {
    const due = (slot: Partial<Slot>, memory: Partial<Memory> = {}) =>
      planReconcile(aPool({ minSize: 0 }), [aSlot(1, slot)], memoryOf(memory), CEILING, NOW);
    const begun = { isStarting: () => true };
    expect(due({ state: "starting", startedAt: NOW - CEILING }, begun)).toEqual([]);
    expect(due({ state: "starting", startedAt: NOW - CEILING - 1 }, begun)).toMatchObject([
      { do: "retire", reason: "start overdue" },
    ]);
    expect(due({ state: "starting", startedAt: NOW })).toEqual([{ do: "resume", containerId: "c-1" }]);
    const { lease = null } = leasedTo("alice", 1);
    const confirmBy = (at: number) => ({ state: "assigned" as const, lease: lease && { ...lease, confirmBy: at } });
    expect(due(confirmBy(NOW + 1))).toEqual([]);
    expect(due(confirmBy(NOW))).toEqual([{ do: "confirm", containerId: "c-1" }]);
    const ending = { attempts: 3, nextAt: NOW + 1, abandonedAt: null };
    expect(due({ state: "draining", ending })).toEqual([]);
    expect(due({ state: "draining", ending }, { isFirstLook: true })).toMatchObject([{ do: "retire" }]);
    expect(due({ state: "draining", ending: { ...ending, nextAt: NOW } })).toMatchObject([{ do: "retire" }]);
    expect(due({ state: "draining" }, { isEnding: () => true })).toEqual([]);
  });

  it("starts nothing while claims wait for the room", () => {
    expect(planReconcile(aPool(), [], memoryOf({ waiting: 1 }), CEILING, NOW)).toEqual([]);
    expect(planReconcile(aPool(), [], memoryOf(), CEILING, NOW)).toEqual([{ do: "start", count: 2 }]);
  });

  it("of a pool that is scaled to zero ends what is idle, and then is nothing", () => {
    const pool = aPool({ minSize: 0, idleTimeoutMs: 60_000 });
    const plan = (slots: Slot[]) => planReconcile(pool, slots, memoryOf(), CEILING, NOW);
    expect(plan([aSlot(1, { since: NOW - 59_999 })])).toEqual([]);
    expect(plan([aSlot(1, { since: NOW - 60_000 })])).toMatchObject([{ do: "retire", reason: "surplus" }]);
    expect(plan([])).toEqual([]);
  });
});

describe("an end that nobody confirms", () => {
  it("is asked for after 5 s, then less and less often, after fifty tries abandoned, and hourly from then on", () => {
    let slot = aSlot(1, { state: "draining", since: 0 });
    let now = 0;
    const pauses: number[] = [];
    let abandonedBy = 0;
    for (let n = 1; n <= 52; n += 1) {
      const tried = afterTry(slot, now, 0);
      slot = tried.slot;
      if (tried.abandoned) abandonedBy = n;
      pauses.push(endingDue(slot) - now);
      now = endingDue(slot);
    }
    expect(pauses.slice(0, 9)).toEqual([5, 10, 20, 40, 80, 160, 320, 600, 600].map((seconds) => seconds * 1_000));
    expect(abandonedBy).toBe(50);
    expect(pauses.slice(48)).toEqual([600_000, 3_600_000, 3_600_000, 3_600_000]);
  });

  it("has its alarm in time, as have leases that nobody confirmed, windows and what `scale` asked for", () => {
    const ending = { attempts: 3, nextAt: NOW + 20_000, abandonedAt: null };
    expect(nextAlarm(aPool(), [aSlot(1, { state: "draining", ending })], NOW, 0)).toBe(NOW + 20_000);
    const { lease = null } = leasedTo("alice", 1);
    const unconfirmed = aSlot(1, { state: "assigned", lease: lease && { ...lease, confirmBy: NOW + 7_000 } });
    expect(nextAlarm(aPool(), [unconfirmed], NOW, 0)).toBe(NOW + 7_000);
    const schedule = [{ cron: "* * * * *", durationMs: 60_000, minSize: 3 }];
    expect(nextAlarm(aPool({ schedule }), [], NOW, 0)).toBe(Math.ceil((NOW + 1) / 60_000) * 60_000);
    expect(nextAlarm(aPool({}, { target: 1, targetUntil: NOW + 9_000 }), [], NOW, 0)).toBe(NOW + 9_000);
  });
});

describe("the alert that nothing is warm", () => {
  const raised = (record: PoolRecord, slots: Slot[], since: number | null, now: number) =>
    exhaustion(record, slots, since, now);

  it("is raised after 30 s without a warm slot, once, and cleared with the first", () => {
    const first = raised(aPool(), [aSlot(1, leasedTo("alice", 1))], null, NOW);
    expect(first).toEqual({ drySince: NOW, change: null });
    expect(raised(aPool(), [], NOW, NOW + DRY_MS - 1).change).toBeNull();
    const { change } = raised(aPool(), [], NOW, NOW + DRY_MS);
    expect(change?.entries).toMatchObject([
      { action: "alert.raised", subject: "pool:demo", detail: { alert: "pool_exhausted", target: 2, since: NOW } },
    ]);
    const record = change?.record ?? aPool();
    expect(raised(record, [], NOW, NOW + 90_000).change).toBeNull();
    const cleared = raised(record, [aSlot(1)], NOW, NOW + 91_000);
    expect(cleared.change?.entries).toMatchObject([{ action: "alert.cleared", detail: { alert: "pool_exhausted" } }]);
    expect(raised(cleared.change?.record ?? record, [aSlot(1)], null, NOW + 92_000).change).toBeNull();
  });

  it("is none of a pool that keeps nothing warm, is paused, or is being deleted", () => {
    for (const pool of [aPool({ minSize: 0 }), aPool({}, { paused: true })])
      expect(raised(pool, [], NOW, NOW + 90_000)).toEqual({ drySince: null, change: null });
  });
});

describe("the alert that a tier is full", () => {
  const atCap = { code: "capacity_exhausted", detail: "", extra: { limit: "cap" } } as const;
  const wanted = (more: Partial<Slot> = {}) => aSlot(1, { ...leasedTo("alice", 1), state: "starting", ...more });
  const refused = (record: PoolRecord, now: number) => tierRefused(record, "lite", now);

  it("is raised by the first claim that is refused there, and cleared by a start that is admitted there, each once", () => {
    const { record, entries } = afterFailedStart(aPool(), wanted(), atCap, NOW);
    const detail = { alert: "tier_exhausted", poolId: "demo", tier: "lite", since: NOW };
    expect(entries).toMatchObject([{ action: "alert.raised", subject: "pool:demo", detail }]);
    const again = afterFailedStart(record, wanted(), atCap, NOW + NOTED_MS);
    expect(again.entries).toEqual([]);
    expect(tierAdmitted(again.record, "basic", NOW + NOTED_MS)).toEqual({ record: again.record, entries: [] });
    const cleared = tierAdmitted(again.record, "lite", NOW + NOTED_MS);
    expect(cleared.entries).toMatchObject([
      { action: "alert.cleared", subject: "pool:demo", detail: { alert: "tier_exhausted", tier: "lite" } },
    ]);
    expect(tierAdmitted(cleared.record, "lite", NOW + NOTED_MS)).toEqual({ record: cleared.record, entries: [] });
  });

  it("is of each tier that claims ask for, also one that the refill does not start, and holds that up by nothing", () => {
    const { record, entries } = afterFailedStart(aPool(), wanted({ tier: "basic" }), atCap, NOW);
    expect(entries).toMatchObject([{ detail: { tier: "basic" } }]);
    expect(record.failures).toBeNull();
    expect(refused(record, NOW + 1).entries).toMatchObject([{ detail: { tier: "lite", since: NOW + 1 } }]);
    expect(tierAdmitted(refused(record, NOW + 1).record, "basic", NOW + 2).record.fullTiers).toMatchObject([
      { tier: "lite" },
    ]);
  });

  it("is not raised by a refill, nor by what another limit or fault comes to", () => {
    const refill = afterFailedStart(aPool(), wanted({ lease: null }), atCap, NOW);
    const rate = afterFailedStart(aPool(), wanted(), { ...atCap, extra: { limit: "rate" } }, NOW);
    const fault = afterFailedStart(aPool(), wanted(), { code: "start_failed", detail: "" }, NOW);
    for (const { record, entries } of [refill, rate, fault]) {
      expect(entries).toEqual([]);
      expect(record.fullTiers).toBeUndefined();
    }
  });

  it("is written again about once a minute, however many claims are refused", () => {
    const { record } = refused(aPool(), NOW);
    expect(refused(record, NOW + NOTED_MS - 1).record).toBe(record);
    const noted = refused(record, NOW + NOTED_MS).record;
    expect(noted.fullTiers).toEqual([{ tier: "lite", since: NOW, refusedAt: NOW + NOTED_MS }]);
  });

  it("is cleared when no claim was refused for some minutes, which the pool's alarm is set for", () => {
    const { record } = refused(refused(aPool(), NOW).record, NOW + 90_000);
    const over = NOW + 90_000 + COOLDOWN.fullTier;
    expect(nextAlarm(record, [], over - 9_000, 0)).toBe(over);
    expect(tiersQuiet(record, over - 1)).toEqual({ record, entries: [] });
    const quiet = tiersQuiet(record, over);
    expect(quiet.entries).toMatchObject([{ action: "alert.cleared", detail: { tier: "lite" } }]);
    expect(nextAlarm(quiet.record, [], over, 0)).toBe(over + 60_000);
  });

  it("is none of a record of before it was kept", () => {
    const { fullTiers: _, ...stored } = refused(aPool(), NOW).record;
    const record = readRecord(stored);
    expect(tiersQuiet(record, NOW)).toEqual({ record, entries: [] });
    expect(nextAlarm(record, [], NOW, 0)).toBe(NOW + 60_000);
  });
});
