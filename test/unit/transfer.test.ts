import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Problem } from "../../src/errors/problem.ts";
import { escapeName } from "../../src/gateway/storage/bundle-out.ts";
import { padded, type TarEntry } from "../../src/gateway/storage/tar/header.ts";
import { END, headerOf } from "../../src/gateway/storage/tar/write.ts";
import { Arrival } from "../../src/transfer/arrival.ts";
import { layoutsOf } from "../../src/transfer/layout.ts";
import { type Read, readTarOf } from "../../src/transfer/read.ts";
import { parseSums } from "../../src/transfer/sums.ts";

const PLAIN = { format: "plain", owner: null } as const;
const AUTO = { format: "auto", owner: null } as const;

const entry = (path: string, more: Partial<TarEntry> = {}): TarEntry => ({
  path,
  kind: "file",
  mode: 0o644,
  uid: 1,
  gid: 2,
  size: 0,
  mtimeNs: "1700000000000000000",
  target: "",
  ...more,
});

function tarOf(...files: [path: string, content: string, more?: Partial<TarEntry>][]): Buffer {
  const parts = files.flatMap(([path, content, more]) => {
    const bytes = Buffer.from(content);
    return [
      headerOf(entry(path, { size: bytes.length, ...more })),
      bytes,
      Buffer.alloc(padded(bytes.length) - bytes.length),
    ];
  });
  return Buffer.concat([...parts, END]);
}

/** Reads bytes that come in pieces of `size`. */
async function read(bytes: Uint8Array, options: ConstructorParameters<typeof Arrival>[0] = AUTO, size = 1_000) {
  const found: Record<string, string> = {};
  let at = 0;
  const pull = async () => {
    const piece = bytes.subarray(at, at + size);
    at += size;
    return piece.length > 0 ? piece : null;
  };
  const done: Read = await readTarOf(pull, options, async (file, content) => {
    found[file.path] = Buffer.from(await content.take(file.size)).toString();
  });
  return { ...done, found };
}

describe("sums and parts", () => {
  it("say of every name what an export wrote, whatever the name is", () => {
    const name = fc.string({ unit: "grapheme", minLength: 1, maxLength: 40 }).filter((text) => text.isWellFormed());
    const sha256 = fc.stringMatching(/^[0-9a-f]{64}$/);
    const files = fc.array(fc.tuple(name, sha256, fc.constantFrom(null, 5_242_880)), { maxLength: 20 });
    fc.assert(
      fc.property(files, (list) => {
        const known = new Map(list.map(([path, hash, partSize]) => [path, { sha256: hash, partSize }]));
        let [sums, parts] = ["", ""];
        for (const [path, { sha256: hash, partSize }] of known) {
          const { line, name: written } = escapeName(path);
          if (partSize === null) sums += `${line}${hash}  ${written}\n`;
          else parts += `${line}${partSize} ${hash} ${written}\n`;
        }
        expect(parseSums(Buffer.from(sums), Buffer.from(parts))).toEqual(known);
      }),
    );
  });

  it("are refused when a line is none", () => {
    const none = new Uint8Array(0);
    expect(parseSums(Buffer.from("nonsense\n"), none)).toBeNull();
    expect(parseSums(none, Buffer.from(`0 ${"a".repeat(64)} x\n`))).toBeNull();
    expect(parseSums(none, none)).toEqual(new Map());
  });
});

describe("what arrives", () => {
  it("has the root first, and the directories that only paths speak of, owned as what lies in them", () => {
    const arrival = new Arrival(PLAIN);
    arrival.accept(entry("a/b/c"));
    arrival.accept(entry("a", { kind: "directory", mode: 0o700 }));
    expect([...arrival.manifest().values()].map(({ path, kind, mode, uid }) => [path, kind, mode, uid])).toEqual([
      ["", "directory", 0o755, 1],
      ["a", "directory", 0o700, 1],
      ["a/b", "directory", 0o755, 1],
      ["a/b/c", "file", 0o644, 1],
    ]);
    expect(arrival).toMatchObject({ files: 1, refusals: 0 });
  });

  it("is taken for an export only where it begins as one, and then lies in `tree/` whole", () => {
    const exported = new Arrival(AUTO);
    exported.accept(entry("tree", { kind: "directory" }));
    expect(exported.accept(entry("tree/a"))).toMatchObject({ as: "entry", entry: { path: "a" } });
    expect(exported.accept(entry("sums"))).toEqual({ as: "sums" });
    expect(exported.accept(entry("elsewhere"))).toEqual({ as: "nothing" });
    const plain = new Arrival(AUTO);
    plain.accept(entry("", { kind: "directory" }));
    expect(plain.accept(entry("tree/a"))).toMatchObject({ entry: { path: "tree/a" } });
  });

  it("belongs to whom it shall", () => {
    const arrival = new Arrival({ format: "plain", owner: { uid: 7, gid: 8 } });
    arrival.accept(entry("x/y"));
    for (const known of arrival.manifest().values()) expect(known).toMatchObject({ uid: 7, gid: 8 });
  });

  it("has no names that a file system could not hold", () => {
    const arrival = new Arrival(PLAIN);
    expect(arrival.accept(entry(`a/${"ü".repeat(128)}`))).toEqual({ as: "nothing" });
    expect(arrival.accept(entry(`a/${"ü".repeat(127)}`))).toMatchObject({ as: "entry" });
  });
});

describe("a tar", () => {
  it("is read the same in pieces of any size", async () => {
    const bytes = tarOf(["a", "x".repeat(1_500)], ["dir/b", "beta"], ["l", "", { kind: "symlink", target: "a" }]);
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 4_000 }), async (size) => {
        const { found, arrival } = await read(bytes, AUTO, size);
        expect(found).toEqual({ a: "x".repeat(1_500), "dir/b": "beta", l: "" });
        expect(arrival).toMatchObject({ files: 3, bytes: 1_504, refusals: 0 });
      }),
      { numRuns: 30 },
    );
  });

  it("that is damaged in any way is read, or refused as what it is: never anything else", async () => {
    const good = tarOf(["a", "alpha"], ["b/c", "gamma".repeat(300)], [`${"n".repeat(200)}`, "long"]);
    const damage = fc.oneof(
      fc.tuple(fc.nat(good.length - 1), fc.nat(255)).map(([at, byte]) => {
        const bytes = Buffer.from(good);
        bytes[at] = byte;
        return bytes;
      }),
      fc.nat(good.length).map((length) => good.subarray(0, length)),
      fc.uint8Array({ maxLength: 2_000 }),
      fc.uint8Array({ maxLength: 500 }).map((rest) => Buffer.concat([Buffer.from([0x1f, 0x8b]), rest])),
    );
    await fc.assert(
      fc.asyncProperty(damage, async (bytes) => {
        const outcome = await read(bytes).catch((error: unknown) => error);
        if (outcome instanceof Error) {
          expect(outcome).toBeInstanceOf(Problem);
          expect((outcome as Problem).failure.code).toBe("invalid");
        }
      }),
      { numRuns: 300 },
    );
  });

  it("that begins as an export and has no sums is no export", async () => {
    const cut = tarOf(["tree", "", { kind: "directory" }], ["tree/a", "x"]);
    await expect(read(cut)).rejects.toThrow("no `sums`");
    expect((await read(cut, PLAIN)).found).toEqual({ "tree/a": "x" });
  });
});

it("the layouts of older systems are found where they lie", () => {
  expect(layoutsOf([".openclaw/a", ".openclaw/b", "root/.clawdbot/c", "home/u/.clawdbot/d", "x"], false)).toEqual([
    { layout: "openclaw", at: ".openclaw", files: 2 },
    { layout: "clawdbot", at: "home/u/.clawdbot", files: 1 },
    { layout: "root", at: "root", files: 1 },
    { layout: "clawdbot", at: "root/.clawdbot", files: 1 },
  ]);
  expect(layoutsOf(["a", "a/.openclaw"], false)).toEqual([]);
});
