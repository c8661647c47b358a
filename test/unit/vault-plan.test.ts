import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { epoch, generation } from "../../src/ids.ts";
import { decided, type SaveEvent, type SaveState, after as stateAfter } from "../../src/vault/lifecycle.ts";
import {
  planCommit,
  planFence,
  planSend,
  refusal,
  type SendFacts,
  shrank,
  type VaultRecord,
} from "../../src/vault/plan.ts";
import { KEEP, type Kept, needed, retained } from "../../src/vault/retention.ts";
import type { ManifestEntry } from "../../src/vault/types.ts";
import { aFile, aLink, aTree, listed } from "../support/vault-trees.ts";

const none = 0 as const;
const aRecord = (over: Partial<VaultRecord> = {}): VaultRecord => ({
  epoch: epoch(5),
  incarnation: "c-a",
  base: generation(3),
  head: generation(4),
  last: 4,
  rebuilding: 0,
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
      next: { epoch: 1, incarnation: "c-a", base: 0, head: 0, last: 0, rebuilding: 0 },
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

  const sending = (manifest: ManifestEntry[], over: Partial<SendFacts> = {}) =>
    planSend(manifest, { base, attempt: "first", ...over });

  it("is one tar without a head, or when more than half of the files or bytes are new", () => {
    expect(sending(files(3), { base: null })).toEqual({ how: "bundle" });
    expect(sending([...files(10).slice(0, 4), ...files(10, { mtimeNs: "9" }).slice(4)])).toEqual({
      how: "bundle",
    });
    expect(sending([...files(10), listed(aFile("big", 5000))])).toEqual({ how: "bundle" });
    for (const name of ["a.rclonelink", "\u201Bquoted"]) {
      expect(sending([...files(10), listed(aFile(name, 5))]), "what rclone cannot send").toEqual({
        how: "bundle",
      });
    }
  });

  it("is rclone for less, and says how much", () => {
    expect(sending([...files(10).slice(1), listed(aFile("f0", 7))])).toEqual({
      how: "incremental",
      send: { files: 1, bytes: 7 },
      suspects: [],
      paths: ["f0"],
    });
    expect(sending(files(9))).toEqual({
      how: "incremental",
      send: { files: 0, bytes: 0 },
      suspects: [],
      paths: [],
    });
  });

  it("is one tar when rclone was tried before", () => {
    expect(sending([...files(10).slice(1), listed(aFile("f0", 7))], { attempt: "again" })).toEqual({ how: "bundle" });
    expect(sending(files(10), { attempt: "again" })).toEqual({ how: "unchanged" });
  });

  it("is nothing when only modes, owners or directories differ", () => {
    expect(sending([...files(10, { mode: 0o600, uid: 7 }), { ...listed(aFile("d", 0)), kind: "directory" }])).toEqual({
      how: "unchanged",
    });
    expect(sending([], { base: null })).toEqual({ how: "unchanged" });
  });

  it("is one tar when two names would be one S3 key, and rclone for files that one upload cannot hold", () => {
    const link: ManifestEntry = { ...listed(aFile("f0", 0)), kind: "symlink", path: "x", target: "y" };
    expect(sending([...files(10), link, listed(aFile("x.rclonelink", 1))])).toEqual({ how: "bundle" });
    expect(sending([listed(aFile("huge", 6 * 1024 ** 3))], { base: null })).toMatchObject({ how: "incremental" });
  });

  it("includes files that look the same and whose inode changed since they were known to be", () => {
    const manifest = files(10).map((item, i) => ({ ...item, ctimeNs: i === 3 ? "2000" : "1000" }));
    expect(sending(manifest, { changedSinceNs: "2000" })).toEqual({ how: "unchanged" });
    expect(sending(manifest, { changedSinceNs: "1999" })).toEqual({
      how: "incremental",
      send: { files: 1, bytes: 100 },
      suspects: ["f3"],
      paths: ["f3"],
    });
    expect(sending(manifest), "nobody asked").toEqual({ how: "unchanged" });
    expect(sending(manifest, { changedSinceNs: null }), "nobody knows").toEqual({ how: "bundle" });
    expect(sending(manifest, { changedSinceNs: null, base: null }), "there is nothing to be the same as").toEqual({
      how: "bundle",
    });
  });

  it("is one tar when there are too many suspects, or one whose name no list can hold", () => {
    const many = aTree(Array.from({ length: 1000 }, (_, i) => aFile(`f${i}`, 100)));
    const since = (suspects: number) => ({
      base: many,
      changedSinceNs: "5",
      manifest: files(1000).map((item, i) => ({ ...item, ctimeNs: i < suspects ? "6" : "5" })),
    });
    const { manifest, ...facts } = since(200);
    expect(sending(manifest, facts)).toMatchObject({ how: "incremental", send: { files: 200 } });
    expect(sending(since(201).manifest, facts)).toEqual({ how: "bundle" });
    const odd = aFile("two\nlines", 1);
    const tree = aTree([...base.values(), odd]);
    expect(sending([...files(10), listed(odd, { ctimeNs: "6" })], { base: tree, changedSinceNs: "5" })).toEqual({
      how: "bundle",
    });
  });

  it("suspects no symlink, whose target is listed", () => {
    const link = aLink("l", "x");
    const tree = aTree([...base.values(), link]);
    const manifest = [...files(10), listed(link, { ctimeNs: "9" })];
    expect(sending(manifest, { base: tree, changedSinceNs: "5" })).toEqual({ how: "unchanged" });
  });
});

describe("retention", () => {
  const HOUR = 3_600_000;
  const NOW = 1_000 * 24 * HOUR;
  /** One generation for every hash, all of long ago but for those said otherwise; the first is generation 1. */
  const history = (hashes: readonly string[], ages: readonly number[] = []): Kept[] =>
    hashes.map((treeHash, i) => ({
      generation: i + 1,
      status: "kept",
      treeHash,
      at: NOW - (ages[i] ?? 100 * 24 * HOUR),
      pinned: false,
    }));
  const sorted = (stay: Set<number>) => [...stay].sort((a, b) => a - b);
  const differing = (count: number) => Array.from({ length: count }, (_, i) => `h${i}`);
  const lastTen = (count: number) => Array.from({ length: KEEP }, (_, i) => count - KEEP + 1 + i);

  it("keeps the last ten, whatever is needed or pinned, and nothing else of a changing history", () => {
    const generations = history(differing(30)).map((one) => ({ ...one, pinned: one.generation === 5 }));
    expect(sorted(retained(generations, [30, 2], NOW))).toEqual([2, 5, ...lastTen(30)]);
  });

  it("does not let saves of an unchanged tree push out what differs", () => {
    const stay = retained(history(["a", "b", ...Array.from({ length: 20 }, () => "c")]), [22], NOW);
    expect(stay.has(1) && stay.has(2) && stay.has(22)).toBe(true);
  });

  it("keeps the newest of each hour for a day, and of each day for a week", () => {
    // Every 20 minutes for ten days, the newest last.
    const ages = Array.from({ length: 720 }, (_, i) => (719 - i) * (HOUR / 3));
    const generations = history(differing(720), ages);
    const stay = retained(generations, [], NOW);
    const ageOf = (generation: number) => ages[generation - 1] ?? 0;
    const older = sorted(stay).filter((one) => one <= 720 - KEEP);
    const hourly = older.filter((one) => ageOf(one) <= 24 * HOUR);
    const daily = older.filter((one) => ageOf(one) > 24 * HOUR);
    expect(hourly.length).toBeGreaterThanOrEqual(20);
    expect(hourly.length).toBeLessThanOrEqual(22);
    expect(daily.length).toBeGreaterThanOrEqual(6);
    expect(daily.length).toBeLessThanOrEqual(7);
    expect(Math.max(...daily.map(ageOf))).toBeLessThanOrEqual(7 * 24 * HOUR);
  });

  it("keeps ten beside the history, and any that is pinned", () => {
    const beside = history(differing(20)).map(
      (one): Kept => ({ ...one, status: "quarantined", pinned: one.generation === 1 }),
    );
    expect(sorted(retained(beside, [], NOW))).toEqual([1, ...lastTen(20)]);
  });

  it("of any history keeps the head, and keeps what it kept when it is asked again", () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ hash: fc.constantFrom("a", "b"), gap: fc.nat(40 * HOUR), pinned: fc.boolean() }), {
          minLength: 1,
          maxLength: 60,
        }),
        (saves) => {
          let at = NOW;
          const generations = [...saves]
            .reverse()
            .map(({ hash, gap, pinned }, i): Kept => {
              at -= gap;
              return { generation: saves.length - i, status: "kept", treeHash: hash, at, pinned };
            })
            .reverse();
          const stay = retained(generations, [], NOW);
          expect(stay.has(saves.length)).toBe(true);
          for (const one of generations) if (one.pinned) expect(stay.has(one.generation)).toBe(true);
          const kept = generations.filter((one) => stay.has(one.generation));
          expect(sorted(retained(kept, [], NOW))).toEqual(sorted(stay));
        },
      ),
    );
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
