import { describe, expect, it } from "vitest";
import { SYSTEM } from "../../src/auth/principal.ts";
import { type ContainerId, epoch, generation } from "../../src/ids.ts";
import type { PlannedAction } from "../../src/tenant/events.ts";
import { ROOM_MS, roomWithin } from "../../src/tenant/room.ts";
import { committed, Driver, lease, limits, pool } from "../support/tenant-driver.ts";

/** How long starts wait for room (feature F48). */

const act = (tenant: Driver, action: PlannedAction) => tenant.send({ type: "act", action, by: SYSTEM });

/** How long what is under way waits for room, and how long it has in all. */
function waits({ record, now }: Driver): { room: number; all: number } {
  const { capacityUntil = now, deadlineAt = 0 } = record.operation ?? {};
  return { room: capacityUntil - now, all: deadlineAt - now };
}

function left(tenant: Driver): Driver {
  tenant.answer("quiesce", { type: "quiesced", busy: false, failure: null });
  tenant.answer("save", { type: "saved", outcome: committed });
  return tenant;
}

const asleep = (): Driver => {
  const tenant = new Driver().activate();
  act(tenant, { kind: "stop" });
  return left(tenant);
};

describe("a start", () => {
  it("waits for room as long as it was asked to, and has its whole time after that", () => {
    for (const tenant of [new Driver(), asleep()]) {
      tenant.send({ type: "claim", poolId: pool, delivery: null, allowFresh: false, capacityWaitMs: 60_000 });
      expect(waits(tenant)).toEqual({ room: 60_000, all: 60_000 + limits.startMs });
    }
    const started = asleep();
    act(started, { kind: "start", capacityWaitMs: 60_000 });
    expect(waits(started)).toEqual({ room: 60_000, all: 60_000 + limits.startMs });
  });

  it("that nobody waits for is refused at once", () => {
    const tenant = asleep();
    act(tenant, { kind: "start", capacityWaitMs: roomWithin(0) });
    expect(waits(tenant)).toEqual({ room: 0, all: limits.startMs });
  });

  it("ends a little before whoever asked stops waiting, who is told that there was no room", () => {
    for (const waitMs of [1, 100, 1_000, 30_000, 300_000]) {
      expect(roomWithin(waitMs)).toBeLessThanOrEqual(waitMs);
      expect(roomWithin(waitMs)).toBeGreaterThanOrEqual(waitMs - 501);
    }
    expect(roomWithin(0)).toBe(0);
  });

  it("by a request waits a while, less than the proxy does", () => {
    const tenant = asleep();
    tenant.send({ type: "wake" });
    expect(waits(tenant)).toEqual({ room: ROOM_MS.wake, all: ROOM_MS.wake + limits.startMs });
    expect(ROOM_MS.wake).toBeLessThan(25_000);
  });
});

describe("a container that takes the place of the tenant's own", () => {
  it("waits for the room that that one makes, after a restart, a restore and a crash", () => {
    const whole = { room: ROOM_MS.replace, all: ROOM_MS.replace + limits.startMs };
    const restarted = new Driver().activate();
    act(restarted, { kind: "restart", scope: "container" });
    expect(waits(left(restarted))).toEqual(whole);

    const restored = new Driver().activate();
    act(restored, { kind: "restore", generation: generation(1) });
    left(restored).now += 5_000;
    const made = { committed: committed.value, from: { generation: generation(1), files: 1, bytes: 1 } };
    restored.answer("restore", { type: "restored", outcome: { ok: true, value: made } });
    expect(waits(restored)).toEqual(whole);

    const crashed = new Driver().activate();
    crashed.now += 3_600_000;
    crashed.send({ type: "lost", containerId: "c-1" as ContainerId, epoch: epoch(1), detail: "killed" });
    expect(waits(crashed)).toEqual(whole);
    crashed.answer("lease", {
      type: "start_failed",
      failure: { code: "capacity_exhausted", detail: "full" },
      lease: null,
    });
    crashed.now = crashed.record.operation?.notBefore ?? 0;
    expect(waits(crashed)).toEqual(whole);
  });

  it("waits longer where that was asked for, from then on", () => {
    const tenant = new Driver().activate();
    act(tenant, { kind: "restart", scope: "container", capacityWaitMs: 100_000 });
    tenant.now += 20_000;
    expect(waits(left(tenant))).toEqual({ room: 80_000, all: 80_000 + limits.startMs });
    tenant.answer("lease", { type: "leased", lease: lease(2) });
    expect(tenant.steps).toMatchObject([{ do: "assign" }]);
  });
});
