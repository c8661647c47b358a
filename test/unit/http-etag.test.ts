import { describe, expect, test } from "vitest";
import { etagOf, ifMatchOf } from "../../src/http/etag.ts";

const asking = (value?: string) => ({ req: { header: () => value } });

describe("If-Match", () => {
  test.each([0, 1, 42, Number.MAX_SAFE_INTEGER])("takes back the tag of version %s", (version) => {
    expect(ifMatchOf(asking(etagOf(version)))).toBe(version);
    expect(ifMatchOf(asking(` ${etagOf(version)} `))).toBe(version);
  });

  test.each([undefined, "*"])("that is %s demands no version", (value) => {
    expect(ifMatchOf(asking(value))).toBeNull();
  });

  test.each(['W/"3"', '"abc"', '"03"', '"-1"', '""', '"1e3"', '"99999999999999999"'])(
    "%s matches no version that could exist",
    (value) => {
      expect(ifMatchOf(asking(value))).toBe(-1);
    },
  );

  test.each(["3", '"3', "3'", '"1", "2"', "", "W/3", '"a"b"', "* , *"])(
    "%j is 422 and points at the header",
    (value) => {
      expect(() => ifMatchOf(asking(value))).toThrowError(
        expect.objectContaining({
          failure: expect.objectContaining({
            code: "invalid",
            extra: { errors: [expect.objectContaining({ pointer: "/header/if-match" })] },
          }),
        }),
      );
    },
  );
});
