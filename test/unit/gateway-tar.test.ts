import { execFileSync } from "node:child_process";
import {
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ByteSource, TruncatedError } from "../../src/gateway/storage/source.ts";
import { padded, safePath, type TarEntry, TarError } from "../../src/gateway/storage/tar/header.ts";
import { nanoseconds, readTar } from "../../src/gateway/storage/tar/read.ts";
import { END, headerOf } from "../../src/gateway/storage/tar/write.ts";
import { decodeName } from "../../src/vault/names.ts";

interface Filed extends TarEntry {
  content: Uint8Array;
}

const build = (entries: readonly Filed[]): Uint8Array =>
  Buffer.concat([
    ...entries.flatMap((entry) => [headerOf(entry), entry.content, new Uint8Array(padded(entry.size) - entry.size)]),
    END,
  ]);

/** A source that hands out chunks of the given sizes, over and over. */
function chunked(bytes: Uint8Array, sizes: readonly number[]): ByteSource {
  let at = 0;
  let turn = 0;
  return new ByteSource(async () => {
    if (at >= bytes.length) return null;
    const size = sizes[turn++ % sizes.length] ?? bytes.length;
    const chunk = bytes.subarray(at, at + size);
    at += size;
    return chunk;
  });
}

async function parse(bytes: Uint8Array, sizes: readonly number[] = [bytes.length]): Promise<Filed[]> {
  const out: Filed[] = [];
  await readTar(chunked(bytes, sizes), async (entry, content) => {
    out.push({ ...entry, content: new Uint8Array(await content.take(entry.size)) });
  });
  return out;
}

const name = fc
  .string({ unit: "grapheme", minLength: 1, maxLength: 130 })
  .filter((text) => text.isWellFormed() && !/[/\0]/.test(text) && text !== "." && text !== "..");
const aPath = fc.array(name, { minLength: 1, maxLength: 4 }).map((parts) => parts.join("/"));
const anEntry: fc.Arbitrary<Filed> = fc
  .record({
    path: aPath,
    kind: fc.constantFrom("file", "directory", "symlink"),
    mode: fc.integer({ min: 0, max: 0o7777 }),
    uid: fc.integer({ min: 0, max: 4_000_000_000 }),
    gid: fc.integer({ min: 0, max: 4_000_000_000 }),
    mtimeNs: fc.bigInt({ min: -(10n ** 18n), max: 10n ** 19n }).map(String),
    target: aPath,
    content: fc.uint8Array({ maxLength: 1500 }),
  })
  .map((entry) => {
    const content = entry.kind === "file" ? entry.content : new Uint8Array(0);
    return { ...entry, content, size: content.length, target: entry.kind === "symlink" ? entry.target : "" } as Filed;
  });

describe("tar", () => {
  it("reads back every path, mode, owner, nanosecond, target and byte that it wrote, however the stream is cut", async () => {
    const sizes = fc.array(fc.integer({ min: 1, max: 700 }), { minLength: 1, maxLength: 5 });
    await fc.assert(
      fc.asyncProperty(fc.array(anEntry, { maxLength: 6 }), sizes, async (entries, cuts) => {
        expect(await parse(build(entries), cuts)).toEqual(entries);
      }),
      { numRuns: 200 },
    );
  });

  it("refuses a tar that ends anywhere before its end", async () => {
    const entry = { path: "a", kind: "file", mode: 0o644, uid: 1, gid: 1, mtimeNs: "1500000000", target: "" } as const;
    const whole = build([{ ...entry, size: 700, content: new Uint8Array(700).fill(7) }]);
    for (let length = 0; length < whole.length - END.length; length += 100) {
      await expect(parse(whole.subarray(0, length)), `${length}`).rejects.toThrow(TruncatedError);
    }
  });

  it("refuses paths that leave the directory, and repairs none of them", () => {
    for (const path of ["/etc/passwd", "../x", "a/../../x", "a/..", "..", "./../x"])
      expect(() => safePath(path), path).toThrow(TarError);
    expect(() => safePath("x".repeat(5000))).toThrow(TarError);
    expect(["./a/b", "a//b/", ".", "./", "a/./b", "..a/b.."].map(safePath)).toEqual([
      "a/b",
      "a/b",
      "",
      "",
      "a/b",
      "..a/b..",
    ]);
  });

  it("refuses hard links, sparse files and wrong checksums", async () => {
    const header = headerOf({ path: "a", kind: "file", mode: 0, uid: 0, gid: 0, size: 0, mtimeNs: "0", target: "" });
    const typed = (type: string) => reseal(header.map((byte, i) => (i === 156 ? type.charCodeAt(0) : byte)));
    for (const type of ["1", "S", "M", "Z"]) {
      await expect(parse(Buffer.concat([typed(type), END])), type).rejects.toMatchObject({ fault: "unsupported_type" });
    }
    await expect(parse(header.map((byte, i) => (i === 0 ? byte + 1 : byte)))).rejects.toMatchObject({
      fault: "checksum",
    });
  });

  it("leaves out devices and pipes", async () => {
    const header = headerOf({ path: "a", kind: "file", mode: 0, uid: 0, gid: 0, size: 0, mtimeNs: "0", target: "" });
    const pipe = reseal(header.map((byte, i) => (i === 156 ? 0x36 : byte)));
    expect(await parse(Buffer.concat([pipe, END]))).toEqual([]);
  });

  it("brings names that are not UTF-8 through unchanged", async () => {
    const path = decodeName(Buffer.from([0x61, 0xff, 0x2f, 0xc3, 0x28]));
    const entry = { path, kind: "symlink", mode: 0o777, uid: 1, gid: 1, size: 0, mtimeNs: "1", target: path } as const;
    const tar = build([{ ...entry, content: new Uint8Array(0) }]);
    expect(Buffer.from(tar).includes(Buffer.from([0x61, 0xff, 0x2f, 0xc3, 0x28]))).toBe(true);
    expect(await parse(tar)).toMatchObject([entry]);
  });

  it("reads the decimal seconds of pax to the nanosecond", () => {
    expect(["1.5", "0", "-1.25", "1700000000.123456789123", "12."].map(nanoseconds)).toEqual([
      "1500000000",
      "0",
      "-1250000000",
      "1700000000123456789",
      "12000000000",
    ]);
    expect(() => nanoseconds("1e9")).toThrow(TarError);
  });
});

describe("tar(1)", () => {
  const work = mkdtempSync(join(tmpdir(), "boilerhouse-tar-"));
  const long = `${"d".repeat(90)}/${"f".repeat(120)}`;

  it("writes what we read: the bundle of docs/container.md", async () => {
    const from = join(work, "from");
    mkdirSync(join(from, "d".repeat(90)), { recursive: true });
    writeFileSync(join(from, long), "deep");
    writeFileSync(join(from, "ünï 漢"), "utf-8");
    writeFileSync(join(from, "big"), Buffer.alloc(200_000, 3));
    symlinkSync("x".repeat(150), join(from, "link"));
    utimesSync(join(from, "big"), 1_700_000_000, 1_700_000_000);
    const options = ["--format=gnu", "--numeric-owner", "--hard-dereference", "--one-file-system"];
    const entries = await parse(execFileSync("tar", [...options, "-C", from, "-c", "."], { maxBuffer: 1e8 }));
    const byPath = new Map(entries.map((entry) => [entry.path, entry]));
    expect([...byPath.keys()].sort()).toEqual(["", "big", "d".repeat(90), long, "link", "ünï 漢"].sort());
    expect(byPath.get("link")).toMatchObject({ kind: "symlink", target: "x".repeat(150) });
    expect(byPath.get("big")).toMatchObject({ size: 200_000, mtimeNs: "1700000000000000000" });
    expect(new TextDecoder().decode(byPath.get(long)?.content)).toBe("deep");
  });

  it("reads what we write, with modes and nanoseconds", () => {
    const to = join(work, "to");
    mkdirSync(to);
    const common = {
      uid: process.getuid?.() ?? 0,
      gid: process.getgid?.() ?? 0,
      mtimeNs: "1700000000123456789",
      target: "",
    };
    const content = Buffer.from("deep");
    const none = new Uint8Array(0);
    const tar = build([
      { ...common, path: "d".repeat(90), kind: "directory", mode: 0o750, size: 0, content: none },
      { ...common, path: long, kind: "file", mode: 0o640, size: 4, content },
      { ...common, path: "ünï 漢", kind: "file", mode: 0o600, size: 4, content },
      { ...common, path: "link", kind: "symlink", mode: 0o777, size: 0, content: none, target: "ü".repeat(80) },
    ]);
    execFileSync("tar", ["-C", to, "-xp"], { input: tar });
    const file = lstatSync(join(to, long), { bigint: true });
    expect([file.mode & 0o777n, file.mtimeNs, file.size]).toEqual([0o640n, 1700000000123456789n, 4n]);
    expect(lstatSync(join(to, "d".repeat(90)), { bigint: true }).mtimeNs).toBe(1700000000123456789n);
    expect(readFileSync(join(to, "ünï 漢"), "utf8")).toBe("deep");
    expect(readlinkSync(join(to, "link"))).toBe("ü".repeat(80));
    rmSync(work, { recursive: true });
  });
});

/** Puts the right checksum on a header that was tampered with. */
function reseal(header: Uint8Array): Uint8Array {
  const block = new Uint8Array(header);
  block.fill(0x20, 148, 156);
  const sum = block.subarray(0, 512).reduce((total, byte) => total + byte, 0);
  Buffer.from(`${sum.toString(8).padStart(6, "0")}\0 `).copy(block, 148);
  return block;
}
