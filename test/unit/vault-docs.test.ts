import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { TABLES } from "../../src/vault/schema.ts";

const page = readFileSync("docs/storage.md", "utf8");
const section = page.slice(page.indexOf("## Vault"), page.indexOf("## R2"));

describe("docs/storage.md", () => {
  it("lists exactly the tables of a Vault", () => {
    const listed = [...section.matchAll(/^\| `(\w+)` \|/gm)].map((match) => match[1]);
    expect(listed.sort()).toEqual(Object.keys(TABLES).sort());
  });

  it("lists every column of each", () => {
    for (const [table, columns] of Object.entries(TABLES)) {
      const row = section.split("\n").find((line) => line.startsWith(`| \`${table}\` |`)) ?? "";
      const names = columns.split(/,(?![^(]*\))/).map((column) => column.trim().split(" ")[0] ?? "");
      for (const name of names.filter((one) => one !== "PRIMARY")) expect(row, `${table}.${name}`).toContain(name);
    }
  });
});
