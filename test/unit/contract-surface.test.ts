import { describe, expect, test } from "vitest";
import { app } from "../../src/app.ts";
import { VARIABLES } from "../../src/environment.ts";
import { ERROR_CODES, entryOf } from "../../src/errors/codes.ts";
import { pageOf } from "../../src/errors/pages.ts";
import { allowedMethods } from "../../src/http/methods.ts";

/** What every answer and every page keeps to, and what can be read without a key. */
const key = "0123456789abcdef0123";
const env = { ADMIN_KEY: key, SECRETS_KEY: btoa("k".repeat(32)) };
const open = (method: string, path: string, environment: object = env, origin = "http://localhost:8787") =>
  app.request(`${origin}${path}`, { method }, environment);
const known = (method: string, path: string, headers: Record<string, string> = {}) =>
  app.request(`http://localhost:8787${path}`, { method, headers: { authorization: `Bearer ${key}`, ...headers } }, env);
const told = async (response: Response) => (await response.json()) as Record<string, unknown>;

const PAGES = ["/docs", "/docs/errors", "/docs/errors/invalid"];
const ANSWERS = ["/health", "/openapi.json", "/api/v1/workloads", "/nope"];

describe("the headers of an answer", () => {
  test.each([...PAGES, ...ANSWERS])(
    "%s cannot be framed, sniffed, embedded elsewhere, kept, or run anything",
    async (path) => {
      const { headers } = await open("GET", path);
      expect(headers.get("x-content-type-options")).toBe("nosniff");
      expect(headers.get("x-frame-options")).toBe("DENY");
      expect(headers.get("referrer-policy")).toBe("no-referrer");
      expect(headers.get("cross-origin-resource-policy")).toBe("same-origin");
      expect(headers.get("cache-control")).toBe("no-store");
      const policy = headers.get("content-security-policy") ?? "";
      for (const rule of ["default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'"]) {
        expect(policy.split("; ")).toContain(rule);
      }
      expect(policy).not.toMatch(/script-src[^;]*'unsafe|unsafe-eval|https?:|\*/);
      if (path !== "/docs") expect(policy).not.toMatch(/script-src|style-src|connect-src/);
    },
  );

  test("ask for https where it is https, and only there", async () => {
    expect((await open("GET", "/health")).headers.get("strict-transport-security")).toBeNull();
    const secure = await open("GET", "/health", env, "https://api.example.com");
    expect(secure.headers.get("strict-transport-security")).toMatch(/^max-age=\d{7,}$/);
  });
});

describe("without a key", () => {
  test("the API's shape can be read, and nothing of what it holds", async () => {
    for (const path of [...PAGES, "/openapi.json"]) expect((await open("GET", path)).status).toBe(200);
    for (const path of ["/api/v1/workloads", "/docs/nope", "/nope"]) expect((await open("GET", path)).status).toBe(401);
  });

  test("nothing can be read before everything is configured", async () => {
    for (const path of [...PAGES, "/docs/scalar.js", "/openapi.json"]) {
      const response = await open("GET", path, {});
      expect(response.status).toBe(503);
      expect((await told(response)).code).toBe("not_configured");
    }
  });

  test("/ready names what is missing or wrong, and shows no value", async () => {
    const planted = Object.fromEntries(VARIABLES.map(({ name }) => [name, `planted-${name}-\u0000`]));
    const response = await open("GET", "/ready", planted);
    expect(response.status).toBe(503);
    const text = await response.text();
    expect(text).not.toContain("planted");
    const { ready, missing } = JSON.parse(text) as { ready: boolean; missing: string[] };
    expect(ready).toBe(false);
    for (const name of ["SECRETS_KEY", "SANDBOX_WAKE_TIMEOUT_MS", "DEV_MODE", "d1"]) expect(missing).toContain(name);
  });
});

describe("a page", () => {
  test.each(PAGES)("%s has no script in it and asks for nothing elsewhere", async (path) => {
    const response = await open("GET", path);
    expect(response.headers.get("content-type")).toContain("text/html");
    const page = await response.text();
    for (const [, attributes = "", content] of page.matchAll(/<script([^>]*)>([\s\S]*?)<\/script>/g)) {
      expect(content).toBe("");
      expect(attributes).toMatch(/^ (?:id="api-reference" type="application\/json"|src="\/docs\/scalar\.js"$)/);
    }
    expect(page).not.toMatch(/\son\w+=|<style|https?:\/\//);
  });

  test("is there for every problem, at its `type`", async () => {
    const list = await (await open("GET", "/docs/errors")).text();
    for (const code of ERROR_CODES) {
      const page = await open("GET", pageOf(code));
      expect(page.status).toBe(200);
      const text = await page.text();
      expect(text).toContain(`<code>${code}</code>`);
      expect(text).toContain(String(entryOf(code).status));
      expect(list).toContain(`href="${pageOf(code)}"`);
    }
    const refused = await known("GET", "/nope");
    expect((await open("GET", String((await told(refused)).type))).status).toBe(200);
  });

  test("is not there for what is no problem", async () => {
    for (const code of ["nope", "constructor", "__proto__", "%3Cscript%3E"]) {
      expect((await open("GET", `/docs/errors/${code}`)).status).toBe(404);
    }
  });
});

describe("methods", () => {
  test.each(["/health", "/openapi.json", "/docs", "/docs/errors/invalid"])(
    "HEAD %s is GET without its body",
    async (path) => {
      const [head, get] = [await open("HEAD", path), await open("GET", path)];
      expect(head.status).toBe(get.status);
      expect(head.headers.get("content-type")).toBe(get.headers.get("content-type"));
      expect(await head.text()).toBe("");
    },
  );

  const routes = [...new Set(app.routes.filter(({ method }) => method !== "ALL").map(({ path }) => path))];
  test.each(routes)("%s answers 405 to what it does not do, and names what it does", async (route) => {
    const path = route.replace(/:\w+(?:\{[^}]*\})?/g, "x");
    const own = app.routes.filter((one) => one.path === route && one.method !== "ALL").map(({ method }) => method);
    const allowed = allowedMethods(app.routes, path); // another route may answer to the same path: a file can be called anything
    expect(allowed).toEqual(expect.arrayContaining(own));
    for (const method of ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"]) {
      if (allowed.includes(method) || (method === "HEAD" && allowed.includes("GET"))) continue;
      const response = await known(method, path);
      expect(response.status, method).toBe(405);
      const listed = (response.headers.get("allow") ?? "").split(", ");
      expect(listed).toEqual(expect.arrayContaining(allowed));
      expect(listed.includes("HEAD")).toBe(listed.includes("GET"));
      expect(listed).not.toContain(method);
    }
  });

  test("OPTIONS opens nothing to other origins", async () => {
    for (const path of ["/api/v1/workloads", "/nope", "/docs", "/openapi.json"]) {
      const headers = { origin: "https://evil.test", "access-control-request-method": "POST" };
      const response = await known("OPTIONS", path, headers);
      expect([404, 405]).toContain(response.status);
      const opened = [...response.headers.keys()].filter((name) => name.startsWith("access-control-"));
      expect(opened).toEqual([]);
    }
  });
});
