import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import { openApiDocument } from "../../src/app.ts";
import { ERROR_CODES, entryOf } from "../../src/errors/codes.ts";
import { aPool, call, claim, request } from "../support/fleet.ts";
import { fitting, HOSTILE, IDS, KEYS, QUERY_VALUES, type Schema, spoilt } from "../support/fuzz.ts";
import { BODIES } from "../support/fuzz-bodies.ts";

/**
 * Whatever is sent, every answer is one of the contract: no defect (5xx), no stack trace, no SQL. Made from the OpenAPI
 * document, so that a route is under it as soon as it exists. Seeded: what fails once fails again.
 */
const SEED = 20_261_121;
/** For each operation and kind of input, in ms; about 20 s in all. */
const BUDGET_MS = 80;

const document = JSON.parse(JSON.stringify(openApiDocument())) as Record<string, Record<string, Schema>>;
const resolve = (schema: Schema): Schema => {
  if (typeof schema.$ref !== "string") return schema;
  const found = schema.$ref
    .slice(2)
    .split("/")
    .reduce<unknown>((at, key) => (at as Schema | undefined)?.[key], document);
  return found as Schema;
};

interface Operation {
  name: string;
  method: string;
  path: string;
  query: string[];
  body: Schema | null;
}

/** What needs the tenant running comes first, and last what removes its subject, so that the others find it. */
const operations: Operation[] = Object.entries(document.paths ?? {})
  .flatMap(([path, item]) =>
    Object.entries(item as Record<string, Schema>).map(([method, operation]) => {
      const parameters = ((operation.parameters ?? []) as Schema[]).map(resolve);
      const content = (operation.requestBody as { content?: Record<string, { schema: Schema }> } | undefined)?.content;
      return {
        name: `${method.toUpperCase()} ${path}`,
        method: method.toUpperCase(),
        path,
        query: parameters.filter((one) => one.in === "query").map((one) => String(one.name)),
        body: content?.["application/json"]?.schema ?? null,
      };
    }),
  )
  .sort((a, b) => turn(a) - turn(b));

function turn(operation: Operation): number {
  if (removes(operation)) return 2;
  return operation.path.includes("/files") ? 0 : 1;
}

function removes({ method, path }: Operation): boolean {
  return method === "DELETE" || /\/(?:destroy|revoke|suspend)$/.test(path);
}

/** Subjects that exist, by the start of a path, so that a body is looked at. */
const subjects = new Map([
  ["/api/v1/tenants/", "fuzz-tenant"],
  ["/api/v1/domains/", "fuzz.example.com"],
]);
const filled = (path: string): string => {
  const id = [...subjects].find(([start]) => path.startsWith(start))?.[1] ?? "fuzz";
  return path
    .replace(/\{\w+\}/, id)
    .replace("{name}", "TOKEN")
    .replace(/\{\w+\}/g, "1");
};
/** Nothing here waits for what it began. */
const unwaited = ({ query }: Operation): string => (query.includes("wait") ? "?wait=0s" : "");

/** Statuses over 499 that mean something: try again, capacity, a deadline. Never a defect. */
const MEANT = new Set(["capacity_exhausted", "starting", "start_failed", "container_unavailable", "restore_failed"]);
const LEAKS =
  /\bat [\w.<>]+ \(|\.ts:\d|node_modules|SQLITE|D1_ERROR|\bSELECT\b.*\bFROM\b|\bINSERT INTO\b|TypeError|RangeError/;

async function sound(response: Response): Promise<void> {
  const text = new TextDecoder().decode(await response.arrayBuffer()); // an export is no text
  const said = `${response.status} ${text.slice(0, 600)}`;
  expect(text, said).not.toMatch(LEAKS);
  if (response.status < 400) return;
  expect(response.headers.get("content-type"), said).toBe("application/problem+json");
  const problem = JSON.parse(text) as { code: string; status: number; requestId: string; detail: string };
  const code = ERROR_CODES.find((known) => known === problem.code);
  if (code === undefined) throw new Error(`no code of the catalogue: ${said}`);
  expect(entryOf(code).status, said).toBe(response.status);
  expect(problem.status).toBe(response.status);
  expect(problem.detail).not.toBe("");
  expect(problem.requestId).toBe(response.headers.get("x-request-id"));
  if (response.status >= 500) expect(MEANT, said).toContain(code);
}

const check = <T>(input: fc.Arbitrary<T>, send: (value: T) => Promise<Response>) =>
  fc.assert(
    fc.asyncProperty(input, async (value) => sound(await send(value))),
    { seed: SEED, numRuns: 60, interruptAfterTimeLimit: BUDGET_MS, endOnFailure: true },
  );

const JSON_TYPE = { "content-type": "application/json" };

beforeAll(async () => {
  await aPool("fuzz", { minSize: 1, maxSize: 3 });
  const { body } = await claim("fuzz-tenant", "fuzz", { secrets: { TOKEN: "a" } });
  subjects.set("/api/v1/containers/", body.containerId);
  const make = async (path: string, more: object) => {
    const made = await call<{ id?: string }>("POST", path, { ...BODIES[`POST ${path}`], ...more });
    expect(made.status, JSON.stringify(made.body)).toBe(201);
    return made.body.id ?? "";
  };
  await make("/api/v1/sync-specs", { id: "fuzz" });
  await make("/api/v1/domains", { host: "fuzz.example.com" });
  subjects.set("/api/v1/keys/", await make("/api/v1/keys", {}));
});

describe.each(operations)("$name", (operation) => {
  const { method, path, body, query } = operation;
  const right = BODIES[operation.name];

  if (right !== undefined) {
    test("takes the body that others are spoilt from", async () => {
      const response = await request(method, `${filled(path)}${unwaited(operation)}`, JSON.stringify(right), JSON_TYPE);
      expect(response.status, await response.text()).toBeLessThan(300);
    });
  }

  if (body !== null) {
    test("answers every body with what the contract says", async () => {
      const url = `${filled(path)}${unwaited(operation)}`;
      const wanted = fitting(body, resolve).map(modest);
      const sent = fc.oneof(
        { weight: 1, arbitrary: wanted },
        { weight: 3, arbitrary: spoilt(wanted) },
        { weight: right ? 6 : 0, arbitrary: spoilt(fc.constant<unknown>(right ?? {})).map(modest) },
        { weight: 1, arbitrary: fc.constantFrom(...HOSTILE) },
      );
      await check(sent, (value) => request(method, url, JSON.stringify(value) ?? "null", JSON_TYPE));
    });

    test("refuses what is no JSON of its type", async () => {
      const url = `${filled(path)}${unwaited(operation)}`;
      for (const [bytes, type] of BROKEN) {
        const response = await request(method, url, bytes, { "content-type": type });
        const { status } = response;
        await sound(response);
        expect([400, 404, 409, 413, 415, 422], `${type} ${String(bytes).slice(0, 40)}`).toContain(status);
      }
    });
  }

  if (path.includes("{")) {
    test("answers every id with what the contract says", async () => {
      const parts = path.split(/\{\w+\}/).length - 1;
      const ids = fc.array(fc.oneof(fc.constantFrom(...IDS), fc.constant("1"), fc.constant("fuzz-other")), {
        minLength: parts,
        maxLength: parts,
      });
      await check(ids, (values) => {
        let at = 0;
        const url = path.replace(/\{\w+\}/g, () => values[at++] ?? "x");
        return request(method, `${url}${unwaited(operation)}`, body ? "{}" : undefined, JSON_TYPE);
      });
    });
  }

  test("answers every query and header with what the contract says", async () => {
    const names = fc.constantFrom(...query, ...KEYS.map(encodeURIComponentSafely), "unknown");
    const queries = fc.array(fc.tuple(names, fc.constantFrom(...QUERY_VALUES)), { minLength: 1, maxLength: 3 });
    const headers = fc.constantFrom<Record<string, string>>(
      {},
      { "idempotency-key": "" },
      { "idempotency-key": "x".repeat(300) },
      { "if-match": "nope" },
      { "if-match": 'W/"1"' },
      { "x-request-id": "<script>" },
      { "content-length": "-1" },
      { accept: "nothing/at-all" },
      { origin: "null" },
      { cookie: "__Host-x=\u0001; =;;" },
    );
    const found = `${filled(path)}?`;
    await check(fc.tuple(queries, headers), ([pairs, more]) =>
      request(method, found + pairs.map(([name, value]) => `${name}=${value}`).join("&"), body ? "{}" : undefined, {
        ...JSON_TYPE,
        ...more,
      }),
    );
  });
});

test.each([
  "//api/v1/workloads",
  "/api/v1/workloads/",
  "/api/v1//workloads",
  "/API/v1/workloads",
  "/api/v1/../../etc/passwd",
  "/api/v1/%2e%2e/%2e%2e/health",
  "/%2e%2e/",
  "/%00",
  "/%",
  "/%ff",
  "/docs/%2e%2e/%2e%2e/wrangler.jsonc",
  "/docs/scalar.js%00",
  "/docs/errors/%ff",
  `/${"a/".repeat(2_000)}`,
  `/${"%20".repeat(3_000)}`,
])("the path %s is nothing, or what it says", async (path) => {
  for (const method of ["GET", "POST", "PUT", "DELETE", "OPTIONS"]) await sound(await request(method, path));
});

const utf8 = new TextEncoder();
const BROKEN: readonly (readonly [bytes: BodyInit, type: string])[] = [
  ["{", "application/json"],
  ["{} {}", "application/json"],
  ["NaN", "application/json"],
  ["'a'", "application/json"],
  ["[".repeat(200_000), "application/json"],
  [`${'{"a":'.repeat(2_000)}1${"}".repeat(2_000)}`, "application/json"],
  ['{"__proto__":{"role":"admin"}}', "application/json"],
  ['{"id":"a","id":"b","x":1e999}', "application/json"],
  [Uint8Array.from([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x3a, 0x31, 0x7d]), "application/json"],
  [Uint8Array.from([0xed, 0xa0, 0x80]), "application/json"],
  [utf8.encode(`"${"x".repeat(1_000_001)}"`), "application/json"],
  ['{"a":1}', "text/plain"],
  ['{"a":1}', "application/x-www-form-urlencoded"],
  ['{"a":1}', "multipart/form-data; boundary=x"],
  ['{"a":1}', "application/json; charset=utf-16"],
  ['{"a":1}', "application/"],
  ["<a/>", "application/xml"],
];

/** Sizes that a simulation of containers on one machine can carry. */
function modest(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value;
  const small = { minSize: 0, maxSize: 2, target: 0 };
  return { ...value, ...Object.fromEntries(Object.entries(small).filter(([name]) => name in value)) };
}

function encodeURIComponentSafely(text: string): string {
  return text.isWellFormed() ? encodeURIComponent(text) : "%ed%a0%80";
}
