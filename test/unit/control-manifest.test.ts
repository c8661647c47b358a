import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { formatManifest, parseManifest, tooManyFiles } from "../../src/instance/manifest.ts";
import { concat } from "../../src/runtime/tar-header.ts";
import { encodeName } from "../../src/vault/names.ts";
import type { ManifestEntry } from "../../src/vault/types.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const ns = fc.bigInt({ min: -(10n ** 18n), max: 4n * 10n ** 18n }).map(String);
const name = fc.string({ unit: "grapheme", minLength: 1, maxLength: 40 }).filter((text) => !text.includes("\0"));
const common = {
  mode: fc.integer({ min: 0, max: 0o7777 }),
  uid: fc.nat(4_000_000_000),
  gid: fc.nat(4_000_000_000),
  mtimeNs: ns,
  ctimeNs: ns,
  inode: fc.bigInt({ min: 1n, max: 2n ** 63n }).map(String),
};
const entry: fc.Arbitrary<ManifestEntry> = fc.oneof(
  fc.record({ ...common, path: name, kind: fc.constant("file" as const), size: fc.nat(2 ** 40) }),
  fc.record({ ...common, path: name, kind: fc.constant("directory" as const), size: fc.constant(0) }),
  fc.record({ ...common, path: name, kind: fc.constant("symlink" as const), size: fc.constant(0), target: name }),
);
const top: ManifestEntry = {
  path: "",
  kind: "directory",
  mode: 0o755,
  uid: 10001,
  gid: 10001,
  size: 0,
  mtimeNs: "1",
  ctimeNs: "1",
  inode: "2",
};

describe("a manifest", () => {
  it("is read as it was written, whatever the names and times", () => {
    fc.assert(
      fc.property(fc.array(entry, { maxLength: 8 }), (entries) => {
        const all = [top, ...entries];
        expect(parseManifest(formatManifest(all))).toEqual(all);
      }),
    );
  });

  it("reads what find(1) writes", () => {
    const directory = mkdtempSync(join(tmpdir(), "manifest-"));
    try {
      writeFileSync(join(directory, "old"), "text");
      chmodSync(join(directory, "old"), 0o4640);
      execFileSync("touch", ["-d", "1969-12-31 23:59:59.5 UTC", join(directory, "old")]);
      mkdirSync(join(directory, "d"));
      symlinkSync("../old\nother", join(directory, "d", "li\nnk"));
      const format = "%y %m %U %G %s %T@ %C@ %i %P\\0%l\\0";
      const entries = parseManifest(execFileSync("find", [directory, "-xdev", "-printf", format]));
      const found = new Map(entries.map((one) => [one.path, one]));
      expect([...found.keys()].sort()).toEqual(["", "d", "d/li\nnk", "old"]);
      expect(found.get("old")).toMatchObject({ kind: "file", mode: 0o4640, size: 4, mtimeNs: "-500000000" });
      expect(found.get("old")?.inode).toBe(String(statSync(join(directory, "old")).ino));
      expect(found.get("d/li\nnk")).toMatchObject({ kind: "symlink", target: "../old\nother", size: 0 });
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  it("leaves out what is not state", () => {
    const pipe = "p 644 0 0 0 1.0000000000 1.0000000000 7 pipe\0\0";
    expect(parseManifest(concat([formatManifest([top]), bytes(pipe)]))).toEqual([top]);
  });

  it("is refused when it is not whole", () => {
    const whole = formatManifest([top, { ...top, path: "a", kind: "file" }]);
    expect(() => parseManifest(whole.slice(0, whole.length - 1))).toThrow(SyntaxError);
    expect(() => parseManifest(new Uint8Array())).toThrow(SyntaxError);
    expect(() => parseManifest(bytes("f 644 0 0 x\0\0"))).toThrow(SyntaxError);
    expect(() => parseManifest(whole.slice(whole.indexOf(0) + 2))).toThrow("does not begin");
  });

  it("brings back a name that is not UTF-8 byte for byte", () => {
    const name = new Uint8Array([0x61, 0xe9, 0xff]);
    const record = concat([bytes("f 644 0 0 0 1.0000000000 1.0000000000 7 "), name, bytes("\0\0")]);
    const [, file] = parseManifest(concat([formatManifest([top]), record]));
    expect([...encodeName(file?.path ?? "")]).toEqual([...name]);
  });
});

describe("a tree of very many files", () => {
  const entry = (path: string) => ({ ...ENTRY, path });
  const ENTRY = { kind: "file", mode: 0o644, uid: 1, gid: 1, size: 1, mtimeNs: "1", ctimeNs: "1", inode: "1" } as const;

  it("is refused with the reason when it cannot be listed in one call, however long its names are", () => {
    const many = Array.from({ length: 100_000 }, (_, n) => entry(`file-${n}`));
    expect(tooManyFiles(many)).toBeNull();
    expect(tooManyFiles([...many, ...many])?.failure).toMatchObject({
      code: "save_failed",
      detail: expect.stringContaining("200000 files and directories"),
    });
    expect(tooManyFiles(Array.from({ length: 40_000 }, (_, n) => entry(`${n}`.padEnd(400, "x"))))).not.toBeNull();
  });
});
