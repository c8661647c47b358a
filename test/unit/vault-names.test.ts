import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decodeName, encodeName } from "../../src/vault/names.ts";

const stray = fc.constantFrom(0xff, 0x80, 0xc3, 0xe6, 0xf4, 0xed);
const character = fc.constantFrom("a", "é", "漢", "\u{1F600}", "\u{10FFFF}", "\u{10FF80}", "\u{10FF7F}", "‛", "\ufeff");
const aName = fc
  .array(
    fc.oneof(
      stray.map((byte) => [byte]),
      character.map((c) => [...Buffer.from(c)]),
    ),
    { maxLength: 12 },
  )
  .map((parts) => Uint8Array.from(parts.flat()));

describe("file names", () => {
  it("come back byte for byte, whatever the bytes", () => {
    fc.assert(
      fc.property(fc.oneof(aName, fc.uint8Array({ maxLength: 20 })), (bytes) => {
        expect([...encodeName(decodeName(bytes))]).toEqual([...bytes]);
      }),
    );
  });

  it("are never two for one text, and always text that a database can keep", () => {
    fc.assert(
      fc.property(aName, aName, (a, b) => {
        expect(decodeName(a) === decodeName(b)).toBe(Buffer.compare(a, b) === 0);
        expect(decodeName(a).isWellFormed()).toBe(true);
      }),
    );
  });

  it("that are valid UTF-8 are kept as they are", () => {
    for (const name of ["plain", "é漢", "\u{1F600}", "‛2F", "\ufeffbom"])
      expect(decodeName(Buffer.from(name))).toBe(name);
  });
});
