import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { configOf, parseConfig } from "../../src/config.ts";
import { environmentSchema, VARIABLES } from "../../src/environment.ts";

const secrets = { ADMIN_KEY: "0123456789abcdef", SECRETS_KEY: btoa("k".repeat(32)) };

describe("the configuration", () => {
  test("with both secrets lacks nothing and has every default", () => {
    const config = parseConfig(secrets);
    expect(config.missing).toEqual([]);
    expect(config.secretsKey?.reveal().length).toBe(32);
    expect(config.tenantDomain).toBe("localhost");
    expect(config.runtime).toBe("platform");
    expect(config.deadlines).toEqual({
      wakeMs: 120_000,
      startMs: 180_000,
      saveMs: 120_000,
      syncMs: 600_000,
      restoreMs: 300_000,
      importMs: 900_000,
      execMs: 60_000,
      maxExecMs: 300_000,
    });
  });

  test("of an empty environment names both secrets", () => {
    expect(parseConfig({}).missing).toEqual(["ADMIN_KEY", "SECRETS_KEY"]);
    expect(parseConfig({ ADMIN_KEY: "", SECRETS_KEY: "" }).missing).toEqual(["ADMIN_KEY", "SECRETS_KEY"]);
  });

  test.each([
    ["ADMIN_KEY", "short"],
    ["SECRETS_KEY", "not base64!"],
    ["SECRETS_KEY", btoa("too short")],
    ["TENANT_DOMAIN", "localhost:8787"],
    ["TENANT_DOMAIN", "Example.com"],
    ["RUNTIME", "docker"],
    ["DEMO_POOL", "Demo"],
    ["TIER_CAPS", "{"],
    ["TIER_CAPS", '{"huge":1}'],
    ["TIER_CAPS", '{"lite":-1}'],
    ["SANDBOX_WAKE_TIMEOUT_MS", "9999"],
    ["SANDBOX_WAKE_TIMEOUT_MS", "soon"],
    ["SANDBOX_WAKE_TIMEOUT_MS", "1e5"],
    ["RETRY_ATTEMPTS", "11"],
    ["MAX_EXEC_TIMEOUT_MS", "900001"],
    ["DEFAULT_EXEC_TIMEOUT_MS", "300001"],
  ])("lists %s=%s as wrong and never uses it", (name, value) => {
    const config = parseConfig({ ...secrets, [name]: value });
    expect(config.missing).toEqual([name]);
    for (const ms of Object.values(config.deadlines)) expect(Number.isSafeInteger(ms)).toBe(true);
  });

  test("takes caps by tier as JSON text or as a JSON variable, over the defaults", () => {
    expect(parseConfig({ ...secrets, TIER_CAPS: '{"lite":3}' }).tierCaps).toMatchObject({ lite: 3, basic: 100 });
    expect(parseConfig({ ...secrets, TIER_CAPS: { lite: 4 } }).tierCaps).toMatchObject({ lite: 4, basic: 100 });
  });

  test("is parsed once for an environment object", () => {
    const env = { ...secrets };
    expect(configOf(env)).toBe(configOf(env));
  });

  test.each(["DEV_MODE", "E2E_TEST_MODE", "DEBUG_ROUTES"])("refuses %s in production, whatever its value", (name) => {
    for (const value of ["true", "false", "0", true, {}]) {
      expect(parseConfig({ ...secrets, [name]: value }).missing).toEqual([name]);
      expect(parseConfig({ ...secrets, ENVIRONMENT: "production", [name]: value }).missing).toEqual([name]);
      expect(parseConfig({ ...secrets, ENVIRONMENT: "development", [name]: value }).missing).toEqual([]);
    }
    expect(parseConfig({ ...secrets, [name]: "" }).missing).toEqual([]);
  });

  test("refuses simulated containers and keys over plain http in production, which is what it is unless it says otherwise", () => {
    const jwt = { JWT_JWKS_URL: "http://issuer.test/keys", JWT_ISSUER: "i", JWT_AUDIENCE: "a" };
    expect(parseConfig({ ...secrets, RUNTIME: "simulated" }).missing).toEqual(["RUNTIME"]);
    expect(parseConfig({ ...secrets, ...jwt }).missing).toEqual(["JWT_JWKS_URL"]);
    expect(parseConfig({ ...secrets, ...jwt, RUNTIME: "simulated", ENVIRONMENT: "development" }).missing).toEqual([]);
    // A misspelt environment is production.
    expect(parseConfig({ ...secrets, RUNTIME: "simulated", ENVIRONMENT: "dev" }).missing).toEqual([
      "ENVIRONMENT",
      "RUNTIME",
    ]);
  });

  test.each([
    [{ JWT_SECRET: "s".repeat(32) }, ["JWT_AUDIENCE", "JWT_ISSUER"]],
    [
      { JWT_SECRET: "s".repeat(32), JWT_JWKS_URL: "https://i.test/", JWT_ISSUER: "i", JWT_AUDIENCE: "a" },
      ["JWT_JWKS_URL"],
    ],
    [{ ACCESS_TEAM_DOMAIN: "team.cloudflareaccess.com" }, ["ACCESS_AUDIENCE"]],
  ])("half a door is no door: %j", (given, missing) => {
    expect(parseConfig({ ...secrets, ...given }).missing).toEqual(missing);
  });

  test("names what is wrong and never shows a value", () => {
    const planted = Object.fromEntries(VARIABLES.map(({ name }) => [name, `planted value of ${name} \u0000`]));
    const config = parseConfig(planted);
    expect(JSON.stringify(config)).not.toContain("planted");
    expect(config.missing.length).toBeGreaterThan(20);
    for (const name of config.missing) expect(Object.keys(environmentSchema.shape)).toContain(name);
  });
});

describe("every variable", () => {
  test.each(VARIABLES)("$name is described in one sentence, with its range", ({ about, range, name, secret }) => {
    expect(about).toMatch(/^(?:[A-Z`{]|`iss`|`aud`).*\.$/s);
    expect(range).not.toBe("");
    expect(Boolean(secret)).toBe(/KEY|SECRET/.test(name) && name !== "JWT_JWKS_URL");
  });

  test("keeps the name, the default and the range that S1 gave it", () => {
    const limits: Record<string, [min: number, initial: number, max: number]> = {
      SANDBOX_WAKE_TIMEOUT_MS: [10_000, 120_000, 600_000],
      DEFAULT_EXEC_TIMEOUT_MS: [100, 60_000, 300_000],
      MAX_EXEC_TIMEOUT_MS: [1_000, 300_000, 900_000],
      RETRY_ATTEMPTS: [1, 3, 10],
      RETRY_BASE_DELAY_MS: [10, 1_000, 60_000],
      STARTUP_TIMEOUT_MS: [10_000, 180_000, 900_000],
    };
    const short = { ...secrets, DEFAULT_EXEC_TIMEOUT_MS: "1000" };
    for (const [name, [min, initial, max]] of Object.entries(limits)) {
      expect(VARIABLES.find((variable) => variable.name === name)?.fallback).toBe(initial);
      for (const value of [min, max]) expect(parseConfig({ ...short, [name]: `${value}` }).missing).toEqual([]);
      for (const value of [min - 1, max + 1, Number.NaN, -1, 1.5]) {
        expect(parseConfig({ ...short, [name]: `${value}` }).missing).toEqual([name]);
      }
    }
  });

  test("is in .dev.vars.example once, with a value that would be right", () => {
    const text = readFileSync(".dev.vars.example", "utf8");
    const listed = [...text.matchAll(/^([A-Z_0-9]+)=(.*)$/gm)];
    expect(listed.map(([, name]) => name).sort()).toEqual(Object.keys(environmentSchema.shape).sort());
    const example = Object.fromEntries(listed.map(([, name, value]) => [name, value]));
    expect(parseConfig({ ...example, ...secrets }).missing).toEqual([]);
  });

  test("is in docs/configuration.md", () => {
    const page = readFileSync("docs/configuration.md", "utf8");
    for (const { name } of VARIABLES) expect(page).toContain(`| \`${name}\` |`);
  });
});
