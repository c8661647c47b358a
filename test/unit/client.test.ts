import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { BoilerhouseError, createBoilerhouse, type Operation, type Sending } from "../../src/client/index.ts";
import { ERROR_CODES, entryOf } from "../../src/errors/codes.ts";
import { problemResponse } from "../../src/errors/problem.ts";

interface Seen {
  readonly method: string;
  readonly path: string;
  readonly headers: Headers;
  readonly body: string;
}
type Answer = (request: Request) => Response | Promise<Response>;

/** A client whose requests are answered by these, one after the other, and what it sent. */
function aClient(answers: readonly Answer[], sending: Omit<Sending, "fetch"> = {}) {
  const seen: Seen[] = [];
  const fetch = async (request: Request): Promise<Response> => {
    const { pathname, search } = new URL(request.url);
    const answer = answers[seen.length];
    const { method, headers } = request;
    seen.push({ method, headers, path: pathname + search, body: await request.clone().text() });
    if (!answer) throw new Error(`request ${seen.length} was not expected: ${request.method} ${pathname}`);
    return answer(request);
  };
  const client = createBoilerhouse({ baseUrl: "https://api.test/", key: "k-secret", fetch, ...sending });
  return { client, seen };
}

const json =
  (status: number, body: unknown, headers: Record<string, string> = {}): Answer =>
  () =>
    Response.json(body, { status, headers });
const problem =
  (code: (typeof ERROR_CODES)[number], more = {}): Answer =>
  () =>
    problemResponse({ code, detail: "because", ...more }, "r-1");

const claim = { tenantId: "alice", containerId: "c-1", poolId: "demo", state: "active", launch: "warm", epoch: 1 };
const anOperation = (more: Partial<Operation> = {}): Operation => ({
  id: "op-1",
  tenantId: "alice",
  kind: "claim",
  status: "running",
  step: "start",
  startedAt: "2026-11-01T00:00:00.000Z",
  deadlineAt: "2026-11-01T00:01:00.000Z",
  attempts: 1,
  ...more,
});
const pending = { tenantId: "alice", state: "claiming", endpoints: {}, operation: anOperation() };

const failing = async (work: Promise<unknown>): Promise<BoilerhouseError> => {
  const error = await work.then(() => null).catch((cause: unknown) => cause);
  if (error instanceof BoilerhouseError) return error;
  throw new Error(`no BoilerhouseError, but ${error}`);
};

describe("a claim by the client", () => {
  it("sends key, body and wait to the tenant's route, and answers with the claim", async () => {
    const { client, seen } = aClient([json(201, claim)]);
    expect(await client.claim("a/b", { poolId: "demo", timeoutMs: 5_000 })).toEqual(claim);
    expect(seen[0]).toMatchObject({
      method: "POST",
      path: "/api/v1/tenants/a%2Fb/claim?wait=5000ms",
      body: '{"poolId":"demo"}',
    });
    expect(seen[0]?.headers.get("authorization")).toBe("Bearer k-secret");
  });

  it("that the API did not wait for is followed to its end", async () => {
    const done = anOperation({ status: "succeeded", result: claim as never });
    const { client, seen } = aClient([json(202, pending), json(200, anOperation()), json(200, done)]);
    expect(await client.claim("alice")).toEqual(claim);
    expect(seen.map(({ path }) => path)).toEqual([
      "/api/v1/tenants/alice/claim?wait=60000ms",
      "/api/v1/operations/op-1",
      "/api/v1/operations/op-1",
    ]);
  });

  it("that failed after the API stopped waiting throws what the operation ended with", async () => {
    const error = { code: "capacity_exhausted", detail: "no slot", retryAfterMs: 2_000 };
    const { client } = aClient([json(202, pending), json(200, anOperation({ status: "failed", error }))]);
    expect(await failing(client.claim("alice"))).toMatchObject({
      code: "capacity_exhausted",
      status: 503,
      detail: "no slot",
      retryAfterMs: 2_000,
    });
  });
});

describe("waiting for an operation", () => {
  it("ends at its deadline with timed_out, and says that the operation goes on", async () => {
    const { client } = aClient([json(200, anOperation()), json(200, anOperation())]);
    const error = await failing(client.waitFor("op-1", { timeoutMs: 150 }));
    expect([error.code, error.status, error.detail]).toEqual(["timed_out", 0, expect.stringContaining("goes on")]);
  });

  it("looks again no sooner than Retry-After says", async () => {
    const { client, seen } = aClient([json(200, anOperation(), { "retry-after": "7" })]);
    await failing(client.waitFor("op-1", { timeoutMs: 6_000 }));
    expect(seen).toHaveLength(1);
  });

  it("stops when the caller does, with the caller's reason", async () => {
    const caller = new AbortController();
    const { client } = aClient([
      () => {
        setTimeout(() => caller.abort(new Error("enough")), 0);
        return Response.json(anOperation(), { headers: { "retry-after": "60" } });
      },
    ]);
    await expect(client.waitFor("op-1", { timeoutMs: 90_000, signal: caller.signal })).rejects.toThrow("enough");
  });
});

describe("a refused request", () => {
  it("is an error with everything that the problem says, and without the key", async () => {
    const extra = { errors: [{ pointer: "/poolId", detail: "is no pool's id" }] };
    const { client } = aClient([problem("invalid", { extra })]);
    const error = await failing(client.claim("alice", { poolId: "?" }));
    expect(error).toMatchObject({
      code: "invalid",
      status: 422,
      detail: "because",
      requestId: "r-1",
      suggestion: entryOf("invalid").suggestion,
      errors: extra.errors,
    });
    expect(JSON.stringify(error) + error.stack).not.toContain("k-secret");
  });

  it("is sent again, with the same Idempotency-Key and body, where it certainly did not happen", async () => {
    const soon = { "content-type": "application/problem+json", "retry-after": "0" };
    const busy: Answer = () => Response.json({ code: "starting", detail: "…" }, { status: 503, headers: soon });
    const limited: Answer = () => Response.json({ code: "rate_limited", detail: "…" }, { status: 429, headers: soon });
    const { client, seen } = aClient([busy, limited, json(201, claim)]);
    expect(await client.claim("alice", { poolId: "demo" })).toEqual(claim);
    expect(seen.map(({ body }) => body)).toEqual(Array(3).fill('{"poolId":"demo"}'));
    const keys = new Set(seen.map(({ headers }) => headers.get("idempotency-key")));
    expect([keys.size, [...keys][0]]).toEqual([1, expect.stringMatching(/^[0-9a-f-]{36}$/)]);
  });

  it.each(ERROR_CODES.filter((code) => !entryOf(code).retry))("is never sent again after %s", async (code) => {
    const { client, seen } = aClient([problem(code, { retryAfterMs: 0 })]);
    expect((await failing(client.claim("alice"))).code).toBe(code);
    expect(seen).toHaveLength(1);
  });

  it("is not sent again without Retry-After, for an unknown code, or when that would take too long", async () => {
    const answers: Answer[] = [
      json(503, { code: "starting", detail: "no time given" }),
      json(503, { code: "of_a_newer_api", detail: "unknown" }, { "retry-after": "0" }),
      json(503, { code: "starting", detail: "a long time" }, { "retry-after": "31" }),
    ];
    for (const answer of answers) {
      const { client, seen } = aClient([answer]);
      await failing(client.claim("alice"));
      expect(seen).toHaveLength(1);
    }
  });

  it("is given up after as many attempts as the caller allows", async () => {
    const busy = json(503, { code: "starting", detail: "…" }, { "retry-after": "0" });
    const { client, seen } = aClient([busy, busy, busy], { attempts: 2 });
    expect((await failing(client.claim("alice"))).code).toBe("starting");
    expect(seen).toHaveLength(2);
  });
});

describe("a request without an answer of the API", () => {
  it("is no_connection, and not sent again: whether it arrived is not known", async () => {
    const gone: Answer = () => Promise.reject(new TypeError("fetch failed"));
    const { client, seen } = aClient([gone]);
    const error = await failing(client.claim("alice"));
    expect([error.code, error.status, seen.length]).toEqual(["no_connection", 0, 1]);
  });

  it("is timed_out after what it asks the API to wait and the time of a request", async () => {
    const never: Answer = (request) =>
      new Promise((_, reject) => request.signal.addEventListener("abort", () => reject(request.signal.reason)));
    const { client } = aClient([never], { timeoutMs: 20 });
    const error = await failing(client.claim("alice", { timeoutMs: 30 }));
    expect([error.code, error.detail]).toEqual(["timed_out", expect.stringContaining("50 ms")]);
  });

  it("is unexpected_answer when something else answered", async () => {
    const page: Answer = () => new Response("<h1>502</h1>", { status: 502, headers: { "x-request-id": "edge" } });
    const { client } = aClient([page]);
    expect(await failing(client.claim("alice"))).toMatchObject({
      code: "unexpected_answer",
      status: 502,
      requestId: "edge",
    });
  });
});

it("runs where there is no Node: the client imports openapi-fetch and what belongs to it, nothing else", () => {
  const imported = readdirSync("src/client")
    .filter((name) => !name.endsWith(".d.ts"))
    .flatMap((name) => [...readFileSync(`src/client/${name}`, "utf8").matchAll(/from "([^"]+)"/g)])
    .map(([, from = ""]) => from)
    .filter((from) => !from.startsWith("./"));
  expect(new Set(imported)).toEqual(new Set(["openapi-fetch", "../errors/codes.ts"]));
  expect(readFileSync("src/errors/codes.ts", "utf8")).not.toMatch(/^import /m);
});

describe("an import by the client", () => {
  const tar = () => new Blob(["tar"]).stream();

  it("sends the stream once, with the options as its query", async () => {
    const { client, seen } = aClient([json(200, { tenantId: "alice", imported: { generation: 1 } })]);
    const answer = await client.importTar("alice", tar(), { force: true, owner: "7:8" });
    expect(answer).toMatchObject({ imported: { generation: 1 } });
    expect(seen[0]).toMatchObject({
      method: "POST",
      path: "/api/v1/tenants/alice/import?force=true&owner=7%3A8",
      body: "tar",
    });
  });

  it("is not sent again, whatever the refusal says", async () => {
    const { client, seen } = aClient([problem("rate_limited", { retryAfterMs: 1 }), json(200, {})]);
    expect(await failing(client.importTar("alice", tar()))).toMatchObject({ code: "rate_limited", status: 429 });
    expect(seen).toHaveLength(1);
  });
});
