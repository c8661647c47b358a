import { describe, expect, it } from "vitest";
import { assemble } from "../../src/vault/assemble.ts";
import { staying } from "../../src/vault/keep.ts";
import { planSend } from "../../src/vault/plan.ts";
import type { Entry, Staged } from "../../src/vault/tree.ts";
import type { KeepRule } from "../../src/vault/types.ts";
import { aDirectory, aFile, aLink, aTree, gone, listed, sent } from "../support/vault-trees.ts";

const base = aTree([
  aDirectory(""),
  aDirectory("sessions"),
  aFile("sessions/a.json", 1),
  aFile("sessions/b.log", 2),
  aLink("sessions/l.json", "a.json"),
  aDirectory("sessions/old"),
  aFile("sessions/old/c.json", 3),
  aDirectory("models"),
  aFile("models/m", 4),
  aFile("other", 5),
]);
const aRule = (over: Partial<KeepRule> = {}): KeepRule => ({
  prefix: "sessions/",
  mode: "sync",
  exclude: [],
  ...over,
});
const staysOf = (rules: KeepRule[] | undefined, ...manifest: Entry[]) =>
  [
    ...staying(
      base,
      manifest.map((entry) => listed(entry)),
      rules,
    ).keys(),
  ].sort();

describe("what of the base stays in a save of some mappings", () => {
  it("is nothing without rules, and all that no rule speaks of with them", () => {
    expect(staysOf(undefined)).toEqual([]);
    expect(staysOf([aRule()])).toEqual(["", "models", "models/m", "other", "sessions"]);
    expect(staysOf([aRule({ prefix: "" })])).toEqual([""]);
    expect(staysOf([aRule({ prefix: "sess" })])).toEqual([...base.keys()].sort());
    expect(staysOf([])).toEqual([...base.keys()].sort());
  });

  it("includes what a pattern does not name or an exclude does, symlinks by their own names", () => {
    const outside = ["", "models", "models/m", "other", "sessions"];
    expect(staysOf([aRule({ pattern: "*.json" })])).toEqual([...outside, "sessions/b.log"].sort());
    expect(staysOf([aRule({ exclude: ["*.json"] })])).toEqual(
      [...outside, "sessions/a.json", "sessions/l.json", "sessions/old", "sessions/old/c.json"].sort(),
    );
    expect(staysOf([aRule({ exclude: ["old/**"] })])).toEqual(
      [...outside, "sessions/old", "sessions/old/c.json"].sort(),
    );
  });

  it("includes everything in the scope of a copy, even where a sync has it too", () => {
    expect(staysOf([aRule({ mode: "copy" })])).toEqual([...base.keys()].sort());
    expect(staysOf([aRule(), aRule({ mode: "copy", pattern: "*.log" })])).toContain("sessions/b.log");
  });

  it("never lies below a listed file, nor where a directory is", () => {
    const copy = [aRule({ mode: "copy" })];
    expect(staysOf(copy, aFile("sessions/old", 1))).not.toContain("sessions/old/c.json");
    expect(staysOf(copy, aFile("sessions/a.json/inner", 1))).not.toContain("sessions/a.json");
  });
});

describe("a save of some mappings", () => {
  const rules = [aRule({ pattern: "*.json" })];
  const manifest = [aFile("sessions/a.json", 1), aFile("sessions/old/c.json", 3), aDirectory("sessions/old")].map(
    (entry) => listed(entry),
  );
  const commit = (staged: Staged[]) => assemble(manifest, { base, staged, bundle: false, keep: rules });

  it("is nothing to send when nothing in its scope differs", () => {
    const facts = { base, attempt: "first" as const };
    const all = [...manifest, listed(aLink("sessions/l.json", "a.json"))];
    expect(planSend(all, { ...facts, staying: staying(base, all, rules) })).toEqual({ how: "unchanged" });
    expect(planSend(manifest, { ...facts, staying: staying(base, manifest, rules) })).toMatchObject({
      how: "incremental",
      send: { files: 0 },
    });
  });

  it("has what is listed, what was sent, and what stays; only what is in its scope can go", () => {
    const result = commit([gone("sessions/l.json.rclonelink")]);
    expect(result.ok && [...result.tree.keys()].sort()).toEqual(
      [...base.keys()].filter((path) => path !== "sessions/l.json").sort(),
    );
    expect(commit([])).toMatchObject({ ok: false, mismatches: ["sessions/l.json is gone and was not removed"] });
  });

  it("is refused when it removed or replaced something outside its scope", () => {
    for (const staged of [gone("other"), sent(aFile("other", 9))]) {
      const result = commit([gone("sessions/l.json.rclonelink"), staged]);
      expect(result.ok).toBe(false);
      if (!result.ok) expect(result.mismatches).toContain("other is none of what this sync covers");
    }
  });

  it("keeps what stays when it comes as one tar", () => {
    const staged = manifest.filter((item) => item.kind === "file").map((item) => sent(aFile(item.path, item.size)));
    const result = assemble(manifest, { base, staged, bundle: true, keep: rules });
    expect(result.ok && result.tree.get("other")).toEqual(base.get("other"));
    expect(result.ok && result.tree.has("sessions/l.json")).toBe(false);
  });
});
