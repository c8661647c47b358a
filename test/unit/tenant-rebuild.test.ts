import { describe, expect, it } from "vitest";
import type { ContainerId, Epoch, PoolId, TenantId } from "../../src/ids.ts";
import { type Known, rebuiltFrom } from "../../src/tenant/rebuild.ts";
import type { Desired, TenantState } from "../../src/tenant/vocabulary.ts";

const NOW = 1_000_000;

function known(
  state: TenantState,
  desired: Desired,
  more: Partial<Omit<Known, "row">> & { row?: Partial<Known["row"]> },
) {
  const row: Known["row"] = {
    state,
    desired,
    pool_id: "demo" as PoolId,
    container_id: "c-1" as ContainerId,
    epoch: 4,
    generation: 2,
    unsaved_since: null,
    last_activity_at: 900_000,
    created_at: 1,
    ...more.row,
  };
  const base = { tenantId: "alice" as TenantId, rest: null, vault: { epoch: 3, head: 2, isEmpty: false }, slot: null };
  return rebuiltFrom({ ...base, ...more, row }, "save-1", NOW);
}
const slot: NonNullable<Known["slot"]> = {
  containerId: "c-1" as ContainerId,
  epoch: 4 as Epoch,
  tier: "lite",
  workloadVersion: 1,
  startedAt: 800_000,
  port: 8080,
  hasState: true,
  idleTimeoutMs: 60_000,
};
const standing = (record: ReturnType<typeof rebuiltFrom>) => [record.state, record.desired];

const REST = {
  tier: null,
  lifecycle: { mode: "on-demand" as const },
  tokenVersion: 3,
  configVersion: 0,
  secretsVersion: 0,
};

describe("a record that was lost", () => {
  it("begins under an epoch that none before it had, where no container goes on", () => {
    expect(known("active", "active", {}).epoch).toBe(5);
    expect(known("active", "active", { vault: { epoch: 9, head: 2, isEmpty: false } }).epoch).toBe(10);
    expect(known("active", "active", { slot }).epoch).toBe(4);
  });

  it("keeps the container that its pool says serves it, and ends one that nobody vouches for", () => {
    expect(known("active", "active", { slot })).toMatchObject({
      state: "active",
      held: { containerId: "c-1" },
      retiring: [],
    });
    expect(known("active", "active", {})).toMatchObject({
      state: "asleep",
      held: null,
      retiring: [{ containerId: "c-1" }],
    });
  });

  it("saves what was being left: a release stays one, and so does a sleep", () => {
    expect(known("releasing", "idle", { slot }).hold).toMatchObject({ kind: "retry", of: "release", saveId: "save-1" });
    expect(known("sleeping", "asleep", { slot }).hold).toMatchObject({ kind: "retry", of: "sleep" });
    expect(standing(known("releasing", "idle", { slot }))).toEqual(["release_failed", "idle"]);
  });

  it("of which nothing is in flight any more goes on where it was to come to", () => {
    expect(standing(known("claiming", "active", {}))).toEqual(["asleep", "asleep"]);
    expect(standing(known("releasing", "idle", {}))).toEqual(["idle", "idle"]);
    expect(standing(known("suspended", "asleep", {}))).toEqual(["suspended", "asleep"]);
    expect(standing(known("error", "active", {}))).toEqual(["error", "active"]);
  });

  it("whose vault has nothing any more starts nothing, and says what is missing", () => {
    const record = known("asleep", "asleep", { vault: { epoch: 0, head: null, isEmpty: true } });
    expect(record).toMatchObject({ state: "error", generation: 2, missing: { at: NOW, generation: 2 } });
  });

  it("goes on with a destruction, of all its parts, and of what it was to delete", () => {
    const begun = known("destroying", "destroyed", {
      rest: { ...REST, destruction: { data: "delete", dataUntil: null } },
    });
    expect(begun.destruction).toMatchObject({
      data: "delete",
      parts: { state: { done: false }, keys: { done: false } },
    });
    expect(known("destroying", "destroyed", {}).destruction?.data).toBe("keep"); // where nobody says, nothing is deleted
    const over = known("destroyed", "destroyed", { vault: { epoch: 0, head: null, isEmpty: true } });
    expect([over.state, over.missing, over.destruction?.parts]).toEqual(["destroyed", undefined, undefined]);
  });

  it("asks for the config and the secrets that only it had", () => {
    const rest = { ...REST, configVersion: 2, secretsVersion: 1 };
    expect(known("asleep", "asleep", { rest }).rebuilt?.needs).toEqual(["config", "secrets"]);
    expect(known("asleep", "asleep", {}).rebuilt?.needs).toEqual([]);
  });

  it("ends every token and session where it is not known which of them hold", () => {
    expect(known("asleep", "asleep", { rest: REST }).tokenVersion).toBe(3);
    expect(known("asleep", "asleep", {}).tokenVersion).toBe(2);
  });
});
