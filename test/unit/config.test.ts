import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { configOf, environmentSchema, parseConfig } from "../../src/config.ts";

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
      restoreMs: 300_000,
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

  test("and .dev.vars.example name the same variables", () => {
    const text = readFileSync(".dev.vars.example", "utf8");
    const listed = [...text.matchAll(/^([A-Z_]+)=/gm)].map((match) => match[1]);
    expect(listed.sort()).toEqual(Object.keys(environmentSchema.shape).sort());
  });
});
