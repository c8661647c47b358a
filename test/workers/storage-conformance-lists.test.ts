import { beforeAll, describe, expect, it } from "vitest";
import { elements, textOf } from "../../src/gateway/storage/xml.ts";
import { itAnswers, type Row } from "./s3-table.ts";
import { type Container, put, saving } from "./vault-kit.ts";

/** Listings of both versions, by every parameter. */

let container: Container;
/** In the order of their bytes, which is not that of UTF-16: the emoji comes last. */
const KEYS = ["a", "b/1", "b/2", "b/c/3", "b0", "c d+%", "\u0007bell", "é", "\uffee", "😀"].sort((x, y) =>
  Buffer.compare(Buffer.from(x), Buffer.from(y)),
);
beforeAll(async () => {
  container = await saving();
  for (const key of KEYS) await put(container, encodeURIComponent(key), "x");
});

interface Listed {
  keys: string[];
  prefixes: string[];
  text: string;
}
async function list(query: string): Promise<Listed> {
  const text = await (await container.fetch(`/state?${query}`)).text();
  const of = (group: string, name: string) => [...elements(text, group)].map((one) => textOf(one, name) ?? "");
  return { keys: of("Contents", "Key"), prefixes: of("CommonPrefixes", "Prefix"), text };
}
const shown = async (query: string) => {
  const { keys, prefixes } = await list(query);
  return [keys, prefixes];
};

const refusals: Row[] = [
  ...["max-keys=-1", "max-keys=x", "max-keys=", "max-keys=2147483648", "encoding-type=xml", "encoding-type="].flatMap(
    (query): Row[] =>
      ["", "list-type=2&"].map((version) => ({
        clause: `${version}${query}`,
        ask: `GET /state?${version}${query}`,
        answer: [400, "InvalidArgument"],
      })),
  ),
  ...["continuation-token=", "continuation-token=!", "continuation-token=YQ", "fetch-owner=maybe", "marker=a"].map(
    (query): Row => ({ clause: query, ask: `GET /state?list-type=2&${query}`, answer: [400, "InvalidArgument"] }),
  ),
  ...["list-type=3", "list-type=", "start-after=a", "continuation-token=a", "fetch-owner=true"].map(
    (query): Row => ({
      clause: `without list-type: ${query}`,
      ask: `GET /state?${query}`,
      answer: [400, "InvalidArgument"],
    }),
  ),
];
describe("what a listing refuses", () => itAnswers(refusals, async () => container));

describe("a listing", () => {
  it("has all keys in the order of their bytes, in both versions", async () => {
    expect(await shown("list-type=2")).toEqual([KEYS, []]);
    expect(await shown("")).toEqual([KEYS, []]);
  });

  it("can be limited to a prefix, with or without a delimiter", async () => {
    expect(await shown("list-type=2&prefix=b")).toEqual([["b/1", "b/2", "b/c/3", "b0"], []]);
    expect(await shown("list-type=2&prefix=b&delimiter=%2F")).toEqual([["b0"], ["b/"]]);
    expect(await shown("list-type=2&prefix=b%2F&delimiter=%2F")).toEqual([["b/1", "b/2"], ["b/c/"]]);
    expect(await shown("list-type=2&prefix=b%2Fc%2F3")).toEqual([["b/c/3"], []]);
    expect(await shown("prefix=none")).toEqual([[], []]);
    expect(await shown("list-type=2&delimiter=%2Fc%2F&prefix=b")).toEqual([["b/1", "b/2", "b0"], ["b/c/"]]);
    expect(await shown("prefix=c+d")).toEqual([["c d+%"], []]);
    expect(await shown("prefix=%F0%9F%98%80")).toEqual([["😀"], []]);
  });

  it("begins after a key, be it there or not", async () => {
    expect(await shown("list-type=2&start-after=b%2F1&prefix=b")).toEqual([["b/2", "b/c/3", "b0"], []]);
    expect(await shown("list-type=2&start-after=b%2F15&prefix=b")).toEqual([["b/2", "b/c/3", "b0"], []]);
    expect(await shown("marker=b%2F2&prefix=b&delimiter=%2F")).toEqual([["b0"], ["b/"]]);
    expect(await shown("marker=b%2F&prefix=b&delimiter=%2F")).toEqual([["b0"], []]);
    expect(await shown("list-type=2&start-after=%F0%9F%98%80")).toEqual([[], []]);
  });

  it("goes in pages of any size, by token and by marker, and says every key and prefix once", async () => {
    for (const size of [1, 2, 3, 100]) {
      for (const delimiter of ["", "&delimiter=%2F"]) {
        const whole = await list(`list-type=2${delimiter}`);
        for (const version of ["list-type=2", ""]) {
          const seen: string[] = [];
          let next = "";
          for (;;) {
            const { keys, prefixes, text } = await list(`${version}${delimiter}&max-keys=${size}${next}`);
            expect(keys.length + prefixes.length).toBeLessThanOrEqual(size);
            seen.push(...keys, ...prefixes);
            if (textOf(text, "IsTruncated") === "false") break;
            const token = textOf(text, version === "" ? "NextMarker" : "NextContinuationToken") ?? keys.at(-1) ?? "";
            next = `&${version === "" ? "marker" : "continuation-token"}=${encodeURIComponent(token)}`;
          }
          expect(seen.sort()).toEqual([...whole.keys, ...whole.prefixes].sort());
        }
      }
    }
  });

  it("says what it was asked, and how many it has", async () => {
    const { text } = await list("list-type=2&max-keys=2&prefix=b&start-after=a&delimiter=%2F&fetch-owner=true");
    const said = ["Name", "Prefix", "StartAfter", "Delimiter", "MaxKeys", "KeyCount", "IsTruncated"].map((name) =>
      textOf(text, name),
    );
    expect(said).toEqual(["state", "b", "a", "/", "2", "2", "false"]);
    expect(text).toContain("<Owner><ID>");
    expect((await list("list-type=2")).text).not.toContain("<Owner>");
    const first = await list("marker=a&max-keys=1");
    expect(["Marker", "MaxKeys", "IsTruncated", "NextMarker"].map((name) => textOf(first.text, name))).toEqual([
      "a",
      "1",
      "true",
      null,
    ]);
    expect(first.text).toContain("<Owner><ID>");
    const none = await list("list-type=2&max-keys=0");
    expect(["KeyCount", "IsTruncated", "MaxKeys"].map((name) => textOf(none.text, name))).toEqual(["0", "false", "0"]);
    expect(textOf((await list("list-type=2&max-keys=5000")).text, "MaxKeys")).toBe("1000");
  });

  it("encodes every name where it is asked to", async () => {
    const { keys, prefixes, text } = await list("list-type=2&encoding-type=url&delimiter=%20&start-after=b0");
    expect([keys, prefixes]).toEqual([["%C3%A9", "%EF%BF%AE", "%F0%9F%98%80"], ["c%20"]]);
    expect([textOf(text, "EncodingType"), textOf(text, "Delimiter")]).toEqual(["url", "%20"]);
    expect((await list("encoding-type=url&prefix=%07")).keys).toEqual(["%07bell"]);
    expect((await list("prefix=%07")).text).toContain("<Key>&#x7;bell</Key>");
  });
});

it("an object that was sent without a time keeps the one at which it came", async () => {
  const own = await saving();
  await put(own, "x", "x");
  const times = async () => {
    const listed = textOf(await (await own.fetch("/state?list-type=2")).text(), "LastModified");
    return [listed, (await own.fetch("/state/x", { method: "HEAD" })).headers.get("last-modified")];
  };
  const first = await times();
  await new Promise((resolve) => setTimeout(resolve, 1_100));
  expect(await times()).toEqual(first);
  expect(Math.abs(Date.parse(first[0] ?? "") - Date.now())).toBeLessThan(60_000);
});
