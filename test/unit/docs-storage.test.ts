import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { TABLES } from "../../src/vault/schema.ts";

const page = readFileSync("docs/storage.md", "utf8");
const section = page.slice(page.indexOf("## Vault"), page.indexOf("## D1"));

/** Every table that the other objects and the migrations create, by the words of the code. */
function createdTables(): string[] {
  const files = [
    "src/tenant/store.ts",
    "src/tenant/admissions.ts",
    "src/tenant/sync-history.ts",
    "src/pool/store.ts",
    "src/durable/journal.ts",
    "src/instance/object.ts",
    "src/instance/activity.ts",
    "src/instance/named-writes.ts",
    "src/instance/spec-syncs.ts",
    "src/fleet/store.ts",
    "src/limits/store.ts",
  ];
  const migrations = readdirSync("migrations").map((name) => `migrations/${name}`);
  return [...files, ...migrations].flatMap((file) => {
    const text = readFileSync(file, "utf8");
    const created = [...text.matchAll(/CREATE TABLE (?:IF NOT EXISTS )?(\w+)/g)];
    const documents = [...text.matchAll(/new Document(?:<\w+>)?\([^,]+, "(\w+)"\)/g)];
    return [...created, ...documents].map((match) => match[1] ?? "");
  });
}

describe("docs/storage.md", () => {
  it("lists exactly the tables of the other objects and of D1", () => {
    const others = page.replace(section, "");
    const listed = [...others.matchAll(/^\| `(\w+)` \|/gm)].map((match) => match[1]);
    expect(listed.sort()).toEqual(createdTables().sort());
  });

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
