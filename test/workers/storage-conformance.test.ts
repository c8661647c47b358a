import { beforeAll, describe } from "vitest";
import { itAnswers, type Row } from "./s3-table.ts";
import { type Container, md5, put, random, saving } from "./vault-kit.ts";

/** What S3 answers to single requests: clause → request → status, code, headers, body; nothing stored where it refuses. */

const LARGE = random(100_000);
let container: Container;
beforeAll(async () => {
  container = await saving();
  const meta = { "x-amz-meta-note": "hi", "content-type": "text/plain", "x-amz-meta-mtime": "1700000000.5" };
  await put(container, "a", "hello", meta);
  await put(container, "dir/b", "b");
  await put(container, "empty", "");
  await put(container, "large", LARGE);
});
const here = async () => container;

const etag = `"${md5("hello")}"`;
const [PAST, FUTURE] = ["Mon, 13 Nov 2023 00:00:00 GMT", "Sun, 01 Jan 2040 00:00:00 GMT"];
const MODIFIED = "Tue, 14 Nov 2023 22:13:20 GMT";

const buckets: Row[] = [
  { clause: "the service lists its one bucket", ask: "GET /", answer: [200], gives: /<Name>state<\/Name>/ },
  { clause: "a bucket can be looked for", ask: "HEAD /state", answer: [200], has: { "x-amz-bucket-region": "auto" } },
  { clause: "a bucket has a location", ask: "GET /state?location", answer: [200], gives: /<LocationConstraint / },
  { clause: "another bucket does not exist", ask: "GET /other/a", answer: [404, "NoSuchBucket"] },
  { clause: "nor for a HEAD", ask: "HEAD /other", answer: [404] },
  { clause: "nor is one made", ask: "PUT /other/a", body: "x", answer: [404, "NoSuchBucket"] },
  { clause: "the bucket is there already", ask: "PUT /state", answer: [409, "BucketAlreadyOwnedByYou"] },
  { clause: "the bucket is not deleted", ask: "DELETE /state", answer: [501, "NotImplemented"] },
  { clause: "a form is not taken", ask: "POST /state", body: "x", answer: [501, "NotImplemented"] },
  { clause: "the service cannot be written to", ask: "POST /", body: "x", answer: [405, "MethodNotAllowed"] },
  { clause: "a method that S3 does not know", ask: "PATCH /state/a", body: "x", answer: [405, "MethodNotAllowed"] },
  ...["acl", "policy", "versioning", "versions", "lifecycle", "cors", "encryption", "tagging", "object-lock"].map(
    (name): Row => ({ clause: `?${name} of a bucket`, ask: `GET /state?${name}`, answer: [501, "NotImplemented"] }),
  ),
  { clause: "the same for a HEAD", ask: "HEAD /state?acl", answer: [501] },
  { clause: "a parameter that S3 does not know", ask: "GET /state?prefx=a", answer: [400, "InvalidArgument"] },
];

const reads: Row[] = [
  {
    clause: "an object comes with what was sent with it",
    ask: "GET /state/a?x-id=GetObject",
    answer: [200],
    gives: "hello",
    has: {
      etag,
      "content-type": "text/plain",
      "content-length": "5",
      "last-modified": MODIFIED,
      "accept-ranges": "bytes",
      "x-amz-meta-note": "hi",
    },
  },
  {
    clause: "a HEAD says the same without the content",
    ask: "HEAD /state/a",
    answer: [200],
    has: { etag, "content-length": "5", "x-amz-meta-note": "hi" },
  },
  {
    clause: "a checksum that is not kept is not shown, and asking for it is no mistake",
    ask: "GET /state/a",
    headers: { "x-amz-checksum-mode": "ENABLED" },
    answer: [200],
    gives: "hello",
    has: { "x-amz-checksum-crc64nvme": null },
  },
  {
    clause: "headers of the answer can be chosen",
    ask: "GET /state/a?response-content-type=image%2Fpng&response-cache-control=no-store",
    answer: [200],
    has: { "content-type": "image/png", "cache-control": "no-store" },
  },
  {
    clause: "an object without a type has S3's",
    ask: "HEAD /state/empty",
    answer: [200],
    has: { "content-length": "0" },
  },
  { clause: "an empty object is empty", ask: "GET /state/empty", answer: [200], gives: "" },
  { clause: "a missing key", ask: "GET /state/none", answer: [404, "NoSuchKey"] },
  { clause: "a missing key for a HEAD", ask: "HEAD /state/none", answer: [404] },
  { clause: "the only version is called null", ask: "GET /state/a?versionId=null", answer: [200], gives: "hello" },
  { clause: "another version", ask: "GET /state/a?versionId=3", answer: [404, "NoSuchVersion"] },
  { clause: "objects have no tags", ask: "GET /state/a?tagging", answer: [200], gives: /<TagSet\/>/ },
  { clause: "a missing object has not even none", ask: "GET /state/none?tagging", answer: [404, "NoSuchKey"] },
  ...["acl", "attributes", "torrent", "legal-hold", "retention", "partNumber=1"].map(
    (name): Row => ({ clause: `?${name} of an object`, ask: `GET /state/a?${name}`, answer: [501, "NotImplemented"] }),
  ),
  { clause: "a parameter of a listing on an object", ask: "GET /state/a?prefix=b", answer: [400, "InvalidArgument"] },
  {
    clause: "a key of the customer's own",
    ask: "GET /state/a",
    headers: { "x-amz-server-side-encryption-customer-algorithm": "AES256" },
    answer: [501, "NotImplemented"],
  },
];

const range = (bytes: string, answer: Row["answer"], rest: Partial<Row> = {}): Row => ({
  clause: `bytes=${bytes}`,
  ask: "GET /state/a",
  headers: { range: `bytes=${bytes}`, ...rest.headers },
  answer,
  ...(rest.gives !== undefined && { gives: rest.gives }),
  ...(rest.has !== undefined && { has: rest.has }),
});
const ranges: Row[] = [
  range("1-3", [206], { gives: "ell", has: { "content-range": "bytes 1-3/5", "content-length": "3" } }),
  range("2-", [206], { gives: "llo" }),
  range("-2", [206], { gives: "lo" }),
  range("-99", [206], { gives: "hello", has: { "content-range": "bytes 0-4/5" } }),
  range("4-99", [206], { gives: "o", has: { "content-range": "bytes 4-4/5" } }),
  range("5-", [416, "InvalidRange"], { has: { "content-range": "bytes */5" }, gives: /<ActualObjectSize>5</ }),
  range("-0", [416, "InvalidRange"]),
  range("3-1", [200], { gives: "hello" }),
  range("0-1,3-4", [200], { gives: "hello" }),
  { ...range("1-3", [206], { has: { "content-length": "3" } }), ask: "HEAD /state/a", clause: "a range of a HEAD" },
  { ...range("0-", [416, "InvalidRange"]), ask: "GET /state/empty", clause: "a range of nothing" },
  {
    ...range("0-0", [200], { gives: "hello" }),
    headers: { range: "bytes=0-0", "if-range": '"old"' },
    clause: "If-Range of another tag",
  },
  {
    ...range("0-0", [206], { gives: "h" }),
    headers: { range: "bytes=0-0", "if-range": etag },
    clause: "If-Range that holds",
  },
];

const when = (clause: string, headers: Record<string, string>, answer: Row["answer"]): Row => ({
  clause,
  ask: "GET /state/a",
  headers,
  answer,
});
const conditions: Row[] = [
  when("If-Match of its tag", { "if-match": etag }, [200]),
  when("If-Match of another", { "if-match": '"x"' }, [412, "PreconditionFailed"]),
  { ...when("If-None-Match of its tag", { "if-none-match": etag }, [304]), has: { etag }, gives: "" },
  when("If-None-Match of another", { "if-none-match": '"x"' }, [200]),
  when("If-Modified-Since before", { "if-modified-since": PAST }, [200]),
  when("If-Modified-Since the same second", { "if-modified-since": MODIFIED }, [304]),
  when("If-Unmodified-Since before", { "if-unmodified-since": PAST }, [412, "PreconditionFailed"]),
  when("If-Unmodified-Since after", { "if-unmodified-since": FUTURE }, [200]),
  when("a tag weighs more than a date", { "if-match": etag, "if-unmodified-since": PAST }, [200]),
  when("also where it is not to match", { "if-none-match": etag, "if-modified-since": PAST }, [304]),
  when("a condition comes before a range", { "if-match": '"x"', range: "bytes=9-" }, [412, "PreconditionFailed"]),
];

const keys: Row[] = [
  ...[
    ["a space, a plus and a percent sign", "/state/k/a%20b%2Bc%25", "k/a b+c%"],
    ["a plus as it is", "/state/k/a+b", "k/a+b"],
    ["any characters", "/state/k/%C3%BC%E6%BC%A2%F0%9F%98%80", "k/ü漢😀"],
    ["leading dots", "/state/k/.hidden/..x", "k/.hidden/..x"],
    ["an empty segment", "/state/k//x", "k//x"],
    ["a trailing slash", "/state/k/dir/", "k/dir/"],
    ["a slash at the beginning", "/state//k", "/k"],
    ["an encoded slash", "/state/k%2Fenc", "k/enc"],
    ["a backslash", "/state/k/a%5Cb", "k/a\\b"],
    ["control characters", "/state/k/%01%0A%7F", "k/\u0001\n\u007f"],
    ["what begins like a bundle", "/state/.bundle/1.tar", ".bundle/1.tar"],
    ["1,024 bytes", `/state/${"%C3%A9".repeat(512)}`, "é".repeat(512)],
  ].flatMap(([clause = "", path = "", key = ""]): Row[] => [
    { clause: `a key with ${clause} is taken`, ask: `PUT ${path}`, body: key, answer: [200] },
    { clause: `and found again: ${clause}`, ask: `GET ${path}`, answer: [200], gives: key },
  ]),
  { clause: "1,025 bytes", ask: `PUT /state/${"%C3%A9".repeat(512)}a`, body: "x", answer: [400, "KeyTooLongError"] },
  { clause: "a broken escape", ask: "PUT /state/a%zz", body: "x", answer: [400, "InvalidURI"] },
  { clause: "NUL", ask: "PUT /state/a%00b", body: "x", answer: [400, "InvalidURI"] },
  { clause: "segments that lead elsewhere", ask: "PUT /state/d%2F..%2Fb", body: "x", answer: [400, "InvalidURI"] },
  { clause: "the same where it stays inside", ask: "GET /state/d%2F.%2Fb", answer: [400, "InvalidURI"] },
];

const header = (name: string, value: string, answer: Row["answer"]): Row => ({
  clause: `${name}: ${value.slice(0, 40)}`,
  ask: answer[0] === 200 ? "PUT /state/kept" : "PUT /state/a",
  headers: { [name]: value },
  body: "other",
  answer,
});
const headers: Row[] = [
  header("x-amz-storage-class", "STANDARD", [200]),
  header("x-amz-storage-class", "GLACIER", [400, "InvalidStorageClass"]),
  header("x-amz-acl", "private", [200]),
  header("x-amz-acl", "bucket-owner-full-control", [200]),
  header("x-amz-acl", "public-read", [400, "AccessControlListNotSupported"]),
  header("x-amz-grant-read", 'uri="x"', [400, "AccessControlListNotSupported"]),
  header("x-amz-server-side-encryption", "AES256", [200]),
  header("x-amz-server-side-encryption", "aws:kms", [501, "NotImplemented"]),
  header("x-amz-server-side-encryption-customer-key", "AAAA", [501, "NotImplemented"]),
  header("x-amz-tagging", "a=b", [501, "NotImplemented"]),
  header("x-amz-website-redirect-location", "/b", [501, "NotImplemented"]),
  header("x-amz-object-lock-mode", "GOVERNANCE", [501, "NotImplemented"]),
  header("x-amz-write-offset-bytes", "5", [501, "NotImplemented"]),
  header("x-amz-expected-bucket-owner", "123", [501, "NotImplemented"]),
  header("x-amz-meta-a", "x".repeat(2047), [200]),
  header("x-amz-meta-a", "x".repeat(2048), [400, "MetadataTooLarge"]),
  { ...header("content-type", "text/css", [200]), has: { etag: `"${md5("other")}"` } },
];

describe("buckets", () => itAnswers(buckets, here));
describe("reads", () => itAnswers(reads, here));
describe("ranges", () => itAnswers(ranges, here));
describe("conditions", () => itAnswers(conditions, here));
describe("keys", () => itAnswers(keys, here));
describe("headers of a write", () => itAnswers(headers, here));
