import { describe, expect, test } from "vitest";
import { app } from "../../src/app.ts";

/** Everything that is refused before any binding is asked. */
const key = "0123456789abcdef0123";
const env = { ADMIN_KEY: key, SECRETS_KEY: btoa("k".repeat(32)) };
const ask = (method: string, path: string, init: RequestInit = {}, environment: object = env) =>
  app.request(
    `http://localhost:8787${path}`,
    { method, ...init, headers: { authorization: `Bearer ${key}`, ...init.headers } },
    environment,
  );
const post = (path: string, body: BodyInit, headers: Record<string, string> = { "content-type": "application/json" }) =>
  ask("POST", path, { body, headers });
const problem = async (response: Response) => (await response.json()) as Record<string, unknown>;
const pointers = async (response: Response) =>
  ((await problem(response)).errors as { pointer: string }[]).map((error) => error.pointer).sort();

describe("without configuration", () => {
  test.each(["/", "/openapi.json", "/api/v1/workloads", "/api/v1/tenants/alice/status", "/nope"])(
    "%s is 503 and names what is missing",
    async (path) => {
      const response = await ask("GET", path, {}, {});
      expect(response.status).toBe(503);
      expect(response.headers.get("retry-after")).not.toBeNull();
      expect(await problem(response)).toMatchObject({ code: "not_configured", missing: ["ADMIN_KEY", "SECRETS_KEY"] });
    },
  );

  test("/health answers, without a key", async () => {
    const response = await app.request("http://x/health", {}, {});
    expect(response.status).toBe(200);
    expect(response.headers.get("x-request-id")).not.toBeNull();
  });
});

describe("the door", () => {
  test.each([
    undefined,
    "",
    "Bearer",
    "Bearer ",
    "Bearer wrong",
    `Bearer ${key}x`,
    `Basic ${key}`,
    key,
    `Bearer ${key} ${key}`,
  ])("does not open for %j", async (authorization) => {
    for (const path of ["/api/v1/workloads", "/api/v1/nope", "/nope"]) {
      const headers: Record<string, string> = authorization === undefined ? {} : { authorization };
      const response = await app.request(`http://localhost${path}`, { headers }, env);
      expect(response.status).toBe(401);
      expect(response.headers.get("www-authenticate")).toContain("Bearer");
      expect(await problem(response)).toMatchObject({ code: "unauthenticated" });
    }
  });

  test("opens for the key, whatever the case of the scheme", async () => {
    const response = await ask("GET", "/nope", { headers: { authorization: `bearer ${key}` } });
    expect(response.status).toBe(404);
  });
});

describe("paths and methods", () => {
  test("an unknown route is a 404 problem", async () => {
    const response = await ask("GET", "/api/v1/nope");
    expect(response.status).toBe(404);
    expect(await problem(response)).toMatchObject({ code: "not_found" });
  });

  test.each([
    ["DELETE", "/api/v1/workloads", "GET, HEAD, POST"],
    ["PATCH", "/api/v1/pools/demo", "DELETE, GET, HEAD, PUT"],
    ["GET", "/api/v1/tenants/alice/claim", "POST"],
    ["POST", "/api/v1/operations/op-1", "GET, HEAD"],
    ["POST", "/health", "GET, HEAD"],
  ])("%s %s is 405 and allows %s", async (method, path, allow) => {
    const response = await ask(method, path);
    expect(response.status).toBe(405);
    expect(response.headers.get("allow")).toBe(allow);
  });
});

describe("request ids", () => {
  test("a well-formed one is kept, and is in the problem", async () => {
    const response = await ask("GET", "/nope", { headers: { "x-request-id": "my-id.1" } });
    expect(response.headers.get("x-request-id")).toBe("my-id.1");
    expect((await problem(response)).requestId).toBe("my-id.1");
  });

  test.each(["a b", "x".repeat(129), "é", "<script>"])("%j is replaced", async (id) => {
    const response = await ask("GET", "/nope", { headers: { "x-request-id": id } });
    expect(response.headers.get("x-request-id")).toMatch(/^[0-9a-f-]{36}$/);
  });
});

describe("a body", () => {
  test("that is not JSON is 400", async () => {
    for (const body of ["{", "", "{} {}", "undefined", new Uint8Array([0x22, 0xff, 0x22])]) {
      const response = await post("/api/v1/workloads", body as BodyInit);
      expect(response.status).toBe(400);
      expect(await problem(response)).toMatchObject({ code: "malformed_json" });
    }
  });

  test.each([
    "text/plain",
    "application/x-www-form-urlencoded",
    "application/jsonx",
    "application/json; charset=utf-16",
    "application/json;charset=utf-8x",
    "",
  ])("of type %j is 415", async (type) => {
    const response = await post("/api/v1/workloads", "{}", { "content-type": type });
    expect(response.status).toBe(415);
  });

  test.each(["application/json; charset=utf-8", 'application/json;charset="UTF-8"; v=1', "application/vnd.x+json"])(
    "of type %j is read",
    async (type) => {
      expect((await post("/api/v1/workloads", "{}", { "content-type": type })).status).toBe(422);
    },
  );

  test("over 1 MB is 413, announced or in chunks", async () => {
    const announced = await post("/api/v1/workloads", `"${"x".repeat(1_000_000)}"`);
    expect(announced.status).toBe(413);
    let sent = 0;
    const endless = new ReadableStream({
      pull(controller) {
        sent += 1;
        controller.enqueue(new Uint8Array(65_536).fill(0x20));
      },
    });
    const request = { body: endless, duplex: "half", headers: { "content-type": "application/json" } };
    const chunked = await ask("POST", "/api/v1/workloads", request as RequestInit);
    expect(chunked.status).toBe(413);
    expect(sent).toBeLessThan(20);
  });

  test("that is nested without end is 422, not a crash", async () => {
    for (const body of ["[".repeat(100_000) + "]".repeat(100_000), `${'{"a":'.repeat(5_000)}1${"}".repeat(5_000)}`]) {
      expect((await post("/api/v1/workloads", body)).status).toBe(422);
    }
  });

  test("with a number that nobody can keep is 422 and points at it", async () => {
    for (const [body, at] of [
      ['{"id":"a","image":"b","port":1e999}', "/port"],
      ['{"environment":{"a":[-1e999]}}', "/environment/a/0"],
      ["1e999", ""],
    ] as const) {
      const response = await post("/api/v1/workloads", body);
      expect(response.status).toBe(422);
      expect(await pointers(response)).toEqual([at]);
    }
  });

  test("with text that is none is 422 and points at it", async () => {
    for (const [body, at] of [
      ['{"id":"a","image":"b","name":"\\ud800"}', "/name"],
      ['{"environment":{"A":["x\\udc00\\ud800"]}}', "/environment/A/0"],
      ['{"configSchema":{"\\ud800":1}}', "/configSchema/\ud800"],
    ] as const) {
      const response = await post("/api/v1/workloads", body);
      expect(response.status).toBe(422);
      expect(await pointers(response)).toEqual([at]);
    }
    // A whole pair is a character like any other.
    expect(await pointers(await post("/api/v1/workloads", '{"name":"\\ud83d\\ude00","x":1}'))).not.toContain("/name");
  });

  test("with a key that reaches a prototype is 422 and points at it", async () => {
    const response = await post("/api/v1/workloads", '{"id":"a","image":"b","environment":{"__proto__":"x"}}');
    expect(response.status).toBe(422);
    expect(await pointers(response)).toEqual(["/environment/__proto__"]);
    for (const name of ["constructor", "toString", "hasOwnProperty"]) {
      expect((await post("/api/v1/pools", JSON.stringify({ [name]: 1 }))).status).toBe(422);
    }
  });

  test("is refused with one pointer per field", async () => {
    const body = {
      id: "No",
      image: "",
      port: 41801,
      environment: { "1A": "x", B: 2 },
      colour: 1,
      volumes: { state: {} },
    };
    const response = await post("/api/v1/workloads", JSON.stringify(body));
    expect(response.status).toBe(422);
    expect(await pointers(response)).toEqual([
      "/colour",
      "/environment/1A",
      "/environment/B",
      "/id",
      "/image",
      "/port",
      "/volumes/state/containerPath",
    ]);
  });

  test.each(["null", "[]", "1", '"x"', "true"])("that is %s is 422", async (body) => {
    for (const path of ["/api/v1/workloads", "/api/v1/pools", "/api/v1/tenants/alice/claim"]) {
      expect((await post(path, body)).status).toBe(422);
    }
  });

  test("asking for what Cloudflare does not have is refused, not ignored", async () => {
    const custom = {
      id: "a",
      image: "sandbox",
      volumes: { custom: [{ name: "x" }] },
      security: { readOnlyRootFilesystem: true },
    };
    const response = await post("/api/v1/workloads", JSON.stringify(custom));
    expect(response.status).toBe(422);
    const document = await problem(response);
    expect(document.code).toBe("unsupported");
    expect((document.errors as { pointer: string }[]).map(({ pointer }) => pointer)).toEqual([
      "/volumes/custom",
      "/security/readOnlyRootFilesystem",
    ]);
  });
});

describe("ids and queries", () => {
  test.each(["Demo", "-a", "a-", "a".repeat(64), "a_b", "%ff"])("pool %j is 422", async (id) => {
    const response = await ask("GET", `/api/v1/pools/${id}`);
    expect(response.status).toBe(422);
    expect(await pointers(response)).toEqual(["/path/id"]);
  });

  test.each(["-a", "a%2Fb", "a%20b", "x".repeat(129), "%ff", "%00"])("tenant %j is 422", async (id) => {
    expect((await ask("GET", `/api/v1/tenants/${id}/status`)).status).toBe(422);
  });

  test.each(["301s", "300001ms", "1", "1m", "-1s", "1.5s", "", "s", "1s&wait=2s"])("?wait=%s is 422", async (wait) => {
    const response = await ask("POST", `/api/v1/tenants/alice/claim?wait=${wait}`);
    expect(response.status).toBe(422);
    expect(await pointers(response)).toEqual(["/query/wait"]);
  });

  test.each(["limit=0", "limit=1001", "limit=x", "cursor=!!"])("?%s is 422", async (query) => {
    expect((await ask("GET", `/api/v1/workloads?${query}`)).status).toBe(422);
  });

  test.each(["nope", "op-1", "op-1.%21", "c-1"])("an operation or container %j is 404", async (id) => {
    expect((await ask("GET", `/api/v1/operations/${id}`)).status).toBe(404);
    expect((await ask("GET", `/api/v1/containers/${id}`)).status).toBe(404);
  });
});
