import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { allowed } from "../../src/gateway/storage/access.ts";
import { addressOf, decodeKey, encodeKey } from "../../src/gateway/storage/address.ts";
import { escapeName } from "../../src/gateway/storage/bundle-out.ts";
import { evaluate, rangeOf } from "../../src/gateway/storage/conditions.ts";
import { S3Error } from "../../src/gateway/storage/errors.ts";
import { operationOf } from "../../src/gateway/storage/operation.ts";
import { chosenParts, compose } from "../../src/gateway/storage/parts.ts";
import { httpDate, isoNanoseconds } from "../../src/gateway/storage/times.ts";
import { element } from "../../src/gateway/storage/xml.ts";
import { childText, parseXml } from "../../src/gateway/storage/xml-parse.ts";

const asked = (line: string, headers: Record<string, string> = {}): string => {
  const [method = "", path = ""] = line.split(" ");
  try {
    return operationOf(method, addressOf(`http://sink.internal${path}`), new Headers(headers)).name;
  } catch (error) {
    return error instanceof S3Error ? error.code : String(error);
  }
};

describe("requests and what they are", () => {
  const table: [string, string][] = [
    ["GET /", "ListBuckets"],
    ["HEAD /state", "HeadBucket"],
    ["GET /state?location", "GetBucketLocation"],
    ["GET /state", "ListObjects"],
    ["GET /state/?prefix=a&marker=b", "ListObjects"],
    ["GET /state?list-type=2&delimiter=%2F&encoding-type=url&x-id=ListObjectsV2", "ListObjectsV2"],
    ["POST /state?delete=&x-id=DeleteObjects", "DeleteObjects"],
    ["PUT /state", "BucketAlreadyOwnedByYou"],
    ["GET /state/a/b?x-id=GetObject", "GetObject"],
    ["GET /state/a?response-content-type=text%2Fplain", "GetObject"],
    ["HEAD /state/a", "HeadObject"],
    ["PUT /state/a?x-id=PutObject", "PutObject"],
    ["DELETE /state/a", "DeleteObject"],
    ["POST /state/a?uploads=", "CreateMultipartUpload"],
    ["PUT /state/a?partNumber=1&uploadId=u&x-id=UploadPart", "UploadPart"],
    ["PUT /state/a?partNumber=0&uploadId=u", "InvalidArgument"],
    ["PUT /state/a?partNumber=10001&uploadId=u", "InvalidArgument"],
    ["POST /state/a?uploadId=u", "CompleteMultipartUpload"],
    ["DELETE /state/a?uploadId=u", "AbortMultipartUpload"],
    ["GET /state/a?uploadId=u", "ListParts"],
    ["PUT /.bundle/staging.tar", "SaveBundle"],
    ["GET /.bundle/12.tar", "RestoreBundle"],
    ["GET /.bundle/staging.tar", "MethodNotAllowed"],
    ["PUT /.bundle/12.tar", "MethodNotAllowed"],
    ["GET /other/a", "GetObject"],
    ["PUT /", "MethodNotAllowed"],
    ["PATCH /state/a", "MethodNotAllowed"],
    ["OPTIONS /state", "MethodNotAllowed"],
    ["POST /state/a", "MethodNotAllowed"],
    ["GET /state?uploads&prefix=a", "ListMultipartUploads"],
    ["GET /state?list-type=1", "InvalidArgument"],
    ["GET /state?policy", "NotImplemented"],
    ["HEAD /state?acl", "NotImplemented"],
    ["PUT /state?versioning", "NotImplemented"],
    ["DELETE /state", "NotImplemented"],
    ["POST /state", "NotImplemented"],
    ["GET /state/a?acl", "NotImplemented"],
    ["HEAD /state/a?acl", "NotImplemented"],
    ["GET /state/a?attributes", "NotImplemented"],
    ["GET /state/a?partNumber=1", "NotImplemented"],
    ["POST /state/a?select&select-type=2", "NotImplemented"],
    ["POST /state/a?restore", "NotImplemented"],
    ["PUT /state/a?tagging", "NotImplemented"],
    ["GET /state/a?tagging", "GetObjectTagging"],
    ["GET /state/a?versionId=null", "GetObject"],
    ["GET /state/a?versionId=1", "NoSuchVersion"],
    ["HEAD /state/a?versionId=", "InvalidArgument"],
    ["DELETE /state/a?versionId=x", "NoSuchVersion"],
    ["GET /state?prefx=a", "InvalidArgument"],
    ["GET /state?list-type=2&marker=a", "InvalidArgument"],
    ["GET /state?prefix=a&prefix=b", "InvalidArgument"],
    ["GET /state/a?prefix=b", "InvalidArgument"],
    ["HEAD /state?foo", "InvalidArgument"],
    ["PUT /state/a?foo=1", "InvalidArgument"],
    ["PUT /state/a?partNumber=1", "NotImplemented"],
    ["PUT /state/a?uploadId=u", "InvalidArgument"],
    ["PUT /state/a?uploadId=u&partNumber=1e1", "InvalidArgument"],
    ["GET /state/a/../b", "InvalidURI"],
    ["GET /state/..", "InvalidURI"],
    ["PUT /state/a/%2e%2e/%2e%2e/other/b", "InvalidURI"],
    ["PUT /state/a%2F..%2Fb", "InvalidURI"],
    ["GET /state/./a", "InvalidURI"],
    ["GET /../.bundle/1.tar", "GetObject"],
    ["GET /state/..a", "GetObject"],
    ["GET /state/a//b/", "GetObject"],
    ["GET /state//a", "GetObject"],
    ["GET /state/a?prefix=%zz", "InvalidURI"],
    ["GET /state/%ff", "GetObject"],
    ["GET /state/%f", "InvalidURI"],
    ["GET /state/a%00b", "InvalidURI"],
    [`GET /state/${"a".repeat(1025)}`, "KeyTooLongError"],
    [`GET /state/${"a".repeat(1024)}`, "GetObject"],
  ];
  it.each(table)("%s is %s", (line, name) => expect(asked(line)).toBe(name));

  it("tells a copy from a put by its source", () => {
    expect(asked("PUT /state/a", { "x-amz-copy-source": "state/b" })).toBe("CopyObject");
    expect(asked("PUT /state/a?partNumber=1&uploadId=u", { "x-amz-copy-source": "state/b" })).toBe("UploadPartCopy");
  });

  it("decodes any key that S3 allows", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme", minLength: 1, maxLength: 60 }), (key) => {
        fc.pre(key.isWellFormed() && !key.includes("\0") && !/(^|\/)\.{1,2}(\/|$)/.test(key));
        const address = addressOf(`http://sink.internal/state/${encodeURIComponent(key)}`);
        expect(operationOf("GET", address, new Headers())).toEqual({ name: "GetObject", key });
        expect(decodeKey(encodeKey(key))).toBe(key);
      }),
    );
  });
});

describe("access", () => {
  const key = "AK123";
  const signed = (id: string) => ({
    authorization: `AWS4-HMAC-SHA256 Credential=${id}/20260101/auto/s3/aws4_request, SignedHeaders=host, Signature=0`,
  });

  it("needs this boot's access key, in the signature or in the header", () => {
    const open = (headers: Record<string, string>) => allowed(new Headers(headers), key);
    expect([open(signed(key)), open({ "x-boilerhouse-access-key": key })]).toEqual([true, true]);
    const shut: Record<string, string>[] = [
      {},
      signed("AK124"),
      { "x-boilerhouse-access-key": "" },
      { "x-boilerhouse-access-key": "AK12" },
      { authorization: `Bearer ${key}` },
    ];
    for (const headers of shut) expect(open(headers), JSON.stringify(headers)).toBe(false);
    expect(allowed(new Headers({ "x-boilerhouse-access-key": "" }), "")).toBe(false);
  });
});

describe("conditional reads", () => {
  const now = { etag: "abc", modifiedAt: Date.parse("2026-01-02T00:00:00.700Z") };
  const [early, late] = ["Thu, 01 Jan 2026 00:00:00 GMT", "Fri, 02 Jan 2026 00:00:00 GMT"];
  const result = (headers: Record<string, string>) => {
    try {
      return evaluate(new Headers(headers), now);
    } catch (error) {
      return (error as S3Error).code;
    }
  };
  const table: [Record<string, string>, string][] = [
    [{}, "send"],
    [{ "if-match": '"abc"' }, "send"],
    [{ "if-match": '"x", "abc"' }, "send"],
    [{ "if-match": "*" }, "send"],
    [{ "if-match": '"x"' }, "PreconditionFailed"],
    [{ "if-none-match": '"abc"' }, "not_modified"],
    [{ "if-none-match": '"x"' }, "send"],
    [{ "if-modified-since": early }, "send"],
    [{ "if-modified-since": late }, "not_modified"],
    [{ "if-unmodified-since": early }, "PreconditionFailed"],
    [{ "if-unmodified-since": late }, "send"],
    [{ "if-match": '"abc"', "if-unmodified-since": early }, "send"],
    [{ "if-none-match": '"x"', "if-modified-since": late }, "send"],
  ];
  it.each(table)("%j is %s", (headers, expected) => expect(result(headers)).toBe(expected));
});

describe("ranges", () => {
  it("are those bytes that slicing would give, or an error", () => {
    fc.assert(
      fc.property(
        fc.nat(20),
        fc.option(fc.nat(25), { nil: undefined }),
        fc.option(fc.nat(25), { nil: undefined }),
        (size, first, last) => {
          const bytes = Array.from({ length: size }, (_, i) => i);
          const header = `bytes=${first ?? ""}-${last ?? ""}`;
          let expected: number[] | null = null;
          if (first !== undefined && (last === undefined || last >= first))
            expected = bytes.slice(first, last === undefined ? undefined : last + 1);
          if (first === undefined && last !== undefined) expected = last === 0 ? [] : bytes.slice(-last);
          if (expected === null) expect(rangeOf(header, size)).toBeNull();
          else if (expected.length === 0) expect(() => rangeOf(header, size)).toThrow(S3Error);
          else {
            const range = rangeOf(header, size);
            expect(bytes.slice(range?.offset, (range?.offset ?? 0) + (range?.length ?? 0))).toEqual(expected);
          }
        },
      ),
    );
  });

  it("that S3 does not know are all of the object", () => {
    for (const header of [null, "bytes=0-1,3-4", "items=0-1", "bytes=-"]) expect(rangeOf(header, 10)).toBeNull();
  });
});

describe("parts of an upload", () => {
  const MiB = 1024 * 1024;
  const part = (number: number, size: number) => ({
    number,
    size,
    sha256: `${number}`.repeat(64),
    md5: `${number}`.repeat(32),
    r2Etag: `r${number}`,
  });
  const arrived = [part(1, 5 * MiB), part(2, 5 * MiB), part(3, 7)];
  const want = (...numbers: number[]) => numbers.map((number) => ({ number, etag: `${number}`.repeat(32) }));
  const code = (run: () => unknown) => {
    try {
      run();
      return "ok";
    } catch (error) {
      return (error as S3Error).code;
    }
  };

  it("must have arrived with the tag that the client names, be of one size and not too small", () => {
    expect(chosenParts(want(1, 2, 3), arrived).map((one) => one.number)).toEqual([1, 2, 3]);
    expect(chosenParts(want(2, 3), arrived)).toHaveLength(2);
    expect(code(() => chosenParts(want(1, 4), arrived))).toBe("InvalidPart");
    expect(code(() => chosenParts([{ number: 1, etag: "x" }], arrived))).toBe("InvalidPart");
    expect(code(() => chosenParts(want(1, 3, 2), arrived))).toBe("EntityTooSmall");
    expect(code(() => chosenParts(want(1, 2), [part(1, 6 * MiB), part(2, 7 * MiB)]))).toBe("InvalidPart");
  });

  it("are verified by the hash of their hashes, and a single one by its own", () => {
    expect(compose(arrived, "o")).toMatchObject({
      size: 10 * MiB + 7,
      partSize: 5 * MiB,
      etag: expect.stringMatching(/^[0-9a-f]{32}-3$/),
    });
    expect(compose([part(1, 7)], "o")).toMatchObject({ size: 7, partSize: null, sha256: "1".repeat(64) });
  });
});

describe("XML", () => {
  it("brings every key through unchanged", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme", maxLength: 40 }), (key) => {
        fc.pre(key.isWellFormed() && !key.includes("\0"));
        expect(childText(parseXml(`<Delete>${element("Key", key)}</Delete>`, "Delete"), "Key")).toBe(key);
      }),
    );
  });

  it("is read with or without a namespace, a prolog, comments and CDATA", () => {
    const xml = `<?xml version="1.0"?>\n<Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><!-- two --><Object><Key>a&amp;b</Key></Object>
      <Object><Key>&#x20;c&#33;<![CDATA[<&]]></Key></Object><s3:Quiet>true</s3:Quiet></Delete>`;
    const root = parseXml(xml, "Delete");
    const objects = root.children.filter((child) => child.name === "Object");
    expect(objects.map((object) => childText(object, "Key"))).toEqual(["a&b", " c!<&"]);
    expect(childText(root, "Quiet")).toBe("true");
  });

  it("that is not well-formed, or another document, is refused", () => {
    const wrong = [
      "",
      "text",
      "<Delete>",
      "<Delete></Object>",
      "<Other/>",
      "<Delete/><Delete/>",
      "<Delete/>text",
      "<Delete>&nope;</Delete>",
      "<Delete>&amp</Delete>",
      "<Delete>&#0;</Delete>",
      "<Delete>&#xD800;</Delete>",
      '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><Delete>&e;</Delete>',
      "<Delete a=b/>",
      `${"<a>".repeat(20)}${"</a>".repeat(20)}`,
    ];
    for (const xml of wrong) expect(() => parseXml(xml, "Delete"), xml).toThrow(S3Error);
  });
});

describe("times", () => {
  it("are listed to the nanosecond, also before 1970", () => {
    expect(isoNanoseconds({ mtimeNs: "1767225600123456789" })).toBe("2026-01-01T00:00:00.123456789Z");
    expect(isoNanoseconds({ mtimeNs: "-1" })).toBe("1969-12-31T23:59:59.999999999Z");
    expect(isoNanoseconds({ mtimeNs: "999999999999999999999999" })).toMatch(/^9999-12-31T23:59:59\./);
    expect(httpDate("1767225600123456789")).toBe("Thu, 01 Jan 2026 00:00:00 GMT");
  });
});

it("names that would break a line of sums are written as sha256sum does", () => {
  expect(escapeName("a b")).toEqual({ line: "", name: "a b" });
  expect(escapeName("a\\b\nc")).toEqual({ line: "\\", name: "a\\\\b\\nc" });
});
