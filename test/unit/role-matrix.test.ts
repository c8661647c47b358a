import { describe, expect, test } from "vitest";
import { matrixOf } from "../../scripts/roles/matrix.ts";
import { app, openApiDocument } from "../../src/app.ts";

const document = (operation: object, path = "/api/v1/things/{id}") => ({ paths: { [path]: { post: operation } } });
const guardedRoute = { "x-permission": "registry:write" };

describe("the role-by-route matrix", () => {
  test("has a row for every route, and every row a permission", () => {
    const { rows, gaps } = matrixOf(openApiDocument(), app.routes);
    expect(gaps).toEqual([]);
    expect(rows).toContainEqual({
      method: "POST",
      path: "/api/v1/keys/{id}/rotate",
      permission: "keys:manage",
      roles: ["admin"],
    });
    expect(rows).toContainEqual(expect.objectContaining({ method: "POST", path: "/api/v1/tenants/{id}/claim" }));
  });

  test("finds a route that nobody described", () => {
    const routes = [{ method: "POST", path: "/api/v1/things/:id" }];
    expect(matrixOf({ paths: {} }, routes).gaps).toHaveLength(1);
    expect(matrixOf(document(guardedRoute), routes).gaps).toEqual([]);
  });

  test("finds a route of any path outside the open ones", () => {
    expect(matrixOf({ paths: {} }, [{ method: "GET", path: "/backstage" }]).gaps).toHaveLength(1);
    expect(matrixOf({ paths: {} }, [{ method: "POST", path: "/docs" }]).gaps).toHaveLength(1);
    expect(matrixOf({ paths: {} }, [{ method: "GET", path: "/docs/errors/:code" }]).gaps).toEqual([]);
  });

  test("finds a route for tenants whose path does not say whose it is", () => {
    const forTenants = { "x-permission": "tenants:read" };
    expect(matrixOf(document(forTenants, "/api/v1/things/{id}"), []).gaps).toHaveLength(1);
    expect(matrixOf(document(forTenants, "/api/super/users/{id}/status"), []).gaps).toHaveLength(1);
    expect(matrixOf(document(forTenants, "/api/v1/tenants/{id}/things"), []).gaps).toEqual([]);
  });

  test("takes a permission that it does not know for none", () => {
    for (const operation of [{}, { "x-permission": "things:do" }, { "x-permission": "toString" }]) {
      expect(matrixOf(document(operation), []).gaps).toHaveLength(1);
    }
    expect(matrixOf(document({}, "/health"), []).gaps).toHaveLength(1);
  });
});
