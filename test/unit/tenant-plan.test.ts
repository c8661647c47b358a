import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { SYSTEM } from "../../src/auth/principal.ts";
import { type ContainerId, epoch, generation, type PoolId } from "../../src/ids.ts";
import { nextAlarm } from "../../src/tenant/alarms.ts";
import type { Going, PlannedAction, PlannedChange, Step, TenantEvent } from "../../src/tenant/events.ts";
import { TRANSITIONAL } from "../../src/tenant/lifecycle.ts";
import { plan } from "../../src/tenant/plan.ts";
import type { TenantRecord } from "../../src/tenant/record.ts";
import { committed, Driver, health, lease, limits, pool } from "../support/tenant-driver.ts";

describe("a tenant", () => {
  it("gets a new epoch with every assignment, and the answer names it", () => {
    const tenant = new Driver().activate();
    expect(tenant.record).toMatchObject({
      state: "active",
      epoch: 1,
      held: { containerId: "c-1", epoch: 1 },
      operation: null,
    });
    tenant.send({ type: "lost", containerId: "c-1" as ContainerId, epoch: epoch(1), detail: "killed" });
    expect(tenant.record).toMatchObject({ state: "recovering", epoch: 2, held: null });
  });

  it("stores nothing between the lease and the assignment, so that a claim is two commits here", () => {
    const tenant = new Driver();
    tenant.send({ type: "claim", poolId: pool, delivery: null, allowFresh: false });
    const before = tenant.record;
    tenant.answer("lease", { type: "leased", lease: lease(1) });
    expect(tenant.record).toBe(before);
  });

  it("lets a second claim join the first", () => {
    const tenant = new Driver();
    tenant.send({ type: "claim", poolId: pool, delivery: null, allowFresh: false });
    expect(tenant.send({ type: "claim", poolId: pool, delivery: null, allowFresh: false })).toEqual({
      kind: "wait",
      operationId: "op-1",
      again: false,
    });
  });

  it("refuses a claim in another pool while it holds a container", () => {
    const tenant = new Driver().activate();
    expect(tenant.send({ type: "claim", poolId: "other" as PoolId, delivery: null, allowFresh: false })).toMatchObject({
      kind: "refuse",
      failure: { code: "claimed_elsewhere" },
    });
  });

  it("needs a pool for its first claim only", () => {
    const tenant = new Driver();
    expect(tenant.send({ type: "claim", poolId: null, delivery: null, allowFresh: false })).toMatchObject({
      failure: { code: "invalid" },
    });
    tenant.activate();
    expect(tenant.send({ type: "claim", poolId: null, delivery: null, allowFresh: false })).toMatchObject({
      kind: "go",
    });
  });

  it("ignores the late answer of an operation that is over", () => {
    const tenant = new Driver().activate();
    const before = tenant.record;
    tenant.send({
      operationId: "op-1",
      type: "assigned",
      lease: lease(9),
      assigned: { restored: null, timings: {} },
      fingerprint: "",
      timings: {},
    });
    expect(tenant.record).toBe(before);
  });

  it("goes back to where it was when there is no capacity, and to error when a restore failed", () => {
    for (const [code, state] of [
      ["capacity_exhausted", "idle"],
      ["restore_failed", "error"],
    ] as const) {
      const tenant = new Driver();
      tenant.send({ type: "claim", poolId: pool, delivery: null, allowFresh: false });
      tenant.answer("lease", { type: "start_failed", failure: { code, detail: "" }, lease: null });
      expect(tenant.record).toMatchObject({ state, operation: null, held: null });
    }
  });

  it("starts empty only where an admin allowed it, only after the restore failed, and on another container", () => {
    const tenant = new Driver();
    tenant.send({ type: "claim", poolId: pool, delivery: null, allowFresh: true });
    tenant.answer("lease", { type: "leased", lease: lease(1) });
    expect(tenant.steps).toMatchObject([{ do: "assign", fresh: false }]);
    const failure = { code: "restore_failed", detail: "" };
    tenant.answer("assign", { type: "start_failed", failure, lease: lease(1) });
    tenant.answer("lease", { type: "leased", lease: lease(2) });
    expect(tenant.steps).toMatchObject([{ do: "assign", fresh: true, epoch: 2 }]);
    expect(tenant.record.retiring.map((slot) => slot.containerId)).toEqual(["c-1"]);
  });

  it("replaces a leased container that turned out dead, under a new epoch, three times at most", () => {
    const tenant = new Driver();
    tenant.send({ type: "claim", poolId: pool, delivery: null, allowFresh: false });
    for (let attempt = 1; attempt <= 3; attempt += 1) {
      expect(tenant.record).toMatchObject({ state: "claiming", epoch: attempt });
      tenant.answer("lease", { type: "leased", lease: lease(attempt) });
      tenant.answer("assign", {
        type: "start_failed",
        failure: { code: "container_unavailable", detail: "" },
        lease: lease(attempt),
      });
    }
    expect(tenant.record.state).toBe("idle");
    expect(tenant.record.retiring.map((slot) => slot.containerId)).toEqual(["c-1", "c-2", "c-3"]);
  });
});

describe("a release", () => {
  it("saves, lets the container go and ends idle", () => {
    const tenant = new Driver().activate();
    tenant.send({ type: "release", request: {} });
    tenant.answer("quiesce", { type: "quiesced", busy: false, failure: null });
    const planned = tenant.answer("save", { type: "saved", outcome: committed });
    expect(planned).toMatchObject({
      ended: { status: "succeeded", result: { state: "idle", saved: { generation: 1 } } },
    });
    expect(tenant.record).toMatchObject({ state: "idle", held: null, unsavedSince: null, generation: 1 });
    expect(tenant.steps).toContainEqual(expect.objectContaining({ do: "retire", containerId: "c-1" }));
  });

  it("keeps the container when a guard refuses, does not retry, and promotes on force", () => {
    const tenant = new Driver().activate();
    tenant.send({ type: "release", request: {} });
    tenant.answer("quiesce", { type: "quiesced", busy: false, failure: null });
    tenant.answer("save", {
      type: "saved",
      outcome: { ok: false, failure: { code: "guard_blocked", detail: "", extra: { generation: 2 } } },
    });
    expect(tenant.record).toMatchObject({
      state: "release_failed",
      held: { containerId: "c-1" },
      hold: { kind: "guard", until: tenant.now + 3_600_000 },
    });
    tenant.now += 600_000;
    tenant.send({ type: "tick", running: false, syncing: false });
    expect(tenant.steps).toEqual([{ do: "observe", containerId: "c-1" }]);
    tenant.send({ type: "release", request: { force: true } });
    tenant.answer("promote", { type: "promoted", committed: committed.value, failure: null });
    expect(tenant.record).toMatchObject({ state: "idle", held: null, generation: 1 });
  });

  it("is retried after 1 s, 4 s, 16 s and then every 5 min, by the same save id", () => {
    const tenant = new Driver().activate();
    tenant.send({ type: "release", request: {} });
    const waits: number[] = [];
    const saveIds = new Set<string>();
    for (let attempt = 0; attempt < 5; attempt += 1) {
      tenant.answer("quiesce", { type: "quiesced", busy: false, failure: null });
      saveIds.add(tenant.steps.flatMap((step) => (step.do === "save" ? [step.saveId] : [])).join());
      tenant.answer("save", {
        type: "saved",
        outcome: { ok: false, failure: { code: "save_failed", detail: "network" } },
      });
      const { hold } = tenant.record;
      if (hold?.kind !== "retry") throw new Error("no retry");
      waits.push(hold.at - tenant.now);
      tenant.now = hold.at;
      tenant.send({ type: "tick", running: false, syncing: false });
    }
    expect(waits).toEqual([1_000, 4_000, 16_000, 300_000, 300_000]);
    expect(saveIds.size).toBe(1);
  });

  it("called off by a claim gives the same container back under a new epoch", () => {
    const tenant = new Driver().activate();
    tenant.send({ type: "release", request: {} });
    tenant.answer("quiesce", { type: "quiesced", busy: false, failure: null });
    tenant.answer("save", {
      type: "saved",
      outcome: { ok: false, failure: { code: "save_failed", detail: "network" } },
    });
    tenant.send({ type: "claim", poolId: null, delivery: null, allowFresh: false });
    const planned = tenant.answer("resume", { type: "resumed", failure: null });
    expect(planned).toMatchObject({ ended: { result: { launch: "existing", containerId: "c-1", epoch: 2 } } });
    expect(tenant.record.state).toBe("active");
  });

  it("of a container that died says what was lost and never pretends a save", () => {
    const tenant = new Driver().activate();
    tenant.send({ type: "release", request: {} });
    tenant.answer("quiesce", { type: "quiesced", busy: false, failure: null });
    const planned = tenant.answer("save", {
      type: "saved",
      outcome: { ok: false, failure: { code: "container_unavailable", detail: "gone" } },
    });
    expect(planned).toMatchObject({ ended: { status: "failed", error: { code: "save_failed" } } });
    expect(tenant.record).toMatchObject({
      state: "idle",
      generation: 0,
      lastLoss: { containerId: "c-1", detail: "gone" },
    });
  });
});

describe("sleep", () => {
  const observation = { state: "assigned", alive: true, tenantId: null, epoch: null, openRequests: 0, health } as const;

  it("begins after the idle timeout, not while anything is open, and ends asleep", () => {
    const tenant = new Driver().activate();
    tenant.now += 900_000;
    tenant.send({
      type: "observed",
      containerId: "c-1" as ContainerId,
      observation: { ...observation, lastActivityAt: 1_000, openRequests: 1 },
    });
    expect(tenant.record.state).toBe("active");
    tenant.send({
      type: "observed",
      containerId: "c-1" as ContainerId,
      observation: { ...observation, lastActivityAt: 1_000 },
    });
    expect(tenant.record.state).toBe("sleeping");
    tenant.answer("quiesce", { type: "quiesced", busy: false, failure: null });
    tenant.answer("save", { type: "saved", outcome: committed });
    expect(tenant.record).toMatchObject({ state: "asleep", held: null, desired: "asleep" });
    tenant.send({ type: "wake" });
    expect(tenant.record).toMatchObject({ state: "waking", epoch: 2 });
  });

  it("is called off by activity", () => {
    const tenant = new Driver().activate();
    tenant.now += 900_000;
    tenant.send({
      type: "observed",
      containerId: "c-1" as ContainerId,
      observation: { ...observation, lastActivityAt: 1_000 },
    });
    tenant.answer("quiesce", { type: "quiesced", busy: true, failure: null });
    expect(tenant.record).toMatchObject({ state: "active", operation: null, held: { containerId: "c-1" } });
  });
});

describe("whatever happens to a tenant", () => {
  const failure = fc.constantFrom(
    "capacity_exhausted",
    "restore_failed",
    "container_unavailable",
    "save_failed",
    "guard_blocked",
    "conflict",
    "stale_epoch",
    "operation_interrupted" as const,
  );
  const failed = failure.map((code) => ({ ok: false as const, failure: { code, detail: "x" } }));
  const force = fc.constantFrom({}, { force: true });
  const wish: fc.Arbitrary<PlannedAction> = fc.oneof(
    force.map((more) => ({ kind: "stop" as const, ...more })),
    fc.constant({ kind: "start" as const }),
    fc
      .tuple(fc.constantFrom("process", "container", "image"), force)
      .map(([scope, more]) => ({ kind: "restart" as const, scope, ...more })),
    fc.constantFrom("outward", "inward", "both").map((direction) => ({ kind: "sync" as const, direction })),
    fc
      .tuple(fc.constantFrom(1, 2), force)
      .map(([n, more]) => ({ kind: "restore" as const, generation: generation(n), ...more })),
    fc.constantFrom({ kind: "suspend" as const }, { kind: "resume" as const }),
    fc.boolean().map((deleteData) => ({ kind: "destroy" as const, deleteData })),
  );
  const setting = fc
    .constantFrom<PlannedChange>(
      { kind: "tier", tier: "basic" },
      { kind: "lifecycle", lifecycle: { mode: "always-on" } },
      { kind: "lifecycle", lifecycle: { mode: "scheduled", wakeTimes: ["08:30"] } },
      { kind: "config", config: { a: 1 } },
      { kind: "revoke-tokens" },
    )
    .map((change): TenantEvent => ({ type: "change", change, ifMatch: null }));
  const action = fc.oneof(
    fc.constant({ type: "claim", poolId: pool, delivery: null, allowFresh: false } as TenantEvent),
    fc.record({
      type: fc.constant("release" as const),
      request: fc.record({ sync: fc.boolean(), force: fc.boolean() }, { requiredKeys: [] }),
    }),
    wish.map((wanted): TenantEvent => ({ type: "act", action: wanted, by: SYSTEM })),
    setting,
    fc
      .tuple(fc.constantFrom<"tar" | "rebuild">("tar", "rebuild"), fc.boolean())
      .map(([kind, force]): TenantEvent => ({ type: "import", request: { source: { kind }, force, token: kind } })),
    fc.record({ act: fc.constant("told" as const), fails: fc.boolean(), with: failed }),
    fc.constant({ type: "wake" } as TenantEvent),
    fc.constant({ type: "tick", running: false, syncing: false } as TenantEvent),
    fc.record({ act: fc.constant("gone" as const) }),
    // Most answers are good ones: what lies behind them is seldom reached otherwise.
    {
      weight: 5,
      arbitrary: fc.record({
        act: fc.constant("answer" as const),
        fails: fc.constantFrom(false, false, false, true),
        with: failed,
        busy: fc.boolean(),
      }),
    },
    fc.record({ act: fc.constant("observe" as const), alive: fc.boolean(), idle: fc.boolean() }),
    fc.record({ act: fc.constant("pass" as const), ms: fc.constantFrom(1, 1_000, 60_000, 900_000, 3_600_000) }),
    fc.constant({ type: "lost", containerId: "c-1", epoch: 1, detail: "stale" } as unknown as TenantEvent),
  );

  it("keeps the promises of its record", () => {
    fc.assert(
      fc.property(fc.array(action, { maxLength: 60, size: "max" }), (actions) => {
        const tenant = new Driver();
        tenant.onPlan = (before, planned) => {
          recordsItsState(before, planned);
          tellsItsLoss(before, planned.record);
        };
        let containers = 0;
        let pending: Step | undefined;
        for (const each of actions) {
          const before = tenant.record;
          if ("act" in each) {
            if (each.act === "pass") tenant.now += each.ms;
            else if (each.act === "gone") tenant.confirmGone();
            else if (each.act === "told") tellImport(tenant, each, ++containers);
            else if (each.act === "observe") {
              const containerId = before.held?.containerId ?? ("c-0" as ContainerId);
              const lastActivityAt = each.idle ? 0 : tenant.now;
              tenant.send({
                type: "observed",
                containerId,
                observation: {
                  state: "assigned",
                  alive: each.alive,
                  tenantId: null,
                  epoch: null,
                  lastActivityAt,
                  openRequests: 0,
                  health,
                },
              });
            } else if (pending && "operationId" in pending) {
              tenant.send(resultOf(pending, each, ++containers));
            }
          } else tenant.send(each);
          pending = tenant.steps.find((step) => "operationId" in step) ?? pending;
          const { record } = tenant;
          expect(record.epoch).toBeGreaterThanOrEqual(before.epoch);
          if (record.destruction?.data !== "deleted") {
            expect(record.generation).toBeGreaterThanOrEqual(before.generation);
          }
          expect(record.tokenVersion).toBeGreaterThanOrEqual(before.tokenVersion);
          if (record.state === "active") expect(record.held).not.toBeNull();
          if (
            ["idle", "asleep", "claiming", "waking", "recovering", "error", "suspended", "destroyed"].includes(
              record.state,
            )
          )
            expect(record.held).toBeNull();
          if (TRANSITIONAL.includes(record.state)) {
            expect(record.operation).not.toBeNull();
            expect(nextAlarm(record, tenant.now, 0)).not.toBeNull();
          }
          const due = nextAlarm(record, tenant.now, 0);
          if (record.operation) expect(due).not.toBeNull();
          if (due !== null) expect(due).toBeGreaterThan(tenant.now);
          expect(restAfter(record, due), `${record.state}, ${record.operation?.kind}`).toBeGreaterThanOrEqual(1_000);
          if (before.held && record.held?.containerId !== before.held.containerId) {
            expect(record.retiring.map((slot) => slot.containerId)).toContain(before.held.containerId);
          }
          for (const step of tenant.steps)
            if (step.do === "assign" || step.do === "lease" || step.do === "restore" || step.do === "conclude")
              expect(step.epoch).toBe(record.epoch);
        }
        // Left alone, every transitional state ends at its deadline; a recovery is tried for half an hour.
        for (let ticks = 0; ticks < 20 && TRANSITIONAL.includes(tenant.record.state); ticks += 1) {
          tenant.now = (tenant.record.operation?.deadlineAt ?? tenant.now) + 1;
          tenant.send({ type: "tick", running: true, syncing: false });
          if (tenant.record.state === "destroying") tenant.confirmGone(); // which lasts as long as a part is there
        }
        expect(TRANSITIONAL).not.toContain(tenant.record.state);
      }),
      { numRuns: 300 },
    );
  }, 60_000);
});

/** A change of state leaves exactly one record that says so, and nothing else does. */
function recordsItsState({ state: from }: TenantRecord, { record, journal }: Going): void {
  const moves = journal.filter(
    ({ type, detail: { from, to } = {} }) => type !== "tenant.tier_set" && to !== undefined && from !== to,
  );
  const wanted = record.state === from ? [] : [{ detail: { from, to: record.state } }];
  expect(moves, `${from} → ${record.state}`).toMatchObject(wanted);
}

/** A container that goes with changes that no generation has is a loss, unless all of it was to be deleted. */
function tellsItsLoss(before: TenantRecord, after: TenantRecord): void {
  const { held, hold, unsavedSince, generation: saved } = before;
  if (!held || after.held || unsavedSince === null || after.generation !== saved) return;
  if (after.destruction?.data === "delete" || (hold?.kind === "guard" && hold.generation !== undefined)) return;
  expect(after.lastLoss, `${before.state} → ${after.state}`).toMatchObject({ containerId: held.containerId });
}

/** How long after an alarm that changed nothing the next one rings. No tick is refused: what is due would stay due. */
function restAfter(record: TenantRecord, due: number | null): number {
  if (due === null) return Infinity;
  const names = { operationId: "op-t", saveId: "save-t" };
  const planned = plan(record, { type: "tick", running: true, syncing: true }, names, limits, due);
  if (planned.kind !== "go") return 0;
  return planned.record === record ? (nextAlarm(record, due, 0) ?? Infinity) - due : Infinity;
}

/** Whoever brought state in says how it ended. */
function tellImport(tenant: Driver, each: { fails: boolean; with: unknown }, n: number): void {
  const { operation } = tenant.record;
  if (operation?.kind !== "import") return;
  const outcome = each.fails ? each.with : { ok: true, value: { ...made(n).committed } };
  tenant.send({ operationId: operation.id, type: "imported", outcome: outcome as never });
}

const made = (n: number) => ({
  committed: { generation: generation(n), files: 1, bytes: 1, changed: 1 },
  from: { generation: generation(1), files: 1, bytes: 1 },
});

function resultOf(
  step: Step & { operationId: string },
  each: { fails: boolean; with: { ok: false; failure: { code: string; detail: string } }; busy: boolean },
  n: number,
): TenantEvent {
  const { operationId } = step;
  const { failure } = each.with as never as { failure: never };
  switch (step.do) {
    case "lease":
      return each.fails
        ? { operationId, type: "start_failed", failure, lease: null }
        : { operationId, type: "leased", lease: lease(n) };
    case "assign":
      return each.fails
        ? { operationId, type: "start_failed", failure, lease: step.lease }
        : {
            operationId,
            type: "assigned",
            lease: step.lease,
            assigned: { restored: null, timings: {} },
            fingerprint: "",
            timings: {},
          };
    case "restart":
      return { operationId, type: "restarted", failure: each.fails ? failure : null };
    case "resume":
      return { operationId, type: "resumed", failure: each.fails ? failure : null };
    case "quiesce":
      return {
        operationId,
        type: "quiesced",
        busy: !each.fails && step.idleSince !== undefined && each.busy,
        failure: each.fails ? failure : null,
      };
    case "save":
      return {
        operationId,
        type: "saved",
        outcome: each.fails
          ? (each.with as never)
          : { ok: true, value: { generation: generation(n), files: 1, bytes: 1, changed: 1 } },
      };
    case "restore":
      return {
        operationId,
        type: "restored",
        outcome: each.fails ? (each.with as never) : { ok: true, value: made(n) },
      };
    case "conclude":
      return {
        operationId,
        type: "imported",
        outcome: each.fails ? (each.with as never) : { ok: true, value: made(n).committed },
      };
    default:
      return { operationId, type: "promoted", committed: null, failure: each.fails ? failure : null };
  }
}
