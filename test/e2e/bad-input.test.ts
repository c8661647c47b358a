import { beforeAll, expect, it } from "vitest";
import { SANDBOX } from "../support/e2e-client.ts";
import { type Answer, Socket } from "../support/e2e-http.ts";
import { onContainers, useSharedStack } from "../support/e2e-stack.ts";

const JSON_TYPE = { "content-type": "application/json" };

onContainers("a request that cannot be carried out", () => {
  const shared = useSharedStack();
  beforeAll(async () => {
    await shared.client.pool({ id: "bad-input-full", minSize: 0, maxSize: 1 });
  }, 60_000);

  const post = (path: string, body: string, headers: Record<string, string> = JSON_TYPE) =>
    shared.client.send("POST", `/api/v1${path}`, { body, headers });

  it.each([
    ["GET", "/workloads/none"],
    ["GET", "/pools/none"],
    ["GET", "/tenants/nobody/status"],
    ["POST", "/tenants/nobody/release"],
    ["GET", "/operations/op-none"],
    ["GET", "/containers/c-aaaaaaaaaaaaaaaaaaaa"],
    ["GET", "/containers/none"],
    ["GET", "/nothing/at/all"],
  ])("%s of what does not exist is 404: %s", async (method, path) => {
    isProblem(await shared.client.api(method, path, method === "POST" ? {} : undefined), 404, "not_found");
  });

  it("a claim in a pool that does not exist is 404, and so is a pool of such a workload", async () => {
    isProblem(await shared.client.claim("lost", { poolId: "none" }), 404, "not_found");
    isProblem(await shared.client.status("lost"), 404, "not_found");
    isProblem(await shared.client.api("POST", "/pools", { id: "p", workloadId: "none", maxSize: 1 }), 404, "not_found");
    isProblem(await shared.client.at("lost", "GET", "/"), 404, "not_found");
    isProblem(await shared.client.atHost("lost", "GET", "/"), 404, "not_found");
  });

  it.each(["-dash", ".dot", "sp%20ace", "sl%2Fash", "a%00b", "x".repeat(129), "ünï"].map((id) => [id]))(
    "a tenant's id that is none is 422: %s",
    async (id) => {
      const path = id === "ünï" ? encodeURIComponent(id) : id;
      isProblem(await shared.client.api("POST", `/tenants/${path}/claim`, { poolId: "work" }), 422, "invalid");
      isProblem(await shared.client.send("GET", `/t/${path}/x`), 422, "invalid");
    },
  );

  it.each(["UPPER", "-x", "x-", "under_score", "x".repeat(64), ""].map((id) => [id]))(
    "a workload's and a pool's id that is none is 422: %j",
    async (id) => {
      const workload = isProblem(await shared.client.api("POST", "/workloads", { ...SANDBOX, id }), 422, "invalid");
      expect(pointers(workload)).toEqual(["/id"]);
      const pool = isProblem(
        await shared.client.api("POST", "/pools", { id, workloadId: "sandbox", maxSize: 1 }),
        422,
        "invalid",
      );
      expect(pointers(pool)).toEqual(["/id"]);
    },
  );

  it("malformed JSON is 400", async () => {
    for (const body of ["{", "", "{}{}", "{'poolId':'work'}", '{"poolId":"work",}', "\u0000"]) {
      isProblem(await post("/pools", body), 400, "malformed_json");
    }
  });

  it("another content type than JSON is 415", async () => {
    const body = JSON.stringify({ poolId: "work" });
    for (const type of ["text/plain", "application/x-www-form-urlencoded", "application/xml"]) {
      isProblem(await post("/tenants/t/claim", body, { "content-type": type }), 415, "unsupported_media_type");
    }
    isProblem(await post("/tenants/t/claim", body, {}), 415, "unsupported_media_type");
  });

  it("an invalid body is 422 with one pointer for each field", async () => {
    const workload = {
      id: "ok",
      image: "sandbox",
      port: 41800,
      start: "later",
      volumes: { state: { containerPath: "data" } },
      extra: 1,
    };
    expect(pointers(isProblem(await shared.client.api("POST", "/workloads", workload), 422, "invalid"))).toEqual([
      "/extra",
      "/port",
      "/start",
      "/volumes/state/containerPath",
    ]);
    const pool = { id: "ok", workloadId: "sandbox", minSize: -1, maxSize: "many", idleTimeoutMs: 1.5 };
    expect(pointers(isProblem(await shared.client.api("POST", "/pools", pool), 422, "invalid"))).toEqual([
      "/idleTimeoutMs",
      "/maxSize",
      "/minSize",
    ]);
    const inverted = { id: "ok", workloadId: "sandbox", minSize: 3, maxSize: 2 };
    expect(pointers(isProblem(await shared.client.api("POST", "/pools", inverted), 422, "invalid"))).toEqual([
      "/minSize",
    ]);
    const claim = { poolId: 1, config: "text", secrets: { "../x": "y" }, force: true };
    expect(pointers(isProblem(await shared.client.claim("t", claim), 422, "invalid"))).toEqual([
      "/config",
      "/force",
      "/poolId",
      "/secrets/..~1x",
    ]);
    expect(pointers(isProblem(await post("/pools", "[]"), 422, "invalid"))).toEqual([""]);
    expect(pointers(isProblem(await shared.client.claim("without-pool", {}), 422, "invalid"))).toEqual(["/poolId"]);
  });

  it("a config that does not fit the workload's schema is 422 with pointers into it", async () => {
    const { client } = shared;
    const configSchema = {
      type: "object",
      properties: { name: { type: "string" } },
      required: ["size"],
      additionalProperties: false,
    };
    await client.workload({ id: "bad-input-schema", configSchema });
    await client.pool({ id: "bad-input-schema", workloadId: "bad-input-schema", minSize: 0 });
    const answer = await client.claim("picky", { poolId: "bad-input-schema", config: { name: 1 } });
    expect(pointers(isProblem(answer, 422, "invalid"))).toEqual(["/config/name", "/config/size"]);
    const broken = await client.api("POST", "/workloads", {
      ...SANDBOX,
      id: "bad-schema",
      configSchema: { type: "nonsense" },
    });
    expect(pointers(isProblem(broken, 422, "invalid"))[0]).toMatch(/^\/configSchema/);
  });

  it("a wait that is none, or longer than 300 s, is 422", async () => {
    for (const wait of ["301s", "300001ms", "10", "-1s", "1m", "", "1e3s"]) {
      isProblem(await shared.client.claim("waiter", { poolId: "work" }, wait), 422, "invalid");
    }
  });

  it("a body over 1 MB is 413, announced or not", async () => {
    const body = JSON.stringify({ poolId: "work", config: { filler: "x".repeat(1_100_000) } });
    for (const chunked of [false, true]) {
      const answer = await shared.client.send("POST", "/api/v1/tenants/big/claim", {
        body,
        headers: JSON_TYPE,
        chunked,
      });
      isProblem(answer, 413, "payload_too_large");
    }
  });

  it("a missing or wrong key is 401 on everything but health and readiness", async () => {
    const { client } = shared;
    const keys = [
      "",
      "Bearer",
      "Bearer wrong",
      `Basic ${client.adminKey}`,
      `Bearer ${client.adminKey}x`,
      client.adminKey,
    ];
    const paths = ["/api/v1/pools", "/api/v1/tenants/alice/status", "/api/v1/nothing", "/t/alice/whoami"];
    for (const authorization of keys) {
      for (const path of paths) {
        const answer = isProblem(
          await client.send("GET", path, { headers: { authorization } }),
          401,
          "unauthenticated",
        );
        expect(answer.headers["www-authenticate"]).toMatch(/^Bearer/);
      }
      isProblem(await client.atHost("alice", "GET", "/", { headers: { authorization } }), 401, "unauthenticated");
    }
    // The key comes first: what is asked for, and how badly, is not looked at.
    const unread = await client.send("POST", "/api/v1/pools", {
      body: "{",
      headers: { authorization: "Bearer wrong" },
    });
    isProblem(unread, 401, "unauthenticated");
    for (const path of ["/health", "/ready"]) {
      expect((await client.send("GET", path, { headers: { authorization: "" } })).status).toBe(200);
    }
    await expect(Socket.open(client.port, "/t/alice/echo", {})).rejects.toThrow("refused with 401");
  });
  it("readiness says which runtime serves and that nothing is missing", async () => {
    expect((await shared.client.send("GET", "/ready")).body).toEqual({ ready: true, runtime: "platform", missing: [] });
  });

  it("no capacity is 503 with Retry-After, and leaves no tenant half claimed", async () => {
    const { client } = shared;
    await client.claimed("first", { poolId: "bad-input-full" });
    const answer = isProblem(
      await client.claim("second", { poolId: "bad-input-full" }, "1s"),
      503,
      "capacity_exhausted",
    );
    expect(Number(answer.headers["retry-after"])).toBeGreaterThan(0);
    expect(answer.body.retryAfterMs).toBeGreaterThan(0);
    expect((await client.status("second")).body).toMatchObject({ state: "idle", assigned: false });
    isProblem(await client.release("second", {}, "301s"), 422, "invalid");
    await client.discard("first");
  });

  it("what exists already is 409, and a known path with another method is 405 with Allow", async () => {
    const { client } = shared;
    isProblem(await client.api("POST", "/workloads", { ...SANDBOX, id: "sandbox" }), 409, "already_exists");
    isProblem(
      await client.api("POST", "/pools", { id: "work", workloadId: "sandbox", maxSize: 3 }),
      409,
      "already_exists",
    );
    const answer = isProblem(await client.api("DELETE", "/tenants/alice/claim"), 405, "method_not_allowed");
    expect(answer.headers.allow).toMatch(/POST/);
  });

  it("lists are pages with a cursor", async () => {
    const { client } = shared;
    const first = (await client.api("GET", "/pools?limit=1")).body;
    expect(first.items).toHaveLength(1);
    expect(first.nextCursor).toEqual(expect.any(String));
    const second = (await client.api("GET", `/pools?limit=1&cursor=${first.nextCursor}`)).body;
    expect(second.items[0].id > first.items[0].id).toBe(true);
    isProblem(await client.api("GET", "/pools?limit=0"), 422, "invalid");
    isProblem(await client.api("GET", "/pools?cursor=%21"), 422, "invalid");
  });
});

/** A problem document (contract: Problems) with this status and code. */
function isProblem(answer: Answer, status: number, code: string): Answer {
  expect([answer.status, answer.body.code], answer.text).toEqual([status, code]);
  expect(answer.headers["content-type"]).toMatch(/^application\/problem\+json/);
  expect(answer.body).toMatchObject({
    type: expect.any(String),
    title: expect.any(String),
    status,
    detail: expect.any(String),
  });
  expect(answer.body.requestId).toBe(answer.headers["x-request-id"]);
  return answer;
}

const pointers = (answer: Answer): string[] =>
  answer.body.errors.map(({ pointer }: { pointer: string }) => pointer).sort();
