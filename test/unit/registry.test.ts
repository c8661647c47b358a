import { describe, expect, test } from "vitest";
import { configErrors, schemaErrors } from "../../src/registry/config-schema.ts";
import { claimSchema } from "../../src/registry/requests.ts";
import { poolSchema, workloadSchema } from "../../src/registry/specs.ts";

const aWorkload = (more: object = {}) => ({ id: "demo", image: "sandbox", ...more });
const paths = (result: { error?: { issues: { path: PropertyKey[] }[] } | undefined }) =>
  result.error?.issues.map((issue) => issue.path.join("/"));

describe("a workload", () => {
  test("starts on claim with a state volume, else on boot", () => {
    expect(workloadSchema.parse(aWorkload())).toMatchObject({
      name: "demo",
      port: 8080,
      start: "on-boot",
      network: "restricted",
    });
    const volumes = { state: { containerPath: "/data" } };
    expect(workloadSchema.parse(aWorkload({ volumes }))).toMatchObject({ start: "on-claim" });
  });

  test("with state may start on boot only if it reads state per request", () => {
    const eager = aWorkload({ volumes: { state: { containerPath: "/data" } }, start: "on-boot" });
    expect(paths(workloadSchema.safeParse(eager))).toEqual(["start"]);
    expect(workloadSchema.safeParse({ ...eager, stateReads: "per-request" }).success).toBe(true);
  });

  test.each([
    "relative",
    "/",
    "//",
    "/a//b",
    "/a/",
    "/a/../b",
    "/./a",
    "/etc",
    "/proc/1",
    "/run/boilerhouse",
    "/usr/x",
    "/a b",
  ])("cannot have a volume at %j", (containerPath) => {
    const volumes = { state: { containerPath } };
    expect(paths(workloadSchema.safeParse(aWorkload({ volumes })))).toEqual(["volumes/state/containerPath"]);
  });

  test("is checked in no time, whatever its paths look like", () => {
    const started = performance.now();
    workloadSchema.safeParse(aWorkload({ volumes: { state: { containerPath: `/${"a".repeat(500)}!` } } }));
    expect(performance.now() - started).toBeLessThan(100);
  });

  test("cannot have volumes within one another", () => {
    const volumes = { state: { containerPath: "/data" }, secrets: { containerPath: "/data/secrets" } };
    expect(paths(workloadSchema.safeParse(aWorkload({ volumes })))).toEqual(["volumes/secrets/containerPath"]);
  });

  test("cannot have read-only state, root, reserved ports or reserved variables", () => {
    const refused = [
      { volumes: { state: { containerPath: "/data", mode: "ro" } } },
      { user: "root" },
      { user: "0:0" },
      { port: 41800 },
      { port: 0 },
      { environment: { BOILERHOUSE_X: "1" } },
      { environment: { A: "nul\0" } },
      { network: "host" },
    ];
    for (const more of refused) expect(workloadSchema.safeParse(aWorkload(more)).success).toBe(false);
  });
});

describe("a pool", () => {
  test("cannot keep more warm than it may hold", () => {
    const pool = { id: "p", workloadId: "w", minSize: 3, maxSize: 2 };
    expect(paths(poolSchema.safeParse(pool))).toEqual(["minSize"]);
  });
});

describe("a claim", () => {
  test("cannot name a secret that would leave its directory", () => {
    for (const name of ["../x", ".", "..", "a/b", "", "a\0"]) {
      expect(claimSchema.safeParse({ secrets: { [name]: "x" } }).success).toBe(false);
    }
    expect(claimSchema.parse({ secrets: { API_KEY: "x" }, config: undefined })).toEqual({ secrets: { API_KEY: "x" } });
  });
});

describe("a config schema", () => {
  test.each([
    [{ type: "strin" }, "/configSchema/type"],
    [{ properties: { a: { type: 1 } } }, "/configSchema/properties/a/type"],
    [{ properties: [] }, "/configSchema/properties"],
    [{ required: "a" }, "/configSchema/required"],
    [{ pattern: "(" }, "/configSchema/pattern"],
    [{ minLength: -1 }, "/configSchema/minLength"],
    [{ $ref: "https://example.com/schema" }, "/configSchema/$ref"],
    [{ properties: { a: { $ref: "#/$defs/nope" } } }, "/configSchema"],
    [{ $ref: "#" }, "/configSchema"],
    [{ $id: "http://[" }, "/configSchema"],
  ])("%j is refused at %s", (schema, pointer) => {
    expect(schemaErrors(schema, "/configSchema").map((error) => error.pointer)).toContain(pointer);
  });

  test.each([
    [{}],
    [{ type: "object", properties: { a: { $ref: "#/$defs/a" } }, $defs: { a: { type: "string" } } }],
    [{ type: "object", properties: { next: { $ref: "#" } } }],
    [{ $schema: "https://json-schema.org/draft/2020-12/schema", title: "x", default: {}, "x-mine": 1 }],
  ])("%j is accepted", (schema) => {
    expect(schemaErrors(schema, "/configSchema")).toEqual([]);
  });

  test("points at every field that does not fit, and at nothing else", () => {
    const schema = {
      type: "object",
      required: ["model", "a/b"],
      properties: { model: { type: "string" }, limits: { properties: { rpm: { minimum: 1 } } } },
      additionalProperties: false,
    };
    expect(schemaErrors(schema, "")).toEqual([]);
    const errors = configErrors(schema, { model: 1, limits: { rpm: 0 }, extra: true }, "/config");
    expect(errors.map(({ pointer }) => pointer).sort()).toEqual([
      "/config/a~1b",
      "/config/extra",
      "/config/limits/rpm",
      "/config/model",
    ]);
    expect(configErrors(schema, { model: "x", "a/b": 1 }, "/config").length).toBe(1);
  });

  test("is not changed by being used", () => {
    const schema = { type: "object", properties: { a: { type: "string" } } };
    const before = structuredClone(schema);
    configErrors(schema, { a: 1 }, "");
    expect(schema).toEqual(before);
  });
});
