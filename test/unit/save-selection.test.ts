import { describe, expect, test } from "vitest";
import {
  changedSince,
  disguisedSince,
  type Listing,
  listingResponse,
  parseListing,
  tornSince,
} from "../../src/instance/manifest.ts";
import { selectionOf } from "../../src/instance/selection.ts";
import { globMatcher } from "../../src/sync/glob.ts";
import type { ManifestEntry } from "../../src/vault/types.ts";

const entry = (path: string, more: Partial<ManifestEntry> = {}): ManifestEntry => ({
  path,
  kind: "file",
  mode: 0o644,
  uid: 1,
  gid: 1,
  size: 4096,
  mtimeNs: "1",
  ctimeNs: "1",
  inode: "1",
  ...more,
});
const directory = (path: string) => entry(path, { kind: "directory", size: 0 });
const paths = (entries: readonly ManifestEntry[]) => entries.map(({ path }) => path);

describe("what of a state directory is saved", () => {
  test("leaves out what is excluded, with the directory of it, and says how much that was", () => {
    const tree = [
      directory(""),
      directory("cache"),
      entry("cache/a"),
      entry("a.tmp"),
      entry("b"),
      directory("tmp"),
      entry("tmp/c.tmp"),
    ];
    const { kept, excluded } = selectionOf(tree, ["cache/", "*.tmp"]);
    expect(paths(kept)).toEqual(["", "b", "tmp"]);
    expect(excluded).toEqual({ files: 3, bytes: 3 * 4096 });
  });

  test("knows nothing of a file that the file API has not moved into its place yet", () => {
    const half = ".boilerhouse-17-1795678901.123456";
    const { kept, exclude } = selectionOf(
      [directory(""), entry(half), entry(`sub/${half}`), entry(".boilerhouse-x")],
      [],
    );
    expect(paths(kept)).toEqual(["", ".boilerhouse-x"]);
    expect([half, `sub/${half}`].map(globMatcher(exclude))).toEqual([true, true]);
  });

  test("means a symlink by its own name", () => {
    const tree = [directory(""), entry("a.tmp", { kind: "symlink", size: 0, target: "x" }), entry("b.rclonelink")];
    expect(paths(selectionOf(tree, ["*.tmp"]).kept)).toEqual(["", "b.rclonelink"]);
  });

  test("never leaves out the directory itself", () => {
    expect(paths(selectionOf([directory(""), entry("a")], ["**"]).kept)).toEqual([""]);
  });
});

describe("files of SQLite", () => {
  const database = entry("app.db", { size: 8192 });
  const wal = entry("app.db-wal", { size: 4152 });
  const shm = entry("app.db-shm", { size: 32768 });

  test("the shared memory of a database is not saved, its log is", () => {
    const { kept, exclude, excluded } = selectionOf([directory(""), database, wal, shm], []);
    expect(paths(kept)).toEqual(["", "app.db", "app.db-wal"]);
    expect(exclude.filter((glob) => globMatcher([glob])("app.db-shm"))).toHaveLength(1);
    expect(excluded).toEqual({ files: 0, bytes: 0 });
  });

  test("a log and a shared memory without their database are not saved", () => {
    expect(paths(selectionOf([directory(""), wal, shm], []).kept)).toEqual([""]);
    expect(paths(selectionOf([directory(""), database, wal, shm], ["/app.db"]).kept)).toEqual([""]);
  });

  test("what only has such a name is saved", () => {
    const tree = [
      directory(""),
      entry("notes", { size: 100 }),
      entry("notes-wal", { size: 50 }),
      entry("notes-shm", { size: 100 }),
      entry("lone-wal"),
    ];
    expect(paths(selectionOf(tree, []).kept)).toEqual(paths(tree));
  });
});

describe("a listing", () => {
  const listing: Listing = { entries: [directory(""), entry("a\nb")], listedAtNs: "20", baselineNs: "10" };

  test("comes back as it was sent", async () => {
    const response = listingResponse(listing);
    expect(parseListing(new Uint8Array(await response.arrayBuffer()), response.headers)).toEqual(listing);
    const bare = listingResponse({ ...listing, baselineNs: null });
    expect(parseListing(new Uint8Array(await bare.arrayBuffer()), bare.headers).baselineNs).toBeNull();
  });

  test("that broke off is none, wherever that was", async () => {
    const response = listingResponse(listing);
    const body = new Uint8Array(await response.arrayBuffer());
    for (let length = 0; length < body.length; length++)
      expect(() => parseListing(body.subarray(0, length), response.headers)).toThrow(SyntaxError);
  });

  test("of a clock that ran backwards, or without a baseline, trusts no file", () => {
    expect(changedSince(listing)).toBe("10");
    expect(changedSince({ ...listing, listedAtNs: "9" })).toBeNull();
    expect(changedSince({ ...listing, baselineNs: null })).toBeNull();
  });

  test("is torn by any file that a later one has otherwise or not at all", () => {
    const before = [directory(""), entry("a"), entry("b")];
    expect(tornSince(before, [entry("b"), entry("a"), entry("new"), directory("")])).toBeNull();
    expect(tornSince(before, [entry("a"), directory("")])).toBe("b");
    for (const change of [
      { size: 5 },
      { mtimeNs: "2" },
      { ctimeNs: "2" },
      { inode: "2" },
      { kind: "symlink" as const },
    ])
      expect(tornSince(before, [entry("a", change), entry("b")])).toBe("a");
  });

  test("is disguised by a file that looks as it did and is another, and by nothing that shows", () => {
    const before = [directory(""), entry("a"), entry("b")];
    for (const disguise of [{ ctimeNs: "2" }, { inode: "2" }]) {
      expect(disguisedSince(before, [entry("a", disguise), entry("b")])).toBe("a");
    }
    for (const shown of [
      { size: 5, ctimeNs: "2" },
      { mtimeNs: "2", ctimeNs: "2" },
    ]) {
      expect(disguisedSince(before, [entry("a", shown), entry("b"), entry("new")])).toBeNull();
    }
    expect(disguisedSince(before, [entry("b"), directory("")])).toBeNull();
  });
});
