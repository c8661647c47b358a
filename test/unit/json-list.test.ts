import { expect, it } from "vitest";
import { jsonTime, listOf, textOf } from "../../src/http/json-list.ts";

it("times are what Date says, to the millisecond, over days and their ends", () => {
  for (let index = 0; index < 20_000; index += 1) {
    const ms = (index * 7_919_997_331) % 4_102_444_800_000;
    expect(jsonTime(String(ms))).toBe(JSON.stringify(new Date(ms)));
  }
  for (const ms of [0, 86_399_999, 86_400_000, 951_782_400_000])
    expect(jsonTime(String(ms))).toBe(JSON.stringify(new Date(ms)));
  expect(jsonTime("")).toBe("null");
});

it("a page of texts is a list", async () => {
  expect(await listOf(textOf(['{"a":1}', '{"a":2}']), "abc").json()).toEqual({
    items: [{ a: 1 }, { a: 2 }],
    nextCursor: "abc",
  });
  expect(await listOf(textOf([]), null).json()).toEqual({ items: [], nextCursor: null });
});
