import { execFileSync } from "node:child_process";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { readTar, type TarInput, writeTar } from "../../src/runtime/simulated/tar.ts";

const name = fc.string({ unit: "grapheme", minLength: 1, maxLength: 180 }).filter((text) => !text.includes("\0"));
const entry: fc.Arbitrary<TarInput> = fc.record({
  name,
  type: fc.constantFrom("0", "2"),
  mode: fc.integer({ min: 0, max: 0o7777 }),
  uid: fc.integer({ min: 0, max: 4_000_000_000 }),
  gid: fc.integer({ min: 0, max: 4_000_000_000 }),
  mtime: fc.integer({ min: -1_000, max: 20_000_000_000 }),
  linkName: name,
  body: fc.uint8Array({ maxLength: 1500 }),
});

describe("a tar", () => {
  it("is read as it was written, long names and large numbers included", () => {
    fc.assert(
      fc.property(fc.array(entry, { maxLength: 5 }), (entries) => {
        const read = readTar(
          writeTar(entries.map(({ body = new Uint8Array(), ...one }) => (one.type === "0" ? { ...one, body } : one))),
        );
        expect(read.map(({ name, mode, uid, gid, linkName }) => ({ name, mode, uid, gid, linkName }))).toEqual(
          entries.map(({ name, mode, uid, gid, linkName }) => ({ name, mode, uid, gid, linkName })),
        );
        expect(read.map((one) => one.mtimeNs)).toEqual(entries.map((one) => BigInt(one.mtime) * 1_000_000_000n));
        const bodies = entries.map((one) => (one.type === "0" ? [...(one.body ?? [])] : []));
        expect(read.map((one) => [...one.body])).toEqual(bodies);
      }),
      { numRuns: 50 },
    );
  });

  it("is one for tar(1) too", () => {
    const long = `${"d/".repeat(70)}file`;
    const owner = { uid: 10001, gid: 10001, mtime: 981_173_106, mode: 0o640 };
    const tar = writeTar([
      { ...owner, name: "./", type: "5", mode: 0o755 },
      { ...owner, name: long, type: "0", body: new Uint8Array(1000) },
      { ...owner, name: "link", type: "2", linkName: long },
    ]);
    const listed = execFileSync("tar", ["--utc", "--numeric-owner", "-tvf", "-"], { input: tar, encoding: "utf8" });
    expect(
      listed
        .trim()
        .split("\n")
        .map((line) => line.replace(/\s+/g, " ")),
    ).toEqual([
      "drwxr-xr-x 10001/10001 0 2001-02-03 04:05 ./",
      `-rw-r----- 10001/10001 1000 2001-02-03 04:05 ${long}`,
      `lrw-r----- 10001/10001 0 2001-02-03 04:05 link -> ${long}`,
    ]);
  });

  it("is refused when it breaks off or is damaged", () => {
    const tar = writeTar([{ name: "a", type: "0", mode: 0o600, uid: 0, gid: 0, mtime: 0, body: new Uint8Array(600) }]);
    expect(() => readTar(tar.slice(0, 1024))).toThrow("unexpected end");
    expect(() => readTar(tar.slice(0, tar.length - 1024))).toThrow("unexpected end");
    const damaged = tar.slice();
    damaged[0] = 0x62;
    expect(() => readTar(damaged)).toThrow("damaged header");
  });
});
