import { describe, expect, it } from "vitest";
import { SYSTEM } from "../../src/auth/principal.ts";
import type { Failure } from "../../src/outcome.ts";
import { statusOf } from "../../src/tenant/status.ts";
import { Driver, ERASED } from "../support/tenant-driver.ts";

const DAY = 86_400_000;
const failure: Failure = { code: "storage_unavailable", detail: "R2 does not answer." };

const destroy = (tenant: Driver, deleteData: boolean) =>
  tenant.send({ type: "act", action: { kind: "destroy", deleteData }, by: SYSTEM });
const tick = (tenant: Driver) => tenant.send({ type: "tick", running: false });
const partOf = (tenant: Driver, name: string) =>
  statusOf(tenant.record, tenant.now).operation?.parts?.find(({ part }) => part === name);

describe("a destruction", () => {
  it("waits for its last save until that is overdue, and not longer: what was not saved is said", () => {
    const tenant = new Driver().activate();
    destroy(tenant, false);
    expect(tenant.steps.map((step) => step.do)).toEqual(["quiesce"]);
    tenant.now += 60_000;
    tick(tenant); // whoever performed it is gone
    expect(tenant.steps.map((step) => step.do)).toEqual(["quiesce"]);
    tenant.now = (tenant.record.operation?.deadlineAt ?? 0) + 1;
    tick(tenant);
    expect(tenant.record.held).toBeNull();
    expect(tenant.steps.map((step) => step.do)).toContain("retire");
    expect(tenant.record.operation?.notSaved?.code).toBe("deadline_exceeded");
  });

  it("goes on after a part that failed, which says why, and ends only when that is gone too", () => {
    const tenant = new Driver().activate();
    destroy(tenant, true);
    for (const { containerId } of tenant.record.retiring) tenant.send({ type: "retired", containerId });
    for (const part of ["container", "specs", "domains", "keys", "pool"] as const) {
      tenant.send({ type: "withdrawn", part, failure: null });
    }
    tenant.send({ type: "erase_failed", failure });
    expect(tenant.record.state).toBe("destroying");
    expect(partOf(tenant, "state")).toMatchObject({ done: false, lastError: { code: "storage_unavailable" } });
    tenant.now = (tenant.record.operation?.deadlineAt ?? 0) + 1;
    tick(tenant);
    expect(tenant.steps.map((step) => step.do)).toEqual(["erase", "settle"]);
    tenant.send({ type: "erased", proof: ERASED });
    expect(tenant.record.state).toBe("destroyed");
  });

  it("shows a container that does not go, and records the same reason once", () => {
    const tenant = new Driver().activate();
    destroy(tenant, true);
    const containerId = tenant.record.retiring[0]?.containerId;
    if (!containerId) throw new Error("no container is given up");
    tenant.send({ type: "not_retired", containerId, failure });
    const shown = tenant.record;
    expect(partOf(tenant, "container")?.lastError?.detail).toBe(failure.detail);
    tenant.send({ type: "not_retired", containerId, failure });
    expect(tenant.record).toEqual(shown);
  });
});

describe("what is kept of a destroyed tenant", () => {
  it("goes after thirty days, and is tried again no sooner than its time where that fails", () => {
    const tenant = new Driver().activate();
    tenant.record = { ...tenant.record, generation: tenant.record.generation + 1 } as Driver["record"];
    destroy(tenant, false);
    tenant.now = (tenant.record.operation?.deadlineAt ?? 0) + 1;
    tick(tenant);
    tenant.confirmGone();
    expect(tenant.record.state).toBe("destroyed");
    tenant.now += 29 * DAY;
    tick(tenant);
    expect(tenant.record.destruction?.data).toBe("keep");
    tenant.now += DAY + 1;
    tick(tenant);
    expect(tenant.steps.map((step) => step.do)).toContain("erase");
    tenant.send({ type: "erase_failed", failure });
    tenant.steps = [];
    tick(tenant);
    expect(tenant.steps).toEqual([]);
    tenant.now += 600_000;
    tick(tenant);
    expect(tenant.steps.map((step) => step.do)).toContain("erase");
  });

  it("is not touched by the late word of an erasure that nobody asked for", () => {
    const tenant = new Driver().activate();
    const before = tenant.record;
    tenant.send({ type: "erase_failed", failure });
    tenant.send({ type: "erased", proof: ERASED });
    expect(tenant.record).toEqual(before);
  });
});
