import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { MUTANTS } from "./mutants/list.ts";
import { table, withTable } from "./mutants/table.ts";
import { planted } from "./planted.ts";

const pathOf = (file: string) => fileURLToPath(import.meta.resolve(`../../${file}`));

describe("the bugs that are planted", () => {
  it("are at least twelve, each by a name of its own", () => {
    expect(MUTANTS.length).toBeGreaterThanOrEqual(12);
    expect(new Set(MUTANTS.map(({ name }) => name)).size).toBe(MUTANTS.length);
  });

  it.each(MUTANTS)("$name fits the code as it is, and changes it", ({ planted: bugs }) => {
    for (const bug of bugs) {
      const source = readFileSync(pathOf(bug.file), "utf8");
      expect(planted(pathOf(bug.file), source, [bug])).not.toBe(source);
    }
  });
});

describe("the table of what was found", () => {
  const [mutant] = MUTANTS;
  if (!mutant) throw new Error("there are no mutants");

  it("says by which rule and after how many seeds, or that it was not found", () => {
    expect(table([{ mutant, rule: "fence", seeds: 3, seconds: 9 }])).toContain("| `fence` | 3 |");
    expect(table([{ mutant, rule: null, seeds: 300, seconds: 900 }])).toContain("| **not found** | 300 |");
  });

  it("takes the place of the one before in the page, which has one", () => {
    const page = readFileSync(pathOf("docs/simulation.md"), "utf8");
    const once = withTable(page, "first");
    expect(withTable(once, "second")).toBe(withTable(page, "second"));
    expect(() => withTable("no place", "table")).toThrow("no place for the table");
  });
});
