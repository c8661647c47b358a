import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";

const page = readFileSync("docs/promises.md", "utf8");
const cited = [...page.matchAll(/`((?:unit|workers|e2e|images)\/[a-z-]+) › ([^`]+)`/g)].map(
  ([, file = "", name = ""]) => ({ file, name }),
);

describe("docs/promises.md", () => {
  it("has a row for every promise", () => {
    const ids = [
      "ONE",
      "FENCE",
      "SAVE",
      "ATOMIC",
      "GUARD",
      "RESTORE",
      "NOKEY",
      "HEAL",
      "EXIT",
      "CAP",
      "NOWAKE",
      "CLOSED",
      "AUDIT",
    ];
    for (const id of ids) expect(page).toContain(`| P-${id} |`);
  });

  it.each(cited)("cites a test that exists: $file › $name", ({ file, name }) => {
    expect(readFileSync(`test/${file}.test.ts`, "utf8")).toContain(name);
  });
});
