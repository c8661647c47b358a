import { describe, expect, test } from "vitest";
import type { SpecRan } from "../../src/instance/types.ts";
import { done, failed } from "../../src/outcome.ts";
import { nextAlarm } from "../../src/tenant/alarms.ts";
import type { Plan, Step } from "../../src/tenant/events.ts";
import { savesOf, statusOf } from "../../src/tenant/status.ts";
import type { SpecBrief } from "../../src/tenant/syncs.ts";
import { committed, Driver, health, lease, pool } from "../support/tenant-driver.ts";

const MINUTE = 60_000;
const aBrief = (more: Partial<SpecBrief> = {}): SpecBrief => ({
  id: "spec",
  version: 1,
  kind: "s3",
  intervalMs: MINUTE,
  onRelease: true,
  manual: true,
  outward: true,
  inward: true,
  ...more,
});
const ran = (more: Partial<SpecRan> = {}) =>
  done<SpecRan>({ files: 1, bytes: 10, deleted: 0, unchanged: false, fingerprint: "print-1", ...more });
const by = { actor: "ann", requestId: null };

class SyncDriver extends Driver {
  claimed(...specs: SpecBrief[]): this {
    this.send({ type: "claim", poolId: pool, delivery: null, allowFresh: false });
    this.answer("lease", { type: "leased", lease: lease(1) });
    const assigned = { restored: null, timings: {} };
    this.answer("assign", { type: "assigned", lease: lease(1), assigned, fingerprint: "", timings: {}, specs });
    return this;
  }
  tick(syncing = false): Plan {
    return this.send({ type: "tick", running: false, syncing });
  }
  /** The sync that is to be performed. */
  get sync(): Extract<Step, { do: "sync" }> {
    const step = this.steps.find((candidate) => candidate.do === "sync");
    if (step?.do !== "sync") throw new Error(`no sync: ${JSON.stringify(this.steps)}`);
    return step;
  }
  synced(outcome = ran(), isState = false): Plan {
    const { runId, spec } = this.sync;
    return this.send({ type: "synced", runId, specId: spec.id, isState, outcome });
  }
  get state() {
    return this.record.syncs?.states.spec;
  }
}

describe("a tenant without sync specs", () => {
  test("knows nothing of them", () => {
    expect(new SyncDriver().claimed().record).not.toHaveProperty("syncs");
  });
});

describe("an interval", () => {
  test("brings a sync when it is over, and not before, and the next one after that", () => {
    const tenant = new SyncDriver().claimed(aBrief());
    expect(nextAlarm(tenant.record, tenant.now, 0)).toBe(tenant.now + MINUTE);
    tenant.now += MINUTE - 1;
    tenant.tick();
    expect(tenant.steps.filter((step) => step.do === "sync")).toEqual([]);
    tenant.now += 1;
    tenant.tick();
    expect(tenant.sync).toMatchObject({ why: "interval", way: "up", containerId: "c-1" });
    expect(tenant.sync).not.toHaveProperty("unless");
    tenant.now += 5_000;
    const planned = tenant.synced();
    expect(planned).toMatchObject({ synced: [{ specId: "spec", why: "interval", result: "succeeded" }] });
    expect(tenant.record.syncs?.running).toBeNull();
    expect(tenant.state).toMatchObject({ lastSync: tenant.now, last: { files: 1, durationMs: 5_000 } });
    expect(tenant.state?.dueAt).toBeGreaterThanOrEqual(tenant.now + MINUTE);
    expect(tenant.state?.dueAt).toBeLessThanOrEqual(tenant.now + MINUTE * 1.1);
  });

  test("says what the container held at the last one, so that nothing is done while it is the same", () => {
    const tenant = new SyncDriver().claimed(aBrief());
    tenant.now += MINUTE;
    tenant.tick();
    tenant.synced();
    tenant.now += 2 * MINUTE;
    tenant.tick();
    expect(tenant.sync.unless).toBe("print-1");
    const planned = tenant.synced(ran({ unchanged: true }));
    expect(planned).not.toHaveProperty("synced");
    expect(planned).toMatchObject({ journal: [] });
    expect(tenant.state).toMatchObject({ lastSync: tenant.now, last: { files: 1 } });
  });

  test("is no operation: what is asked meanwhile is begun, and its late answer changes nothing", () => {
    const tenant = new SyncDriver().claimed(aBrief());
    tenant.now += MINUTE;
    tenant.tick();
    const { runId } = tenant.sync;
    tenant.send({ type: "release", request: {} });
    expect(tenant.record).toMatchObject({ state: "releasing", syncs: { running: null } });
    const before = tenant.record;
    tenant.send({ type: "synced", runId, specId: "spec", isState: false, outcome: ran() });
    expect(tenant.record).toBe(before);
  });

  test("goes on by the same name when its performer is gone, once, and ends when its time is over", () => {
    const tenant = new SyncDriver().claimed(aBrief());
    tenant.now += MINUTE;
    tenant.tick();
    const { runId } = tenant.sync;
    tenant.tick(true);
    expect(tenant.steps.filter((step) => step.do === "sync")).toEqual([]);
    tenant.tick(false);
    expect(tenant.sync.runId).toBe(runId);
    tenant.now += 600_000;
    const planned = tenant.tick(true);
    expect(tenant.steps).toContainEqual({ do: "cancel", runId, containerId: "c-1" });
    expect(planned).toMatchObject({
      synced: [{ result: "failed", error: { code: "deadline_exceeded", problem: "timeout" } }],
    });
    expect(tenant.record.syncs?.running).toBeNull();
  });

  test("that fails is an error of the spec, and is tried again an interval later", () => {
    const tenant = new SyncDriver().claimed(aBrief());
    tenant.now += MINUTE;
    tenant.tick();
    const failure = failed("save_failed", "no", { extra: { problem: "storage_missing" } });
    expect(tenant.synced(failure as never)).toMatchObject({ journal: [{ type: "tenant.sync_failed" }] });
    expect(tenant.state).toMatchObject({ lastSync: null, errors: [{ problem: "storage_missing" }] });
    expect(tenant.state?.dueAt).toBeGreaterThan(tenant.now);
  });

  test("of the state volume is a save: the generation it made is the tenant's", () => {
    const tenant = new SyncDriver().claimed(aBrief({ kind: "state" }));
    tenant.now += MINUTE;
    const began = tenant.now;
    tenant.tick();
    tenant.now += 1_000;
    tenant.synced(ran({ generation: committed.value.generation, fingerprint: null }), true);
    expect(tenant.record).toMatchObject({ generation: 1, lastSaveAt: began, unsavedSince: began });
  });

  test("that the registry changed counts from when that is known", () => {
    const tenant = new SyncDriver().claimed(aBrief());
    tenant.now += MINUTE / 2;
    const observation = {
      state: "assigned",
      alive: true,
      tenantId: tenant.record.tenantId,
      epoch: tenant.record.epoch,
      lastActivityAt: tenant.now,
      openRequests: 0,
      health,
    } as const;
    const containerId = tenant.record.held?.containerId as never;
    tenant.send({ type: "observed", containerId, observation, specs: [aBrief({ version: 2, intervalMs: 30_000 })] });
    expect(tenant.state?.dueAt).toBe(tenant.now + 30_000);
    tenant.send({ type: "observed", containerId, observation, specs: [] });
    expect(tenant.record.syncs).toMatchObject({ specs: [], states: {} });
  });

  test("several due at once come one after the other", () => {
    const tenant = new SyncDriver().claimed(aBrief(), aBrief({ id: "other" }));
    tenant.now += MINUTE;
    tenant.tick();
    const first = tenant.sync.spec.id;
    tenant.tick(true);
    expect(tenant.steps.filter((step) => step.do === "sync")).toEqual([]);
    tenant.tick(false);
    tenant.synced();
    tenant.tick();
    expect(tenant.sync.spec.id).not.toBe(first);
  });
});

describe("before a container is left", () => {
  const leaving = (...specs: SpecBrief[]) => {
    const tenant = new SyncDriver().claimed(...specs);
    tenant.send({ type: "release", request: {} });
    tenant.answer("quiesce", { type: "quiesced", busy: false, failure: null, specs });
    return tenant;
  };

  test("the state is saved, then each spec is synchronised, then it goes", () => {
    const tenant = leaving(
      aBrief(),
      aBrief({ id: "two" }),
      aBrief({ id: "in", outward: false }),
      aBrief({ id: "quiet", onRelease: false }),
    );
    tenant.answer("save", { type: "saved", outcome: committed });
    expect(tenant.sync).toMatchObject({ why: "release", way: "up", spec: { id: "spec" } });
    expect(tenant.record.state).toBe("releasing");
    tenant.synced();
    expect(tenant.sync.spec.id).toBe("two");
    const planned = tenant.synced();
    expect(tenant.record).toMatchObject({ state: "idle", generation: 1, held: null });
    expect(planned).toMatchObject({ ended: { status: "succeeded", result: { saved: { generation: 1 } } } });
  });

  test("a sync that fails keeps it, and everything is tried again by the same save", () => {
    const tenant = leaving(aBrief());
    const save = tenant.steps.find((step) => step.do === "save");
    tenant.answer("save", { type: "saved", outcome: committed });
    tenant.synced(failed("save_failed", "no") as never);
    expect(tenant.record).toMatchObject({ state: "release_failed", hold: { kind: "retry" } });
    tenant.now += 1_000;
    tenant.tick();
    tenant.answer("quiesce", { type: "quiesced", busy: false, failure: null, specs: [aBrief()] });
    expect(tenant.steps.find((step) => step.do === "save")).toMatchObject({
      saveId: (save as { saveId: string }).saveId,
    });
    tenant.answer("save", { type: "saved", outcome: committed });
    tenant.synced();
    expect(tenant.record.state).toBe("idle");
  });

  test("a container that dies after its state was saved has lost nothing of it", () => {
    const tenant = leaving(aBrief());
    tenant.answer("save", { type: "saved", outcome: committed });
    tenant.synced(failed("container_unavailable", "gone") as never);
    expect(tenant.record).toMatchObject({ state: "idle", generation: 1, lastLoss: null });
  });

  test("what an admin gives up is not synchronised either", () => {
    const tenant = new SyncDriver().claimed(aBrief());
    tenant.send({ type: "release", request: { sync: false } });
    tenant.answer("quiesce", { type: "quiesced", busy: false, failure: null, specs: [aBrief()] });
    expect(tenant.record.state).toBe("idle");
  });

  test("a guard is accepted with the force that comes with a release", () => {
    const tenant = leaving(aBrief());
    tenant.answer("save", { type: "saved", outcome: committed });
    tenant.synced(failed("guard_blocked", "no") as never);
    expect(tenant.record).toMatchObject({ state: "release_failed", hold: { kind: "guard" } });
    tenant.send({ type: "release", request: { force: true } });
    tenant.answer("quiesce", { type: "quiesced", busy: false, failure: null, specs: [aBrief()] });
    tenant.answer("save", { type: "saved", outcome: committed });
    expect(tenant.sync.force).toBe(true);
  });
});

describe("by hand", () => {
  const asked = (
    tenant: SyncDriver,
    spec?: string,
    direction: "outward" | "inward" | "both" = "both",
    specs = [aBrief()],
  ) => tenant.send({ type: "act", action: { kind: "sync", direction, specs, ...(spec ? { spec } : {}) }, by });

  test("one spec is synchronised as an operation", () => {
    const tenant = new SyncDriver().claimed(aBrief());
    asked(tenant, "spec");
    expect(tenant.record.operation).toMatchObject({ kind: "sync", spec: { id: "spec" } });
    expect(tenant.sync).toMatchObject({ why: "manual", way: "both" });
    const planned = tenant.synced();
    expect(planned).toMatchObject({
      ended: { status: "succeeded", result: { synced: [{ specId: "spec", files: 1 }] } },
    });
    expect(tenant.record).toMatchObject({ state: "active", operation: null });
  });

  test("the same is joined, another is in its way", () => {
    const tenant = new SyncDriver().claimed(aBrief(), aBrief({ id: "other" }));
    const specs = [aBrief(), aBrief({ id: "other" })];
    asked(tenant, "spec", "both", specs);
    expect(asked(tenant, "spec", "both", specs)).toMatchObject({ kind: "wait" });
    expect(asked(tenant, "other", "both", specs)).toMatchObject({
      kind: "refuse",
      failure: { code: "operation_in_progress" },
    });
    expect(asked(tenant, undefined, "both", specs)).toMatchObject({ kind: "refuse" });
  });

  test("is refused while an interval's runs", () => {
    const tenant = new SyncDriver().claimed(aBrief());
    tenant.now += MINUTE;
    tenant.tick();
    expect(asked(tenant, "spec")).toMatchObject({ kind: "refuse", failure: { code: "operation_in_progress" } });
  });

  test("the tenant's own sync saves the state, then the specs that allow it", () => {
    const specs = [aBrief(), aBrief({ id: "not", manual: false }), aBrief({ id: "state", kind: "state" })];
    const tenant = new SyncDriver().claimed(...specs);
    asked(tenant, undefined, "outward", specs);
    tenant.answer("save", { type: "saved", outcome: committed });
    expect(tenant.sync).toMatchObject({ spec: { id: "spec" }, way: "up" });
    expect(tenant.synced()).toMatchObject({
      ended: { result: { saved: { generation: 1 }, synced: [{ specId: "spec" }] } },
    });
  });

  test("of an unknown spec is not_found; of a tenant without a container there is nothing to do", () => {
    const tenant = new SyncDriver().claimed(aBrief());
    expect(asked(tenant, "none")).toMatchObject({ kind: "refuse", failure: { code: "not_found" } });
    expect(asked(new SyncDriver(), "spec")).toMatchObject({ kind: "go", steps: [] });
  });

  test("is cancelled where it is an operation of its own, and not where it is a part of a release", () => {
    const tenant = new SyncDriver().claimed(aBrief());
    expect(tenant.send({ type: "cancel_sync", specId: "spec" })).toMatchObject({ failure: { code: "not_found" } });
    asked(tenant, "spec");
    const { runId } = tenant.sync;
    const event = { type: "synced", runId, specId: "spec", isState: false } as const;
    expect(tenant.send({ type: "cancel_sync", specId: "spec" })).toMatchObject({ steps: [{ do: "cancel", runId }] });
    const outcome = failed("operation_interrupted", "cancelled", { extra: { cancelled: true } });
    expect(tenant.send({ ...event, outcome })).toMatchObject({
      ended: { status: "cancelled" },
      synced: [{ result: "cancelled" }],
    });
    tenant.send({ type: "release", request: {} });
    tenant.answer("quiesce", { type: "quiesced", busy: false, failure: null, specs: [aBrief()] });
    tenant.answer("save", { type: "saved", outcome: committed });
    expect(tenant.send({ type: "cancel_sync", specId: "spec" })).toMatchObject({
      failure: { code: "operation_in_progress" },
    });
  });
});

describe("what is to be erased", () => {
  test("are the vaults of all specs that ever were the tenant's", () => {
    const tenant = new SyncDriver().claimed(aBrief({ kind: "vault", id: "one" }), aBrief({ kind: "state", id: "two" }));
    tenant.send({ type: "release", request: {} });
    tenant.answer("quiesce", {
      type: "quiesced",
      busy: false,
      failure: null,
      specs: [aBrief({ kind: "vault", id: "three" })],
    });
    expect(tenant.record.syncs?.used).toEqual(["one", "three"]);
  });
});

describe("a claim", () => {
  test("says what specs brought, in their history and in the tenant's status", () => {
    const tenant = new SyncDriver();
    tenant.send({ type: "claim", poolId: pool, delivery: null, allowFresh: false });
    tenant.answer("lease", { type: "leased", lease: lease(1) });
    const fetched = [{ runId: "r", specId: "spec", startedAt: 900, endedAt: 950, ran: ran({ files: 3 }) }].map(
      (one) => ({
        ...one,
        ran: one.ran.ok ? one.ran.value : null,
      }),
    );
    const assigned = { restored: null, timings: {}, fetched };
    const planned = tenant.answer("assign", {
      type: "assigned",
      lease: lease(1),
      assigned,
      fingerprint: "",
      timings: {},
      specs: [aBrief()],
    });
    expect(planned).toMatchObject({ synced: [{ why: "claim", way: "down", totals: { files: 3, durationMs: 50 } }] });
    expect(statusOf(tenant.record, 0).syncStatus).toMatchObject({ lastSync: 950, errors: [] });
    tenant.now += MINUTE;
    tenant.tick();
    tenant.synced(failed("save_failed", "no", { extra: { problem: "network_error" } }) as never);
    expect(statusOf(tenant.record, 0).syncStatus.errors).toMatchObject([{ code: "save_failed" }]);
    expect(savesOf(tenant.record)).toMatchObject({ lastSync: null, errors: [] });
  });
});
