import { describe, expect, test, vi } from "vitest";
import { app } from "../../src/app.ts";
import { ERROR_CODES, entryOf } from "../../src/errors/codes.ts";
import { didNotHappen, standing } from "../../src/http/idempotency.ts";

const key = "0123456789abcdef0123";

/** A database that refuses everything, or never answers. */
function ask(batch: () => Promise<unknown>, headers: Record<string, string>) {
  const DB = { prepare: () => ({ bind: () => ({ run: batch, first: batch }) }), batch };
  const env = { ADMIN_KEY: key, SECRETS_KEY: btoa("k".repeat(32)), DB };
  const context = { waitUntil: () => {}, passThroughOnException: () => {}, props: {} };
  const init = {
    method: "POST",
    body: '{"id":"a","image":"b"}',
    headers: { authorization: `Bearer ${key}`, "content-type": "application/json", ...headers },
  };
  return app.request("http://localhost/api/v1/workloads", init, env, context as unknown as ExecutionContext);
}

describe("without the database", () => {
  test("a request with a key does nothing and may be sent again", async () => {
    const batch = vi.fn(() => Promise.reject(new Error("D1_ERROR: secret of the database")));
    const response = await ask(batch, { "idempotency-key": "k" });
    expect(response.status).toBe(503);
    expect(response.headers.get("retry-after")).not.toBeNull();
    const text = await response.text();
    expect(JSON.parse(text)).toMatchObject({ code: "database_unavailable" });
    expect(text).not.toContain("D1");
    // Taken, and given back in case it was taken all the same; no workload was inserted.
    expect(batch).toHaveBeenCalledTimes(2);
  });

  test("one that does not answer is waited for ten seconds", async () => {
    vi.useFakeTimers();
    const response = ask(() => new Promise(() => {}), { "idempotency-key": "k" });
    await vi.advanceTimersByTimeAsync(10_001);
    vi.useRealTimers();
    expect((await response).status).toBe(503);
  });
});

describe("a request among those of its key", () => {
  const row = { fingerprint: "f", attempt: "one", startedAt: 1_000, answer: null };
  const answer = { status: 200, headers: {}, body: "" };

  test.each([
    ["whose row is its own is the first", row, "one", "f", 1_000, "first"],
    ["with another body is refused, even when the first died", row, "two", "g", 900_000, "mismatch"],
    ["during the first is in flight", row, "two", "f", 331_000, "in-flight"],
    ["long after the first began is told that it died", row, "two", "f", 331_001, "interrupted"],
    ["after the first gets its answer, however late", { ...row, answer }, "two", "f", 900_000, "answered"],
  ] as const)("%s", (_promise, kept, attempt, fingerprint, now, expected) => {
    expect(standing(kept, attempt, fingerprint, now)).toBe(expected);
  });
});

describe("an answer", () => {
  test.each(ERROR_CODES)("of %s is kept unless it certainly did not happen", (code) => {
    const { status, retry } = entryOf(code);
    expect(didNotHappen(status, code)).toBe(retry || [401, 403, 429].includes(status));
  });

  test("without a code is kept", () => {
    for (const status of [200, 201, 202, 204, 404, 500]) expect(didNotHappen(status, null)).toBe(false);
    expect(didNotHappen(503, "no-code-of-ours")).toBe(false);
  });
});
