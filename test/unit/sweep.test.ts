import { describe, expect, it } from "vitest";
import { SYSTEM } from "../../src/auth/principal.ts";
import { foldersUnder } from "../../src/sweep/bucket.ts";
import { sweepDue } from "../../src/sweep/due.ts";
import { sweepLeases } from "../../src/sweep/leases.ts";
import { sweepPrefixes } from "../../src/sweep/prefixes.ts";
import { sweepPage } from "../../src/sweep/sweep.ts";
import type { Mode, Sweep } from "../../src/sweep/types.ts";
import { sweepVaults } from "../../src/sweep/vaults.ts";
import { examine } from "../../src/sweep/verdict.ts";
import { fakeEnv, unreachable } from "../support/fake-objects.ts";

const NOW = Date.UTC(2026, 10, 26);
const HOUR = 3_600_000;
const sweeping = (env: Env, mode: Mode = "mend"): Sweep => ({ env, mode, limit: 100, now: NOW, by: SYSTEM });

describe("a sweep", () => {
  const things = ["gone", "kept", "stuck", "silent", "well"].map((id) => ({ id, thing: id }));
  const judge = async (id: string) => {
    if (id === "silent") return unreachable();
    if (id === "well") return null;
    return id === "kept" ? { orphan: "it is nobody's", but: "it is young" } : { orphan: "it is nobody's" };
  };
  const ids = (found: { id: string }[]) => found.map(({ id }) => id);

  it("says of everything that it found whether it went, and why not; what does not answer is named, and left", async () => {
    const part = await examine(sweeping(fakeEnv({})), "pools", things, judge, async (id) => id !== "stuck");
    expect([part.checked, ids(part.found), ids(part.removed)]).toEqual([5, ["gone", "kept", "stuck"], ["gone"]]);
    expect(part.skipped.map(({ id, reason }) => [id, reason])).toEqual([
      ["kept", "it is young"],
      ["stuck", "it could not be removed; the next sweep tries again"],
    ]);
    expect(ids(part.failed)).toEqual(["silent"]);
  });

  it("that only looks removes nothing", async () => {
    const part = await examine(sweeping(fakeEnv({}), "look"), "pools", things, judge, unreachable);
    expect([ids(part.found), ids(part.removed), ids(part.failed)]).toEqual([["gone", "kept", "stuck"], [], ["silent"]]);
  });
});

describe("a tenant that is past due", () => {
  it("of which only D1 knows is made anew; what is no tenant's id is passed over", async () => {
    const touched: string[] = [];
    const env = fakeEnv({
      rows: () => [{ tenant_id: "lost" }, { tenant_id: "Not An Id" }],
      objects: {
        TENANT: (name) => ({
          touch: async (mode: Mode) => {
            touched.push(`${name} ${mode}`);
            return mode === "look" ? null : { state: "asleep", alarm: "none" };
          },
        }),
      },
    });
    const part = await sweepDue(sweeping(env), "");
    expect(part.removed).toEqual([expect.objectContaining({ id: "lost" })]);
    expect(touched).toEqual(["lost look", "lost mend"]);
  });
});

describe("an admission that no pool has", () => {
  const leased = { containerId: "c-1", poolId: "demo", tier: "lite", at: NOW - 2 * HOUR };
  const asked = (pool: object, instance: object) =>
    fakeEnv({
      objects: { FLEET: () => ({ leases: async () => [leased] }), POOL: () => pool, INSTANCE: () => instance },
    });
  const empty = { containers: async () => ({ ok: true, value: [] }), describe: async () => ({ ok: true }) };

  it("stays where its container says that it serves somebody", async () => {
    const env = asked(empty, { observe: async () => ({ tenantId: "alice" }) });
    const part = await sweepLeases(sweeping(env), "");
    expect(part.skipped).toEqual([expect.objectContaining({ id: "c-1", reason: "it says that it serves alice" })]);
    expect(part.removed).toEqual([]);
  });

  it("stays while its pool does not answer", async () => {
    const env = asked({ containers: unreachable }, { observe: async () => ({ tenantId: null }) });
    const part = await sweepLeases(sweeping(env), "");
    expect([part.removed, part.failed.map(({ id }) => id)]).toEqual([[], ["c-1"]]);
  });
});

describe("a folder in R2", () => {
  it("that is no tenant's is told and never touched", async () => {
    const bucket = { list: async () => ({ delimitedPrefixes: ["tenants/NOT ONE/"], truncated: false }) };
    const part = await sweepPrefixes(sweeping(fakeEnv({ bucket })), "");
    expect(part.found).toEqual(part.skipped.map(({ reason: _, ...finding }) => finding));
    expect([part.found.length, part.removed]).toEqual([1, []]);
  });

  it("is not judged while D1 does not say whose it is: the sweep says so, and goes on with what comes next", async () => {
    const bucket = { list: async () => ({ delimitedPrefixes: ["tenants/alice/"], truncated: false }) };
    const page = await sweepPage(sweeping(fakeEnv({ bucket, rows: unreachable })), { of: "prefixes", after: "" });
    expect([page.found, page.failed.map(({ id }) => id), page.next?.of]).toEqual([[], ["prefixes"], "domains"]);
  });

  it("is found however many there are before it", async () => {
    const pages = [["a", "b"], ["c"]];
    const list = async ({ cursor }: { cursor?: string }) => {
      const page = Number(cursor ?? 0);
      const delimitedPrefixes = (pages[page] ?? []).map((name) => `x/${name}/`);
      return page + 1 < pages.length
        ? { delimitedPrefixes, truncated: true, cursor: String(page + 1) }
        : { delimitedPrefixes, truncated: false };
    };
    expect(await foldersUnder({ list } as unknown as R2Bucket, "x/")).toEqual(["a", "b", "c"]);
  });
});

describe("a vault", () => {
  const bucket = {
    list: async ({ prefix }: { prefix: string }) => ({
      delimitedPrefixes: prefix.includes("alice") ? [`${prefix}notes/`] : [],
      truncated: false,
    }),
  };
  const rows = (sql: string) =>
    sql.includes("tenant_hosts") ? ["alice", "bob", "carol"].map((tenant_id) => ({ tenant_id })) : [];

  it("is checked with those of its sync specs; one that cannot be looked at keeps no other from it", async () => {
    const VAULT = (name: string) => ({
      fsck: async (cursor: string) => {
        if (name === "bob") return unreachable();
        if (name === "carol")
          return { ok: false, failure: { code: "operation_in_progress", detail: "It is rebuilt." } };
        const problems =
          name === "alice" && cursor === "listing:"
            ? [
                { what: "orphan", detail: "o1 is nobody's", repaired: true },
                { what: "missing", detail: "o2 is not there", repaired: false },
              ]
            : [];
        return { ok: true, value: { problems, next: problems.length > 0 ? "listing:o2" : null } };
      },
    });
    const part = await sweepVaults(sweeping(fakeEnv({ bucket, rows, objects: { VAULT } })), "");
    expect(part.checked).toBe(4); // alice, her spec, bob, carol
    expect(part.removed.map(({ detail }) => detail)).toEqual(["o1 is nobody's"]);
    expect(part.skipped.map(({ detail }) => detail)).toEqual(["o2 is not there"]);
    expect(part.failed.map(({ id }) => id).sort()).toEqual(["bob", "carol"]);
  });
});
