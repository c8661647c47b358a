import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { SYSTEM } from "../../src/auth/principal.ts";
import { type ContainerId, epoch, generation } from "../../src/ids.ts";
import type { Observation } from "../../src/instance/types.ts";
import { nextAlarm } from "../../src/tenant/alarms.ts";
import { TRANSITIONAL } from "../../src/tenant/lifecycle.ts";
import { plan } from "../../src/tenant/plan.ts";
import { operationOf } from "../../src/tenant/planning.ts";
import type { TenantRecord } from "../../src/tenant/record.ts";
import type { Desired, TenantState } from "../../src/tenant/vocabulary.ts";
import { Driver, health, limits, pool } from "../support/tenant-driver.ts";

const NOW = 10_000_000;
const fresh = { operationId: "op-x", saveId: "save-x" };
const STATES: readonly TenantState[] = [
  ...TRANSITIONAL,
  "idle",
  "active",
  "asleep",
  "release_failed",
  "error",
  "suspended",
  "destroyed",
];
const DESIRED: readonly Desired[] = ["active", "asleep", "idle", "destroyed"];

/** Any record at all, also such as no event leads to. */
function aRecord(state: TenantState, desired: Desired, hasContainer: boolean): TenantRecord {
  const { record } = new Driver().activate();
  const { held } = record;
  return {
    ...record,
    state,
    desired,
    epoch: epoch(3),
    generation: generation(1),
    held: hasContainer ? held : null,
    lastActivityAt: NOW,
    poolId: pool,
  };
}

const tick = (record: TenantRecord, now = NOW) => plan(record, { type: "tick", running: false }, fresh, limits, now);
const look = (record: TenantRecord, alive: boolean) => {
  const observation: Observation = {
    state: alive ? "assigned" : "gone",
    alive,
    tenantId: null,
    epoch: null,
    lastActivityAt: NOW,
    openRequests: 0,
    health,
  };
  return plan(record, { type: "observed", containerId: "c-1" as ContainerId, observation }, fresh, limits, NOW);
};

describe("a tick", () => {
  it("planned again on its own result changes nothing, whatever the record", () => {
    fc.assert(
      fc.property(fc.constantFrom(...STATES), fc.constantFrom(...DESIRED), fc.boolean(), (state, desired, held) => {
        const once = tick(aRecord(state, desired, held));
        if (once.kind !== "go") return;
        const twice = tick(once.record);
        if (twice.kind === "go") expect(twice.record).toEqual(once.record);
      }),
    );
  });

  it("leads out of every state that waits, whatever led there: by its deadline, or at once where nothing is under way", () => {
    for (const state of TRANSITIONAL) {
      for (const desired of DESIRED) {
        for (const held of [true, false]) {
          const planned = tick(aRecord(state, desired, held));
          const record = planned.kind === "go" ? planned.record : null;
          const isLeft = record !== null && !TRANSITIONAL.includes(record.state);
          expect(isLeft || record?.operation != null, `${state}, ${desired}`).toBe(true);
          if (record?.operation) expect(nextAlarm(record, NOW, 0)).toBeGreaterThan(NOW);
          const due = nextAlarm(aRecord(state, desired, held), NOW, 0);
          expect(due, `${state}: a tick that comes`).toBeLessThanOrEqual(NOW + 60_000);
        }
      }
    }
  });
});

describe("an alarm", () => {
  it("does not ring again and again for what has to wait for an operation in flight", () => {
    const past = NOW - 1;
    const overdue: [string, Partial<TenantRecord>][] = [
      ["asleep", { wakeAt: past }],
      ["release_failed", { hold: { kind: "guard", until: past } }],
      ["release_failed", { hold: { kind: "retry", at: past, attempts: 1, saveId: "s", release: {}, of: "release" } }],
      ["destroyed", { destruction: { data: "keep", dataUntil: past } }],
    ];
    for (const [state, more] of overdue) {
      const bare = { ...aRecord(state as TenantState, "asleep", state === "release_failed"), ...more };
      expect(nextAlarm(bare, NOW, 0), state).toBe(NOW + 1);
      const operation = operationOf(bare, "import", fresh, limits.importMs, NOW - 10_000);
      expect(nextAlarm({ ...bare, operation }, NOW, 0), `${state}, busy`).toBe(NOW + 10_000);
    }
  });
});

describe("what is seen, against what is wanted", () => {
  it.each([
    ["active", "active", "recovering"],
    ["release_failed", "active", "recovering"],
    ["release_failed", "asleep", "asleep"],
    ["release_failed", "idle", "idle"],
  ] as const)("%s without its container, wanted %s, is %s", (state, desired, after) => {
    const planned = look(aRecord(state, desired, true), false);
    expect(planned).toMatchObject({ kind: "go", record: { state: after, held: null } });
  });

  it("is left alone where they agree", () => {
    const record = aRecord("active", "active", true);
    expect(look(record, true)).toMatchObject({ steps: [], journal: [] });
    for (const state of ["idle", "asleep", "suspended", "destroyed", "error"] as const) {
      const resting = { ...aRecord(state, "idle", false), destruction: null };
      expect(tick(resting), state).toMatchObject({ kind: "go", record: resting, steps: [] });
      expect(nextAlarm(resting, NOW, 0), state).toBeNull();
    }
  });
});

describe("destroying", () => {
  const destroying = () => {
    const tenant = new Driver().activate();
    tenant.send({ type: "act", action: { kind: "destroy", deleteData: true }, by: SYSTEM });
    return tenant;
  };

  it("never starts anything, and tries what is left 60 s later, growing to 10 min", () => {
    const tenant = destroying();
    const waits: number[] = [];
    for (let n = 0; n < 6; n += 1) {
      const { deadlineAt = 0 } = tenant.record.operation ?? {};
      waits.push(deadlineAt - tenant.now);
      tenant.now = deadlineAt;
      tenant.send({ type: "tick", running: false });
      for (const { do: what } of tenant.steps) expect(["retire", "erase", "withdraw", "settle"]).toContain(what);
    }
    expect(waits).toEqual([60_000, 120_000, 240_000, 480_000, 600_000, 600_000]);
  });

  it("deletes only what is not confirmed gone, and ends when all of it is", () => {
    const tenant = destroying();
    tenant.send({ type: "withdrawn", part: "keys", failure: null });
    tenant.send({ type: "withdrawn", part: "domains", failure: { code: "database_unavailable", detail: "away" } });
    const { parts } = tenant.record.destruction ?? {};
    expect(parts?.domains).toMatchObject({ done: false, attempts: 1, lastError: { detail: "away" } });
    tenant.now = tenant.record.operation?.deadlineAt ?? 0;
    tenant.send({ type: "tick", running: false });
    const left = tenant.steps.map((step) => (step.do === "withdraw" ? step.part : step.do));
    expect(left).toEqual(["retire", "specs", "erase", "domains", "pool", "container", "settle"]);
    tenant.confirmGone();
    expect(tenant.record).toMatchObject({ state: "destroyed", operation: null });
  });

  it("asks for a person after fifty attempts, once, and goes on", () => {
    const tenant = destroying();
    const types: string[] = [];
    for (let n = 0; n < 55; n += 1) {
      tenant.now = tenant.record.operation?.deadlineAt ?? 0;
      const planned = tenant.send({ type: "tick", running: false });
      if (planned.kind === "go") types.push(...planned.journal.map(({ type }) => type));
    }
    expect(types).toEqual(["tenant.destroy_abandoned", "alert.raised"]);
    expect(tenant.confirmGone()).toMatchObject({ record: { state: "destroyed" } });
  });
});

describe("a tenant that never started and saved nothing", () => {
  it("is destroyed eight hours after its last attempt, and no other is", () => {
    const tenant = new Driver();
    tenant.send({ type: "claim", poolId: pool, delivery: null, allowFresh: false });
    const failure = { code: "capacity_exhausted", detail: "" } as const;
    tenant.answer("lease", { type: "start_failed", failure, lease: null });
    const due = nextAlarm(tenant.record, tenant.now, 0) ?? 0;
    expect(due - tenant.now).toBe(8 * 3_600_000);
    tenant.now = due;
    expect(tenant.send({ type: "tick", running: false })).toMatchObject({
      journal: [{ type: "tenant.provision_expired" }, { type: "tenant.destroy" }],
    });
    const lived = aRecord("idle", "idle", false);
    expect(tick(lived, NOW + 100 * 3_600_000)).toMatchObject({ record: lived });
  });
});
