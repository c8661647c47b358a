import { describe, expect, it } from "vitest";
import { SYSTEM } from "../../src/auth/principal.ts";
import { type ContainerId, epoch, generation } from "../../src/ids.ts";
import type { ContainerEnd, EndCause } from "../../src/instance/types.ts";
import type { Failure } from "../../src/outcome.ts";
import { nextAlarm } from "../../src/tenant/alarms.ts";
import type { PlannedAction } from "../../src/tenant/events.ts";
import { RECOVERY_MS } from "../../src/tenant/plan-recover.ts";
import { ROOM_MS } from "../../src/tenant/room.ts";
import { statusOf } from "../../src/tenant/status.ts";
import { committed, Driver, ERASED, health, lease, pool } from "../support/tenant-driver.ts";

const MINUTE = 60_000;

const endOf = (tenant: Driver, cause: EndCause, exitCode: number | null = 1): ContainerEnd => ({
  at: tenant.now,
  cause,
  exitCode,
  detail: `it ${cause}`,
});

/** A look at the held container. */
function look(tenant: Driver, alive: boolean, end?: ContainerEnd) {
  return tenant.send({
    type: "observed",
    containerId: tenant.record.held?.containerId ?? ("c-0" as ContainerId),
    observation: {
      state: alive ? "assigned" : "gone",
      alive,
      tenantId: null,
      epoch: null,
      lastActivityAt: 0,
      openRequests: 1,
      health,
      ...(end ? { end } : {}),
    },
  });
}

const tick = (tenant: Driver) => tenant.send({ type: "tick", running: false });
const act = (tenant: Driver, action: PlannedAction) => tenant.send({ type: "act", action, by: SYSTEM });
const dies = (tenant: Driver, cause: EndCause = "exited") => look(tenant, false, endOf(tenant, cause));

/** The recovery that is due succeeds. */
function comesBack(tenant: Driver, n: number) {
  const at = tenant.record.operation?.notBefore;
  if (at !== undefined) {
    tenant.now = at;
    tick(tenant);
  }
  tenant.answer("lease", { type: "leased", lease: lease(n) });
  tenant.answer("assign", {
    type: "assigned",
    lease: lease(n),
    assigned: { restored: null, timings: {} },
    fingerprint: "0.0",
    timings: {},
  });
  expect(tenant.record.state).toBe("active");
}

const startFails = (tenant: Driver, code: Failure["code"], more: Partial<Failure> = {}) => {
  const at = tenant.record.operation?.notBefore ?? 0;
  if (at > tenant.now) tenant.now = at;
  if (!tenant.steps.some((step) => step.do === "lease")) tick(tenant);
  return tenant.answer("lease", { type: "start_failed", failure: { code, detail: code, ...more }, lease: null });
};

describe("a container that ends by itself", () => {
  it("is replaced at once where it ran well, later and later where it did not, under a new epoch each time", () => {
    const tenant = new Driver().activate();
    tenant.now += 11 * MINUTE;
    dies(tenant);
    expect(tenant.record).toMatchObject({ state: "recovering", epoch: 2, held: null });
    expect(tenant.steps).toMatchObject([
      { do: "retire", containerId: "c-1" },
      { do: "lease", epoch: 2 },
    ]);
    comesBack(tenant, 2);
    const waits: number[] = [];
    for (const n of [3, 4, 5]) {
      tenant.now += 1_000;
      dies(tenant);
      waits.push((tenant.record.operation?.notBefore ?? 0) - tenant.now);
      expect(tenant.steps.some((step) => step.do === "lease")).toBe(false);
      comesBack(tenant, n);
    }
    expect(waits).toEqual([4_000, 8_000, 16_000]);
    expect(tenant.record).toMatchObject({ epoch: 5, restarts: 4 });
  });

  it("of which nothing is due before its backoff is over rings no earlier, and the deadline counts from there", () => {
    const tenant = new Driver().activate();
    tenant.now += 1_000;
    dies(tenant);
    const { notBefore = 0, deadlineAt } = tenant.record.operation ?? {};
    expect(notBefore - tenant.now).toBe(2_000);
    expect(deadlineAt).toBe(notBefore + ROOM_MS.replace + 180_000);
    tenant.record = { ...tenant.record, retiring: [] };
    expect(nextAlarm(tenant.record, tenant.now, 0.5)).toBe(notBefore);
    tick(tenant);
    expect(tenant.steps).toEqual([]);
  });

  it("five times within ten minutes is not started again, and a person is told; whoever starts it ends that", () => {
    const tenant = new Driver().activate();
    let planned = dies(tenant);
    for (const n of [2, 3, 4, 5]) {
      comesBack(tenant, n);
      tenant.now += 1_000;
      planned = dies(tenant);
    }
    expect(tenant.record).toMatchObject({ state: "error", stoppedReason: "breaker", operation: null, held: null });
    expect(planned).toMatchObject({
      journal: [{ type: "tenant.broken" }, { type: "alert.raised", detail: { alert: "tenant_breaker" } }],
    });
    expect(tenant.steps).toMatchObject([{ do: "retire" }]);
    tick(tenant);
    expect(tenant.steps.filter((step) => step.do === "lease")).toEqual([]);
    expect(act(tenant, { kind: "start" })).toMatchObject({
      journal: [{ type: "tenant.claim" }, { type: "alert.cleared", detail: { alert: "tenant_breaker" } }],
    });
    comesBack(tenant, 6);
    dies(tenant);
    expect(tenant.record).toMatchObject({ state: "recovering", crashes: [tenant.now] });
  });

  it("says how, and where memory was short, an event, a count, and after three in a day a hint", () => {
    const tenant = new Driver().activate();
    for (const n of [2, 3, 4]) {
      expect(dies(tenant, "oom")).toMatchObject({ journal: [{ type: "container.oom" }, { type: "tenant.lost" }] });
      const { oom, lastExit } = statusOf(tenant.record, tenant.now);
      expect(lastExit).toMatchObject({ cause: "oom", containerId: `c-${n - 1}` });
      expect(oom).toEqual({ last24h: n - 1, ...(n === 4 ? { hint: expect.stringContaining("larger tier") } : {}) });
      comesBack(tenant, n);
      tenant.now += 15 * MINUTE;
    }
    tenant.now += 24 * 60 * MINUTE;
    expect(statusOf(tenant.record, tenant.now)).toMatchObject({ restarts: 3, lastExit: { cause: "oom" } });
    expect(statusOf(tenant.record, tenant.now).oom).toBeUndefined();
  });

  it.each(["hung", "unhealthy", "exited", "oom"] as const)(
    "that is %s although it is there is replaced like one that is gone, and what was unsaved in it is said",
    (cause) => {
      const tenant = new Driver().activate();
      const { unsavedSince } = tenant.record;
      look(tenant, true, endOf(tenant, cause, null));
      expect(tenant.record).toMatchObject({
        state: "recovering",
        epoch: 2,
        unsavedSince,
        lastLoss: { containerId: "c-1", detail: `it ${cause}` },
      });
      expect(tenant.steps).toMatchObject([{ do: "retire", containerId: "c-1" }]);
    },
  );

  it("is told twice and ends once", () => {
    const tenant = new Driver().activate();
    dies(tenant, "oom");
    const before = tenant.record;
    tenant.send({ type: "lost", containerId: "c-1" as ContainerId, epoch: epoch(1), detail: "again" });
    expect(tenant.record).toBe(before);
  });

  it("during an operation is met by it; how it ended is noted, once", () => {
    const tenant = new Driver().activate();
    tenant.send({ type: "release", request: {} });
    expect(dies(tenant, "oom")).toMatchObject({ journal: [{ type: "container.oom" }], steps: [] });
    expect(tenant.record).toMatchObject({ state: "releasing", ends: [{ cause: "oom" }] });
    expect(dies(tenant, "oom")).toMatchObject({ journal: [], steps: [] });
  });

  it.each([
    ["idle", "release", "idle"],
    ["asleep", "stop", "asleep"],
    ["active", "restart", "recovering"],
  ] as const)("kept after a failed save, of a tenant that is to be %s, is gone: %s ends %s", (desired, kind, state) => {
    const tenant = new Driver().activate();
    if (kind === "release") tenant.send({ type: "release", request: {} });
    else act(tenant, kind === "stop" ? { kind } : { kind, scope: "container" });
    tenant.answer("quiesce", { type: "quiesced", busy: false, failure: { code: "save_failed", detail: "no" } });
    expect(tenant.record).toMatchObject({ state: "release_failed", desired });
    dies(tenant);
    expect(tenant.record).toMatchObject({ state, held: null, hold: null });
  });
});

describe("a recovery that finds no container", () => {
  it("is tried again with backoff while another one may do, by the same operation", () => {
    const tenant = new Driver().activate();
    dies(tenant);
    const { id } = tenant.record.operation ?? {};
    const waits: number[] = [];
    for (let n = 0; n < 6; n += 1) {
      startFails(tenant, "capacity_exhausted");
      expect(tenant.record).toMatchObject({ state: "recovering", operation: { id } });
      waits.push((tenant.record.operation?.notBefore ?? 0) - tenant.now);
    }
    expect(waits).toEqual([2_000, 4_000, 8_000, 16_000, 32_000, 64_000]);
    comesBack(tenant, 2);
  });

  it("waits as long as it was told to", () => {
    const tenant = new Driver().activate();
    dies(tenant);
    startFails(tenant, "capacity_exhausted", { retryAfterMs: 30_000 });
    expect((tenant.record.operation?.notBefore ?? 0) - tenant.now).toBe(30_000);
  });

  it("for half an hour, for want of capacity, leaves the tenant asleep, and its next request wakes it", () => {
    const tenant = new Driver().activate();
    dies(tenant);
    const from = tenant.now;
    while (tenant.record.state === "recovering") startFails(tenant, "capacity_exhausted");
    expect(tenant.now - from).toBeGreaterThan(RECOVERY_MS / 2);
    expect(tenant.now - from).toBeLessThanOrEqual(RECOVERY_MS);
    expect(tenant.record).toMatchObject({ state: "asleep", desired: "asleep", stoppedReason: "capacity" });
    tenant.send({ type: "wake" });
    expect(tenant.record.state).toBe("waking");
  });

  it("of a tenant that is always on is made again when capacity came back", () => {
    const tenant = new Driver().activate();
    tenant.send({ type: "change", change: { kind: "lifecycle", lifecycle: { mode: "always-on" } }, ifMatch: null });
    dies(tenant);
    while (tenant.record.state === "recovering") startFails(tenant, "capacity_exhausted");
    for (let n = 0; n < 3; n += 1) {
      tenant.now = tenant.record.wakeAt ?? 0;
      expect(tenant.now).toBeGreaterThan(0);
      tick(tenant);
      tenant.answer("lease", {
        type: "start_failed",
        failure: { code: "capacity_exhausted", detail: "" },
        lease: null,
      });
      expect(tenant.record.state).toBe("asleep");
    }
    tenant.now = tenant.record.wakeAt ?? 0;
    tick(tenant);
    comesBack(tenant, 7);
  });

  it("and never can ends in error at once", () => {
    for (const failure of [{ code: "forbidden" }, { code: "start_failed", extra: { permanent: true } }] as const) {
      const tenant = new Driver().activate();
      dies(tenant);
      startFails(tenant, failure.code, failure);
      expect(tenant.record).toMatchObject({ state: "error", stoppedReason: "failure", operation: null });
    }
  });

  it("whose starts fail again and again opens the breaker", () => {
    const tenant = new Driver().activate();
    dies(tenant);
    for (let n = 0; n < 4; n += 1) startFails(tenant, "start_failed");
    expect(tenant.record).toMatchObject({ state: "error", stoppedReason: "breaker" });
  });

  it.each([
    [{ kind: "stop" }, "asleep"],
    [{ kind: "suspend" }, "suspended"],
  ] as const)("is called off between two attempts by %o, and by a release", (action, state) => {
    for (const releases of [true, false]) {
      const tenant = new Driver().activate();
      dies(tenant);
      const { id } = tenant.record.operation ?? {};
      const planned = releases ? tenant.send({ type: "release", request: {} }) : act(tenant, action);
      expect(planned).toMatchObject({ also: [{ id, status: "cancelled" }] });
      expect(tenant.record).toMatchObject({ state: releases ? "idle" : state, operation: null });
      tenant.now += 10 * MINUTE;
      tick(tenant);
      expect(tenant.steps.filter((step) => step.do === "lease")).toEqual([]);
    }
  });
});

describe("a tenant in error", () => {
  it("is stopped by whoever wants no start of it, and its next request wakes it", () => {
    const tenant = new Driver().activate();
    dies(tenant);
    startFails(tenant, "forbidden");
    act(tenant, { kind: "stop" });
    expect(tenant.record).toMatchObject({ state: "asleep", desired: "asleep" });
    act(tenant, { kind: "suspend" });
    act(tenant, { kind: "resume" });
    expect(tenant.record.state).toBe("asleep");
  });
});

describe("a container that serves", () => {
  it("shows in what the next one would differ, and nothing of it is restarted by that", () => {
    const tenant = new Driver().activate();
    tenant.record = { ...tenant.record, delivered: "0.0" };
    tenant.send({ type: "change", change: { kind: "config", config: { a: 1 } }, ifMatch: null });
    tenant.send({ type: "change", change: { kind: "tier", tier: "basic" }, ifMatch: null });
    const { held } = tenant.record;
    tenant.record = { ...tenant.record, held: held && { ...held, workloadVersion: 3 } };
    const observation = {
      state: "assigned",
      alive: true,
      tenantId: null,
      epoch: null,
      lastActivityAt: 0,
      openRequests: 1,
      health,
    } as const;
    const containerId = "c-1" as ContainerId;
    tenant.send({ type: "observed", containerId, observation, workloadVersion: 4 });
    const status = statusOf(tenant.record, tenant.now);
    expect(status).toMatchObject({ pendingRestart: true, drift: ["image", "config", "tier"], state: "active" });
    const before = tenant.record;
    tenant.send({ type: "observed", containerId, observation, workloadVersion: 4 });
    expect(tenant.record).toBe(before);
    tenant.send({ type: "observed", containerId, observation, workloadVersion: 3 });
    expect(statusOf(tenant.record, tenant.now).drift).toEqual(["config", "tier"]);
  });

  it("is shown unhealthy as soon as its probe fails, and healthy again", () => {
    const tenant = new Driver().activate();
    const containerId = "c-1" as ContainerId;
    const seen = (status: "healthy" | "unhealthy") => {
      tenant.send({
        type: "observed",
        containerId,
        observation: {
          state: "assigned",
          alive: true,
          tenantId: null,
          epoch: null,
          lastActivityAt: 0,
          openRequests: 1,
          health: { status, failures: status === "healthy" ? 0 : 1, since: 1 },
        },
      });
      return statusOf(tenant.record, tenant.now).health;
    };
    expect([seen("unhealthy"), seen("healthy")]).toEqual(["unhealthy", "healthy"]);
    expect(tenant.record.state).toBe("active");
  });
});

describe("a saved state", () => {
  it("keeps its generation over a recovery", () => {
    const tenant = new Driver().activate();
    act(tenant, { kind: "sync", direction: "outward" });
    tenant.answer("save", { type: "saved", outcome: committed });
    dies(tenant);
    expect(tenant.record).toMatchObject({ state: "recovering", generation: 1, lastLoss: { generation: 1 } });
  });
});

describe("a tenant that was made anew without its config, and runs", () => {
  const lacking = () => {
    const tenant = new Driver().activate();
    tenant.record = { ...tenant.record, rebuilt: { at: 0, needs: ["config"] } };
    return tenant;
  };
  const given = { type: "claim", poolId: null, delivery: { config: { value: { a: 1 } } }, allowFresh: false } as const;

  it("says so when its container ends, and starts as soon as it is claimed with it", () => {
    const tenant = lacking();
    expect(dies(tenant)).toMatchObject({ journal: [{ type: "tenant.broken", detail: { code: "state_missing" } }] });
    expect(tenant.record).toMatchObject({ state: "error", held: null, stoppedReason: "failure" });
    expect(tenant.record.errors[0]).toMatchObject({ code: "state_missing" });
    expect(tenant.steps).toMatchObject([{ do: "retire", containerId: "c-1" }]);
    tenant.send(given);
    expect(tenant.record.state).toBe("claiming");
  });

  it("says so when its container ends that was kept after a failed save", () => {
    const tenant = lacking();
    const hold = { kind: "guard", until: tenant.now, generation: generation(7) } as const;
    tenant.record = { ...tenant.record, state: "release_failed", hold };
    tick(tenant);
    expect(tenant.record).toMatchObject({ state: "error", held: null, hold: null });
  });

  it("is not restarted into a container that gets none", () => {
    const tenant = lacking();
    for (const action of [
      { kind: "restart", scope: "container" },
      { kind: "restore", generation: generation(1) },
    ] as const) {
      expect(act(tenant, action)).toMatchObject({ kind: "refuse", failure: { code: "state_missing" } });
    }
    tenant.send(given);
    expect(act(tenant, { kind: "restart", scope: "container" })).toMatchObject({ kind: "go" });
  });

  it("needs none of it any more once it was destroyed: its next life begins with what its claim brings", () => {
    const tenant = lacking();
    act(tenant, { kind: "destroy", deleteData: true });
    tenant.confirmGone();
    expect(tenant.record.state).toBe("destroyed");
    tenant.send({ type: "claim", poolId: pool, delivery: null, allowFresh: false });
    expect(tenant.record.state).toBe("claiming");
  });
});

describe("a destroyed tenant", () => {
  it("is claimed again when all of its data is deleted, that of its sync specs too", () => {
    const tenant = new Driver().activate();
    act(tenant, { kind: "destroy", deleteData: false });
    tenant.answer("quiesce", { type: "quiesced", busy: false, failure: null });
    tenant.answer("save", { type: "saved", outcome: committed });
    tenant.confirmGone();
    expect(tenant.record).toMatchObject({ state: "destroyed", destruction: { data: "keep" } });
    act(tenant, { kind: "destroy", deleteData: true });
    tenant.send({ type: "erased", proof: ERASED });
    expect(tenant.record.destruction).toMatchObject({ data: "deleted", parts: { specs: { done: false } } });
    const claim = { type: "claim", poolId: pool, delivery: null, allowFresh: false } as const;
    const tar = { type: "import", request: { source: { kind: "tar" }, force: false, token: "t" } } as const;
    for (const event of [claim, tar]) {
      expect(tenant.send(event)).toMatchObject({ kind: "refuse", failure: { code: "invalid_transition" } });
    }
    for (const part of ["specs", "pool"] as const) tenant.send({ type: "withdrawn", part, failure: null });
    expect(tenant.send(claim)).toMatchObject({ kind: "go", record: { state: "claiming" } });
  });
});
