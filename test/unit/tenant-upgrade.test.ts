import { describe, expect, it } from "vitest";
import type { PoolId } from "../../src/ids.ts";
import type { TenantRecord } from "../../src/tenant/record.ts";
import { standingOf, withoutVersion } from "../../src/tenant/upgrade.ts";
import { Driver, lease, pool } from "../support/tenant-driver.ts";

/** Active on version 2 of its workload. */
function onVersion2(): Driver {
  const driver = new Driver();
  const leased = { ...lease(1), workloadVersion: 2 };
  driver.send({ type: "claim", poolId: pool, delivery: null, allowFresh: false });
  driver.answer("lease", { type: "leased", lease: leased });
  const assigned = { restored: null, timings: {} };
  driver.answer("assign", { type: "assigned", lease: leased, assigned, fingerprint: "", timings: {} });
  return driver;
}
const upgrade = (driver: Driver, minWorkloadVersion: number) =>
  driver.send({
    type: "act",
    action: { kind: "restart", scope: "image", minWorkloadVersion },
    by: { actor: "system", requestId: null },
  });

describe("a tenant that is asked to run a version", () => {
  it("begins a restart with a save only where it is active on an older one, and joins one that leads there", () => {
    const driver = onVersion2();
    expect(standingOf(driver.record, 2)).toEqual({ kind: "current" });
    expect(standingOf(driver.record, 3)).toBeNull();
    upgrade(driver, 3);
    expect(driver.record).toMatchObject({ state: "saving", operation: { kind: "restart" } });
    expect(driver.steps.map((step) => step.do)).toEqual(["quiesce"]);
    const id = driver.record.operation?.id;
    expect(standingOf(driver.record, 3)).toEqual({ kind: "begun", operationId: id });
    expect(standingOf(driver.record, 4)).toEqual({ kind: "later", state: "saving" });
  });

  it("changes nothing where it is busy, not active, never seen, or helped out by another pool", () => {
    const { record } = onVersion2();
    const restarting = onVersion2();
    upgrade(restarting, 3);
    const { operation } = restarting.record;
    if (!operation) throw new Error("no operation");
    const { restart: _, ...sync } = { ...operation, kind: "sync" as const };
    const busy: TenantRecord = { ...record, operation: sync };
    for (const one of [busy, { ...record, state: "asleep" as const, held: null }]) {
      expect(standingOf(one, 3)).toEqual({ kind: "later", state: one.state });
    }
    const helped = record.held && { ...record, held: { ...record.held, poolId: "other" as PoolId } };
    expect(standingOf(helped, 3)).toEqual({ kind: "later", state: "active" });
    expect(standingOf(null, 3)).toEqual({ kind: "later", state: null });
  });
});

describe("the version that a tenant ran", () => {
  it("is known until the tenant is released, also while it sleeps", () => {
    const { record } = onVersion2();
    expect(record.ran).toEqual({ poolId: pool, version: 2 });
    const asleep: TenantRecord = { ...record, state: "asleep", held: null };
    expect(withoutVersion(asleep)).toBe(asleep);
    expect(withoutVersion({ ...record, state: "idle", held: null }).ran).toBeUndefined();
    expect(withoutVersion({ ...record, state: "destroyed", held: null }).ran).toBeUndefined();
  });
});
