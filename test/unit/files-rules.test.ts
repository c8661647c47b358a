import { describe, expect, it } from "vitest";
import { HASHED_BYTES, readVerdict, tagOf, writeCondition } from "../../src/files/etag.ts";
import { isUnreachable, placeToRead, type Standing, wakesToWrite } from "../../src/files/place.ts";
import { rangeAsked } from "../../src/files/range.ts";
import { type ContainerId, epoch } from "../../src/ids.ts";
import { parseListing } from "../../src/instance/file-control.ts";
import type { TenantState } from "../../src/tenant/vocabulary.ts";

const standing = (state: TenantState, more: Partial<Standing> = {}): Standing => ({
  state,
  epoch: epoch(1),
  unsavedSince: 1,
  ...(["active", "saving", "sleeping", "releasing", "release_failed"].includes(state)
    ? { containerId: "c-a" as ContainerId }
    : {}),
  ...more,
});
const AUTO = { source: "auto", pinned: false, wake: false } as const;

describe("where a read looks", () => {
  it("is the container while there is one, with what is saved behind it", () => {
    for (const state of ["active", "saving", "sleeping", "releasing", "release_failed"] as const) {
      expect(placeToRead(standing(state), AUTO), state).toEqual({ from: "container", fallback: "vault" });
    }
    expect(placeToRead(standing("active"), { ...AUTO, source: "container" })).toEqual({
      from: "container",
      fallback: "none",
    });
  });

  it("is the vault where no container is, without waking", () => {
    for (const state of [
      "idle",
      "asleep",
      "claiming",
      "waking",
      "recovering",
      "error",
      "suspended",
      "destroyed",
    ] as const) {
      expect(placeToRead(standing(state), AUTO), state).toEqual({ from: "vault", stale: false });
      const refused = placeToRead(standing(state), { ...AUTO, source: "container" });
      expect(refused, state).toMatchObject({ from: "nowhere", failure: { code: "not_running" } });
    }
  });

  it("is the vault for who asks for it, which says whether a container may hold something newer", () => {
    const vault = { ...AUTO, source: "vault" } as const;
    expect(placeToRead(standing("active"), vault)).toEqual({ from: "vault", stale: true });
    expect(placeToRead(standing("active", { unsavedSince: null }), vault)).toEqual({ from: "vault", stale: false });
    expect(placeToRead(standing("asleep"), vault)).toEqual({ from: "vault", stale: false });
    expect(placeToRead(standing("active"), { ...AUTO, pinned: true })).toEqual({ from: "vault", stale: false });
    expect(placeToRead(standing("active"), { ...AUTO, pinned: true, source: "container" })).toMatchObject({
      failure: { code: "bad_request" },
    });
  });

  it("wakes only a tenant that sleeps or starts, and only when that is asked for", () => {
    const wake = { ...AUTO, wake: true };
    for (const state of ["asleep", "waking", "claiming", "recovering"] as const) {
      expect(placeToRead(standing(state), wake), state).toEqual({ from: "wake" });
      expect(wakesToWrite(standing(state), true), state).toBe(true);
      expect(wakesToWrite(standing(state), false), state).toBe(false);
    }
    for (const state of ["idle", "suspended", "destroyed", "error"] as const) {
      expect(placeToRead(standing(state), wake), state).toEqual({ from: "vault", stale: false });
      expect(wakesToWrite(standing(state), true), state).toBe(false);
    }
    expect(placeToRead(standing("asleep"), { ...wake, source: "vault" })).toEqual({ from: "vault", stale: false });
  });

  it("goes on to the vault only for what says nothing of the file", () => {
    const failure = (code: "container_unavailable" | "not_found" | "forbidden" | "not_a_file" | "rate_limited") => ({
      code,
      detail: "",
    });
    expect(isUnreachable(failure("container_unavailable"))).toBe(true);
    for (const code of ["not_found", "forbidden", "not_a_file", "rate_limited"] as const)
      expect(isUnreachable(failure(code))).toBe(false);
  });
});

describe("an entity tag", () => {
  it("is the hash of a small file, and size and mod-time of a large one", () => {
    expect(tagOf({ size: 3, mtimeNs: "5", sha256: "abc" })).toBe("abc");
    expect(tagOf({ size: HASHED_BYTES + 1, mtimeNs: "5", sha256: "abc" })).toBe(`${HASHED_BYTES + 1}-5`);
    expect(tagOf({ size: 3, mtimeNs: "5", sha256: null })).toBeNull();
  });

  it.each([
    [{}, "send"],
    [{ "if-none-match": '"t"' }, "not_modified"],
    [{ "if-none-match": 'W/"t"' }, "not_modified"],
    [{ "if-none-match": '"a", "t"' }, "not_modified"],
    [{ "if-none-match": "*" }, "not_modified"],
    [{ "if-none-match": '"a"' }, "send"],
    [{ "if-match": '"t"' }, "send"],
    [{ "if-match": "*" }, "send"],
    [{ "if-match": '"a"' }, "failed"],
    [{ "if-match": 'W/"t"' }, "failed"],
    [{ "if-match": '"t"', "if-none-match": '"t"' }, "not_modified"],
  ])("%j reads as %s", (headers, verdict) => {
    expect(readVerdict(new Headers(headers as Record<string, string>), "t")).toBe(verdict);
  });

  it.each([
    [null, null, { match: null, noneMatch: null }],
    ['"t"', null, { match: "t", noneMatch: null }],
    ["*", null, { match: "*", noneMatch: null }],
    [null, "*", { match: null, noneMatch: "*" }],
    ['W/"t"', null, { match: "-", noneMatch: null }],
    ['""', null, { match: "-", noneMatch: null }],
    ["t", null, null],
    ['"a", "b"', null, null],
    [null, '"t"', null],
  ])("If-Match %s and If-None-Match %s ask a write for %j", (match, noneMatch, wanted) => {
    expect(writeCondition(match, noneMatch)).toEqual(wanted);
  });
});

describe("a range", () => {
  it.each([
    ["bytes=0-0", { offset: 0, length: 1 }],
    ["bytes=2-4", { offset: 2, length: 3 }],
    ["bytes=8-", { offset: 8, length: 2 }],
    ["bytes=8-99", { offset: 8, length: 2 }],
    ["bytes=-3", { offset: 7, length: 3 }],
    ["bytes=-99", { offset: 0, length: 10 }],
    ["bytes=10-", "unsatisfiable"],
    ["bytes=-0", "unsatisfiable"],
    ["bytes=4-2", null],
    ["bytes=1-2,4-5", null],
    ["lines=1-2", null],
    ["bytes=-", null],
    ["bytes=x", null],
  ])("%s of ten bytes is %j", (range, wanted) => {
    expect(rangeAsked(new Headers({ range }), { size: 10, tag: "t" })).toEqual(wanted);
  });

  it("is all of it when If-Range names another content", () => {
    const asked = (tag: string) =>
      rangeAsked(new Headers({ range: "bytes=0-1", "if-range": tag }), { size: 10, tag: "t" });
    expect(asked('"t"')).toEqual({ offset: 0, length: 2 });
    expect(asked('"other"')).toBeNull();
    expect(asked("Wed, 21 Oct 2026 07:28:00 GMT")).toBeNull();
  });
});

describe("a container's listing", () => {
  const records = (...fields: string[]) => Uint8Array.from(Buffer.from(fields.map((field) => `${field}\0`).join("")));

  it("is read with names of any kind", () => {
    const listing = records(
      "./a\nb",
      "regular file,3,644,1700000000.123456789",
      "./d/",
      "directory,4096,755,5.000000000",
    );
    expect(parseListing(listing)).toEqual([
      { path: "a\nb", kind: "file", size: 3, mode: 0o644, mtimeNs: "1700000000123456789", sha256: null },
      { path: "d", kind: "directory", size: 0, mode: 0o755, mtimeNs: "5000000000", sha256: null },
    ]);
    expect(parseListing(records("./p", "fifo,0,644,1.000000000"))).toMatchObject([{ kind: "special" }]);
  });

  it("that ends in the middle is none", () => {
    expect(() => parseListing(Uint8Array.from(Buffer.from("./a\0regular file,3")))).toThrow(SyntaxError);
    expect(() => parseListing(Uint8Array.from(Buffer.from("./a")))).toThrow(SyntaxError);
  });
});
