import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { epoch, generation } from "../../src/ids.ts";
import { decided, type SaveEvent, type SaveState, after as stateAfter } from "../../src/vault/lifecycle.ts";
import { planCommit, planFence, planSend, refusal, shrank, type VaultRecord } from "../../src/vault/plan.ts";
import { KEEP, type Kept, needed, retained } from "../../src/vault/retention.ts";
import type { ManifestEntry } from "../../src/vault/types.ts";
import { aFile, aTree, listed } from "../support/vault-trees.ts";

const none = 0 as const;
const aRecord = (over: Partial<VaultRecord> = {}): VaultRecord => ({
  epoch: epoch(5),
  incarnation: "c-a",
  base: generation(3),
  head: generation(4),
  last: 4,
  ...over,
});

describe("a save's lifecycle", () => {
  const states: SaveState[] = ["open", "committed", "quarantined", "detached", "aborted"];
  const events: SaveEvent[] = ["reopen", "commit", "quarantine", "detach", "abort", "promote"];

  it("is this table and nothing else", () => {
    const legal = states
      .flatMap((state) => events.map((event) => [state, event, stateAfter(state, event)] as const))
      .filter(([, , to]) => to !== null);
    expect(legal).toEqual([
      ["open", "reopen", "open"],
      ["open", "commit", "committed"],
      ["open", "quarantine", "quarantined"],
      ["open", "detach", "detached"],
      ["open", "abort", "aborted"],
      ["quarantined", "promote", "committed"],
      ["aborted", "reopen", "open"],
      ["aborted", "abort", "aborted"],
    ]);
  });

  it("never leaves a decision but by promotion", () => {
    for (const state of states.filter(decided)) {
      for (const event of events)
        expect(stateAfter(state, event)).toBe(state === "quarantined" && event === "promote" ? "committed" : null);
    }
  });
});

describe("a fence", () => {
  it("binds the first incarnation of a vault to nothing", () => {
    expect(planFence(null, epoch(1), "c-a")).toEqual({
      next: { epoch: 1, incarnation: "c-a", base: 0, head: 0, last: 0 },
      changed: true,
    });
  });

  it("binds a new incarnation to the head", () => {
    expect(planFence(aRecord(), epoch(6), "c-b")).toEqual({
      next: aRecord({ epoch: epoch(6), incarnation: "c-b", base: generation(4) }),
      changed: true,
    });
  });

  it("leaves the same incarnation under a new epoch bound to what it began from", () => {
    expect(planFence(aRecord(), epoch(6), "c-a")).toEqual({ next: aRecord({ epoch: epoch(6) }), changed: true });
  });

  it("answers the same again, without a write", () => {
    expect(planFence(aRecord(), epoch(5), "c-a")).toEqual({ next: aRecord(), changed: false });
  });

  it("refuses a lower epoch, and another incarnation of the same one", () => {
    for (const [n, who] of [
      [4, "c-a"],
      [5, "c-b"],
      [5, ""],
    ] as const) {
      expect(planFence(aRecord(), epoch(n), who)).toMatchObject({ failure: { code: "stale_epoch" } });
    }
  });
});

describe("an actor", () => {
  it("is accepted only with the epoch and the incarnation that the vault is bound to", () => {
    expect(refusal(aRecord(), { epoch: epoch(5), incarnation: "c-a" })).toBeNull();
    expect(refusal(aRecord(), { epoch: epoch(4), incarnation: "c-a" })?.failure.code).toBe("stale_epoch");
    expect(refusal(aRecord(), { epoch: epoch(5), incarnation: "c-b" })?.failure.code).toBe("stale_epoch");
    expect(refusal(aRecord(), { epoch: epoch(6), incarnation: "c-a" })?.failure.code).toBe("save_failed");
    expect(refusal(aRecord({ incarnation: null }), { epoch: epoch(5), incarnation: "c-a" })?.failure.code).toBe(
      "stale_epoch",
    );
    expect(refusal(null, { epoch: epoch(1), incarnation: "c-a" })?.failure.code).toBe("save_failed");
  });
});

describe("the guard", () => {
  const size = fc.record({ files: fc.nat(1000), bytes: fc.nat(10 ** 9) });

  it("stops exactly what drops below half of the files or of the bytes", () => {
    fc.assert(
      fc.property(size, size, (previous, now) => {
        expect(shrank(previous, now)).toBe(now.files < previous.files / 2 || now.bytes < previous.bytes / 2);
      }),
    );
  });

  it("holds from the first file on", () => {
    expect(shrank({ files: 1, bytes: 5 }, { files: 0, bytes: 0 })).toBe(true);
    expect(shrank({ files: 1, bytes: 0 }, { files: 0, bytes: 0 })).toBe(true);
    expect(shrank({ files: 0, bytes: 0 }, { files: 0, bytes: 0 })).toBe(false);
  });

  it("is lifted by force, which a conflict is not", () => {
    const [previous, now] = [
      { files: 10, bytes: 10 },
      { files: 0, bytes: 0 },
    ];
    const facts = { base: generation(4), head: generation(4), previous, now };
    expect(planCommit({ ...facts, force: false })).toBe("quarantine");
    expect(planCommit({ ...facts, force: true })).toBe("commit");
    expect(planCommit({ ...facts, base: generation(3), force: true })).toBe("detach");
    expect(planCommit({ base: none, head: none, previous: null, now, force: false })).toBe("commit");
  });
});

describe("how to send", () => {
  const files = (count: number, over: Partial<ManifestEntry> = {}): ManifestEntry[] =>
    Array.from({ length: count }, (_, i) => listed(aFile(`f${i}`, 100), over));
  const base = aTree(Array.from({ length: 10 }, (_, i) => aFile(`f${i}`, 100)));

  it("is one tar without a head, or when more than half of the files or bytes are new", () => {
    expect(planSend(files(3), null)).toEqual({ how: "bundle" });
    expect(planSend([...files(10).slice(0, 4), ...files(10, { mtimeNs: "9" }).slice(4)], base)).toEqual({
      how: "bundle",
    });
    expect(planSend([...files(10), listed(aFile("big", 5000))], base)).toEqual({ how: "bundle" });
    for (const name of ["a.rclonelink", "\u201Bquoted"]) {
      expect(planSend([...files(10), listed(aFile(name, 5))], base), "what rclone cannot send").toEqual({
        how: "bundle",
      });
    }
  });

  it("is rclone for less, and says how much", () => {
    expect(planSend([...files(10).slice(1), listed(aFile("f0", 7))], base)).toEqual({
      how: "incremental",
      send: { files: 1, bytes: 7 },
    });
    expect(planSend(files(9), base)).toEqual({ how: "incremental", send: { files: 0, bytes: 0 } });
  });

  it("is one tar when rclone was tried before", () => {
    expect(planSend([...files(10).slice(1), listed(aFile("f0", 7))], base, "again")).toEqual({ how: "bundle" });
    expect(planSend(files(10), base, "again")).toEqual({ how: "unchanged" });
  });

  it("is nothing when only modes, owners or directories differ", () => {
    expect(
      planSend([...files(10, { mode: 0o600, uid: 7 }), { ...listed(aFile("d", 0)), kind: "directory" }], base),
    ).toEqual({ how: "unchanged" });
    expect(planSend([], null)).toEqual({ how: "unchanged" });
  });

  it("is one tar when two names would be one S3 key, and rclone for files that one upload cannot hold", () => {
    const link: ManifestEntry = { ...listed(aFile("f0", 0)), kind: "symlink", path: "x", target: "y" };
    expect(planSend([...files(10), link, listed(aFile("x.rclonelink", 1))], base)).toEqual({ how: "bundle" });
    expect(planSend([listed(aFile("huge", 6 * 1024 ** 3))], null)).toMatchObject({ how: "incremental" });
  });
});

describe("retention", () => {
  const history = (hashes: readonly string[]): Kept[] =>
    hashes.map((treeHash, i) => ({ generation: i + 1, status: "kept", treeHash }));

  it("keeps the last ten, whatever is pinned, and nothing else of a changing history", () => {
    const stay = retained(history(Array.from({ length: 30 }, (_, i) => `h${i}`)), [30, 2]);
    expect([...stay].sort((a, b) => a - b)).toEqual([2, ...Array.from({ length: KEEP }, (_, i) => 21 + i)]);
  });

  it("does not let saves of an unchanged tree push out what differs", () => {
    const stay = retained(history(["a", "b", ...Array.from({ length: 20 }, () => "c")]), [22]);
    expect(stay.has(1) && stay.has(2) && stay.has(22)).toBe(true);
  });

  it("needs an entry exactly when a generation that stays lies within its validity", () => {
    fc.assert(
      fc.property(fc.nat(20), fc.integer({ min: 1, max: 20 }), fc.array(fc.nat(40)), (from, length, stay) => {
        const within = new Set(Array.from({ length }, (_, i) => from + i));
        expect(needed(from, from + length, stay)).toBe(stay.some((one) => within.has(one)));
      }),
    );
  });
});
