import { describe, expect, test } from "vitest";
import { filterRules, globMatcher, globProblem, literalGlob, ruleFilter } from "../../src/sync/glob.ts";
import { GLOB_TREE, GLOBS } from "../support/globs.ts";

const passing = (globs: Parameters<typeof filterRules>[0]) => {
  const filter = ruleFilter(filterRules(globs));
  return GLOB_TREE.filter((path) => filter.file(path)).sort();
};

describe("a glob", () => {
  test.each(GLOBS)("%s leaves out and takes what it does in rclone", (glob, excluded, included) => {
    expect(GLOB_TREE.filter(globMatcher([glob])).sort()).toEqual([...excluded].sort());
    if (!/^\/?\*\*\//.test(glob)) expect(passing({ include: [glob] })).toEqual([...included].sort());
  });

  test.each([
    "***",
    "a[b",
    "a]b",
    "a{b",
    "a}b",
    "[]a]",
    "[^]x",
    "[z-a]",
    "\\d",
    "a\\",
    "{{.*}}",
    "[[:alpha:]]",
    "[\\w]",
    "",
    "/",
  ])("%s is refused, with the reason", (glob) => {
    expect(globProblem(glob)).toMatch(/^(has|must|names)/);
    expect(() => globMatcher([glob])).toThrow(SyntaxError);
  });

  test("crosses no line it should not, in names of any characters", () => {
    const matches = globMatcher(["new**", "n?z"]);
    expect([matches("new\nline"), matches("n\u{10ffff}z"), matches("n/z")]).toEqual([true, true, false]);
  });
});

describe("filters", () => {
  test("mean any depth by a leading ** and a slash, the top included, unlike rclone alone", () => {
    expect(passing({ include: ["**/*.log"] })).toEqual(["a.log", "src/a.log", "src/lib/a.log"]);
    expect(passing({ include: ["/**/*.log"] })).toEqual(passing({ include: ["**/*.log"] }));
    expect(passing({ include: ["**/cache/**"] })).toEqual(["cache/sub/y", "cache/x", "src/cache/z"]);
    expect(passing({ exclude: ["**/node_modules/"] })).not.toContain("node_modules/p/index.js");
  });

  test("leave out before they take", () => {
    expect(passing({ include: ["*.log"], exclude: ["src/"] })).toEqual(["a.log"]);
  });

  test("leave out a directory with everything in it, but keep one whose files alone are left out", () => {
    const filter = ruleFilter(filterRules({ exclude: ["cache/", "/d/*"] }));
    expect([filter.directory("cache"), filter.directory("src/cache"), filter.directory("cache/sub")]).toEqual([
      false,
      false,
      false,
    ]);
    expect([filter.directory("d"), filter.file("d/a"), filter.directory("src")]).toEqual([true, false, true]);
  });

  test("mean a symlink by its own name", () => {
    const filter = ruleFilter(filterRules({ exclude: ["*.tmp"] }));
    expect([filter.file("a.tmp.rclonelink"), filter.file("a.rclonelink")]).toEqual([false, true]);
    const only = ruleFilter(filterRules({ include: ["*.tmp"] }));
    expect([only.file("a.tmp.rclonelink"), only.file("a.rclonelink")]).toEqual([true, false]);
  });
});

describe("the glob of one path", () => {
  test.each(GLOB_TREE)("matches %s and nothing else", (path) => {
    expect(GLOB_TREE.filter(globMatcher([literalGlob(path)]))).toEqual([path]);
  });

  test("matches names that rclone rewrites", () => {
    const path = "a\n\t*/\u{10ff80}\u{10ff81}b\u2409";
    expect(literalGlob(path)).toBe("/a*\\*/*b*");
    expect(globMatcher([literalGlob(path)])(path)).toBe(true);
  });
});
