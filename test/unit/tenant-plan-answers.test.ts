import { describe, expect, it } from "vitest";
import { SYSTEM } from "../../src/auth/principal.ts";
import type { ContainerId } from "../../src/ids.ts";
import type { PlannedAction } from "../../src/tenant/events.ts";
import { committed, Driver, health, lease, pool } from "../support/tenant-driver.ts";

const act = (tenant: Driver, action: PlannedAction) => tenant.send({ type: "act", action, by: SYSTEM });
const claim = (tenant: Driver) => tenant.send({ type: "claim", poolId: pool, delivery: null, allowFresh: false });
const inProgress = { kind: "refuse", failure: { code: "operation_in_progress" } };
const failed = (code: "save_failed" | "guard_blocked") => ({
  type: "saved",
  outcome: { ok: false, failure: { code, detail: "no" } },
});

/** A suspension whose save failed. */
function halfSuspended(code: "save_failed" | "guard_blocked"): Driver {
  const tenant = new Driver().activate();
  act(tenant, { kind: "suspend", reason: "abuse" });
  tenant.answer("quiesce", { type: "quiesced", busy: false, failure: null });
  tenant.answer("save", failed(code));
  expect(tenant.record.state).toBe("release_failed");
  return tenant;
}
const observedDead = {
  type: "observed",
  containerId: "c-1" as ContainerId,
  observation: { alive: false, state: "gone", tenantId: null, epoch: null, lastActivityAt: 0, openRequests: 0, health },
} as const;

describe("what joins an operation under way", () => {
  it("is a restart of the same thing only", () => {
    const tenant = new Driver().activate();
    act(tenant, { kind: "restart", scope: "process" });
    expect(act(tenant, { kind: "restart", scope: "process" })).toMatchObject({ kind: "wait" });
    expect(act(tenant, { kind: "restart", scope: "image" })).toMatchObject(inProgress);
  });

  it("is no way back to what is saved, where a save is under way", () => {
    const tenant = new Driver().activate();
    act(tenant, { kind: "sync", direction: "outward" });
    expect(act(tenant, { kind: "sync", direction: "both" })).toMatchObject({ kind: "wait" });
    expect(act(tenant, { kind: "sync", direction: "inward" })).toMatchObject(inProgress);
  });
});

describe("a suspension whose save failed", () => {
  it("holds also when its container is lost", () => {
    const tenant = halfSuspended("save_failed");
    tenant.send(observedDead);
    expect(tenant.record).toMatchObject({
      state: "suspended",
      held: null,
      hold: null,
      suspension: { reason: "abuse" },
    });
    expect(claim(tenant)).toMatchObject({ kind: "refuse", failure: { code: "suspended" } });
    act(tenant, { kind: "resume" });
    expect(tenant.record.state).toBe("asleep");
  });

  it("holds also when the time of what a guard refused is over", () => {
    const tenant = halfSuspended("guard_blocked");
    tenant.now += 3_600_000;
    tenant.send({ type: "tick", running: false, syncing: false });
    expect(tenant.record).toMatchObject({ state: "suspended", held: null, suspension: { reason: "abuse" } });
  });

  it("is called off by a release, and comes back with none after it", () => {
    const tenant = halfSuspended("save_failed");
    tenant.send({ type: "release", request: {} });
    tenant.answer("quiesce", { type: "quiesced", busy: false, failure: null });
    tenant.answer("save", { type: "saved", outcome: committed });
    expect(tenant.record).toMatchObject({ state: "idle", suspension: null });
  });
});

describe("a tenant that was destroyed", () => {
  it("is not claimed while what was kept is being deleted", () => {
    const tenant = new Driver().activate();
    tenant.record = { ...tenant.record, generation: 1 };
    act(tenant, { kind: "destroy", deleteData: false });
    tenant.answer("quiesce", { type: "quiesced", busy: false, failure: null });
    tenant.answer("save", { type: "saved", outcome: committed });
    tenant.confirmGone();
    expect(tenant.record).toMatchObject({ state: "destroyed", destruction: { data: "keep" } });
    act(tenant, { kind: "destroy", deleteData: true });
    expect(claim(tenant)).toMatchObject({ kind: "refuse", failure: { code: "invalid_transition" } });
    tenant.send({ type: "erased", proof: { deleted: 1, listed: 0, at: 0 } });
    expect(claim(tenant)).toMatchObject({ kind: "refuse" });
    for (const part of ["specs", "pool"] as const) tenant.send({ type: "withdrawn", part, failure: null });
    expect(claim(tenant)).toMatchObject({ kind: "go" });
  });

  it("gives back the container that its claim was about to get", () => {
    const tenant = new Driver();
    claim(tenant);
    const operationId = tenant.record.operation?.id ?? "";
    act(tenant, { kind: "destroy", deleteData: false });
    const before = tenant.record;
    tenant.send({ operationId, type: "leased", lease: lease(1) });
    expect(tenant.record).toBe(before);
    expect(tenant.steps).toMatchObject([{ do: "retire", containerId: "c-1", poolId: pool }]);
  });
});
