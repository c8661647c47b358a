import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { assemble } from "../../src/vault/assemble.ts";
import { treeHash } from "../../src/vault/manifest.ts";
import { difference, type Entry, keyOf, pathOf, type Staged, sizeOf, type Tree } from "../../src/vault/tree.ts";
import { aContent, aDirectory, aFile, aLink, aTree, gone, listed, sent } from "../support/vault-trees.ts";

const base = aTree([aDirectory(""), aFile("a", 1), aFile("b", 2), aLink("l", "a")]);
const all = (tree: Tree, ...over: Entry[]) =>
  [...aTree([...tree.values(), ...over]).values()].map((entry) => listed(entry));
const expectMismatch = (result: ReturnType<typeof assemble>, ...parts: string[]) => {
  expect(result.ok).toBe(false);
  if (!result.ok) for (const part of parts) expect(result.mismatches.join("; ")).toContain(part);
};

describe("the tree of a save", () => {
  it("is the manifest's, with contents of the base where nothing was sent", () => {
    const result = assemble(all(base), { base, staged: [], bundle: false });
    expect(result).toEqual({ ok: true, tree: base });
  });

  it("takes modes, owners and times from the manifest, not from what was sent", () => {
    const next = aFile("a", 9, { mode: 0o600, uid: 7, mtimeNs: "5" });
    const result = assemble(all(base, next), { base, staged: [sent(next)], bundle: false });
    expect(result.ok && result.tree.get("a")).toMatchObject({
      mode: 0o600,
      uid: 7,
      mtimeNs: "5",
      content: { size: 9 },
    });
  });

  it("keeps the old place of bytes that were sent again", () => {
    const old = base.get("a")?.content;
    const again = aFile("a", 1, { mtimeNs: "5", content: aContent(1) });
    const result = assemble(all(base, again), { base, staged: [sent(again)], bundle: false });
    expect(result.ok && result.tree.get("a")?.content).toEqual(old);
  });

  it("has nothing of the base when everything comes as one tar", () => {
    expectMismatch(
      assemble(all(base), { base, staged: [sent(aFile("a", 1))], bundle: true }),
      "b is missing",
      "l is missing",
    );
  });

  it("is refused when a file is missing, of another size, modified meanwhile, unexpected, or not removed", () => {
    const next = aFile("n", 3, { mtimeNs: "1500000000" });
    const manifest = all(base, next);
    expectMismatch(assemble(manifest, { base, staged: [], bundle: false }), "n is missing");
    expectMismatch(
      assemble(manifest, { base, staged: [sent({ ...next, content: aContent(4) })], bundle: false }),
      "n has 4 bytes instead of 3",
    );
    expectMismatch(
      assemble(manifest, { base, staged: [sent(next, { mtimeNs: "1500000001" })], bundle: false }),
      "n was modified",
    );
    expectMismatch(assemble(all(base), { base, staged: [sent(next)], bundle: false }), "n is not in the manifest");
    expectMismatch(
      assemble([listed(aDirectory("")), listed(aFile("a", 1))], { base, staged: [gone("b")], bundle: false }),
      "l is gone",
    );
    expectMismatch(
      assemble(all(base, aFile("a", 1, { mtimeNs: "7" })), { base, staged: [], bundle: false }),
      "a changed and was not sent",
    );
    expectMismatch(assemble(all(base), { base, staged: [gone("a")], bundle: false }), "a was removed");
  });

  it("is refused when a file that may have changed was not sent, though it looks the same", () => {
    const manifest = all(base).map((item) => ({ ...item, ctimeNs: item.path === "a" ? "9" : "1" }));
    const again = sent(aFile("a", 1, { content: aContent(1, "other") }));
    const commit = (staged: Staged[], changedSinceNs?: string | null) =>
      assemble(manifest, { base, staged, bundle: false, ...(changedSinceNs !== undefined && { changedSinceNs }) });
    expectMismatch(commit([], "8"), "a may have changed and was not sent");
    expect(commit([], "9").ok && commit([]).ok).toBe(true);
    expectMismatch(commit([again], null), "b may have changed");
    const result = commit([again], "8");
    expect(result.ok && result.tree.get("a")?.content?.sha256).toBe("other");
  });

  it("names every mismatch once", () => {
    const result = assemble(all(base, aFile("a", 1, { mtimeNs: "7" })), { base, staged: [], bundle: false });
    expect(result).toEqual({ ok: false, mismatches: ["a changed and was not sent"] });
  });

  it("accepts whole seconds where a tar has no more", () => {
    const next = aFile("n", 3, { mtimeNs: "1500000000" });
    const at = (mtimeNs: string) =>
      assemble(all(base, next), { base, staged: [sent(next, { mtimeNs })], bundle: false }).ok;
    expect([at("1000000000"), at("2000000000"), at("0")]).toEqual([true, false, false]);
  });

  it("accepts a symlink that came as an object without a mode, and refuses another target", () => {
    const link = aLink("s", "a/b");
    const asObject = (size: number) => sent(aFile("s.rclonelink", size));
    expect(assemble(all(base, link), { base, staged: [asObject(3)], bundle: false }).ok).toBe(true);
    expectMismatch(assemble(all(base, link), { base, staged: [asObject(4)], bundle: false }), "s points elsewhere");
    expectMismatch(
      assemble(all(base, link), { base, staged: [sent(aLink("s", "a/c"))], bundle: false }),
      "s points elsewhere",
    );
  });

  it("keeps a symlink apart from a file whose name is like its key, in a tar", () => {
    const entries = [aDirectory(""), aLink("x", "y"), aFile("x.rclonelink", 4)];
    const result = assemble(
      entries.map((entry) => listed(entry)),
      { base, staged: entries.slice(1).map((entry) => sent(entry)), bundle: true },
    );
    expect(result.ok && [...result.tree.values()].map((entry) => entry.kind)).toEqual(["directory", "symlink", "file"]);
  });
});

const anEntry: fc.Arbitrary<Entry> = fc
  .record({
    path: fc.constantFrom("a", "b", "c", "c/d", "e.rclonelink", "e"),
    kind: fc.constantFrom("file", "directory", "symlink"),
    mode: fc.constantFrom(0o600, 0o644),
    size: fc.nat(3),
    target: fc.constantFrom("x", "y"),
  })
  .map(({ path, kind, mode, size, target }) =>
    kind === "file"
      ? aFile(path, size, { mode })
      : kind === "symlink"
        ? aLink(path, target, { mode })
        : aDirectory(path, { mode }),
  );
const aHistory = fc.array(fc.array(anEntry, { maxLength: 6 }).map(aTree), { minLength: 1, maxLength: 8 });

describe("differences between trees", () => {
  it("as rows of validity, bring back every generation of any history", () => {
    fc.assert(
      fc.property(aHistory, (trees) => {
        const rows: { entry: Entry; from: number; to: number }[] = [];
        let before: Tree = new Map();
        trees.forEach((tree, i) => {
          const { ended, begun } = difference(before, tree);
          for (const one of ended) {
            const row = rows.find(({ entry, to }) => to === Number.POSITIVE_INFINITY && entry.path === one.path);
            if (row === undefined) throw new Error(`${one.path} was not current`);
            row.to = i + 1;
          }
          rows.push(...begun.map((entry) => ({ entry, from: i + 1, to: Number.POSITIVE_INFINITY })));
          before = tree;
        });
        trees.forEach((tree, i) => {
          const view = aTree(rows.filter(({ from, to }) => from <= i + 1 && i + 1 < to).map(({ entry }) => entry));
          expect(treeHash(view)).toBe(treeHash(tree));
        });
      }),
    );
  });

  it("count files and symlinks that were added, replaced or removed, and nothing else", () => {
    const changed = (...entries: Entry[]) => difference(base, aTree([...base.values(), ...entries])).changed;
    expect(changed()).toBe(0);
    expect(changed(aFile("a", 1, { mode: 0o600, mtimeNs: "9" }), aDirectory("d"))).toBe(0);
    expect(changed(aFile("a", 8), aLink("l", "b"), aFile("new", 1))).toBe(3);
    expect(difference(base, aTree([])).changed).toBe(3);
    expect(changed(aDirectory("a"))).toBe(1);
  });
});

describe("a tree's hash", () => {
  it("does not depend on the order of its entries, and does on each of their values", () => {
    const hash = treeHash(base);
    expect(treeHash(aTree([...base.values()].reverse()))).toBe(hash);
    const others = [
      aFile("a", 2),
      aFile("a", 1, { mode: 0 }),
      aFile("a", 1, { uid: 9 }),
      aFile("a", 1, { mtimeNs: "2" }),
      aLink("l", "b"),
      aDirectory("d"),
    ];
    for (const other of others) expect(treeHash(aTree([...base.values(), other]))).not.toBe(hash);
  });
});

it("a key names one path of its kind, and a directory's comes before what is in it", () => {
  for (const kind of ["file", "directory", "symlink"] as const) {
    for (const path of ["", "a", "a/b", "ü.rclonelink"])
      if (path !== "" || kind === "directory") expect(pathOf(keyOf(path, kind), kind)).toBe(path);
  }
  expect([keyOf("a/b", "file"), keyOf("", "directory"), keyOf("a", "directory")].sort()).toEqual(["", "a/", "a/b"]);
  expect(sizeOf(base.values())).toEqual({ files: 3, bytes: 3 });
});
