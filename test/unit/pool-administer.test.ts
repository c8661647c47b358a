import { describe, expect, it } from "vitest";
import { CHAIN_START } from "../../src/audit/entry.ts";
import { SYSTEM } from "../../src/auth/principal.ts";
import { type ContainerId, epoch, type PoolId, type TenantId } from "../../src/ids.ts";
import { breakerReset, configured, deleted, drained, paused, removed, scaled } from "../../src/pool/administer.ts";
import { deletionView } from "../../src/pool/deletion.ts";
import { deletionId, poolOfOperation } from "../../src/pool/operation-id.ts";
import { newPool, type PoolRecord, readRecord, readSlot, type Slot, workloadOf } from "../../src/pool/record.ts";
import { poolSchema, workloadSchema } from "../../src/registry/specs.ts";

const by = { actor: "key:1", requestId: "r-1" };
const aSpec = (spec: object = {}) =>
  poolSchema.parse({ id: "demo", workloadId: "sandbox", minSize: 1, maxSize: 4, ...spec });
const aWorkload = (more: object = {}) => workloadSchema.parse({ id: "sandbox", image: "sandbox", ...more });
const aPool = (more: Partial<PoolRecord> = {}): PoolRecord => ({ ...newPool(aSpec(), aWorkload(), 1), ...more });
const aSlot = (n: number, tenant: string | null = null): Slot => ({
  containerId: `c-${n}` as ContainerId,
  state: tenant ? "assigned" : "warm",
  tier: "lite",
  workloadVersion: 1,
  startedAt: n,
  startMs: 1,
  since: n,
  lease: tenant ? { tenantId: tenant as TenantId, epoch: epoch(1), launch: "warm", confirmBy: null } : null,
});
const value = <T>(outcome: { ok: true; value: T } | { ok: false; failure: unknown }): T => {
  if (!outcome.ok) throw new Error(JSON.stringify(outcome.failure));
  return outcome.value;
};
const configure = (before: PoolRecord | null, spec: object = {}, workloadVersion = 1, slots: Slot[] = []) =>
  configured(before, slots, { spec: aSpec(spec), workload: aWorkload(), workloadVersion }, by, 9);

describe("a configuration", () => {
  it("creates the pool once, with who did it and what came of it", () => {
    const { record, entries } = value(configure(null));
    expect(record).toMatchObject({ id: "demo", target: null, paused: false });
    expect(entries).toMatchObject([
      { action: "pool.created", subject: "pool:demo", actor: "key:1", requestId: "r-1", before: null },
    ]);
    expect(entries[0]?.after).toMatch(/^[0-9a-f]{64}$/);
    expect(entries[0]?.after).not.toBe(CHAIN_START);
    expect(value(configure(record))).toEqual({ record, entries: [] });
  });

  it("that changes the sizes ends the target, one that does not keeps it", () => {
    const scaledPool = aPool({ target: 3 });
    expect(value(configure(scaledPool, { maxSize: 5 })).record.target).toBeNull();
    expect(value(configure(scaledPool, { idleTimeoutMs: 5_000 })).record.target).toBe(3);
  });

  it("never brings back an earlier version of the workload, and keeps those that slots run", () => {
    const before = aPool({ workloadVersion: 2, breaker: { openedAt: 1, retryAt: 2, opened: 1 } });
    expect(value(configure(before, {}, 1)).record).toBe(before);
    const next = value(configure(before, {}, 3, [{ ...aSlot(1), workloadVersion: 2 }])).record;
    expect(next).toMatchObject({ workloadVersion: 3, breaker: null, earlier: [{ version: 2 }] });
    expect(value(configure(next, {}, 4, [])).record.earlier).toEqual([]);
  });

  it("gives what is started now its chance at once, where that is something else than what failed", () => {
    const failures = { count: 5, recent: [], successes: 0, detail: "no such size", notBefore: 99 };
    const before = aPool({ failures, breaker: { openedAt: 1, retryAt: 2, opened: 1, reason: "permanent" } });
    for (const spec of [{ tier: "basic" }, { network: { name: "open" } }]) {
      const { record, entries } = value(configure(before, spec));
      expect(record).toMatchObject({ failures: null, breaker: null });
      expect(entries.map(({ action }) => action)).toEqual(["pool.updated", "alert.cleared"]);
    }
    expect(value(configure(before, { maxSize: 9 })).record.breaker).not.toBeNull();
  });

  it("that the registry replaced already changes nothing, and none of a life that ended begins another", () => {
    const told = (before: PoolRecord | null, version: number, createdAt: number, maxSize: number) => {
      const registered = { version, createdAt };
      const given = { spec: aSpec({ maxSize }), workload: aWorkload(), workloadVersion: 1, registered };
      return configured(before, [], given, by, 9);
    };
    const third = value(told(value(told(null, 1, 100, 4)).record, 3, 100, 9)).record;
    expect(third).toMatchObject({ spec: { maxSize: 9 }, registered: { version: 3, createdAt: 100 } });
    expect(value(told(third, 2, 100, 7))).toEqual({ record: third, entries: [] });
    expect(value(told(aPool(), 2, 100, 7)).record.spec.maxSize).toBe(7); // a record from before versions were kept
    const draining = value(drained(third, [], "refuse", "pop-1", by, 1)).record;
    const gone = draining.drain ? deleted(draining, draining.drain, 2).record : draining;
    expect(told(gone, 3, 100, 9)).toMatchObject({ ok: false, failure: { extra: { refused: "pool_draining" } } });
    expect(value(told(gone, 1, 200, 5)).record).toMatchObject({ spec: { maxSize: 5 }, drain: null });
  });

  it("of another workload, or of a pool that is being deleted, is refused", () => {
    expect(configure(aPool(), { workloadId: "other" })).toMatchObject({ ok: false, failure: { code: "invalid" } });
    const draining = value(drained(aPool(), [aSlot(1)], "refuse", "pop-1", by, 1)).record;
    expect(configure(draining)).toMatchObject({ ok: false, failure: { code: "invalid_transition" } });
  });

  it("of a deleted pool begins anew", () => {
    const draining = value(drained(aPool({ target: 2 }), [], "refuse", "pop-1", by, 1)).record;
    const gone = draining.drain && deleted(draining, draining.drain, 2).record;
    expect(value(configure(gone)).record).toMatchObject({ target: null, drain: null });
  });
});

describe("a scale", () => {
  it.each([
    [1, true],
    [3, true],
    [0, false],
    [4, false],
  ])("to %i of [minSize 1, maxSize 4 − 1 claimed] is allowed: %s", (target, allowed) => {
    expect(scaled(aPool(), [aSlot(1, "alice"), aSlot(2)], target, by, 9).ok).toBe(allowed);
  });

  it("is recorded with from and to", () => {
    const { entries } = value(scaled(aPool({ target: 2 }), [], 3, by, 9));
    expect(entries).toMatchObject([{ action: "pool.scaled", detail: { from: 2, to: 3 } }]);
    expect(entries[0]?.before).not.toBe(entries[0]?.after);
  });
});

describe("a deletion", () => {
  it("is refused with the names of those who hold containers, unless they are to be released", () => {
    const slots = [aSlot(1, "bob"), aSlot(2, "alice"), aSlot(3)];
    expect(drained(aPool(), slots, "refuse", "pop-1", by, 1)).toMatchObject({
      ok: false,
      failure: { code: "in_use", extra: { usedBy: ["tenant:alice", "tenant:bob"] } },
    });
    expect(value(drained(aPool(), slots, "release", "pop-1", by, 1)).record.drain).toMatchObject({ releases: true });
  });

  it("asked for again is the same one, and asks again for the releases that failed only by force", () => {
    const { record } = value(drained(aPool(), [], "release", "pop-1", by, 1));
    const failed = [{ tenantId: "alice" as TenantId, code: "guard_blocked" as const, detail: "" }];
    const stuck = { ...record, drain: record.drain && { ...record.drain, failed } };
    expect(value(drained(stuck, [aSlot(1, "alice")], "refuse", "pop-2", by, 2))).toEqual({
      record: stuck,
      entries: [],
    });
    const again = value(drained(stuck, [aSlot(1, "alice")], "release", "pop-2", by, 2));
    expect(again.record.drain).toMatchObject({ operationId: "pop-1", startedAt: 1, failed: [] });
    expect(deletionView(stuck, [aSlot(1, "alice")])?.status).toBe("failed");
    expect(deletionView(stuck, [aSlot(1, "alice"), aSlot(2)])?.status).toBe("running");
    expect(deletionView(stuck, [])?.status).toBe("running");
  });

  it("has an operation whose id names the pool", () => {
    const id = deletionId("0".repeat(32), "demo" as PoolId);
    expect(poolOfOperation(id)).toBe("demo");
    expect(poolOfOperation("op-00.bmV2ZXI")).toBeNull();
    expect(poolOfOperation(`pop-${"0".repeat(32)}.Not_A_Slug`)).toBeNull();
  });
});

describe("a removal", () => {
  it("of a container that serves a tenant needs force, and is recorded once", () => {
    expect(removed(aPool(), aSlot(1, "alice"), "refuse", by, 9)).toMatchObject({
      ok: false,
      failure: { code: "in_use", extra: { usedBy: ["tenant:alice"] } },
    });
    const forced = value(removed(aPool(), aSlot(1, "alice"), "give-up", by, 9));
    expect(forced.slots).toMatchObject([{ state: "draining", since: 9 }]);
    expect(forced.entries).toMatchObject([{ action: "container.removed", detail: { tenantId: "alice", force: true } }]);
    const again = { ...aSlot(1), state: "draining" as const };
    expect(value(removed(aPool(), again, "refuse", by, 9))).toEqual({ slots: [], entries: [] });
  });
});

describe("pausing and the breaker's reset", () => {
  it("are recorded also where nothing changes, since somebody did them", () => {
    expect(paused(aPool(), "paused", by, 9).entries).toMatchObject([{ action: "pool.paused" }]);
    expect(paused(aPool(), "running", by, 9).entries).toMatchObject([{ action: "pool.resumed" }]);
    expect(breakerReset(aPool(), SYSTEM, 9).entries).toMatchObject([{ detail: { failures: 0, wasOpen: false } }]);
  });
});

describe("what the first version stored", () => {
  it("is read as a pool and slots of today", () => {
    const stored = { version: 1 as const, spec: aSpec(), workload: aWorkload(), paused: true, claims: 3, hits: 2 };
    expect(readRecord(stored)).toEqual(aPool({ paused: true }));
    const { workloadVersion, startedAt, startMs, ...old } = aSlot(7);
    expect(readSlot(old as Slot)).toEqual({ ...aSlot(7), startMs: null });
  });
});

describe("a slot's workload", () => {
  it("is of its own version, on the pool's network", () => {
    const red = aWorkload({ environment: { COLOUR: "red" } });
    const pool = aPool({ workloadVersion: 2, earlier: [{ version: 1, workload: red }] });
    const of = (record: PoolRecord, workloadVersion: number, more: Partial<Slot> = {}) =>
      workloadOf(record, { ...aSlot(1), workloadVersion, ...more });
    expect(of(pool, 1).environment).toEqual({ COLOUR: "red" });
    expect(of(pool, 2).environment).toEqual({});
    const open = { ...pool, spec: aSpec({ network: { name: "open" } }) };
    expect([of(open, 1).network, of(open, 2).network]).toEqual(["open", "open"]);
    const started = [of(open, 2, { network: "none" }), of(open, 2, { network: null })];
    expect(started.map(({ network }) => network)).toEqual(["none", "restricted"]);
  });
});
