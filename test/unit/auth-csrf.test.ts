import { describe, expect, test } from "vitest";
import { addressOf } from "../../src/auth/back-off.ts";
import { isForged } from "../../src/auth/csrf.ts";

const own = ["https://api.example.com", "https://console.example.org"];
const forged = (method: string, headers: Record<string, string>) =>
  isForged({ method, headers: new Headers(headers) }, own);

describe("a request whose credential the browser sent by itself", () => {
  test.each([
    ["POST", { origin: "https://evil.example" }],
    ["DELETE", { origin: "null" }],
    ["PUT", { origin: "http://api.example.com" }],
    ["PUT", { origin: "https://api.example.com:8443" }],
    ["PATCH", { origin: "https://api.example.com.evil.example" }],
    ["POST", { "sec-fetch-site": "cross-site" }],
    ["POST", { "sec-fetch-site": "same-site" }],
    ["POST", { origin: "https://evil.example", "sec-fetch-site": "same-origin" }],
    ["GET", { origin: "https://evil.example", upgrade: "websocket" }],
    ["GET", { "sec-fetch-site": "cross-site", upgrade: "WebSocket" }],
  ])("is forged: %s %j", (method, headers) => {
    expect(forged(method, headers as Record<string, string>)).toBe(true);
  });

  test.each([
    ["POST", { origin: "https://api.example.com", "sec-fetch-site": "same-origin" }],
    ["POST", { origin: "https://console.example.org", "sec-fetch-site": "cross-site" }],
    ["POST", { "sec-fetch-site": "none" }],
    ["POST", { "sec-fetch-site": "same-origin" }],
    ["POST", {}],
    ["GET", { origin: "https://evil.example" }],
    ["HEAD", { "sec-fetch-site": "cross-site" }],
    ["GET", { origin: "https://api.example.com", upgrade: "websocket" }],
  ])("is not: %s %j", (method, headers) => {
    expect(forged(method, headers as Record<string, string>)).toBe(false);
  });
});

describe("failures are counted by address", () => {
  test.each([
    ["192.0.2.7", "192.0.2.7"],
    ["::ffff:192.0.2.7", "192.0.2.7"],
    ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"],
    ["2001:0DB8:1:2::9", "2001:db8:1:2::/64"],
    ["2001:db8::1", "2001:db8:0:0::/64"],
    ["::1", "0:0:0:0::/64"],
    [null, "unknown"],
  ])("%s is %s", (connecting, expected) => {
    expect(addressOf(connecting)).toBe(expected);
  });
});
