import { describe, expect, it } from "vitest";
import { type ContainerId, epoch, type PoolId, type TenantId } from "../../src/ids.ts";
import { noteFiles } from "../../src/tenant/plan-files.ts";
import { type Held, newTenant, type TenantRecord } from "../../src/tenant/record.ts";
import type { TenantState } from "../../src/tenant/vocabulary.ts";

const NOW = 1_000_000;
const held: Held = {
  containerId: "c-1" as ContainerId,
  poolId: "demo" as PoolId,
  epoch: epoch(1),
  port: 8080,
  tier: "lite",
  hasState: true,
  launch: "warm",
  idleTimeoutMs: 900_000,
  since: 0,
  restored: null,
  timings: {},
};
const tenant = (state: TenantState, more: Partial<TenantRecord> = {}): TenantRecord => ({
  ...newTenant("alice" as TenantId, 0),
  state,
  lastActivityAt: 1,
  ...more,
});
const write = { kind: "write" as const, paths: ["a"] };

describe("a note that files are about to be changed", () => {
  it("leaves the state unsaved, is activity, and is recorded with the path", () => {
    const planned = noteFiles(tenant("active", { held }), write, NOW);
    expect(planned).toMatchObject({
      kind: "go",
      record: { unsavedSince: NOW, lastActivityAt: NOW, held },
      steps: [],
      journal: [{ type: "tenant.file_written", detail: { path: "a" } }],
    });
  });

  it("keeps since when the state was unsaved before, and a later activity", () => {
    const planned = noteFiles(tenant("active", { held, unsavedSince: 5, lastActivityAt: NOW + 1 }), write, NOW);
    expect(planned).toMatchObject({ record: { unsavedSince: 5, lastActivityAt: NOW + 1 } });
  });

  it("leaves nothing unsaved where nothing is saved", () => {
    const planned = noteFiles(tenant("active", { held: { ...held, hasState: false } }), write, NOW);
    expect(planned).toMatchObject({ kind: "go", record: { unsavedSince: null } });
  });

  it("of a batch names all of its paths; a removal has a word of its own", () => {
    const active = tenant("active", { held });
    expect(noteFiles(active, { kind: "batch", paths: ["a", "b"] }, NOW)).toMatchObject({
      journal: [{ type: "tenant.files_changed", detail: { paths: ["a", "b"] } }],
    });
    expect(noteFiles(active, { kind: "delete", paths: ["a"] }, NOW)).toMatchObject({
      journal: [{ type: "tenant.file_deleted", detail: { path: "a" } }],
    });
  });

  it.each([
    ["asleep", "not_running"],
    ["idle", "not_running"],
    ["suspended", "not_running"],
    ["error", "not_running"],
    ["release_failed", "not_running"],
    ["destroyed", "not_running"],
    ["waking", "starting"],
    ["claiming", "starting"],
    ["recovering", "starting"],
    ["sleeping", "operation_in_progress"],
    ["releasing", "operation_in_progress"],
    ["saving", "operation_in_progress"],
    ["destroying", "operation_in_progress"],
  ] as const)("is refused while the tenant is %s: %s", (state, code) => {
    const container = state === "release_failed" || state === "saving" ? { held } : {};
    expect(noteFiles(tenant(state, container), write, NOW)).toMatchObject({ kind: "refuse", failure: { code } });
  });
});
