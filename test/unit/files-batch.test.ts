import { describe, expect, it } from "vitest";
import {
  contentOf,
  type ItemResult,
  type ItemStatus,
  isWhole,
  nameOf,
  parseOperation,
  tally,
} from "../../src/files/batch.ts";

const todo = (value: unknown) => {
  const { parsed } = parseOperation(value, 0);
  if (!parsed.ok) throw new Error(parsed.failure.detail);
  return parsed.todo;
};
const failure = (value: unknown) => {
  const { parsed } = parseOperation(value, 0);
  return parsed.ok ? null : parsed.failure;
};

describe("an operation of a batch", () => {
  it("is read with its defaults", () => {
    expect(todo({ op: "list" })).toMatchObject({
      op: "list",
      at: { from: "state", path: "" },
      recursive: false,
      limit: 100,
    });
    expect(todo({ op: "read", path: "a//b" })).toEqual({ op: "read", at: { from: "state", path: "a/b" } });
    expect(todo({ op: "write", path: "/data/a", content: "x", ifNoneMatch: "*" })).toMatchObject({
      at: { from: "container", path: "data/a" },
      condition: { match: null, noneMatch: "*" },
    });
  });

  it.each([
    [{ op: "rename", path: "a" }, "bad_request", "read, exists, list, write, delete"],
    [{ op: "toString", path: "a" }, "bad_request", "no such operation"],
    [{ path: "a" }, "bad_request", "no such operation"],
    ["read", "bad_request", "no such operation"],
    [{ op: "read" }, "invalid", "path"],
    [{ op: "read", path: 7 }, "invalid", "path"],
    [{ op: "read", path: "a", content: "x" }, "invalid", "content"],
    [{ op: "read", path: "a/../b" }, "bad_request", "`..`"],
    [{ op: "write", path: "a" }, "invalid", "content"],
    [{ op: "write", path: "a", content: "x", ifMatch: "no tag" }, "bad_request", "ifMatch"],
    [{ op: "write", path: "a", content: "x=", encoding: "base64" }, "bad_request", "base64"],
    [{ op: "list", path: "a", limit: 0 }, "invalid", "limit"],
  ])("%j is refused by itself", (value, code, detail) => {
    expect(failure(value)).toMatchObject({ code, detail: expect.stringContaining(detail) });
  });

  it("has a name that is its own: of its token, place, kind, path, condition and content", () => {
    const write = (content: string, more: object = {}) => todo({ op: "write", path: "a", content, ...more });
    const names = [
      nameOf("t", 0, write("x")),
      nameOf("u", 0, write("x")),
      nameOf("t", 1, write("x")),
      nameOf("t", 0, write("y")),
      nameOf("t", 0, write("x", { ifMatch: "*" })),
      nameOf("t", 0, write("x", { path: "b" })),
      nameOf("t", 0, todo({ op: "delete", path: "a" })),
    ];
    expect(new Set(names).size).toBe(names.length);
    expect(nameOf("t", 0, write("x"))).toBe(names[0]);
  });
});

describe("content", () => {
  it.each([
    ["grüße", "utf8", "grüße"],
    ["Z3LDvMOfZQ==", "base64", "grüße"],
    ["", "base64", ""],
  ] as const)("%j as %s is %j", (content, encoding, text) => {
    expect(Buffer.from(contentOf(content, encoding) ?? []).toString()).toBe(text);
  });
  it.each(["a", "a===", "ab=c", "????", "YQ==\n"])("%j is no base64", (content) => {
    expect(contentOf(content, "base64")).toBeNull();
  });
});

describe("the result of a batch", () => {
  const results = (...statuses: ItemStatus[]): ItemResult[] =>
    statuses.map((status, index) => ({ index, op: "read", path: "a", status, success: status === "succeeded" }));

  it("counts what was done, and says where to go on", () => {
    expect(tally(results("skipped", "succeeded", "failed", "not_started", "not_started"))).toEqual({
      completed: 2,
      succeeded: 1,
      failed: 1,
      resumeFrom: 3,
    });
    expect(tally(results("succeeded"))).toMatchObject({ resumeFrom: null });
  });

  it("is whole when everything that was asked for is well", () => {
    expect(isWhole(results("succeeded", "skipped"))).toBe(true);
    for (const status of ["failed", "not_started", "not_applied"] as const)
      expect(isWhole(results("succeeded", status))).toBe(false);
  });
});
