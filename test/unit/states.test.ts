import { describe, expect, test } from "vitest";
import { containers } from "../../scripts/states/containers.ts";
import { pools } from "../../scripts/states/pools.ts";
import { gapsOf, type Table } from "../../scripts/states/table.ts";
import { tenants } from "../../scripts/states/tenants.ts";
import { openApiDocument } from "../../src/app.ts";

const tables = { tenants, pools, containers } as unknown as Record<string, Table>;

describe.each(Object.entries(tables))("the table of %s and their states", (_, table) => {
  test("has a row for every route about one of them, and no answer that its route does not list", () => {
    expect(gapsOf(JSON.parse(JSON.stringify(openApiDocument())), table)).toEqual([]);
  });

  test("finds a route that nobody gave a row", () => {
    const paths = { [`${table.about}/vanish`]: { post: { responses: {} } } };
    expect(gapsOf({ paths }, table)).toContain(`POST ${table.about}/vanish has no row in scripts/states`);
  });

  test("has no answer that is a defect", () => {
    const answers = table.rows.flatMap(({ cells }) => cells.map(({ answer }) => answer));
    expect(answers.filter(({ status, code }) => status >= 500 && code !== "starting")).toEqual([]);
  });
});
