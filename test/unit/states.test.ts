import { describe, expect, test } from "vitest";
import { gapsOf, rows } from "../../scripts/states/table.ts";
import { openApiDocument } from "../../src/app.ts";

describe("the table of calls and states", () => {
  test("has a row for every route about a tenant, and no answer that its route does not list", () => {
    expect(gapsOf(JSON.parse(JSON.stringify(openApiDocument())))).toEqual([]);
  });

  test("finds a route that nobody gave a row", () => {
    const paths = { "/api/v1/tenants/{id}/vanish": { post: { responses: {} } } };
    expect(gapsOf({ paths })).toContain("POST /api/v1/tenants/{id}/vanish has no row in scripts/states/calls.ts");
  });

  test("has no answer that is a defect", () => {
    const defects = rows.flatMap(({ cells }) =>
      cells.filter(({ answer }) => answer.status >= 500 && answer.code !== "starting"),
    );
    expect(defects).toEqual([]);
  });
});
