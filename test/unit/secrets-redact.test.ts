import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { forbid, redactText, redactValue } from "../../src/secrets/redact.ts";
import { Secret } from "../../src/secrets/secret.ts";

const JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.dBjftJeZ4CVPmB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const AWS_SECRET = "wJalrXUtnFEMIxK7MDENGxbPxRfiCYzEXAMPLEKE";

/** A text with a secret in it, the secret, and what a reader still has to see. */
const planted: [what: string, text: string, secret: string, kept: string][] = [
  ["a bearer token", "sent Bearer abcdef0123456789 to /x", "abcdef0123456789", "to /x"],
  ["a header", "authorization: Token hunter2hunter2\nhost: a.example", "hunter2", "host: a.example"],
  ["a header in JSON", '{"Authorization":"Bearer q","a":1}', "Bearer q", '"a":1'],
  ["a header in escaped JSON", '"{\\"authorization\\":\\"Bearer q1\\",\\"a\\":1}"', "q1", '\\"a\\":1'],
  ["a cookie", "Cookie: a=opaque1; b=opaque2\r\nAccept: */*", "opaque2", "Accept: */*"],
  ["a new cookie", "set-cookie: __Host-s=opaque3; Path=/", "opaque3", "set-cookie:"],
  ["basic credentials", `sent Basic ${btoa("ann:hunter2")} away`, btoa("ann:hunter2"), "away"],
  ["an API key", "the key bh_01ab_Zz-9876543210abcdef was refused", "Zz-9876543210abcdef", "was refused"],
  ["a JWT", `token ${JWT} expired`, JWT.slice(20, 60), "expired"],
  ["a JWT behind a sign", `jwt=${JWT}`, "dBjftJeZ4CVP", "jwt="],
  ["an AWS key id", "for AKIAIOSFODNN7EXAMPLE in eu", "AKIAIOSFODNN7EXAMPLE", "in eu"],
  ["an AWS secret key", `with ${AWS_SECRET}, region auto`, AWS_SECRET, "region auto"],
  ["an environment variable", `AWS_SECRET_ACCESS_KEY=${"x".repeat(9)} HOME=/root`, "xxxxxxxxx", "HOME=/root"],
  ["an access key", "secretAccessKey: 'short one', bucket: 'b'", "short one", "bucket: 'b'"],
  ["a password", "login password=hunter2&user=ann", "hunter2", "user=ann"],
  ["a quoted password", 'password: "a \\"b\\" hunter2" next', "hunter2", "next"],
  ["a password without its end", 'password="hunter2 and more', "hunter2", "password="],
  ["a key", "key=hunter2 value=3", "hunter2", "value=3"],
  ["a created key", '{"id":"k1","key":"hunter2"}', "hunter2", '"id":"k1"'],
  ["a set of secrets", '{"secrets":{"A":"hun}ter2"},"poolId":"p"}', "ter2", '"poolId":"p"'],
  ["a URL with a user", "clone https://ann:hun@ter2@git.example/x.git", "ter2", "git.example/x.git"],
  ["a signed URL", "GET https://b.example/o?X-Amz-Date=1&X-Amz-Signature=0a1b2c&x=1", "0a1b2c", "X-Amz-Date=1"],
  ["a one-time code", "GET /__boilerhouse/session?code=Q1w2&next=/", "Q1w2", "next=/"],
  ["a private key", "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----\nrest", "MIIE", "rest"],
  ["half a private key", "a -----BEGIN PRIVATE KEY-----\nMIIE", "MIIE", "a "],
  ["a code host's token", "push with ghp_0123456789abcdef0123456789 ok", "ghp_0123", "ok"],
];

describe("redacted text", () => {
  test.each(planted)("loses %s and keeps the rest", (_, text, secret, kept) => {
    expect(text).toContain(secret);
    const safe = redactText(text);
    expect(safe).not.toContain(secret);
    expect(safe).toContain(kept);
    expect(redactText(safe)).toBe(safe);
  });

  test.each([
    "The tenant is active; release it first.",
    "There is no tenant alice.",
    "There is no workload basic-authentication.",
    "Send `Authorization: Bearer <key>`.",
    "Bearer tokens are refused here.",
    "generation 12 of tenants/alice/objects/0f8fad5b-d9cb-469f-a165-70867728950e",
    "commit da39a3ee5e6b4b0d3255bfef95601890afd80709 at https://a.example/b@c?d=e",
    "/usr/lib/node_modules/someThing/With/Many9/Parts/in.js:10:20",
    "Not configured: SECRETS_KEY, ADMIN_KEY.",
    "token: null",
    "container c-abcdefghij234567klmn did not answer within 1000 ms",
  ])("leaves alone what is not secret: %s", (text) => {
    expect(redactText(text)).toBe(text);
  });

  test("loses what is forbidden, also encoded", () => {
    const value = 'exact "value" ü/1';
    forbid(value);
    for (const form of [
      value,
      encodeURIComponent(value),
      JSON.stringify(value),
      Buffer.from(value).toString("base64"),
    ]) {
      expect(redactText(`before ${form} after`)).toMatch(/^before "?\[redacted\]"?=* after$/);
    }
    forbid("short");
    expect(redactText("a short word")).toBe("a short word");
  });

  test("hides planted secrets wherever they stand", () => {
    const before = fc.string({ maxLength: 40 }).map((text) => `${text.replaceAll(/["'\\]/g, "")} `);
    fc.assert(
      fc.property(before, fc.constantFrom(...planted), fc.string({ maxLength: 40 }), (head, [, text, secret], tail) => {
        fc.pre(!head.includes(secret) && !tail.includes(secret));
        expect(redactText(`${head}${text} ${tail}`)).not.toContain(secret);
      }),
      { numRuns: 2_000 },
    );
  });

  test("takes time in proportion to its length, whatever it is made of", () => {
    const piece = fc.oneof(
      fc.constantFrom(...planted.map(([, text]) => text)),
      fc.constantFrom(...planted.flatMap(([, text]) => text.split(/(?=[=:"'@ ])/))),
      fc.constantFrom(
        "eyJ",
        "eyJ.",
        "://",
        "key=",
        '"',
        "\\",
        '\\"',
        "token:",
        "Bearer ",
        "a",
        "A1/",
        "-----BEGIN PRIVATE KEY-----",
        '"secrets":{',
      ),
      fc.string({ minLength: 1, maxLength: 5 }),
    );
    fc.assert(
      fc.property(fc.array(piece, { minLength: 1, maxLength: 3 }), (pieces) => {
        const unit = pieces.join("");
        const text = unit.repeat(Math.ceil(100_000 / unit.length));
        const started = performance.now();
        redactText(text);
        expect(performance.now() - started, unit).toBeLessThan(1_000);
      }),
      { numRuns: 150 },
    );
  });
});

describe("a redacted value", () => {
  test("has no secret in any member, and the rest", () => {
    const value = {
      tenantId: "alice",
      count: 3,
      none: null,
      adminKey: new Secret("planted"),
      apiKey: "planted",
      headers: new Map([["Authorization", "planted"]]),
      secrets: { A: "planted" },
      nested: [{ secretAccessKey: "planted", region: "auto" }, "password=planted"],
      error: new Error("token=planted", { cause: new Error("key=planted") }),
      at: new Date(0),
      bytes: new TextEncoder().encode("planted"),
      "token=planted": 1,
      tokens: new Set(["Bearer planted1"]),
    };
    const safe = redactValue(value) as Record<string, unknown>;
    expect(JSON.stringify(safe)).not.toContain("planted");
    expect(safe).toMatchObject({ tenantId: "alice", count: 3, none: null, at: "1970-01-01T00:00:00.000Z" });
    expect(safe.nested).toEqual([{ secretAccessKey: "[redacted]", region: "auto" }, "password=[redacted]"]);
    expect(value.nested[0]).toMatchObject({ secretAccessKey: "planted" });
  });

  test("ends for one that contains itself or is very deep", () => {
    const loop: Record<string, unknown> = {};
    loop.self = loop;
    expect(redactValue(loop)).toEqual({ self: "[circular]" });
    const twice = { a: 1 };
    expect(redactValue([twice, twice])).toEqual([twice, twice]);
    let deep: unknown = "token=planted";
    for (let level = 0; level < 10_000; level += 1) deep = [deep];
    expect(JSON.stringify(redactValue(deep))).toContain("[deep]");
  });
});
