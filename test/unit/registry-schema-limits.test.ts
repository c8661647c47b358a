import { describe, expect, test } from "vitest";
import { configErrors, schemaErrors } from "../../src/registry/config-schema.ts";
import { patternProblem } from "../../src/registry/schema-limits.ts";

const nested = (levels: number): Record<string, unknown> =>
  Array.from({ length: levels }).reduce<Record<string, unknown>>((inner) => ({ not: inner }), { type: "string" });

describe("a config schema", () => {
  test("may not be larger than 64 KiB", () => {
    expect(schemaErrors({ description: "x".repeat(65_400) }, "/configSchema")).toEqual([]);
    const [error] = schemaErrors({ description: "x".repeat(65_600) }, "/configSchema");
    expect(error).toMatchObject({ pointer: "/configSchema", detail: expect.stringContaining("65536 bytes") });
  });

  test("may not be nested deeper than 32 levels", () => {
    expect(schemaErrors(nested(31), "/configSchema")).toEqual([]);
    const [error] = schemaErrors(nested(33), "/configSchema");
    expect(error?.detail).toContain("32 levels");
  });

  test("may not double itself by references until nothing can check it", () => {
    const level = (to: number) => ({ allOf: [{ $ref: `#/$defs/l${to}` }, { $ref: `#/$defs/l${to}` }] });
    const levels = Array.from({ length: 24 }, (_, index) => [`l${index}`, level(index + 1)] as const);
    const schema = { $ref: "#/$defs/l0", $defs: { ...Object.fromEntries(levels), l24: { type: "object" } } };
    const started = performance.now();
    const [error] = schemaErrors(schema, "/configSchema");
    expect([error?.pointer, performance.now() - started < 500]).toEqual(["/configSchema", true]);
  });

  test("may refer to itself where the config gets smaller", () => {
    const tree = { type: "object", properties: { left: { $ref: "#" }, right: { $ref: "#" } } };
    expect(schemaErrors(tree, "")).toEqual([]);
    expect(configErrors(tree, { left: { right: 1 } }, "/config")).toMatchObject([{ pointer: "/config/left/right" }]);
  });

  test.each([
    [{ properties: { a: { pattern: "^(a+)+$" } } }, "/configSchema/properties/a/pattern"],
    [{ patternProperties: { "(x*)*": {} } }, "/configSchema/patternProperties"],
  ])("with the pattern of %j is refused at %s", (schema, pointer) => {
    expect(schemaErrors(schema, "/configSchema")).toMatchObject([{ pointer }]);
  });
});

describe("a pattern", () => {
  test.each([
    "(a+)+",
    "(a*)*b",
    "((a+)b)+",
    "(a|aa)+$",
    "(?:a|b)*",
    "(x+x+)+y",
    "(a+){20}",
    "([a-z]+.)*",
    "(a)\\1",
    "x".repeat(513),
  ])("like %s is refused", (source) => {
    expect(patternProblem(source)).not.toBeNull();
  });

  test.each([
    "^[a-z0-9-]{1,63}$",
    "^v\\d+\\.\\d+(-rc\\d+)?$",
    "^[0-9a-f]{8}(-[0-9a-f]{4}){3}$",
    "^(?:25[0-5]|1?\\d?\\d)(?:\\.(?:25[0-5]|1?\\d?\\d)){3}$",
    "^(gpt|claude)-.+$",
    "[)(*+|]+",
    "\\(a+\\)+",
  ])("like %s is taken", (source) => {
    expect(patternProblem(source)).toBeNull();
  });
});
