import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { SYSTEM } from "../../src/auth/principal.ts";
import { type ContainerId, epoch, type PoolId, type TenantId } from "../../src/ids.ts";
import { keptVersion } from "../../src/pool/pinned.ts";
import { leaseSlot, planLease } from "../../src/pool/plan-lease.ts";
import { planRefill, planReplace, planShrink } from "../../src/pool/plan-size.ts";
import { newPool, type PoolRecord, readRecord, type Slot, withVersion } from "../../src/pool/record.ts";
import { afterStep, planRollout, type RolloutEvent, resumed } from "../../src/pool/rollout.ts";
import { rolloutEntries, steered } from "../../src/pool/rollouts.ts";
import { poolReplacement, poolSchema, workloadSchema } from "../../src/registry/specs.ts";

const aSpec = (spec: object = {}) =>
  poolSchema.parse({ id: "demo", workloadId: "sandbox", minSize: 1, maxSize: 10, ...spec });
const aWorkload = workloadSchema.parse({ id: "sandbox", image: "sandbox" });
const rolling = (more: object = {}) => ({ upgrade: { policy: "rolling", healthyMs: 1_000, ...more } });
const aPool = (spec: object = rolling(), more: Partial<PoolRecord> = {}): PoolRecord => ({
  ...newPool(aSpec(spec), aWorkload, 2),
  ...more,
});
const aSlot = (n: number, slot: Partial<Slot> = {}): Slot => ({
  containerId: `c-${n}` as ContainerId,
  state: "warm",
  tier: "lite",
  workloadVersion: 2,
  startedAt: n,
  startMs: 500,
  since: n,
  lease: null,
  ...slot,
});
const id = (tenant: string) => tenant as TenantId;
const held = (n: number, tenant: string, workloadVersion = 1, more: Partial<Slot> = {}): Slot =>
  aSlot(n, {
    state: "assigned",
    workloadVersion,
    lease: { tenantId: id(tenant), epoch: epoch(1), launch: "warm", confirmBy: null },
    ...more,
  });
const NOBODY = new Map<TenantId, number>();

/** A pool and its slots over time: every step is answered as `says`, tenants that restart get the present version. */
class World {
  now = 1_000;
  asked: string[] = [];
  record: PoolRecord;
  slots: Slot[];
  constructor(record: PoolRecord, slots: Slot[]) {
    this.record = record;
    this.slots = slots;
  }

  plan() {
    const planned = planRollout(this.record, this.slots, NOBODY, this.now);
    this.record = { ...this.record, rollout: planned.rollout };
    return planned;
  }

  tell(event: RolloutEvent): void {
    const { rollout } = this.record;
    if (rollout) this.record = { ...this.record, rollout: afterStep(rollout, this.record, event, this.now) };
  }

  /** One pass; `fails` are tenants whose restart fails. */
  pass(fails: readonly string[] = []): void {
    for (const step of this.plan().steps) {
      const { tenantId } = step;
      if (step.do === "ask") {
        this.asked.push(tenantId);
        this.tell({ tenantId, type: "begun", operationId: `op-${tenantId}` });
      } else if (fails.includes(tenantId)) {
        this.tell({ tenantId, type: "failed", code: "start_failed", detail: "it exits" });
      } else {
        this.slots = this.slots.map((slot) =>
          slot.lease?.tenantId === tenantId ? { ...slot, workloadVersion: this.record.workloadVersion } : slot,
        );
        this.tell({ tenantId, type: "ready" });
      }
    }
    this.now += 1_000;
  }

  run(passes: number, fails: readonly string[] = []): this {
    for (let pass = 0; pass < passes; pass += 1) this.pass(fails);
    return this;
  }
}

describe("a rolling upgrade", () => {
  it("moves one, watches it, and only then as many at a time as the policy says", () => {
    const slots = ["a", "b", "c", "d", "e"].map((tenant, n) => held(n, tenant));
    const world = new World(aPool(rolling({ concurrency: 2 })), [...slots, aSlot(8), aSlot(9)]);
    world.pass();
    expect(world.asked).toEqual(["a"]);
    world.pass(); // ready
    expect(world.record.rollout).toMatchObject({ to: 2, moving: [{ tenantId: "a", readySince: 2_000 }], upgraded: 0 });
    expect(world.asked).toEqual(["a"]);
    world.pass(); // healthy for long enough
    expect(world.record.rollout).toMatchObject({ moving: [], upgraded: 1 });
    world.pass();
    expect(world.asked).toEqual(["a", "b", "c"]);
    world.run(10);
    expect(world.record.rollout).toMatchObject({ moving: [], upgraded: 5, failed: [], halted: null });
    expect(world.record.rollout?.endedAt).toBeGreaterThan(0);
    expect(world.plan()).toMatchObject({ steps: [] });
  });

  it("halts after as many failures as it may have, and asks those again that failed once it is resumed", () => {
    const slots = ["a", "b", "c"].map((tenant, n) => held(n, tenant));
    const world = new World(aPool(rolling({ maxFailures: 2 })), [...slots, aSlot(9)]).run(10, ["a", "b"]);
    expect(world.asked).toEqual(["a", "b"]);
    expect(world.record.rollout).toMatchObject({
      failed: [{ tenantId: "a", code: "start_failed" }, { tenantId: "b" }],
      halted: { actor: "system", reason: "2 tenants failed on version 2; the last: it exits" },
      endedAt: null,
    });
    const { rollout } = world.record;
    world.record = { ...world.record, rollout: rollout && resumed(rollout) };
    world.run(20);
    expect(world.asked).toEqual(["a", "b", "a", "b", "c"]);
    expect(world.record.rollout).toMatchObject({ upgraded: 3, failed: [], halted: null });
  });

  it("moves nobody onto a version of which nothing is warm yet, and halts when its containers do not start", () => {
    const slots = [held(1, "a"), aSlot(2, { state: "starting" })];
    expect(planRollout(aPool(), slots, NOBODY, 1)).toMatchObject({ rollout: { moving: [] }, steps: [] });
    const broken = aPool(rolling(), { breaker: { openedAt: 1, retryAt: 2, opened: 1 } });
    expect(planRollout(broken, slots, NOBODY, 1)).toMatchObject({
      rollout: { halted: { actor: "system" } },
      steps: [],
    });
    const full = aPool(rolling({}), { spec: aSpec({ minSize: 0, maxSize: 1, ...rolling() }) });
    expect(planRollout(full, [held(1, "a")], NOBODY, 1).steps).toEqual([{ do: "ask", tenantId: "a", to: 2 }]);
  });

  it("keeps a slot of the new version warm beyond the target while there is somebody to move, and no longer", () => {
    const pool = aPool(rolling({ concurrency: 3 }), { spec: aSpec({ minSize: 0, ...rolling({ concurrency: 3 }) }) });
    const slots = [held(1, "a"), held(2, "b")];
    expect(planRefill(pool, slots, 0, 1)).toBe(2);
    expect(planShrink(pool, [...slots, aSlot(3), aSlot(4)], 10_000_000)).toEqual([]);
    expect(planShrink(pool, [held(1, "a", 2), aSlot(3)], 10_000_000)).toEqual(["c-3"]);
    expect(planReplace(pool, [...slots, aSlot(5, { workloadVersion: 1 })], 1)).toEqual([]);
    const halted = { ...pool, rollout: steered0(pool, slots) };
    expect(planRefill(halted, slots, 0, 1)).toBe(0);
  });

  it("leaves alone who is busy until later, and who is asleep", () => {
    const later = new Map([[id("a"), 5_000]]);
    const slots = [held(1, "a"), aSlot(9)];
    expect(planRollout(aPool(), slots, later, 4_999).steps).toEqual([]);
    expect(planRollout(aPool(), slots, later, 5_000).steps).toEqual([{ do: "ask", tenantId: "a", to: 2 }]);
    const world = new World(aPool(), [held(1, "a"), aSlot(9)]);
    world.plan();
    world.tell({ tenantId: id("a"), type: "left" });
    expect(world.record.rollout).toMatchObject({ moving: [], failed: [], upgraded: 0, halted: null });
  });

  it("is over without those whom the pool only helps out: they follow their own pool's policy", () => {
    const { lease } = held(1, "guest");
    const guest = held(1, "guest", 1, { lease: lease && { ...lease, of: "other" as PoolId } });
    const world = new World(aPool(), [guest, held(2, "a"), aSlot(9)]).run(6);
    expect(world.asked).toEqual(["a"]);
    expect(world.record.rollout).toMatchObject({ upgraded: 1, endedAt: expect.any(Number) });
    const asked = { tenantId: id("guest"), epoch: epoch(1), via: ["other", "third"] as PoolId[] };
    expect(leaseSlot(aPool(), { kind: "start", reason: "x" }, asked, "c-3" as ContainerId, 5).lease?.of).toBe("other");
  });

  it("that was halted is over, and its alert with it, when nobody is left for the version that came after", () => {
    const halted = { at: 1, actor: "system", reason: "it exits" };
    const before = planRollout(aPool(), [held(1, "a"), aSlot(9)], NOBODY, 1).rollout;
    const pool = aPool(rolling(), { workloadVersion: 3, rollout: before && { ...before, halted } });
    expect(planRollout(pool, [], NOBODY, 5)).toEqual({ rollout: null, steps: [] });
    expect(rolloutEntries(pool, null, SYSTEM, 5)).toMatchObject([
      { action: "alert.cleared", detail: { alert: "rollout_halted" } },
    ]);
  });

  it("waits while the pool is paused or deleted, and is none under another policy", () => {
    const slots = [held(1, "a"), aSlot(9)];
    const drain = { operationId: "pop", startedAt: 1, by: SYSTEM, releases: true, failed: [], endedAt: null };
    expect(planRollout({ ...aPool(), paused: true }, slots, NOBODY, 1).steps).toEqual([]);
    expect(planRollout({ ...aPool(), drain }, slots, NOBODY, 1).steps).toEqual([]);
    expect(planRollout(aPool({}), slots, NOBODY, 1)).toEqual({ rollout: null, steps: [] });
    expect(planRollout(aPool({ upgrade: { policy: "pinned" } }), slots, NOBODY, 1).steps).toEqual([]);
  });

  it("counts who is not well in time as failed, and begins anew with the next version", () => {
    const world = new World(aPool(), [held(1, "a"), held(2, "b"), aSlot(9)]);
    world.pass();
    world.now += 30 * 60_000;
    expect(world.plan().rollout).toMatchObject({
      moving: [],
      failed: [{ tenantId: "a", code: "deadline_exceeded" }],
      halted: { actor: "system" },
    });
    world.record = { ...world.record, workloadVersion: 3 };
    expect(world.plan()).toMatchObject({ rollout: { to: 3, failed: [], halted: null } });
  });

  it("ends, moves each tenant at most once, and never more at a time than it may, whatever the order", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 8 }),
        fc.integer({ min: 1, max: 4 }),
        fc.array(fc.constantFrom("ready", "left", "nothing", "failed"), { maxLength: 60 }),
        (tenants, concurrency, answers) => {
          const slots = Array.from({ length: tenants }, (_, n) => held(n, `t${n}`));
          const warm = Array.from({ length: concurrency }, (_, n) => aSlot(100 + n));
          const world = new World(aPool(rolling({ concurrency, maxFailures: 20 })), [...slots, ...warm]);
          for (const answer of answers) {
            const { rollout, steps } = world.plan();
            expect(planRollout(world.record, world.slots, NOBODY, world.now)).toEqual({ rollout, steps });
            expect(steps.length).toBeLessThanOrEqual(concurrency);
            expect(new Set(steps.map(({ tenantId }) => tenantId)).size).toBe(steps.length);
            const [step] = steps;
            if (step?.do === "ask") world.tell({ tenantId: step.tenantId, type: "begun", operationId: "op" });
            else if (step && answer === "failed")
              world.tell({ tenantId: step.tenantId, type: "failed", code: "start_failed", detail: "no" });
            else if (step && answer !== "failed") world.tell({ tenantId: step.tenantId, type: answer });
            world.now += 1_000;
          }
          world.run(6 * tenants + 6);
          expect(world.record.rollout).toMatchObject({ moving: [] });
          expect(world.record.rollout?.endedAt).not.toBeNull();
        },
      ),
    );
  });
});

const steered0 = (pool: PoolRecord, slots: Slot[]) => {
  const { rollout } = planRollout(pool, slots, NOBODY, 1);
  const halt = steered({ ...pool, rollout }, "halt", { actor: "key:1", requestId: "r" }, 2);
  if (!halt.ok) throw new Error(halt.failure.detail);
  return halt.value.record.rollout;
};

describe("what is recorded of a rollout", () => {
  const slots = [held(1, "a"), aSlot(9)];
  const by = { actor: "key:1", requestId: "r-1" };

  it("is its beginning, a halt with an alert, a resumption that clears it, and its end", () => {
    const pool = aPool();
    const started = planRollout(pool, slots, NOBODY, 1).rollout;
    expect(rolloutEntries(pool, started, SYSTEM, 1)).toMatchObject([
      { action: "pool.rollout_started", detail: { to: 2 } },
    ]);
    const running = { ...pool, rollout: started };
    const failed =
      started &&
      afterStep(started, running, { tenantId: id("a"), type: "failed", code: "start_failed", detail: "no" }, 2);
    expect(rolloutEntries(running, failed, SYSTEM, 2)).toMatchObject([
      { action: "pool.rollout_halted" },
      { action: "alert.raised", detail: { alert: "rollout_halted", to: 2 } },
    ]);
    const halt = { ...pool, rollout: failed };
    const again = steered(halt, "resume", by, 3);
    expect(again.ok && again.value.entries).toMatchObject([
      { action: "pool.rollout_resumed", actor: "key:1", requestId: "r-1" },
      { action: "alert.cleared", actor: "system", requestId: null },
    ]);
    const after = planRollout(running, [held(1, "a", 2)], NOBODY, 5).rollout;
    const over = after && { ...after, moving: [], endedAt: 5 };
    expect(rolloutEntries(running, over, SYSTEM, 5)).toMatchObject([{ action: "pool.rollout_ended" }]);
  });

  it("of a halt by hand is one record without an alert; what is halted already is left as it is", () => {
    const pool = { ...aPool(), rollout: planRollout(aPool(), slots, NOBODY, 1).rollout };
    const halt = steered(pool, "halt", by, 2);
    expect(halt.ok && halt.value.entries.map(({ action }) => action)).toEqual(["pool.rollout_halted"]);
    const twice = steered(halt.ok ? halt.value.record : pool, "halt", by, 3);
    expect(twice.ok && twice.value.entries).toEqual([]);
    expect(steered(aPool(), "halt", by, 2)).toMatchObject({ ok: false, failure: { code: "invalid_transition" } });
  });
});

describe("a pinned tenant", () => {
  const pinned = (more: Partial<PoolRecord> = {}) =>
    withVersion(aPool({ upgrade: { policy: "pinned" } }, more), {
      version: 1,
      workload: { ...aWorkload, name: "one" },
    });
  const request = (more: object = {}) => ({ tenantId: id("a"), epoch: epoch(2), runs: 1, ...more });

  it("keeps the version that it ran, cold if none of it is warm, until it restarts the image or begins anew", () => {
    expect(planLease(pinned(), [aSlot(1)], request()).plan).toEqual({ kind: "start", reason: "pinned_version" });
    const old = aSlot(2, { workloadVersion: 1 });
    expect(planLease(pinned(), [aSlot(1), old], request()).plan).toEqual({ kind: "warm", slot: old });
    expect(planLease(pinned(), [aSlot(1), old], request({ minWorkloadVersion: 2 })).plan).toMatchObject({
      kind: "warm",
      slot: { containerId: "c-1" },
    });
    expect(planLease(pinned(), [aSlot(1)], { tenantId: id("a"), epoch: epoch(2) }).plan).toMatchObject({
      kind: "warm",
    });
    const fresh = leaseSlot(pinned(), { kind: "start", reason: "x" }, request(), "c-3" as ContainerId, 5);
    expect(fresh).toMatchObject({ workloadVersion: 1, state: "starting" });
  });

  it("is pinned by its pool's policy only, and never to a version that does not exist yet", () => {
    expect(keptVersion(aPool(), request())).toBeNull();
    expect(keptVersion(pinned(), request({ runs: 2 }))).toBeNull();
    expect(keptVersion(pinned(), request({ runs: 7 }))).toBeNull();
    expect(keptVersion(pinned(), request())).toBe(1);
  });
});

describe("a pool's upgrade policy", () => {
  it("is one of three, and has figures with rolling only", () => {
    expect(aSpec({ upgrade: { policy: "rolling", concurrency: 3, maxFailures: 2, healthyMs: 0 } }).upgrade).toEqual({
      policy: "rolling",
      concurrency: 3,
      maxFailures: 2,
      healthyMs: 0,
    });
    for (const upgrade of [
      { policy: "always" },
      { policy: "pinned", concurrency: 2 },
      { policy: "rolling", concurrency: 0 },
      {},
      { policy: "rolling", x: 1 },
    ]) {
      expect(poolSchema.safeParse({ id: "demo", workloadId: "w", maxSize: 1, upgrade }).success).toBe(false);
      expect(poolReplacement.safeParse({ upgrade }).success).toBe(false);
    }
    expect(poolReplacement.safeParse({ upgrade: null }).success).toBe(true);
  });

  it("is unknown to a pool that was stored before there were any, and reads as none", () => {
    const { rollout: _, ...stored } = aPool({});
    expect(readRecord(stored as PoolRecord).rollout).toBeNull();
  });
});
