import { describe, expect, test } from "vitest";
import { aPool, env, eventually, request } from "../support/fleet.ts";

/** Workloads are the cheapest thing that can be created, once. */
const workload = (id: string, more: object = {}) => JSON.stringify({ id, image: "sandbox", port: 8080, ...more });
const post = (path: string, key: string, body: BodyInit, headers: Record<string, string> = {}) =>
  request("POST", path, body, { "content-type": "application/json", "idempotency-key": key, ...headers });
const create = (key: string, body: string) => post("/api/v1/workloads", key, body);
const told = async (response: Response) => (await response.json()) as { code?: string; id?: string };
const rows = async () =>
  (await env.DB.prepare("SELECT * FROM idempotency").all<Record<string, string | number | null>>()).results;

describe("the same request under the same key", () => {
  test("gets the first answer again, and nothing happens twice", async () => {
    const first = await create("again", workload("again"));
    expect(first.status).toBe(201);
    expect(first.headers.get("idempotency-replayed")).toBeNull();
    const body = await first.text();

    const second = await create("again", workload("again"));
    expect(second.status).toBe(201);
    expect(second.headers.get("idempotency-replayed")).toBe("true");
    expect(second.headers.get("location")).toBe(first.headers.get("location"));
    expect(second.headers.get("location")).toBe("/api/v1/workloads/again");
    expect(second.headers.get("etag")).toBe(first.headers.get("etag"));
    expect(second.headers.get("content-type")).toBe(first.headers.get("content-type"));
    expect(await second.text()).toBe(body);
    // Without the key it is what it is.
    expect(
      (await request("POST", "/api/v1/workloads", workload("again"), { "content-type": "application/json" })).status,
    ).toBe(409);
  });

  test("gets a refusal again too", async () => {
    const bad = workload("Bad Id");
    expect((await create("refused", bad)).status).toBe(422);
    const again = await create("refused", bad);
    expect(again.status).toBe(422);
    expect(again.headers.get("content-type")).toBe("application/problem+json");
    expect(again.headers.get("idempotency-replayed")).toBe("true");
    expect((await told(again)).code).toBe("invalid");
  });

  test("gets a 202 again, with the operation's address", async () => {
    await aPool("idem-slow");
    const claim = () => post("/api/v1/tenants/idem-slow/claim?wait=0s", "slow", '{"poolId":"idem-slow"}');
    const first = await claim();
    expect(first.status).toBe(202);
    const again = await claim();
    expect(again.status).toBe(202);
    expect(again.headers.get("location")).toBe(first.headers.get("location"));
    expect(again.headers.get("location")).toMatch(/^\/api\/v1\/operations\//);
    expect(again.headers.get("retry-after")).toBe(first.headers.get("retry-after"));
  });

  test("runs once when many come at a time; the others are told to wait", async () => {
    const answers = await Promise.all(Array.from({ length: 12 }, () => create("crowd", workload("crowd"))));
    const fresh = answers.filter((one) => one.status === 201 && !one.headers.has("idempotency-replayed"));
    expect(fresh).toHaveLength(1);
    for (const answer of answers) {
      if (answer.status === 201) continue;
      expect(answer.status).toBe(409);
      expect((await told(answer)).code).toBe("idempotency_in_flight");
      expect(Number(answer.headers.get("retry-after"))).toBeGreaterThan(0);
    }
    await eventually(async () => expect((await create("crowd", workload("crowd"))).status).toBe(201));
  });
});

describe("a key", () => {
  test("is of one body: another one is 422, whether the first has ended or not", async () => {
    expect((await create("one-body", workload("one-body"))).status).toBe(201);
    const other = await create("one-body", workload("two-body"));
    expect(other.status).toBe(422);
    expect((await told(other)).code).toBe("idempotency_mismatch");
    // Not even a space is the same request.
    expect((await create("one-body", ` ${workload("one-body")}`)).status).toBe(422);
    await env.DB.prepare("UPDATE idempotency SET status = NULL").run();
    expect((await told(await create("one-body", workload("two-body")))).code).toBe("idempotency_mismatch");
    expect((await request("GET", "/api/v1/workloads/two-body")).status).toBe(404);
  });

  test("is of one path, whatever the query, and of one method", async () => {
    await create("one-path", workload("one-path"));
    const release = await post("/api/v1/tenants/nobody/release", "one-path", workload("one-path"));
    expect(release.status).toBe(404);
    const replayed = await post("/api/v1/tenants/nobody/release?wait=1s", "one-path", workload("one-path"));
    expect(replayed.headers.get("idempotency-replayed")).toBe("true");
  });

  test.each(["", "x".repeat(256), "é", "tab\there"])("that is %j is 422", async (key) => {
    const response = await create(key, workload("bad-key"));
    expect(response.status).toBe(422);
    expect(await response.json()).toMatchObject({ errors: [{ pointer: "/header/idempotency-key" }] });
  });

  test("is looked at after the door and before the subject and the body", async () => {
    const before = (await rows()).length;
    const closed = await post("/api/v1/workloads", "door", "{", { authorization: "Bearer wrong" });
    expect(closed.status).toBe(401);
    expect(await rows()).toHaveLength(before);
    expect((await post("/api/v1/tenants/nobody/release", "order", "{}")).status).toBe(404);
    expect((await told(await post("/api/v1/tenants/nobody/release", "order", "{"))).code).toBe("idempotency_mismatch");
  });

  test("does not raise the limit of a body", async () => {
    expect((await create("large", `"${"x".repeat(1_000_000)}"`)).status).toBe(413);
  });
});

describe("what is kept", () => {
  test("says nothing of the body, the key or the answer in plain text", async () => {
    const response = await create(
      "planted-key-1",
      workload("planted-id-1", { environment: { PLANTED: "planted-value" } }),
    );
    expect(response.status).toBe(201);
    const dump = JSON.stringify(await rows());
    for (const planted of ["planted-key", "planted-value"]) expect(dump).not.toContain(planted);
    const [row] = (await rows()).filter((one) => String(one.headers).includes("planted-id-1"));
    expect(String(row?.body)).toMatch(/^[0-9a-f]{8}\.[A-Za-z0-9+/=]+$/);
    expect(Number(row?.expires_at) - Number(row?.started_at)).toBe(86_400_000);
  });

  test("gives a new API key again, and no dump tells it", async () => {
    const make = () => post("/api/v1/keys", "make-key", JSON.stringify({ name: "idem", role: "viewer" }));
    const first = (await (await make()).json()) as { id: string; key: string };
    const again = await make();
    expect(again.headers.get("idempotency-replayed")).toBe("true");
    expect(await again.json()).toEqual(first);
    expect(first.key.length).toBeGreaterThan(20);
    expect(JSON.stringify(await rows())).not.toContain(first.key);
    // Another's request under the same key is another request.
    const other = await post("/api/v1/keys", "make-key", JSON.stringify({ name: "idem", role: "viewer" }), {
      authorization: `Bearer ${first.key}`,
    });
    expect(other.status).toBe(403);
  });

  test("is its sender's: the same key of somebody else is a first request", async () => {
    const key = async (name: string) => {
      const made = await post("/api/v1/keys", `for-${name}`, JSON.stringify({ name, role: "operator" }));
      return ((await made.json()) as { key: string }).key;
    };
    const body = workload("two-senders");
    const as = async (name: string) =>
      post("/api/v1/workloads", "shared", body, { authorization: `Bearer ${await key(name)}` });
    expect((await as("ann")).status).toBe(201);
    const ben = await as("ben");
    expect(ben.status).toBe(409);
    expect((await told(ben)).code).toBe("already_exists");
    expect((await as("ann")).headers.get("idempotency-replayed")).toBe("true");
  });

  test("ends after a day: then the key is new, and old rows are removed", async () => {
    expect((await create("aged", workload("aged"))).status).toBe(201);
    await env.DB.prepare("UPDATE idempotency SET expires_at = 1").run();
    const later = await create("aged", workload("aged"));
    expect(later.status).toBe(409);
    expect((await told(later)).code).toBe("already_exists");
    for (let more = 0; more < 8; more += 1) await create(`sweep-${more}`, workload("aged"));
    expect((await rows()).filter((row) => row.expires_at === 1)).toEqual([]);
  });

  test("is not an answer that says that nothing happened: the same key may try again", async () => {
    await env.DB.prepare("ALTER TABLE workloads RENAME TO away").run();
    const body = JSON.stringify({
      id: "idem-full",
      workloadId: "nobody",
      minSize: 0,
      maxSize: 1,
      idleTimeoutMs: 60_000,
    });
    const failed = await post("/api/v1/pools", "defect", body);
    expect(failed.status).toBe(500);
    await env.DB.prepare("ALTER TABLE away RENAME TO workloads").run();
    // A defect's outcome is unknown: it is kept.
    expect((await post("/api/v1/pools", "defect", body)).headers.get("idempotency-replayed")).toBe("true");

    await aPool("idem-none", { minSize: 0, maxSize: 1 });
    const claim = (tenant: string, key: string) =>
      post(`/api/v1/tenants/${tenant}/claim`, key, '{"poolId":"idem-none"}');
    expect((await claim("idem-a", "a")).status).toBe(201);
    const full = await claim("idem-b", "b");
    expect((await told(full)).code).toBe("capacity_exhausted");
    await post("/api/v1/tenants/idem-a/release?wait=10s", "r", "{}");
    await eventually(async () => expect((await claim("idem-b", "b")).status).toBe(201), 15_000);
  });
});

describe("a first request that never ended", () => {
  const begun = (ageMs: number) =>
    env.DB.prepare("UPDATE idempotency SET status = NULL, body = NULL, started_at = ? WHERE headers LIKE '%dead%'")
      .bind(Date.now() - ageMs)
      .run();

  test("is in flight until it must have died, then its result is unknown for good", async () => {
    await create("dead", workload("dead"));
    await begun(320_000);
    expect((await told(await create("dead", workload("dead")))).code).toBe("idempotency_in_flight");
    await begun(331_000);
    for (let more = 0; more < 2; more += 1) {
      const answer = await create("dead", workload("dead"));
      expect(answer.status).toBe(409);
      expect((await told(answer)).code).toBe("operation_interrupted");
    }
  });

  test("goes on when its client has gone, and its answer waits", async () => {
    await aPool("idem-gone");
    await env.DB.prepare("DELETE FROM idempotency").run();
    const gone = new AbortController();
    const claim = (signal?: AbortSignal) =>
      request(
        "POST",
        "/api/v1/tenants/idem-gone/claim?wait=10s",
        '{"poolId":"idem-gone"}',
        { "content-type": "application/json", "idempotency-key": "gone" },
        signal,
      );
    const first = claim(gone.signal).catch(() => null);
    await eventually(async () => expect(await rows()).not.toEqual([]));
    gone.abort();
    await first;
    await eventually(async () => expect((await claim()).headers.get("idempotency-replayed")).toBe("true"));
  });
});
