import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseTenantId, type TenantId } from "../../src/ids.ts";
import { type Identity, toClient, toContainer } from "../../src/proxy/headers.ts";

const alice = parseTenantId("alice") as TenantId;
const identity = (more: Partial<Identity> = {}): Identity => ({
  tenantId: alice,
  requestId: "req-1",
  exposure: "host",
  authorization: "ours",
  scheme: "https",
  ...more,
});

describe("headers to the container", () => {
  test.each([
    ["connection", "keep-alive"],
    ["keep-alive", "timeout=5"],
    ["proxy-authorization", "Basic x"],
    ["proxy-connection", "keep-alive"],
    ["te", "trailers"],
    ["trailer", "x-sum"],
    ["transfer-encoding", "chunked"],
    ["upgrade", "h2c"],
    ["http2-settings", "x"],
    ["sec-websocket-extensions", "permessage-deflate"],
    ["authorization", "Bearer our-admin-key"],
    ["cf-access-jwt-assertion", "jwt"],
    ["cf-access-authenticated-user-email", "a@b.c"],
    ["x-boilerhouse-route", "1 c-x 80 host no bob"],
    ["x-boilerhouse-anything", "1"],
    ["x_boilerhouse_tenant", "bob"],
    ["cf_access_jwt_assertion", "jwt"],
    ["x-forwarded-prefix", "/t/bob"],
  ])("%s is removed", (name, value) => {
    expect(toContainer(new Headers({ [name]: value }), identity()).has(name)).toBe(false);
  });

  test("what Connection names is removed with it", () => {
    const sent = new Headers({ connection: "X-Secret-Hop , close", "x-secret-hop": "1", "x-kept": "1" });
    const received = toContainer(sent, identity());
    expect(received.has("x-secret-hop")).toBe(false);
    expect(received.get("x-kept")).toBe("1");
  });

  test("the identity is ours, whatever the client claims or names in Connection", () => {
    const sent = new Headers({
      "x-boilerhouse-tenant": "bob",
      "x-request-id": "forged",
      connection: "x-boilerhouse-tenant, x-request-id",
    });
    const received = toContainer(sent, identity());
    expect(received.get("x-boilerhouse-tenant")).toBe("alice");
    expect(received.get("x-request-id")).toBe("req-1");
    expect(received.get("x-forwarded-proto")).toBe("https");
  });

  test("an upgrade stays one", () => {
    const received = toContainer(
      new Headers({ upgrade: "WebSocket", connection: "Upgrade", "sec-websocket-protocol": "chat" }),
      identity(),
    );
    expect(received.get("upgrade")).toBe("websocket");
    expect(received.get("sec-websocket-protocol")).toBe("chat");
  });

  test("a foreign Authorization is the workload's own business", () => {
    const sent = new Headers({ authorization: "Bearer workload" });
    expect(toContainer(sent, identity({ authorization: "foreign" })).get("authorization")).toBe("Bearer workload");
  });

  test.each([
    ["a=1; __Host-boilerhouse-session=x; b=2", "a=1; b=2"],
    ["__host-BOILERHOUSE=x", null],
    ["=__Host-boilerhouse-session=x; a=1", "a=1"],
    ["CF_Authorization=jwt; a=1", "a=1"],
    ["__Host-session=theirs", "__Host-session=theirs"],
  ])("of the cookies %j the container sees %j", (cookie, seen) => {
    expect(toContainer(new Headers({ cookie }), identity()).get("cookie")).toBe(seen);
  });

  test("under /t/ no cookie of the shared origin passes, and the prefix is told", () => {
    const received = toContainer(new Headers({ cookie: "a=1" }), identity({ exposure: "path" }));
    expect(received.has("cookie")).toBe(false);
    expect(received.get("x-forwarded-prefix")).toBe("/t/alice");
  });

  const name = fc
    .stringMatching(/^[a-z][a-z0-9_-]{0,20}$/)
    .map((text) => text)
    .filter((text) => !text.startsWith("sec-") && text !== "cookie");
  const ours = fc.constantFrom("x-boilerhouse-", "X-Boilerhouse-", "x_boilerhouse_", "cf-access-", "x-boilerhouse_");
  const headers = fc.array(
    fc.tuple(
      fc.oneof(
        name,
        fc.tuple(ours, name).map(([prefix, rest]) => prefix + rest),
      ),
      fc.stringMatching(/^[ -~]{0,20}$/),
    ),
  );

  test("nothing that looks like ours ever passes, in either direction", () => {
    fc.assert(
      fc.property(headers, (list) => {
        const sent = new Headers(list);
        const received = [...toContainer(sent, identity()).keys()];
        const looksOurs = (header: string) => /^(x[-_]boilerhouse|cf[-_]access)[-_]/.test(header);
        expect(received.filter(looksOurs)).toEqual(["x-boilerhouse-tenant"]);
        expect([...toClient(sent, "host", "r").keys()].filter(looksOurs)).toEqual([]);
      }),
    );
  });

  test("what is nobody's concern passes unchanged", () => {
    const foreign = fc.tuple(name, fc.stringMatching(/^[!-~]{1,20}$/)).map(([rest, value]) => [`x-app-${rest}`, value]);
    fc.assert(
      fc.property(fc.array(foreign), (list) => {
        const sent = new Headers(list as [string, string][]);
        const received = toContainer(sent, identity());
        for (const [key, value] of sent) expect(received.get(key)).toBe(value);
      }),
    );
  });
});

describe("headers to the client", () => {
  test.each([
    ["clear-site-data", "*"],
    ["strict-transport-security", "max-age=1"],
    ["alt-svc", "h3"],
    ["x-boilerhouse-verdict", "stale"],
    ["connection", "close"],
    ["transfer-encoding", "chunked"],
  ])("%s is removed", (name, value) => {
    expect(toClient(new Headers({ [name]: value }), "host", null).has(name)).toBe(false);
  });

  test.each([
    ["a=1; Path=/", true],
    ["a=1; Domain=example.com", false],
    ["a=1; path=/; DOMAIN = example.com", false],
    ["a=1; Domain", false],
    ["a=domain", true],
    ["__Host-boilerhouse-session=x; Secure", false],
    ["=__Host-boilerhouse-session=x", false],
    ["__Host-theirs=x; Secure; Path=/", true],
  ])("Set-Cookie %j passes: %s", (cookie, passes) => {
    expect(toClient(new Headers({ "set-cookie": cookie }), "host", null).has("set-cookie")).toBe(passes);
  });

  test("several cookies stay several", () => {
    const sent = new Headers();
    sent.append("set-cookie", "a=1");
    sent.append("set-cookie", "b=2; Domain=x.y");
    sent.append("set-cookie", "c=3");
    expect(toClient(sent, "host", null).getSetCookie()).toEqual(["a=1", "c=3"]);
  });

  test("under /t/ answers are sandboxed and set no cookies", () => {
    const sent = new Headers({ "set-cookie": "a=1", "content-security-policy": "default-src *" });
    const received = toClient(sent, "path", "req-1");
    expect(received.get("content-security-policy")).toBe("sandbox");
    expect(received.has("set-cookie")).toBe(false);
    expect(received.get("x-request-id")).toBe("req-1");
  });

  test("on its own host a workload keeps its own policy", () => {
    const sent = new Headers({ "content-security-policy": "default-src 'self'", etag: '"1"' });
    const received = toClient(sent, "host", "req-1");
    expect(received.get("content-security-policy")).toBe("default-src 'self'");
    expect(received.get("etag")).toBe('"1"');
  });
});
