import { describe, expect, test } from "vitest";
import { app, openApiDocument } from "../../src/app.ts";
import { PERMISSIONS } from "../../src/auth/permissions.ts";
import { TAGS } from "../../src/http/openapi.ts";
import { operationIdOf } from "../../src/http/operation-id.ts";

/** The document as whoever reads it sees it: nothing but JSON. */
type Json = { [key: string]: Json } & Json[] & string;
const document = JSON.parse(JSON.stringify(openApiDocument())) as Json;
const METHODS = ["get", "put", "post", "delete", "patch"];

const resolve = (ref: string): Json | undefined =>
  ref
    .slice(2)
    .split("/")
    .reduce<Json | undefined>((at, key) => at?.[key.replaceAll("~1", "/").replaceAll("~0", "~")], document);

interface Parameter {
  name: string;
  in: string;
  required?: boolean;
  schema?: object;
}
const operations = Object.entries(document.paths ?? {}).flatMap(([path, item]) =>
  Object.entries(item).map(([method, operation]) => {
    const parameters = (operation.parameters ?? ([] as unknown as Json)).map(
      (parameter) => (parameter.$ref ? resolve(parameter.$ref) : parameter) as unknown as Parameter,
    );
    return { name: `${method.toUpperCase()} ${path}`, path, method, operation, parameters };
  }),
);

/** Every object in the document, with where it is. */
function* objects(value: unknown, at = "#"): Generator<[at: string, object: Record<string, unknown>]> {
  if (typeof value !== "object" || value === null) return;
  if (!Array.isArray(value)) yield [at, value as Record<string, unknown>];
  for (const [key, child] of Object.entries(value)) yield* objects(child, `${at}/${key}`);
}

describe("the OpenAPI document", () => {
  test("is 3.1, and has nothing that only 3.0 knows", () => {
    expect(document.openapi).toMatch(/^3\.1\.\d+$/);
    expect(document.info).toMatchObject({ title: "Boilerhouse", version: expect.any(String) });
    for (const [at, object] of objects(document.components?.schemas)) {
      if (at.endsWith("/properties")) continue;
      expect(Object.keys(object), at).not.toContain("nullable");
      expect(typeof object.exclusiveMinimum, at).not.toBe("boolean");
      expect(typeof object.exclusiveMaximum, at).not.toBe("boolean");
    }
  });

  test("has patterns that whoever generates from it can use", () => {
    const patterns = [...objects(document)].flatMap(([, { pattern }]) =>
      typeof pattern === "string" ? [pattern] : [],
    );
    expect(patterns.length).toBeGreaterThan(10);
    for (const pattern of patterns) {
      expect(() => new RegExp(pattern, "u"), pattern).not.toThrow();
      expect(pattern).not.toMatch(/\/[a-z]+$/);
    }
  });

  test("refers to nothing that is not there", () => {
    const refs = [...objects(document)].flatMap(([, { $ref }]) => (typeof $ref === "string" ? [$ref] : []));
    expect(refs.length).toBeGreaterThan(50);
    for (const ref of refs) expect(resolve(ref), ref).toBeTypeOf("object");
  });

  test("declares every security scheme and tag that it names, and uses each", () => {
    const schemes = Object.keys(document.components?.securitySchemes ?? {});
    expect((document.security ?? []).flatMap((one) => Object.keys(one)).sort()).toEqual(schemes.sort());
    expect((document.tags ?? []).map(({ name }) => String(name))).toEqual(Object.keys(TAGS));
    const used = new Set(operations.flatMap(({ operation }) => (operation.tags ?? []).map(String)));
    expect([...used].sort()).toEqual(Object.keys(TAGS).sort());
  });

  test("gives every operation a name of its own", () => {
    const ids = operations.map(({ operation }) => String(operation.operationId));
    for (const id of ids) expect(id).toMatch(/^[a-z][a-zA-Z0-9]*$/);
    expect(ids.filter((id, at) => ids.indexOf(id) !== at)).toEqual([]);
  });

  test("has every route under /api/v1 that answers, and no other", () => {
    const routes = app.routes
      .filter(({ method, path }) => path.startsWith("/api/v1/") && method !== "ALL")
      .map(({ method, path }) => `${method} ${path.replace(/:(\w+)(?:\{[^}]*\})?/g, "{$1}")}`);
    const listed = operations.map(({ name }) => name).filter((name) => name.includes(" /api/v1/"));
    expect([...new Set(routes)].sort()).toEqual([...listed].sort());
  });
});

describe.each(operations)("$name", ({ method, path, operation, parameters }) => {
  test("says what it is, what it belongs to, and how it can be refused", () => {
    expect(METHODS).toContain(method);
    expect(operation.summary).toMatch(/^[A-Z].{5,119}[^.]$/);
    expect(operation.tags).toHaveLength(1);
    for (const tag of operation.tags ?? []) expect(Object.keys(TAGS)).toContain(tag);
    const statuses = Object.keys(operation.responses ?? {});
    expect(statuses.some((status) => /^2\d\d$/.test(status))).toBe(true);
    const open = Array.isArray(operation.security) && operation.security.length === 0;
    if (open) return;
    expect(PERMISSIONS).toContain(operation["x-permission"]);
    expect(statuses).toEqual(expect.arrayContaining(["401", "403", "429", "503", "default"]));
    if (operation.requestBody) expect(statuses).toEqual(expect.arrayContaining(["400", "413", "415", "422"]));
    if (path.includes("{")) expect(statuses).toContain("404");
    const names = parameters.map(({ name }) => name);
    expect(names.includes("Idempotency-Key")).toBe(method !== "get");
  });

  test("declares each parameter of its path, and none twice", () => {
    const inPath = parameters.filter((parameter) => parameter.in === "path");
    const named = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
    expect(inPath.map(({ name }) => name).sort()).toEqual(named.sort());
    for (const parameter of inPath) expect(parameter.required).toBe(true);
    for (const parameter of parameters) expect(parameter.schema, parameter.name).toBeTypeOf("object");
    const keys = parameters.map((parameter) => `${parameter.in}:${parameter.name}`);
    expect(new Set(keys).size).toBe(keys.length);
  });
});

test.each([
  ["get", "/api/v1/pools", "listPools"],
  ["get", "/api/v1/pools/{id}", "getPool"],
  ["get", "/api/v1/pools/{id}/containers", "listPoolContainers"],
  ["get", "/api/v1/tenants/{id}/status", "getTenantStatus"],
  ["post", "/api/v1/pools", "createPool"],
  ["post", "/api/v1/tenants/{id}/claim", "claimTenant"],
  ["post", "/api/v1/tenants/{id}/tickets", "createTenantTicket"],
  ["post", "/api/v1/sync-specs/{id}/trigger", "triggerSyncSpec"],
  ["post", "/api/v1/admin/rotate-secrets", "rotateSecrets"],
  ["put", "/api/v1/tenants/{id}/tier", "setTenantTier"],
  ["put", "/api/v1/workloads/{id}", "updateWorkload"],
  ["delete", "/api/v1/workloads/{id}", "deleteWorkload"],
])("%s %s is the operation %s", (method, path, id) => {
  expect(operationIdOf(method, path)).toBe(id);
});
