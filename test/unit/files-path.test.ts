import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  type FilePath,
  locate,
  parsePath,
  parseText,
  percentDecoded,
  percentEncoded,
  shown,
} from "../../src/files/path.ts";
import { decodeName, encodeName } from "../../src/vault/names.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const path = (text: string): FilePath => {
  const found = parsePath(bytes(text));
  if (!found.ok) throw new Error(found.detail);
  return found.value;
};
const VOLUMES = {
  state: { containerPath: "/data" },
  secrets: { containerPath: "/data-secrets" },
  comm: { containerPath: "/comm/shared" },
};

describe("a path", () => {
  it.each([
    ["a", "state", "a"],
    ["a/b/c.txt", "state", "a/b/c.txt"],
    ["a//b/./c/", "state", "a/b/c"],
    [".hidden/..name", "state", ".hidden/..name"],
    ["/data/a", "container", "data/a"],
    ["//data//a", "container", "data/a"],
    [" ", "state", " "],
    ["a\nb", "state", "a\nb"],
    ["-rf", "state", "-rf"],
  ])("%j is read from %s as %j", (text, from, normal) => {
    expect(path(text)).toEqual({ from, path: normal });
  });

  it.each([
    ["", "is empty"],
    ["/", "is empty"],
    [".", "is empty"],
    ["././/", "is empty"],
    ["..", "contains `..`"],
    ["a/../b", "contains `..`"],
    ["/data/../etc/passwd", "contains `..`"],
    ["a/..", "contains `..`"],
    ["a\0b", "contains NUL"],
    ["x".repeat(256), "255 bytes"],
    ["ü".repeat(128), "255 bytes"],
    ["a/".repeat(513), "1024 bytes"],
  ])("%j is refused", (text, why) => {
    expect(parsePath(bytes(text))).toMatchObject({ ok: false, detail: expect.stringContaining(why) });
  });

  it("of nothing is the state volume where that is asked for", () => {
    expect(parseText("", "the state volume")).toEqual({ ok: true, value: { from: "state", path: "" } });
    expect(parseText("/", "the state volume")).toMatchObject({ ok: false });
  });

  it("whatever its bytes: what is taken has no component that could lead anywhere else, and comes back as it was", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (raw) => {
        const found = parsePath(raw);
        if (!found.ok) return;
        const names = found.value.path.split("/");
        for (const name of names) expect(["", ".", ".."]).not.toContain(name);
        expect(found.value.path.includes("\0")).toBe(false);
        expect(parseText(shown(found.value))).toEqual(found);
        const decoded = percentDecoded(percentEncoded(found.value.path));
        expect(decoded && decodeName(decoded)).toBe(found.value.path);
      }),
      { seed: 20_261_126, numRuns: 2_000 },
    );
  });

  it("made of tricks lies within a volume or nowhere", () => {
    const piece = fc.constantFrom(
      "..",
      ".",
      "",
      "/",
      "data",
      "data-secrets",
      "comm",
      "shared",
      "etc",
      "a",
      "%2e%2e",
      "\\..",
      "..\\",
      "…",
      "．．",
    );
    fc.assert(
      fc.property(fc.array(piece, { minLength: 1, maxLength: 8 }), fc.constantFrom("/", "//", ""), (pieces, start) => {
        const found = parseText(start + pieces.join("/"));
        const place = found.ok ? locate(found.value, VOLUMES) : null;
        if (!place) return;
        const whole = new URL(
          `file://${place.containerPath}/${place.path.split("/").map(encodeURIComponent).join("/")}`,
        );
        expect(whole.pathname.startsWith(`${place.containerPath}/`) || place.path === "").toBe(true);
        expect([VOLUMES.state.containerPath, VOLUMES.comm.containerPath]).toContain(place.containerPath);
      }),
      { seed: 20_261_126, numRuns: 2_000 },
    );
  });
});

describe("where a path lies", () => {
  it.each([
    ["a/b", { volume: "state", containerPath: "/data", path: "a/b" }],
    ["/data/a", { volume: "state", containerPath: "/data", path: "a" }],
    ["/data", { volume: "state", containerPath: "/data", path: "" }],
    ["/comm/shared/x", { volume: "comm", containerPath: "/comm/shared", path: "x" }],
    ["/comm/other", null],
    ["/data-secrets/TOKEN", null],
    ["/data2/a", null],
    ["/etc/passwd", null],
  ])("%s is %j", (text, place) => {
    expect(locate(path(text), VOLUMES)).toEqual(place);
  });

  it("is nowhere without a state volume, unless it is absolute and in another", () => {
    expect(locate(path("a"), { comm: VOLUMES.comm })).toBeNull();
    expect(locate(path("/comm/shared/a"), { comm: VOLUMES.comm })).toMatchObject({ path: "a" });
  });
});

describe("percent-encoding", () => {
  it("keeps any bytes, and leaves nothing that a shell or a query would read", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (raw) => {
        const text = decodeName(raw);
        const encoded = percentEncoded(text);
        expect(encoded).toMatch(/^[A-Za-z0-9._~/%-]*$/);
        expect(Array.from(percentDecoded(encoded) ?? [])).toEqual(Array.from(encodeName(text)));
      }),
      { seed: 20_261_126 },
    );
  });

  it.each(["%", "a%2", "%zz", "%-1", "ü"])("is refused where it is none: %s", (text) => {
    expect(percentDecoded(text)).toBeNull();
  });
});
