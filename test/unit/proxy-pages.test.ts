import { describe, expect, test } from "vitest";
import { page } from "../../src/proxy/page.ts";
import { startingPage } from "../../src/proxy/starting.ts";

const starting = { phase: "<b>restore", startedAt: 0, lastError: "</p><script>x</script>", retryAfterMs: 2_000 };

describe("a page of ours on a tenant's host", () => {
  const pages = () => [
    startingPage(starting, "host", "req-1", 3_000),
    page({ status: 401, title: "<T>", text: "<script>", requestId: "req-1" }),
  ];

  test("has no script and no handler within it, and may not be framed, sniffed or referred from", async () => {
    for (const response of pages()) {
      const policy = response.headers.get("content-security-policy") ?? "";
      expect(policy).toContain("default-src 'none'");
      expect(policy).toContain("script-src 'self';");
      expect(policy).toContain("frame-ancestors 'none'");
      expect(policy).not.toContain("unsafe");
      expect(response.headers.get("referrer-policy")).toBe("no-referrer");
      expect(response.headers.get("x-content-type-options")).toBe("nosniff");
      expect(response.headers.get("cache-control")).toBe("no-store");
      const html = await response.text();
      expect(html.match(/<script(?! src="\/\.boilerhouse\/starting\.js" defer><\/script>)/)).toBeNull();
      const nonce = /style-src 'nonce-([\w-]+)'/.exec(policy)?.[1];
      expect(html).toContain(`<style nonce="${nonce}">`);
    }
  });

  test("shows what it was told as text", async () => {
    const html = await startingPage(starting, "host", "req-1", 3_000).text();
    expect(html).toContain("&lt;b&gt;restore");
    expect(html).toContain("&lt;/p&gt;&lt;script&gt;x");
    expect(html).toContain('data-elapsed-ms="3000" data-retry-ms="2000">3<');
  });

  test("under the shared origin runs nothing and is looked at again by the browser", async () => {
    const response = startingPage(starting, "path", "req-1", 3_000);
    expect(response.headers.get("content-security-policy")).toContain("default-src 'none'");
    expect(response.headers.get("refresh")).toBe("2");
    expect(await response.text()).not.toContain("<script");
  });
});
