import { describe, expect, it, vi } from "vitest";
import { SYSTEM } from "../../src/auth/principal.ts";
import type { TenantId } from "../../src/ids.ts";
import { done, failed, type Outcome } from "../../src/outcome.ts";
import { rebuild } from "../../src/transfer/rebuild.ts";
import { fakeEnv, unreachable } from "../support/fake-objects.ts";

const alice = "alice" as TenantId;
const grant = { operation: { id: "op-1" }, save: { epoch: 7, saveId: "save-1" }, deadlineAt: Date.now() + 600_000 };
const page = (restored: number[], next: number | null) => done({ restored, problems: [], next, head: null });

/** A rebuild of alice's vault: what it comes to, and what her tenant is told. */
async function rebuilt(
  vault: object,
  { begin = done(grant) as Outcome<unknown>, end = done({}) as Outcome<unknown> } = {},
) {
  const told: Outcome<unknown>[] = [];
  const TENANT = () => ({
    beginImport: async () => begin,
    endImport: async (_: string, outcome: Outcome<unknown>) => {
      told.push(outcome);
      return end;
    },
  });
  const env = fakeEnv({ objects: { TENANT, VAULT: () => vault } });
  const outcome = await rebuild(env, alice, { discard: false, spec: undefined }, SYSTEM);
  return { outcome, told };
}
const codeOf = (outcome: Outcome<unknown> | undefined) => (outcome?.ok === false ? outcome.failure.code : "none");

describe("a rebuild of a vault", () => {
  const describe = async () => ({
    head: { generation: 3 },
    generations: [{ generation: 3, files: 2, bytes: 9, changed: 1, status: "head" }],
  });

  it("goes on page by page to its end, and the tenant is told its head", async () => {
    const pages = [page([1, 2], 2), page([3], null)];
    const asked: unknown[] = [];
    const answer = async (...call: unknown[]) => {
      asked.push(call);
      return pages.shift();
    };
    const { outcome, told } = await rebuilt({ rebuild: answer, describe });
    expect(outcome).toMatchObject({ ok: true, value: { restored: [1, 2, 3], head: { generation: 3, files: 2 } } });
    expect(asked).toEqual([
      [7, { after: null, discard: false }],
      [7, { after: 2, discard: false }],
    ]);
    expect(told).toEqual([done({ generation: 3, files: 2, bytes: 9, changed: 1 })]);
  });

  it("that its tenant does not allow touches no vault", async () => {
    const { outcome, told } = await rebuilt({}, { begin: failed("operation_in_progress", "It is claimed.") });
    expect([codeOf(outcome), told]).toEqual(["operation_in_progress", []]);
  });

  it("that breaks off, is refused, or finds nothing whole tells its tenant so, which is free again", async () => {
    for (const [vault, code] of [
      [{ rebuild: unreachable }, "operation_interrupted"],
      [{ rebuild: async () => failed("storage_unavailable", "R2") }, "storage_unavailable"],
      [{ rebuild: async () => page([], null), describe: async () => ({ head: null, generations: [] }) }, "not_found"],
    ] as const) {
      const { outcome, told } = await rebuilt(vault);
      expect([codeOf(outcome), told.map(codeOf)]).toEqual([code, [code]]);
    }
  });

  it("does not go on beyond its deadline", async () => {
    vi.spyOn(Date, "now").mockReturnValue(grant.deadlineAt + 1);
    const { outcome } = await rebuilt({ rebuild: unreachable });
    vi.restoreAllMocks();
    expect(codeOf(outcome)).toBe("deadline_exceeded");
  });

  it("is what its tenant says of it, where that was over before", async () => {
    const vault = { rebuild: async () => page([3], null), describe };
    const { outcome } = await rebuilt(vault, { end: failed("operation_interrupted", "Its time was over.") });
    expect(codeOf(outcome)).toBe("operation_interrupted");
  });
});
