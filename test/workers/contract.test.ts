import { describe, expect, test } from "vitest";
import { get, request } from "../support/fleet.ts";

/** What can be read about the API, on the platform's own host and nowhere else. */
const open = (path: string, init: RequestInit = {}) =>
  request("GET", path, undefined, { authorization: "", ...init.headers } as Record<string, string>);

describe("the API's reference", () => {
  test("is a page without a key, and its script comes from the Worker's own files", async () => {
    const page = await open("/docs");
    expect(page.status).toBe(200);
    expect(page.headers.get("content-type")).toContain("text/html");
    const scripts = [...(await page.text()).matchAll(/<script[^>]*\ssrc="([^"]*)"/g)].map((found) => found[1]);
    expect(scripts).toEqual(["/docs/scalar.js"]);

    const script = await open("/docs/scalar.js");
    expect(script.status).toBe(200);
    expect(script.headers.get("content-type")).toContain("javascript");
    expect(script.headers.get("x-content-type-options")).toBe("nosniff");
    expect((await script.arrayBuffer()).byteLength).toBeGreaterThan(1_000_000);
  });

  test("is asked again for its script without sending it again", async () => {
    const first = await open("/docs/scalar.js");
    await first.arrayBuffer();
    const etag = first.headers.get("etag") ?? "";
    const again = await open("/docs/scalar.js", { headers: { "if-none-match": etag } });
    expect(again.status).toBe(304);
  });

  test("is not served on a tenant's host", async () => {
    for (const path of ["/docs", "/docs/scalar.js", "/openapi.json"]) {
      const response = await request("GET", `http://nobody.localhost:8787${path}`);
      expect(response.status).toBe(404);
      expect(await response.text()).not.toContain("scalar");
    }
    expect((await get("nobody", "docs/scalar.js")).status).toBe(404);
  });
});
