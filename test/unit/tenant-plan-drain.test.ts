import { describe, expect, it } from "vitest";
import type { ContainerId } from "../../src/ids.ts";
import { committed, Driver } from "../support/tenant-driver.ts";

const drain = (tenant: Driver, containerId = "c-1") =>
  tenant.send({ type: "drain", containerId: containerId as ContainerId });
const refused = { type: "saved", outcome: { ok: false, failure: { code: "save_failed", detail: "no" } } };

describe("a container that the platform is about to end", () => {
  it("is saved and put away, whatever is active, and says why", () => {
    const tenant = new Driver().activate();
    tenant.record = { ...tenant.record, lastActivityAt: tenant.now };
    expect(drain(tenant)).toMatchObject({ kind: "go", record: { state: "sleeping", stoppedReason: "deploy" } });
    expect(tenant.steps).toMatchObject([{ do: "quiesce" }]);
    expect(tenant.steps[0]).not.toHaveProperty("idleSince");
    tenant.answer("quiesce", { type: "quiesced", busy: false, failure: null });
    tenant.answer("save", { type: "saved", outcome: committed });
    expect(tenant.record).toMatchObject({
      state: "asleep",
      stoppedReason: "deploy",
      generation: 1,
      unsavedSince: null,
    });
    expect(tenant.steps).toMatchObject([{ do: "retire", containerId: "c-1" }]);
  });

  it("is followed by another one at once where the tenant is always on", () => {
    const tenant = new Driver().activate();
    tenant.record = { ...tenant.record, lifecycle: { mode: "always-on" } };
    drain(tenant);
    tenant.answer("quiesce", { type: "quiesced", busy: false, failure: null });
    tenant.answer("save", { type: "saved", outcome: committed });
    tenant.send({ type: "tick", running: false });
    expect(tenant.record.state).toBe("waking");
  });

  it("waits for what is under way", () => {
    const tenant = new Driver().activate();
    tenant.send({
      type: "act",
      action: { kind: "sync", direction: "outward" },
      by: { actor: "test", requestId: null },
    });
    expect(drain(tenant)).toMatchObject({ kind: "wait", again: true });
  });

  it("is not that of the tenant any more: nothing happens", () => {
    const tenant = new Driver().activate();
    const before = tenant.record;
    expect(drain(tenant, "c-2")).toMatchObject({ kind: "go", steps: [] });
    expect(tenant.record).toBe(before);
  });

  it("keeps its reason when its save is tried again", () => {
    const tenant = new Driver().activate();
    drain(tenant);
    tenant.answer("quiesce", { type: "quiesced", busy: false, failure: null });
    tenant.answer("save", refused);
    expect(tenant.record).toMatchObject({ state: "release_failed", hold: { kind: "retry", of: "sleep" } });
    expect(drain(tenant)).toMatchObject({ kind: "go", steps: [] });
    tenant.now += 1_000;
    tenant.send({ type: "tick", running: false });
    expect(tenant.record).toMatchObject({ state: "sleeping", stoppedReason: "deploy" });
  });
});
