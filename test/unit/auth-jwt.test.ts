import { exportJWK, generateKeyPair, type JWTPayload, SignJWT, UnsecuredJWT } from "jose";
import { afterEach, describe, expect, test, vi } from "vitest";
import { roleOf, verifyAssertion } from "../../src/auth/access.ts";
import { KeysUnavailable } from "../../src/auth/jwks.ts";
import { looksLikeJwt, verifyTenantToken } from "../../src/auth/jwt.ts";
import type { AccessConfig, JwtConfig } from "../../src/config.ts";
import { Secret } from "../../src/secrets/secret.ts";

const NOW = 1_800_000_000_000;
const SECONDS = NOW / 1_000;
const secret = "a shared secret of more than 32 bytes";
const bytes = (text: string) => new TextEncoder().encode(text);
const shared: JwtConfig = {
  keys: { kind: "secret", secret: new Secret(secret) },
  issuer: "https://id",
  audience: "bh",
};
const claims = { sub: "u-1", tid: "alice", ver: 3, iss: "https://id", aud: "bh", exp: SECONDS + 600 };
const without = (name: keyof typeof claims): JWTPayload => {
  const { [name]: _, ...rest } = claims;
  return rest;
};

const sign = (payload: JWTPayload, alg = "HS256", key: Parameters<SignJWT["sign"]>[0] = bytes(secret), kid?: string) =>
  new SignJWT(payload).setProtectedHeader({ alg, ...(kid === undefined ? {} : { kid }) }).sign(key);
const verify = (token: string, config = shared, environment: "production" | "development" = "production") =>
  verifyTenantToken(token, config, environment, NOW);
const unknown = { ok: false, why: "unknown" };

describe("a tenant's token by a shared secret", () => {
  test("names a tenant, a subject, a version and its end", async () => {
    expect(await verify(await sign({ ...claims, role: "tenant", env: "production" }))).toEqual({
      ok: true,
      value: { subject: "u-1", tenantId: "alice", version: 3, expiresAt: claims.exp * 1_000 },
    });
  });

  test.each(["sub", "tid", "ver", "iss", "aud", "exp"] as const)("without %s opens nothing", async (name) => {
    expect(await verify(await sign(without(name)))).toEqual(unknown);
  });

  test.each([
    ["another issuer", { iss: "https://other" }],
    ["another audience", { aud: "other" }],
    ["another environment", { env: "development" }],
    ["a role of the platform", { role: "admin" }],
    ["no tenant's id", { tid: "../alice" }],
    ["a tenant that is a number", { tid: 7 }],
    ["a version that is text", { ver: "3" }],
    ["an empty subject", { sub: "" }],
    ["a subject with a line break", { sub: "a\nb" }],
    ["a start in the future", { nbf: SECONDS + 61 }],
  ])("with %s opens nothing", async (_, more) => {
    expect(await verify(await sign({ ...claims, ...more } as JWTPayload))).toEqual(unknown);
  });

  test("has a minute's grace for clocks, and no more", async () => {
    expect(await verify(await sign({ ...claims, exp: SECONDS - 59 }))).toMatchObject({ ok: true });
    expect(await verify(await sign({ ...claims, exp: SECONDS - 60 }))).toEqual({ ok: false, why: "expired" });
    expect(await verify(await sign({ ...claims, nbf: SECONDS + 60 }))).toMatchObject({ ok: true });
  });

  test("that has expired and is forged is not called expired", async () => {
    const forged = await sign(
      { ...claims, exp: SECONDS - 600 },
      "HS256",
      bytes("another secret of more than 32 bytes"),
    );
    expect(await verify(forged)).toEqual(unknown);
  });

  test("by another algorithm than the configuration's opens nothing, whatever its header says", async () => {
    expect(await verify(await sign(claims, "HS384"))).toEqual(unknown);
    expect(await verify(await sign(claims, "HS512"))).toEqual(unknown);
    expect(await verify(new UnsecuredJWT(claims).encode())).toEqual(unknown);
    const [, payload] = (await sign(claims)).split(".");
    const none = Buffer.from('{"alg":"none"}').toString("base64url");
    expect(await verify(`${none}.${payload}.AAAA`)).toEqual(unknown);
  });

  test("is told from a key by its looks", () => {
    expect(looksLikeJwt("a.b.c")).toBe(true);
    for (const text of ["bh_abc", "a.b", "a.b.c.d", "a.b.", "a b.c.d"]) expect(looksLikeJwt(text)).toBe(false);
  });
});

/** An issuer whose keys are at a URL of its own, for jose keeps them by URL. */
let issuers = 0;
async function anIssuer(alg: "RS256" | "ES256") {
  const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true });
  issuers += 1;
  const jwk = { ...(await exportJWK(publicKey)), kid: "one", alg, use: "sig" };
  return {
    privateKey,
    publicKey,
    jwk,
    team: `team-${issuers}.cloudflareaccess.com`,
    url: `https://keys-${issuers}/jwks`,
  };
}
const served = (answer: (url: string) => Response | Promise<Response>) => {
  const fetched = vi.fn(async (url: string | URL | Request, _init?: RequestInit) => answer(String(url)));
  vi.stubGlobal("fetch", fetched);
  return fetched;
};
afterEach(() => {
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

describe("a tenant's token by an issuer's keys", () => {
  test.each(["RS256", "ES256"] as const)("opens by %s, and the keys are fetched once", async (alg) => {
    const { privateKey, jwk, url } = await anIssuer(alg);
    const fetched = served(() => Response.json({ keys: [jwk] }));
    const config: JwtConfig = { ...shared, keys: { kind: "jwks", url } };
    for (let n = 0; n < 3; n += 1) {
      expect(await verify(await sign(claims, alg, privateKey, "one"), config)).toMatchObject({ ok: true });
    }
    expect(fetched).toHaveBeenCalledTimes(1);
    expect(fetched.mock.calls[0]?.[1]?.signal).toBeInstanceOf(AbortSignal);
  });

  test("signed with the public key as a shared secret opens nothing", async () => {
    const { jwk, url } = await anIssuer("RS256");
    const fetched = served(() => Response.json({ keys: [jwk] }));
    const confused = await sign(claims, "HS256", bytes(JSON.stringify(jwk)), "one");
    expect(await verify(confused, { ...shared, keys: { kind: "jwks", url } })).toEqual(unknown);
    expect(fetched).not.toHaveBeenCalled();
  });

  test("of an unknown key opens nothing", async () => {
    const { jwk, url } = await anIssuer("RS256");
    const other = await anIssuer("RS256");
    served(() => Response.json({ keys: [jwk] }));
    const config: JwtConfig = { ...shared, keys: { kind: "jwks", url } };
    expect(await verify(await sign(claims, "RS256", other.privateKey, "two"), config)).toEqual(unknown);
    expect(await verify(await sign(claims, "RS256", other.privateKey, "one"), config)).toEqual(unknown);
  });

  test.each([
    ["are not there", () => new Response("no", { status: 404 })],
    ["are no keys", () => Response.json({ hello: 1 })],
    ["cannot be reached", () => Promise.reject(new TypeError("network"))],
  ])("is not judged while the keys %s, and they are not asked for at once again", async (_, answer) => {
    const { privateKey, jwk, url } = await anIssuer("ES256");
    const fetched = served(answer);
    const config: JwtConfig = { ...shared, keys: { kind: "jwks", url } };
    const token = await sign(claims, "ES256", privateKey, "one");
    await expect(verify(token, config)).rejects.toThrow(KeysUnavailable);
    await expect(verify(token, config)).rejects.toThrow(KeysUnavailable);
    expect(fetched).toHaveBeenCalledTimes(1);
    vi.useFakeTimers({ now: Date.now() + 5_001, toFake: ["Date"] });
    served(() => Response.json({ keys: [jwk] }));
    expect(await verify(token, config)).toMatchObject({ ok: true });
  });
});

describe("an assertion of Cloudflare Access", () => {
  const access = (teamDomain: string): AccessConfig => ({
    teamDomain,
    audience: "aud-1",
    roles: { "Ann@example.com": "admin", "*": "viewer" },
  });
  const person = (team: string, more: JWTPayload = {}) => ({
    iss: `https://${team}`,
    aud: ["aud-1"],
    exp: SECONDS + 60,
    email: "ann@Example.com",
    ...more,
  });

  test("names a person and their role, by the keys of the team", async () => {
    const { privateKey, jwk, team } = await anIssuer("RS256");
    const fetched = served(() => Response.json({ keys: [jwk] }));
    const assertion = await sign(person(team), "RS256", privateKey, "one");
    expect(await verifyAssertion(assertion, access(team), NOW)).toEqual({
      ok: true,
      person: { email: "ann@example.com", role: "admin", expiresAt: NOW + 60_000 },
    });
    expect(String(fetched.mock.calls[0]?.[0])).toBe(`https://${team}/cdn-cgi/access/certs`);
  });

  test.each([
    ["another application", { aud: ["aud-2"] }],
    ["another team", { iss: "https://other.cloudflareaccess.com" }],
    ["nobody", { email: undefined }],
    ["what is no address", { email: "ann" }],
  ])("for %s opens nothing", async (_, more) => {
    const { privateKey, jwk, team } = await anIssuer("RS256");
    served(() => Response.json({ keys: [jwk] }));
    const assertion = await sign(person(team, more as JWTPayload), "RS256", privateKey, "one");
    expect(await verifyAssertion(assertion, access(team), NOW)).toEqual(unknown);
  });

  test("gives the listed role, else that of everyone, else none", () => {
    expect(roleOf("ANN@example.com", { "ann@example.com": "operator", "*": "viewer" })).toBe("operator");
    expect(roleOf("bob@example.com", { "ann@example.com": "operator", "*": "viewer" })).toBe("viewer");
    expect(roleOf("bob@example.com", { "ann@example.com": "operator" })).toBeNull();
    expect(roleOf("constructor", {})).toBeNull();
  });
});
