import { describe, expect, test } from "vitest";
import { ERROR_CODES, entryOf } from "../../src/errors/codes.ts";
import { failureOf, Problem, problemDocument, problemResponse } from "../../src/errors/problem.ts";

describe.each(ERROR_CODES)("the problem %s", (code) => {
  test("has a status, a title, and says the request's id", async () => {
    const response = problemResponse({ code, detail: "What happened." }, "req-1");
    expect(response.status).toBe(entryOf(code).status);
    expect(response.status).toBeGreaterThanOrEqual(400);
    expect(response.headers.get("content-type")).toBe("application/problem+json");
    expect(response.headers.get("x-request-id")).toBe("req-1");
    expect(await response.json()).toMatchObject({
      type: `/docs/errors/${code}`,
      title: entryOf(code).title,
      status: response.status,
      code,
      detail: "What happened.",
      requestId: "req-1",
    });
  });

  test("says when to come back if it is a 503 or 429", () => {
    const response = problemResponse({ code, detail: "" }, "req-1");
    const temporary = response.status === 503 || response.status === 429;
    expect(/^[1-9]\d*$/.test(response.headers.get("retry-after") ?? "")).toBe(temporary);
  });
});

describe("a problem document", () => {
  test("carries further members, which cannot replace the standard ones", () => {
    const extra = { status: 200, operation: "op-1" };
    expect(problemDocument({ code: "not_found", detail: "", extra }, "r")).toMatchObject({
      status: 404,
      operation: "op-1",
    });
  });

  test("of an error that no one expected says nothing of it", () => {
    expect(JSON.stringify(problemDocument(failureOf(new Error("secret")), "r"))).not.toContain("secret");
  });

  test("of an overloaded object asks to come back", () => {
    expect(failureOf(Object.assign(new Error(), { overloaded: true })).code).toBe("capacity_exhausted");
  });

  test("of an object that broke off says that nobody knows", () => {
    const lost = Object.assign(new Error("Network connection lost."), { retryable: true });
    expect(failureOf(lost)).toMatchObject({ code: "operation_interrupted" });
    expect(failureOf(Object.assign(lost, { overloaded: true }))).toMatchObject({ code: "capacity_exhausted" });
  });

  test("of a thrown problem is what was thrown", () => {
    const problem = new Problem("capacity_exhausted", "Full.", { retryAfterMs: 2_500 });
    expect(problemResponse(problem.failure, "r").headers.get("retry-after")).toBe("3");
  });
});
