import { describe, expect, it } from "vitest";
import type { ContainerId } from "../../src/ids.ts";
import { nextAlarm } from "../../src/tenant/alarms.ts";
import { TRANSITIONAL } from "../../src/tenant/lifecycle.ts";
import { type TenantRecord, upgraded } from "../../src/tenant/record.ts";
import { committed, Driver, pool } from "../support/tenant-driver.ts";
import records from "./fixtures/tenant-records.json" with { type: "json" };

/** Records as the code of issue C stored them, before ends, drift and parts of a destruction were kept in them. */
const STORED = records as unknown as Readonly<Record<string, TenantRecord>>;

const load = (stored: TenantRecord): Driver => {
  const tenant = new Driver();
  tenant.record = upgraded(stored);
  tenant.now = 5_000;
  return tenant;
};

describe.each(Object.entries(STORED))("a tenant that was stored %s", (_name, stored) => {
  it("has an alarm where it waits, and is out of where it waited once its time is over", () => {
    const tenant = load(stored);
    if (TRANSITIONAL.includes(stored.state)) expect(nextAlarm(tenant.record, tenant.now, 0)).not.toBeNull();
    for (let looks = 0; looks < 60 && TRANSITIONAL.includes(tenant.record.state); looks += 1) {
      tenant.now += 120_000;
      tenant.send({ type: "tick", running: false, syncing: false });
      if (tenant.record.state === "destroying") tenant.confirmGone();
    }
    expect(TRANSITIONAL).not.toContain(tenant.record.state);
  });

  it("is destroyed", () => {
    const tenant = load(stored);
    tenant.send({
      type: "act",
      action: { kind: "destroy", deleteData: true },
      by: { actor: "admin", requestId: null },
    });
    if (tenant.steps.some((step) => step.do === "quiesce")) {
      tenant.answer("quiesce", { type: "quiesced", busy: false, failure: null });
      tenant.answer("save", { type: "saved", outcome: committed });
    }
    tenant.confirmGone();
    expect(tenant.record).toMatchObject({ state: "destroyed", held: null, operation: null });
  });
});

describe("a container that was stored", () => {
  it("is replaced when it is lost", () => {
    const tenant = load(STORED.active as TenantRecord);
    tenant.send({ type: "lost", containerId: "c-1" as ContainerId, epoch: 1 as never, detail: "gone" });
    expect(tenant.record).toMatchObject({ state: "recovering", held: null, epoch: 2 });
    tenant.now += 60_000;
    tenant.send({ type: "tick", running: false, syncing: false });
    expect(tenant.steps).toContainEqual(expect.objectContaining({ do: "lease", poolId: pool, epoch: 2 }));
  });
});
