import { describe, expect, it } from "vitest";
import { SYSTEM } from "../../src/auth/principal.ts";
import { CADENCE, COOLDOWN } from "../../src/durable/cadence.ts";
import { nextAlarm } from "../../src/tenant/alarms.ts";
import type { PlannedAction } from "../../src/tenant/events.ts";
import { rebuiltFrom, restOf } from "../../src/tenant/rebuild.ts";
import type { Lifecycle } from "../../src/tenant/vocabulary.ts";
import { committed, Driver } from "../support/tenant-driver.ts";

/** Who stopped a tenant, and what follows from that for one that its lifecycle would wake (features F66, F67). */

const HOUR = 3_600_000;
const act = (tenant: Driver, action: PlannedAction) => tenant.send({ type: "act", action, by: SYSTEM });
const tick = (tenant: Driver) => tenant.send({ type: "tick", running: false });

function living(lifecycle: Lifecycle): Driver {
  const tenant = new Driver().activate();
  tenant.send({ type: "change", change: { kind: "lifecycle", lifecycle }, ifMatch: null });
  return tenant;
}

function stopped(lifecycle: Lifecycle): Driver {
  const tenant = living(lifecycle);
  act(tenant, { kind: "stop" });
  tenant.answer("quiesce", { type: "quiesced", busy: false, failure: null });
  tenant.answer("save", { type: "saved", outcome: committed });
  expect(tenant.record).toMatchObject({ state: "asleep", stoppedReason: "user" });
  tenant.send({ type: "retired", containerId: tenant.record.retiring[0]?.containerId as never });
  return tenant;
}

const full = { type: "start_failed", failure: { code: "capacity_exhausted", detail: "full" }, lease: null } as const;
const alwaysOn: Lifecycle = { mode: "always-on" };

describe("a tenant that is always on and that somebody stopped", () => {
  it("stays stopped, whatever time passes", () => {
    const tenant = stopped(alwaysOn);
    expect(nextAlarm(tenant.record, tenant.now, 0)).toBeNull();
    tenant.now += 100 * HOUR;
    tick(tenant);
    expect(tenant.record.state).toBe("asleep");
  });

  it.each([
    ["a start", (tenant: Driver) => act(tenant, { kind: "start" })],
    ["a request", (tenant: Driver) => tenant.send({ type: "wake" })],
    ["a claim", (tenant: Driver) => tenant.send({ type: "claim", poolId: null, delivery: null, allowFresh: false })],
  ])("wakes with %s, and is on again: also when there was no room at first", (_what, ask) => {
    const tenant = stopped(alwaysOn);
    ask(tenant);
    expect(tenant.record).toMatchObject({ state: "waking", stoppedReason: null });
    tenant.answer("lease", full);
    expect(tenant.record).toMatchObject({ state: "asleep", stoppedReason: "capacity" });
    tenant.now = tenant.record.wakeAt ?? 0;
    tick(tenant);
    expect(tenant.record.state).toBe("waking");
  });

  it("wakes when it is made always-on after that", () => {
    const tenant = stopped({ mode: "on-demand" });
    tenant.send({ type: "change", change: { kind: "lifecycle", lifecycle: alwaysOn }, ifMatch: null });
    expect(nextAlarm(tenant.record, tenant.now, 0)).toBe(tenant.now + 1);
    tick(tenant);
    expect(tenant.record.state).toBe("waking");
  });

  it("is not started any more while it waits for room", () => {
    const tenant = stopped(alwaysOn);
    tenant.send({ type: "wake" });
    tenant.answer("lease", full);
    const { kind, ...planned } = act(tenant, { kind: "stop" });
    expect({ kind, ...planned }).toMatchObject({ kind: "go", journal: [{ type: "tenant.stopped" }] });
    expect(tenant.record).toMatchObject({ state: "asleep", stoppedReason: "user", wakeAt: null });
    expect(act(tenant, { kind: "stop" })).toMatchObject({ kind: "go", journal: [] });
  });

  it("is stopped still after a suspension; one that was on is on again", () => {
    for (const [tenant, after] of [
      [stopped(alwaysOn), "asleep"],
      [living(alwaysOn), "waking"],
    ] as const) {
      act(tenant, { kind: "suspend" });
      if (tenant.record.state !== "suspended") {
        tenant.answer("quiesce", { type: "quiesced", busy: false, failure: null });
        tenant.answer("save", { type: "saved", outcome: committed });
      }
      expect(tenant.record).toMatchObject({ state: "suspended", stoppedReason: "policy" });
      tenant.now += 100 * HOUR;
      tick(tenant);
      act(tenant, { kind: "resume" });
      tick(tenant);
      expect(tenant.record.state).toBe(after);
    }
  });

  it("is on again after its object lost its record, unless it was stopped then", () => {
    const lost = ({ record }: Driver, state: "active" | "asleep") =>
      rebuiltFrom(
        {
          tenantId: record.tenantId,
          row: {
            state,
            desired: state,
            pool_id: record.poolId,
            container_id: null,
            epoch: record.epoch,
            generation: record.generation,
            unsaved_since: null,
            last_activity_at: null,
            created_at: 0,
          },
          rest: restOf(record),
          vault: { epoch: record.epoch, head: record.generation, isEmpty: false },
          slot: null,
        },
        "save-r",
        1_000,
      );
    const tenant = stopped(alwaysOn);
    expect(lost(tenant, "asleep")).toMatchObject({ state: "asleep", stoppedReason: "user" });
    tenant.activate(2);
    expect(tenant.record.state).toBe("active");
    expect(lost(tenant, "active")).toMatchObject({ state: "asleep", stoppedReason: null });
  });
});

describe("a tenant that is woken by the clock", () => {
  it("and finds no room is tried again soon, not a day later", () => {
    const tenant = stopped({ mode: "scheduled", wakeTimes: ["08:30"] });
    tenant.now = tenant.record.wakeAt ?? 0;
    expect(tenant.now % (24 * HOUR)).toBe(8.5 * HOUR);
    tick(tenant);
    expect(tenant.record.state).toBe("waking");
    tenant.answer("lease", full);
    expect(tenant.record).toMatchObject({ state: "asleep", wakeAt: tenant.now + COOLDOWN.wake });
    expect(COOLDOWN.wake % CADENCE.active).not.toBe(0);
  });

  it("is not woken by anything else that fails", () => {
    const tenant = stopped({ mode: "scheduled", wakeTimes: ["08:30"] });
    const { wakeAt } = tenant.record;
    act(tenant, { kind: "restore", generation: 1 as never });
    tenant.answer("restore", { type: "restored", outcome: { ok: false, failure: { code: "not_found", detail: "" } } });
    expect(tenant.record).toMatchObject({ state: "asleep", operation: null, wakeAt });
    tenant.send({ type: "wake" });
    tenant.answer("lease", full);
    expect(tenant.record).toMatchObject({ state: "asleep", wakeAt });
  });
});
