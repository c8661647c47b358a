import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { diffPage } from "../../src/vault/diff.ts";
import type { PageCursor } from "../../src/vault/storage.ts";
import { type Entry, keyOf, type Tree } from "../../src/vault/tree.ts";
import type { DiffEntry } from "../../src/vault/types.ts";
import { aContent, aDirectory, aFile, aLink, aTree } from "../support/vault-trees.ts";

const bytes = (text: string) => Buffer.from(text).toString("hex");
const placeOf = (entry: { path: string; kind: Entry["kind"] }) =>
  `${bytes(keyOf(entry.path, entry.kind))} ${bytes(entry.kind)}`;
/** A tree's entries in key order, as the tables give them. */
function* inOrder(tree: Tree, after: PageCursor | null): Generator<Entry> {
  const from = after === null ? "" : `${bytes(after.key)} ${bytes(after.kind)}`;
  const sorted = [...tree.values()].sort((a, b) => (placeOf(a) < placeOf(b) ? -1 : 1));
  for (const entry of sorted) if (placeOf(entry) > from) yield entry;
}
function whole(from: Tree, to: Tree, limit: number): DiffEntry[] {
  const out: DiffEntry[] = [];
  for (let after: PageCursor | null = null; ; ) {
    const page = diffPage(inOrder(from, after), inOrder(to, after), { after, limit });
    expect(page.entries.length).toBeLessThanOrEqual(limit);
    out.push(...page.entries);
    if (page.next === null) return out;
    after = page.next;
  }
}

const anEntry = fc
  .record({
    path: fc.constantFrom("a", "a-b", "a/b", "ü", "\u{10000}", "\uffff", "x"),
    kind: fc.constantFrom("file", "directory", "symlink"),
    mode: fc.constantFrom(0o600, 0o644),
    hash: fc.constantFrom("1", "2"),
  })
  .map(({ path, kind, mode, hash }) =>
    kind === "file"
      ? aFile(path, 3, { mode, content: aContent(3, hash) })
      : kind === "symlink"
        ? aLink(path, hash, { mode })
        : aDirectory(path, { mode }),
  );
const anyTree = fc.array(anEntry, { maxLength: 8 }).map(aTree);

describe("the difference of two generations", () => {
  it("says of every path what happened to it, with its sizes, in key order", () => {
    const from = aTree([aDirectory(""), aFile("a", 1), aFile("b", 2), aFile("c", 3), aLink("l", "a"), aFile("k", 1)]);
    const to = aTree([
      aDirectory(""),
      aFile("a", 9),
      aFile("b", 2, { mode: 0o600 }),
      aLink("l", "b"),
      aDirectory("k"),
      aFile("n", 4),
    ]);
    expect(whole(from, to, 100)).toEqual([
      { path: "a", kind: "file", change: "content", before: 1, after: 9 },
      { path: "b", kind: "file", change: "attributes", before: 2, after: 2 },
      { path: "c", kind: "file", change: "removed", before: 3, after: null },
      { path: "k", kind: "file", change: "removed", before: 1, after: null },
      { path: "k", kind: "directory", change: "added", before: null, after: 0 },
      { path: "l", kind: "symlink", change: "content", before: 0, after: 0 },
      { path: "n", kind: "file", change: "added", before: null, after: 4 },
    ]);
  });

  it("is what turns the one into the other, for any two trees and any size of pages", () => {
    fc.assert(
      fc.property(anyTree, anyTree, fc.integer({ min: 1, max: 4 }), (from, to, limit) => {
        const entries = whole(from, to, limit);
        const places = entries.map(placeOf);
        expect(places).toEqual([...new Set(places)].sort());
        const result = new Map([...from.values()].map((entry) => [placeOf(entry), entry]));
        for (const entry of entries) {
          if (entry.change === "removed") result.delete(placeOf(entry));
          else result.set(placeOf(entry), to.get(entry.path) as Entry);
        }
        const plain = (all: Iterable<Entry>) =>
          [...all].map((e) => [placeOf(e), e.mode, e.target, e.content?.sha256]).sort();
        expect(plain(result.values())).toEqual(plain(to.values()));
        expect(whole(to, to, limit)).toEqual([]);
      }),
    );
  });
});
