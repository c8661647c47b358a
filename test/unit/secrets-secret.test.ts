import { format, inspect } from "node:util";
import { describe, expect, test } from "vitest";
import { parseConfig } from "../../src/config.ts";
import { Secret } from "../../src/secrets/secret.ts";

const VALUE = "correct-horse-battery-staple";
const secret = new Secret(VALUE);

describe("a Secret", () => {
  test("gives its value to whoever says so", () => {
    expect(secret.reveal()).toBe(VALUE);
  });

  test.each<[string, () => string]>([
    ["a template", () => `${secret}`],
    ["a concatenation", () => `a${String(secret)}`],
    ["JSON", () => JSON.stringify({ secret, list: [secret] })],
    ["an inspection", () => inspect({ secret }, { depth: 9, showHidden: true })],
    ["a format", () => format("%s %o %j", secret, secret, secret)],
    ["an error's text", () => String(new Error(`no: ${secret}`))],
    ["its members", () => JSON.stringify([Object.keys(secret), Object.entries(secret), { ...secret }])],
    ["a clone", () => inspect(structuredClone(secret), { showHidden: true })],
  ])("does not show in %s", (_, print) => {
    expect(print()).not.toContain(VALUE);
  });

  test("of bytes does not show them either", () => {
    const bytes = new Secret(new TextEncoder().encode(VALUE));
    expect(inspect(bytes, { showHidden: true })).toBe("[secret]");
    expect(JSON.stringify([bytes])).toBe('["[secret]"]');
  });
});

test("a configuration prints none of its secrets", () => {
  const values = {
    ADMIN_KEY: "planted-admin-key-1",
    SECRETS_KEY: btoa("planted-secrets-key-of-32-bytes!"),
    SECRETS_KEY_PREVIOUS: btoa("planted-before-key-of-32-bytes!!"),
    JWT_SECRET: "planted-jwt-secret-0123456789abcdef",
    GATEWAY_TOKEN_SECRET: "planted-gateway-0123456789abcdef0",
    GATEWAY_TOKEN_SECRET_PREVIOUS: "planted-gateway-before-0123456789",
  };
  const config = parseConfig({ ...values, JWT_ISSUER: "issuer", JWT_AUDIENCE: "audience" });
  expect(config.missing).toEqual([]);
  expect(config.jwt?.keys.kind).toBe("secret");
  const printed = inspect(config, { depth: 9 }) + JSON.stringify(config);
  expect(printed).toContain("[secret]");
  for (const value of Object.values(values)) {
    expect(printed).not.toContain(value);
    expect(printed).not.toContain(value.slice(8, -2));
  }
  expect(printed).not.toContain([...new TextEncoder().encode("planted-secrets")].join(","));
});
