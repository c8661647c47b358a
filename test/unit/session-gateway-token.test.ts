import { createHmac } from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { epoch, type TenantId } from "../../src/ids.ts";
import { Secret } from "../../src/secrets/secret.ts";
import { gatewayGrant, gatewayToken } from "../../src/sessions/gateway-token.ts";

const alice = "alice" as TenantId;
const secrets = (now: string | null, before: string | null = null) => ({
  gatewayTokenSecret: now === null ? null : new Secret(now),
  gatewayTokenSecretPrevious: before === null ? null : new Secret(before),
});
const [first, second, third] = ["a".repeat(32), "b".repeat(32), "c".repeat(32)];

describe("a gateway token", () => {
  test("is the HMAC of tenant, epoch and token version", () => {
    const grant = gatewayGrant(secrets(first), epoch(7), 3);
    const expected = createHmac("sha256", first).update("gw:alice:7:3").digest("base64url");
    expect(grant && gatewayToken(secrets(first), alice, grant)).toBe(expected);
  });

  test("is another one for every tenant, epoch and version", () => {
    const whom = fc.record({
      tenant: fc.stringMatching(/^[a-z0-9][a-z0-9:]{0,8}$/),
      at: fc.nat({ max: 99 }),
      version: fc.nat({ max: 99 }),
    });
    const tokenOf = ({ tenant, at, version }: { tenant: string; at: number; version: number }) => {
      const grant = gatewayGrant(secrets(first), epoch(at), version);
      return grant && gatewayToken(secrets(first), tenant as TenantId, grant);
    };
    fc.assert(
      fc.property(whom, whom, (one, other) => {
        expect(tokenOf(one) === tokenOf(other)).toBe(JSON.stringify(one) === JSON.stringify(other));
      }),
    );
  });

  test("does not exist without a secret", () => {
    expect(gatewayGrant(secrets(null), epoch(1), 1)).toBeNull();
  });

  test("stays what the container was given through one rotation, and ends with the second", () => {
    const grant = gatewayGrant(secrets(first), epoch(1), 1);
    if (!grant) throw new Error("there is a secret");
    const given = gatewayToken(secrets(first), alice, grant);
    expect(given).toMatch(/^[\w-]{43}$/);
    expect(gatewayToken(secrets(second, first), alice, grant)).toBe(given);
    expect(gatewayToken(secrets(third, second), alice, grant)).toBeNull();
    expect(gatewayToken(secrets(null), alice, grant)).toBeNull();
  });

  test("tells nothing of its secret in the grant", () => {
    expect(JSON.stringify(gatewayGrant(secrets(first), epoch(1), 1))).not.toContain(first.slice(0, 9));
  });
});
