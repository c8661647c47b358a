import { describe, expect, it } from "vitest";
import { SYSTEM } from "../../src/auth/principal.ts";
import { generation } from "../../src/ids.ts";
import type { ImportSource } from "../../src/tenant/requests.ts";
import { committed, Driver, ERASED, lease, limits, pool } from "../support/tenant-driver.ts";

const restore = (n: number, more: object = {}) =>
  ({ type: "act", action: { kind: "restore", generation: generation(n), ...more }, by: SYSTEM }) as const;
const made = {
  committed: { generation: generation(5), files: 2, bytes: 20, changed: 3 },
  from: { generation: generation(2), files: 2, bytes: 20 },
};
const asleep = (): Driver => {
  const tenant = new Driver().activate();
  tenant.send({ type: "act", action: { kind: "stop" }, by: SYSTEM });
  tenant.answer("quiesce", { type: "quiesced", busy: false, failure: null });
  tenant.answer("save", { type: "saved", outcome: committed });
  expect(tenant.record.state).toBe("asleep");
  return tenant;
};
const failedSave = { ok: false, failure: { code: "save_failed", detail: "network" } } as const;

describe("a restore of a tenant that runs", () => {
  it("saves first, restores under a new epoch, and goes on in a fresh container under yet another", () => {
    const tenant = new Driver().activate();
    tenant.send(restore(2));
    expect(tenant.record).toMatchObject({ state: "saving", epoch: 1, operation: { kind: "restore" } });
    tenant.answer("quiesce", { type: "quiesced", busy: false, failure: null });
    tenant.answer("save", { type: "saved", outcome: committed });
    expect(tenant.record).toMatchObject({ state: "waking", epoch: 2, held: null, generation: 1 });
    expect(tenant.steps.map((step) => step.do)).toEqual(["retire", "restore"]);
    tenant.answer("restore", { type: "restored", outcome: { ok: true, value: made } });
    expect(tenant.record).toMatchObject({ state: "waking", epoch: 3, generation: 5 });
    tenant.answer("lease", { type: "leased", lease: lease(2) });
    const planned = tenant.answer("assign", {
      type: "assigned",
      lease: lease(2),
      assigned: { restored: made.committed, timings: {} },
      fingerprint: "",
      timings: {},
    });
    expect(planned).toMatchObject({
      ended: {
        kind: "restore",
        status: "succeeded",
        result: {
          state: "active",
          containerId: "c-2",
          generation: 5,
          restored: { generation: 2 },
          saved: { generation: 1 },
        },
      },
    });
  });

  it("is stopped by a safety save that fails: the save is tried again, and then the tenant runs as it did", () => {
    const tenant = new Driver().activate();
    tenant.send(restore(2));
    tenant.answer("quiesce", { type: "quiesced", busy: false, failure: null });
    tenant.answer("save", { type: "saved", outcome: failedSave });
    expect(tenant.record).toMatchObject({ state: "release_failed", operation: null, held: { containerId: "c-1" } });
    tenant.now += 1_000;
    tenant.send({ type: "tick", running: false, syncing: false });
    tenant.answer("quiesce", { type: "quiesced", busy: false, failure: null });
    tenant.answer("save", { type: "saved", outcome: committed });
    expect(tenant.steps.map((step) => step.do)).toEqual(["retire", "lease"]);
    expect(tenant.record.operation).toMatchObject({ kind: "restart" });
  });

  it("goes on by force, and says what that cost", () => {
    const tenant = new Driver().activate();
    tenant.send(restore(2, { force: true }));
    tenant.answer("quiesce", { type: "quiesced", busy: false, failure: null });
    tenant.answer("save", { type: "saved", outcome: failedSave });
    expect(tenant.record).toMatchObject({ state: "waking", lastLoss: { containerId: "c-1" } });
    expect(tenant.steps.map((step) => step.do)).toEqual(["retire", "restore"]);
  });

  it("leaves the tenant asleep on what was saved when the vault refuses", () => {
    const tenant = new Driver().activate();
    tenant.send(restore(2));
    tenant.answer("quiesce", { type: "quiesced", busy: false, failure: null });
    tenant.answer("save", { type: "saved", outcome: committed });
    const gone = { ok: false, failure: { code: "not_found", detail: "" } };
    const planned = tenant.answer("restore", { type: "restored", outcome: gone });
    expect(planned).toMatchObject({ ended: { status: "failed", error: { code: "not_found" } } });
    expect(tenant.record).toMatchObject({ state: "asleep", operation: null, generation: 1, unsavedSince: null });
  });

  it("asks the vault again, three times at most, after an answer that got lost", () => {
    const tenant = asleep();
    tenant.send(restore(2));
    const lost = { ok: false, failure: { code: "operation_interrupted", detail: "" } };
    for (let attempt = 1; attempt <= 3; attempt += 1) tenant.answer("restore", { type: "restored", outcome: lost });
    expect(tenant.record).toMatchObject({ state: "asleep", operation: null, generation: 1, epoch: 2 });
  });
});

describe("a restore where nothing runs", () => {
  it("raises the epoch, starts nothing and stays where it was", () => {
    const tenant = asleep();
    tenant.send(restore(2));
    expect(tenant.record).toMatchObject({ state: "asleep", epoch: 2 });
    expect(tenant.steps).toMatchObject([{ do: "restore", epoch: 2, generation: 2 }]);
    const planned = tenant.answer("restore", { type: "restored", outcome: { ok: true, value: made } });
    expect(planned).toMatchObject({
      steps: [],
      ended: {
        status: "succeeded",
        result: { state: "asleep", generation: 5, restored: { generation: 2 }, saved: null },
      },
    });
    expect(tenant.record).toMatchObject({ state: "asleep", operation: null, generation: 5 });
  });

  it("is a way out of error: the next request wakes it", () => {
    const tenant = new Driver();
    tenant.send({ type: "claim", poolId: pool, delivery: null, allowFresh: false });
    tenant.answer("lease", { type: "start_failed", failure: { code: "restore_failed", detail: "" }, lease: null });
    tenant.send(restore(2));
    tenant.answer("restore", { type: "restored", outcome: { ok: true, value: made } });
    expect(tenant.record).toMatchObject({ state: "asleep", desired: "asleep" });
    tenant.send({ type: "wake" });
    expect(tenant.record.state).toBe("waking");
  });

  it("is joined by the same wish, refuses another, and a claim or a request waits for its end", () => {
    const tenant = asleep();
    tenant.send(restore(2));
    const id = tenant.record.operation?.id;
    expect(tenant.send(restore(2))).toMatchObject({ kind: "wait", operationId: id });
    expect(tenant.send(restore(1))).toMatchObject({ kind: "refuse", failure: { code: "operation_in_progress" } });
    for (const event of [
      { type: "claim", poolId: null, delivery: null, allowFresh: false } as const,
      { type: "wake" } as const,
      { type: "release", request: {} } as const,
    ]) {
      expect(tenant.send(event), event.type).toEqual({ kind: "wait", operationId: id, again: true });
    }
  });

  it("is gone on with by whoever finds it cut off", () => {
    const tenant = asleep();
    tenant.send(restore(2));
    tenant.send({ type: "tick", running: false, syncing: false });
    expect(tenant.steps).toContainEqual(expect.objectContaining({ do: "restore", epoch: 2 }));
  });
});

describe("an import", () => {
  let drawn = 0;
  const importing = (source: ImportSource, force = false) =>
    ({ type: "import", request: { source, force, token: `t-${++drawn}` } }) as const;
  const value = { generation: generation(1), files: 1, bytes: 1, changed: 1 };

  it("makes a tenant, holds it under an epoch of its own, and leaves it idle on what came", () => {
    const tenant = new Driver();
    tenant.send(importing({ kind: "tar" }));
    expect(tenant.record).toMatchObject({ state: "idle", epoch: 1, operation: { kind: "import" } });
    const operationId = tenant.record.operation?.id ?? "";
    const planned = tenant.send({ operationId, type: "imported", outcome: { ok: true, value } });
    expect(planned).toMatchObject({ ended: { status: "succeeded", result: { imported: { generation: 1 } } } });
    expect(tenant.record).toMatchObject({ state: "idle", operation: null, generation: 1 });
  });

  it("is the same one when it is asked for again by its token", () => {
    const tenant = new Driver();
    const event = importing({ kind: "tar" });
    tenant.send(event);
    const before = tenant.record;
    expect(tenant.send(event)).toMatchObject({ kind: "go", journal: [], steps: [] });
    expect(tenant.record).toBe(before);
  });

  it("is refused while there is a container, and beside anything else", () => {
    const tenant = new Driver().activate();
    expect(tenant.send(importing({ kind: "tar" }))).toMatchObject({ failure: { code: "invalid_transition" } });
    const other = asleep();
    other.send(importing({ kind: "tar" }));
    expect(other.send(importing({ kind: "tar" }))).toMatchObject({ failure: { code: "operation_in_progress" } });
  });

  it("of another tenant's state needs force where there is state", () => {
    const source = { kind: "clone" as const, tenantId: "bob" as never, generation: generation(1) };
    const tenant = asleep();
    expect(tenant.send(importing(source))).toMatchObject({
      failure: { code: "already_exists" },
    });
    expect(tenant.send(importing(source, true))).toMatchObject({ kind: "go" });
  });

  it("of which nobody tells the end is ended by the vault, under an epoch that shuts out its writer", () => {
    const tenant = new Driver();
    tenant.send(importing({ kind: "tar" }));
    const operationId = tenant.record.operation?.id ?? "";
    tenant.now += 60_000;
    tenant.send({ type: "tick", running: false, syncing: false });
    expect(tenant.steps).toEqual([]);
    tenant.now += limits.importMs;
    tenant.send({ type: "tick", running: false, syncing: false });
    expect(tenant.steps).toEqual([{ do: "conclude", operationId, epoch: 2, imported: 1 }]);
    // Without an answer it is asked again, and nothing else begins meanwhile.
    tenant.send({ type: "tick", running: false, syncing: false });
    expect(tenant.steps).toMatchObject([{ do: "conclude" }]);
    tenant.answer("conclude", { type: "imported", outcome: { ok: true, value } });
    expect(tenant.record).toMatchObject({ operation: null, generation: 1 });
    const before = tenant.record;
    tenant.send({
      operationId,
      type: "imported",
      outcome: { ok: true, value: { ...value, generation: generation(9) } },
    });
    expect(tenant.record).toBe(before);
  });

  it("of the vault itself is possible beside a container, which takes its next save to another epoch", () => {
    const tenant = new Driver().activate();
    const anew = { kind: "rebuild" } as const;
    expect(tenant.send(importing(anew, true))).toMatchObject({ failure: { code: "invalid_transition" } });
    tenant.send(importing(anew));
    expect(tenant.record).toMatchObject({ state: "active", epoch: 2, held: { epoch: 1 } });
    const operationId = tenant.record.operation?.id ?? "";
    tenant.send({ operationId, type: "imported", outcome: { ok: true, value } });
    expect(tenant.record).toMatchObject({
      state: "active",
      operation: null,
      generation: 1,
      held: { containerId: "c-1" },
    });
  });

  it("brings a destroyed tenant back, unless its data is being deleted", () => {
    const tenant = new Driver();
    tenant.send({ type: "act", action: { kind: "destroy", deleteData: true }, by: SYSTEM });
    expect(tenant.send(importing({ kind: "tar" }))).toMatchObject({ failure: { code: "operation_in_progress" } });
    tenant.confirmGone();
    expect(tenant.record.state).toBe("destroyed");
    tenant.send(importing({ kind: "tar" }));
    const operationId = tenant.record.operation?.id ?? "";
    tenant.send({ operationId, type: "imported", outcome: { ok: true, value } });
    expect(tenant.record).toMatchObject({ state: "idle", desired: "idle", destruction: null, generation: 1 });
  });

  it("is cut off by a destruction, which shuts its writer out and keeps what it may have saved", () => {
    const tenant = new Driver();
    tenant.send(importing({ kind: "tar" }));
    tenant.send({ type: "act", action: { kind: "destroy", deleteData: false }, by: SYSTEM });
    expect(tenant.steps).toMatchObject([
      { do: "conclude", epoch: 2, imported: 1 },
      { do: "withdraw", part: "domains" },
      { do: "withdraw", part: "keys" },
      { do: "withdraw", part: "container" },
      { do: "settle" },
    ]);
    tenant.confirmGone();
    expect(tenant.record).toMatchObject({
      state: "destroyed",
      destruction: { data: "keep", dataUntil: 2_592_001_000 },
    });
  });
});

describe("an erasure", () => {
  it("is recorded with its proof, once", () => {
    const tenant = asleep();
    tenant.send({ type: "act", action: { kind: "destroy", deleteData: true }, by: SYSTEM });
    expect(tenant.confirmGone()).toMatchObject({
      journal: [{ type: "tenant.destroyed", detail: { erased: ERASED } }],
      ended: { result: { erased: ERASED } },
    });
    expect(tenant.send({ type: "settled" })).toMatchObject({ journal: [] });
  });
});
