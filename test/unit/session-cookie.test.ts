import { SignJWT } from "jose";
import { describe, expect, test } from "vitest";
import type { TenantId } from "../../src/ids.ts";
import { Secret } from "../../src/secrets/secret.ts";
import { clearingCookie, sessionCookie, settingCookie } from "../../src/sessions/cookie.ts";
import { localPath } from "../../src/sessions/next.ts";
import { type Session, signSession, verifySession } from "../../src/sessions/session.ts";
import { ticketProtocol, withoutTicket } from "../../src/sessions/ticket.ts";

const secret = (fill: string) => new Secret(new Uint8Array(32).fill(fill.charCodeAt(0)));
const keys = (now: string, before: string | null = null) => ({
  secretsKey: secret(now),
  secretsKeyPrevious: before === null ? null : secret(before),
});
const now = 1_700_000_000_000;
const session: Session = {
  tenantId: "User_1@example.com" as TenantId,
  actor: "access:a@b.c",
  tokenVersion: 3,
  expiresAt: now + 60_000,
};

describe("a session", () => {
  test("says who it is of, until it expires", async () => {
    const token = await signSession(keys("a"), session);
    expect(await verifySession(keys("a"), token, now)).toEqual(session);
    expect(await verifySession(keys("a"), token, now + 59_000)).toEqual(session);
    expect(await verifySession(keys("a"), token, now + 60_000)).toBeNull();
  });

  test("outlives one rotation of SECRETS_KEY, and is signed under the current one", async () => {
    const token = await signSession(keys("a"), session);
    expect(await verifySession(keys("b", "a"), token, now)).toEqual(session);
    expect(await verifySession(keys("c", "b"), token, now)).toBeNull();
    expect(await verifySession(keys("b"), await signSession(keys("b", "a"), session), now)).toEqual(session);
  });

  test("that was changed, or signed by somebody else, is none", async () => {
    const token = await signSession(keys("a"), session);
    const [head = "", body = "", signature = ""] = token.split(".");
    const forged = Buffer.from(JSON.stringify({ tid: "bob", sub: "x", ver: 3, exp: 9e9 })).toString("base64url");
    const none = Buffer.from(JSON.stringify({ alg: "none" })).toString("base64url");
    for (const text of [`${head}.${forged}.${signature}`, `${none}.${body}.`, `${token}x`, "", "a.b.c", head]) {
      expect(await verifySession(keys("a"), text, now)).toBeNull();
    }
    expect(await verifySession(keys("b"), token, now)).toBeNull();
  });

  test("is not signed under SECRETS_KEY itself", async () => {
    const raw = await new SignJWT({ tid: "alice", ver: 1 })
      .setProtectedHeader({ alg: "HS256" })
      .setSubject("x")
      .setExpirationTime(9e9)
      .sign(new TextEncoder().encode("a".repeat(32)));
    expect(await verifySession(keys("a"), raw, now)).toBeNull();
  });
});

describe("its cookie", () => {
  test("is for this host alone, and out of reach of scripts and plain connections", () => {
    expect(settingCookie("t.o.k", 90_500)).toBe(
      "__Host-boilerhouse=t.o.k; Max-Age=90; Path=/; Secure; HttpOnly; SameSite=Lax",
    );
    expect(clearingCookie()).toContain("__Host-boilerhouse=; Max-Age=0; Path=/; Secure");
  });

  test.each([
    ["__Host-boilerhouse=t.o.k", "t.o.k"],
    ["a=1; __Host-boilerhouse=t.o.k; b=2", "t.o.k"],
    ["__host-boilerhouse=t.o.k", null],
    ["x__Host-boilerhouse=t.o.k", null],
    ["=__Host-boilerhouse=t.o.k", null],
    ["__Host-boilerhouse=", null],
    ["", null],
    [null, null],
  ])("in %j is %j", (header, token) => {
    expect(sessionCookie(header)).toBe(token);
  });
});

describe("a ticket", () => {
  const ticket = "abc_DEF-1";
  const protocol = ticketProtocol(ticket);
  test.each([
    ["/x", protocol, { ticket, protocols: null, answer: protocol, path: "/x" }],
    ["/x", `${protocol}, chat, v2`, { ticket, protocols: "chat, v2", answer: null, path: "/x" }],
    ["/x", `chat,${protocol}`, { ticket, protocols: "chat", answer: null, path: "/x" }],
    ["/x", "chat", { ticket: null, protocols: "chat", answer: null, path: "/x" }],
    ["/x", null, { ticket: null, protocols: null, answer: null, path: "/x" }],
    [`/x?boilerhouse_ticket=${ticket}`, null, { ticket, protocols: null, answer: null, path: "/x" }],
    [
      `/x?a=%20b&boilerhouse_ticket=${ticket}&c`,
      "chat",
      { ticket, protocols: "chat", answer: null, path: "/x?a=%20b&c" },
    ],
    ["/x?boilerhouse_ticket=other", protocol, { ticket, protocols: null, answer: protocol, path: "/x" }],
    ["/x?boilerhouse_ticket", null, { ticket: null, protocols: null, answer: null, path: "/x" }],
    [
      "/x?my_boilerhouse_ticket=1",
      null,
      { ticket: null, protocols: null, answer: null, path: "/x?my_boilerhouse_ticket=1" },
    ],
    ["/boilerhouse_ticket=1?a", null, { ticket: null, protocols: null, answer: null, path: "/boilerhouse_ticket=1?a" }],
  ])("in %s offering %j", (path, offered, expected) => {
    expect(withoutTicket(path, offered)).toEqual(expected);
  });
});

describe("where a code leads", () => {
  const origin = "http://alice.localhost:8787";
  test.each(["/", "/a/b?c=d#e", "/a//b", "/?next=//evil.example"])("%s stays on the host", (next) => {
    expect(localPath(next, origin)).toBe(next);
  });

  test.each([
    "",
    "a",
    "//evil.example",
    "/\\evil.example",
    "/\t/evil.example",
    "\t//evil.example",
    "/.//evil.example",
    "/a/..//evil.example",
    "/./\\evil.example",
    "http://evil.example",
    "javascript:alert(1)",
    "///evil.example",
    "/%2e//evil.example",
  ])("%j leads nowhere", (next) => {
    expect(localPath(next, origin)).toBeNull();
  });
});
