import { beforeEach, describe, expect, it } from "vitest";
import { elements, textOf } from "../../src/gateway/storage/xml.ts";
import { itAnswers, type Row } from "./s3-table.ts";
import { type Container, keysOf, md5, put, random, saving } from "./vault-kit.ts";

/** Copies and removals: clause → request → answer. */

let container: Container;
beforeEach(async () => {
  container = await saving();
  await put(container, "a", "hello", { "x-amz-meta-note": "hi", "content-type": "text/plain" });
  await put(container, "k%2B %3F", "odd");
  await put(container, "large", random(100_000));
});
const here = async () => container;
const etag = `"${md5("hello")}"`;
const [PAST, FUTURE] = ["Mon, 13 Nov 2023 00:00:00 GMT", "Sun, 01 Jan 2040 00:00:00 GMT"];

const copy = (clause: string, source: string, answer: Row["answer"], headers: Record<string, string> = {}): Row => ({
  clause,
  ask: "PUT /state/to",
  headers: { "x-amz-copy-source": source, ...headers },
  answer,
  ...(answer[0] === 200 && { gives: /<CopyObjectResult .*<ETag>&quot;/ }),
});
const copies: Row[] = [
  copy("of bucket and key", "state/a", [200]),
  copy("with a slash before", "/state/a", [200]),
  copy("of a large object", "/state/large", [200]),
  copy("of the only version", "/state/a?versionId=null", [200]),
  copy("of another version", "/state/a?versionId=7", [404, "NoSuchVersion"]),
  copy("of a key written with escapes", "/state/k%2B%20%3F", [200]),
  copy("where a plus is a space", "/state/k%2B+%3F", [200]),
  copy("of a missing key", "/state/none", [404, "NoSuchKey"]),
  copy("from another bucket", "/other/a", [404, "NoSuchBucket"]),
  copy("without a key", "/state", [400, "InvalidArgument"]),
  copy("of a path trick", "/state/a%2F..%2Fa", [400, "InvalidURI"]),
  copy("with an unknown directive", "/state/a", [400, "InvalidArgument"], { "x-amz-metadata-directive": "KEEP" }),
  copy("with too much metadata", "/state/a", [400, "MetadataTooLarge"], {
    "x-amz-metadata-directive": "REPLACE",
    "x-amz-meta-a": "x".repeat(2048),
  }),
  copy("to another storage class", "/state/a", [400, "InvalidStorageClass"], { "x-amz-storage-class": "GLACIER" }),
  { ...copy("onto itself", "/state/a", [400, "InvalidRequest"]), ask: "PUT /state/a" },
  {
    ...copy("onto itself with new metadata", "/state/a", [200], { "x-amz-metadata-directive": "REPLACE" }),
    ask: "PUT /state/a",
  },
  copy("if the source matches", "/state/a", [200], { "x-amz-copy-source-if-match": etag }),
  copy("if it does not", "/state/a", [412, "PreconditionFailed"], { "x-amz-copy-source-if-match": '"x"' }),
  copy("if it is not what it is", "/state/a", [412, "PreconditionFailed"], { "x-amz-copy-source-if-none-match": etag }),
  copy("if it is not another", "/state/a", [200], { "x-amz-copy-source-if-none-match": '"x"' }),
  copy("if it was modified since", "/state/a", [200], { "x-amz-copy-source-if-modified-since": PAST }),
  copy("if it was not", "/state/a", [412, "PreconditionFailed"], { "x-amz-copy-source-if-modified-since": FUTURE }),
  copy("if it stayed as it was", "/state/a", [200], { "x-amz-copy-source-if-unmodified-since": FUTURE }),
  copy("if it did not", "/state/a", [412, "PreconditionFailed"], { "x-amz-copy-source-if-unmodified-since": PAST }),
  copy("where a tag weighs more than a date", "/state/a", [200], {
    "x-amz-copy-source-if-match": etag,
    "x-amz-copy-source-if-unmodified-since": PAST,
  }),
  copy("if nothing is there yet", "/state/a", [200], { "if-none-match": "*" }),
  {
    ...copy("over what is there", "/state/large", [412, "PreconditionFailed"], { "if-none-match": "*" }),
    ask: "PUT /state/a",
  },
];

describe("a copy", () => {
  itAnswers(copies, here);

  it("takes content and metadata along, or new metadata, and stands on its own", async () => {
    const source = { "x-amz-copy-source": "/state/a" };
    await container.fetch("/state/same", { method: "PUT", headers: { ...source, "x-amz-meta-note": "ignored" } });
    const replace = { ...source, "x-amz-metadata-directive": "REPLACE", "x-amz-meta-other": "1" };
    await container.fetch("/state/new", { method: "PUT", headers: replace });
    await put(container, "a", "changed");
    const [same, fresh] = [await container.fetch("/state/same"), await container.fetch("/state/new")];
    expect([await same.text(), await fresh.text()]).toEqual(["hello", "hello"]);
    expect([same.headers.get("x-amz-meta-note"), same.headers.get("content-type")]).toEqual(["hi", "text/plain"]);
    expect([fresh.headers.get("x-amz-meta-note"), fresh.headers.get("x-amz-meta-other")]).toEqual([null, "1"]);
    expect(fresh.headers.get("content-type")).toBe("binary/octet-stream");
  });
});

const remove = (clause: string, xml: string, answer: Row["answer"], gives?: RegExp): Row => ({
  clause,
  ask: "POST /state?delete=",
  headers: { "content-md5": md5(xml, "base64") },
  body: xml,
  answer,
  ...(gives !== undefined && { gives }),
});
const objects = (...keys: string[]) => keys.map((key) => `<Object><Key>${key}</Key></Object>`).join("");
const removals: Row[] = [
  { clause: "one by one", ask: "DELETE /state/a", answer: [204], gives: "" },
  { clause: "of what is not there", ask: "DELETE /state/none", answer: [204] },
  { clause: "of the only version", ask: "DELETE /state/a?versionId=null", answer: [204] },
  { clause: "of another version", ask: "DELETE /state/a?versionId=7", answer: [404, "NoSuchVersion"] },
  remove("together", `<Delete>${objects("a", "none")}</Delete>`, [200], /<Deleted><Key>a<.*<Deleted><Key>none</),
  remove(
    "quietly",
    `<Delete><Quiet>true</Quiet>${objects("a")}</Delete>`,
    [200],
    /<DeleteResult [^>]*><\/DeleteResult>$/,
  ),
  remove(
    "with entities",
    `<Delete>${objects("&amp;&lt;&#x01;&#10;&#128512;")}</Delete>`,
    [200],
    /<Key>&amp;&lt;&#x1;&#xA;😀</,
  ),
  remove(
    "of a version, per key",
    `<Delete><Object><Key>a</Key><VersionId>7</VersionId></Object></Delete>`,
    [200],
    /<Error><Key>a<.*NoSuchVersion/,
  ),
  remove(
    "if the tag is another, per key",
    `<Delete><Object><Key>a</Key><ETag>"x"</ETag></Object></Delete>`,
    [200],
    /<Error>.*PreconditionFailed/,
  ),
  remove(
    "if the tag is the same",
    `<Delete><Object><Key>a</Key><ETag>${etag}</ETag></Object></Delete>`,
    [200],
    /<Deleted>/,
  ),
  remove(
    "of a key that cannot be, per key",
    `<Delete>${objects("x/../a", "large")}</Delete>`,
    [200],
    /<Error>.*InvalidURI.*<Deleted><Key>large</,
  ),
  remove(
    "by what is not known, per key",
    `<Delete><Object><Key>a</Key><Size>5</Size></Object></Delete>`,
    [200],
    /<Error>.*NotImplemented/,
  ),
  remove("of nothing", "<Delete></Delete>", [400, "MalformedXML"]),
  remove("of no key", "<Delete><Object/></Delete>", [400, "MalformedXML"]),
  remove("of an empty key", `<Delete>${objects("")}</Delete>`, [400, "MalformedXML"]),
  remove("of more than a thousand", `<Delete>${objects(...Array(1001).fill("a"))}</Delete>`, [400, "MalformedXML"]),
  remove("by another document", `<Remove>${objects("a")}</Remove>`, [400, "MalformedXML"]),
  remove("by half a document", `<Delete>${objects("a")}`, [400, "MalformedXML"]),
  remove("by no document", "<nonsense", [400, "MalformedXML"]),
  { ...remove("without a sum", `<Delete>${objects("a")}</Delete>`, [400, "InvalidRequest"]), headers: {} },
  {
    ...remove("with a wrong sum", `<Delete>${objects("a")}</Delete>`, [400, "BadDigest"]),
    headers: { "content-md5": md5("", "base64") },
  },
  {
    ...remove("with a checksum instead", `<Delete>${objects("a")}</Delete>`, [400, "BadDigest"]),
    headers: { "x-amz-checksum-crc32": "AAAAAA==" },
  },
];

describe("a removal", () => {
  itAnswers(removals, here);

  it("takes a thousand keys at once, and exactly those", async () => {
    const keys = Array.from({ length: 999 }, (_, i) => `none-${i}`);
    const xml = `<Delete>${objects("a", ...keys)}</Delete>`;
    const headers = { "content-md5": md5(xml, "base64") };
    const text = await (await container.fetch("/state?delete", { method: "POST", body: xml, headers })).text();
    expect([...elements(text, "Deleted")].map((one) => textOf(one, "Key"))).toEqual(["a", ...keys]);
    expect(await keysOf(container)).toEqual(["k+ ?", "large"]);
  });
});
