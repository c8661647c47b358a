import { describe, expect, it } from "vitest";
import { SYSTEM } from "../../src/auth/principal.ts";
import { type ContainerId, epoch, generation, type PoolId, type TenantId } from "../../src/ids.ts";
import type { Failure } from "../../src/outcome.ts";
import { nextAlarm } from "../../src/tenant/alarms.ts";
import type { Limits, TenantEvent } from "../../src/tenant/events.ts";
import { plan } from "../../src/tenant/plan.ts";
import { type Held, newTenant, type TenantRecord } from "../../src/tenant/record.ts";
import { health } from "../support/tenant-driver.ts";

/** A tenant whose container is kept because its save failed, and what an interrupted step of it may cost. */

const limits: Limits = {
  startMs: 180_000,
  saveMs: 120_000,
  syncMs: 600_000,
  importMs: 900_000,
  guardHoldMs: 3_600_000,
};
const NOW = 1_000_000;
const names = { operationId: "op-9", saveId: "save-9" };
const held: Held = {
  containerId: "c-1" as ContainerId,
  poolId: "demo" as PoolId,
  epoch: epoch(1),
  port: 8080,
  tier: "lite",
  hasState: true,
  launch: "warm",
  idleTimeoutMs: 900_000,
  since: 0,
  restored: null,
  timings: {},
};
const active: TenantRecord = {
  ...newTenant("alice" as TenantId, 0),
  state: "active",
  desired: "active",
  epoch: epoch(1),
  poolId: held.poolId,
  held,
  unsavedSince: 1,
  lastActivityAt: 1,
};

/** The record after these events, the steps of the last one, and a counter of fresh names. */
function run(record: TenantRecord, ...events: TenantEvent[]) {
  let last = { record, steps: [] as unknown[] };
  events.forEach((event, index) => {
    const fresh = { operationId: `op-${index}`, saveId: `save-${index}` };
    const planned = plan(last.record, event, fresh, limits, NOW);
    if (planned.kind === "go") last = planned;
  });
  return last;
}
const refusedWith = (failure: Failure) =>
  run(
    active,
    { type: "release", request: {} },
    { operationId: "op-0", type: "quiesced", busy: false, failure: null },
    { operationId: "op-0", type: "saved", outcome: { ok: false, failure } },
  ).record;
const conflict = refusedWith({ code: "conflict", detail: "superseded" });
const blocked = refusedWith({ code: "guard_blocked", detail: "shrank", extra: { generation: 7 } });
const interrupted = refusedWith({ code: "operation_interrupted", detail: "lost" });

describe("a refused save", () => {
  it("of which the vault kept nothing is a loss that status shows when the container goes", () => {
    const over = (record: TenantRecord) => {
      const planned = plan(
        record,
        { type: "tick", running: false, syncing: false },
        names,
        limits,
        NOW + limits.guardHoldMs,
      );
      return planned.kind === "go" ? planned.record : null;
    };
    expect(over(conflict)).toMatchObject({ state: "idle", lastLoss: { containerId: "c-1" } });
    expect(over(blocked)).toMatchObject({ state: "idle", lastLoss: null });
  });

  it("of a container that dies meanwhile is no loss where the vault kept it", () => {
    const gone = { type: "lost", containerId: held.containerId, epoch: epoch(1), detail: "killed" } as const;
    expect(run(blocked, gone).record).toMatchObject({ state: "idle", held: null, lastLoss: null, unsavedSince: null });
    expect(run(conflict, gone).record).toMatchObject({ state: "idle", lastLoss: { detail: "killed" } });
  });

  it("leads, when the hold is over, to what the tenant was to be: asleep after a sleep, running on after a restart", () => {
    const over = { type: "tick", running: false } as const;
    const refused = (asked: TenantEvent) => {
      const { hold, ...rest } = run(
        active,
        asked,
        { operationId: "op-0", type: "quiesced", busy: false, failure: null },
        {
          operationId: "op-0",
          type: "saved",
          outcome: { ok: false, failure: { code: "guard_blocked", detail: "shrank", extra: { generation: 7 } } },
        },
      ).record;
      expect(hold).toMatchObject({ kind: "guard", generation: 7 });
      return run({ ...rest, hold: { kind: "guard", until: NOW, generation: generation(7) } }, over);
    };
    const idle: TenantEvent = {
      type: "observed",
      containerId: held.containerId,
      observation: {
        state: "assigned",
        alive: true,
        tenantId: null,
        epoch: null,
        lastActivityAt: 0,
        openRequests: 0,
        health,
      },
    };
    expect(refused(idle).record).toMatchObject({
      state: "asleep",
      desired: "asleep",
      stoppedReason: "idle",
      held: null,
    });
    expect(refused({ type: "act", action: { kind: "stop" }, by: SYSTEM }).record).toMatchObject({ state: "asleep" });
    const restart = refused({ type: "act", action: { kind: "restart", scope: "container" }, by: SYSTEM });
    expect(restart.record).toMatchObject({ state: "recovering", epoch: 2, lastLoss: null, unsavedSince: null });
    expect(restart.steps).toMatchObject([
      { do: "retire", containerId: "c-1" },
      { do: "lease", epoch: 2 },
    ]);
  });

  it("can be accepted later by a release with force, also where the tenant sleeps", () => {
    const asleep: TenantRecord = { ...active, state: "asleep", desired: "asleep", held: null, unsavedSince: null };
    const force = { type: "release", request: { force: true } } as const;
    const { record, steps } = run(asleep, force);
    expect(steps).toMatchObject([{ do: "promote", operationId: "op-0" }]);
    expect(run(record, { type: "tick", running: false }).steps).toMatchObject([{ do: "promote" }]);
    const kept = { generation: generation(7), files: 1, bytes: 1, changed: 1 };
    const accepted = run(record, { operationId: "op-0", type: "promoted", committed: kept, failure: null });
    expect(accepted.record).toMatchObject({ state: "idle", desired: "idle", generation: 7, operation: null });
    const none = run(record, { operationId: "op-0", type: "promoted", committed: null, failure: null });
    expect(none.record).toMatchObject({ state: "idle", generation: 0, operation: null });
  });

  it("is saved once more by a destruction that keeps data, where the vault kept nothing", () => {
    const destroy = { type: "act", action: { kind: "destroy", deleteData: false }, by: SYSTEM } as const;
    expect(run(conflict, destroy).steps).toMatchObject([{ do: "quiesce" }]);
    expect(run(blocked, destroy).steps).not.toContainEqual(expect.objectContaining({ do: "quiesce" }));
  });

  it("is promoted by force as what was kept, and saved by force where nothing was", () => {
    const force = { type: "release", request: { force: true } } as const;
    expect(run(blocked, force).steps).toMatchObject([{ do: "promote", generation: 7 }]);
    expect(run(conflict, force)).toMatchObject({ record: { state: "releasing" }, steps: [{ do: "quiesce" }] });
  });

  it("that turns out not to be kept any more does not cost the container", () => {
    const { record, steps } = run(
      blocked,
      { type: "release", request: { force: true } },
      { operationId: "op-0", type: "promoted", committed: null, failure: null },
      { operationId: "op-0", type: "quiesced", busy: false, failure: null },
    );
    expect(record).toMatchObject({ state: "releasing", held: { containerId: "c-1" } });
    expect(steps).toMatchObject([{ do: "save", force: true }]);
  });
});

describe("a container that is kept", () => {
  it("is looked at every minute, which keeps it longer than its dead-man switch", () => {
    for (const record of [blocked, interrupted]) expect(nextAlarm(record, NOW, 0)).toBeLessThanOrEqual(NOW + 60_000);
  });

  it("is saved under a new name after a claim tried to call the release off: its workload may have run", () => {
    const failure: Failure = { code: "operation_interrupted", detail: "lost" };
    const claim = { type: "claim", poolId: null, delivery: null, allowFresh: false } as const;
    expect(interrupted.hold).toMatchObject({ saveId: "save-0" });
    const begun = plan(interrupted, claim, names, limits, NOW);
    if (begun.kind !== "go") return expect(begun.kind).toBe("go");
    const { record } = run(begun.record, { operationId: "op-9", type: "resumed", failure });
    expect(record).toMatchObject({ state: "release_failed", operation: null, epoch: 2, held: { epoch: 2 } });
    expect(record.hold).toMatchObject({ kind: "retry", saveId: "save-9" });
  });
});

describe("a refused save that a claim tried to call off", () => {
  const failure: Failure = { code: "operation_interrupted", detail: "lost" };
  const called = run(
    blocked,
    { type: "claim", poolId: null, delivery: null, allowFresh: false },
    { operationId: "op-0", type: "resumed", failure },
  ).record;

  it("does not stand for what the container holds any more, whose workload may have run: force saves that", () => {
    expect(called).toMatchObject({ state: "release_failed", operation: null, hold: { kind: "guard" } });
    const forced = run(called, { type: "release", request: { force: true } });
    expect(forced).toMatchObject({ record: { state: "releasing" }, steps: [{ do: "quiesce" }] });
  });

  it("is a loss when the container goes", () => {
    const gone = { type: "lost", containerId: held.containerId, epoch: epoch(2), detail: "killed" } as const;
    expect(run(called, gone).record).toMatchObject({ held: null, lastLoss: { detail: "killed" } });
  });
});

describe("a sleep", () => {
  it("that begins again after an eviction is still called off by activity", () => {
    const observation = { state: "assigned", alive: true, tenantId: null, epoch: null, health } as const;
    const sleeping = plan(
      { ...active, lastActivityAt: NOW - 900_000 },
      {
        type: "observed",
        containerId: held.containerId,
        observation: { ...observation, lastActivityAt: 1, openRequests: 0 },
      },
      { operationId: "op-1", saveId: "save-1" },
      limits,
      NOW,
    );
    expect(sleeping).toMatchObject({
      record: { state: "sleeping" },
      steps: [{ do: "quiesce", idleSince: NOW - 900_000 }],
    });
    if (sleeping.kind !== "go") return;
    expect(run(sleeping.record, { type: "tick", running: false, syncing: false }).steps).toMatchObject([
      { do: "quiesce", idleSince: NOW - 900_000 },
    ]);
  });

  it("whose save fails is a sleep again when it is tried again", () => {
    const begun: TenantRecord = {
      ...interrupted,
      hold: { kind: "retry", at: NOW, attempts: 1, saveId: "save-0", release: {}, of: "sleep" },
    };
    expect(run(begun, { type: "tick", running: false, syncing: false }).record).toMatchObject({
      state: "sleeping",
      desired: "asleep",
    });
  });

  it("keeps its reason when its save is tried again", () => {
    const begun: TenantRecord = {
      ...interrupted,
      stoppedReason: "idle",
      hold: { kind: "retry", at: NOW, attempts: 1, saveId: "save-0", release: {}, of: "sleep" },
    };
    expect(run(begun, { type: "tick", running: false }).record).toMatchObject({ stoppedReason: "idle" });
  });
});
