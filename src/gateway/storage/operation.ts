import { decodeName, encodeName } from "../../vault/names.ts";
import { S3Error } from "./errors.ts";

export const BUCKET = "state";

/** What a request asks for; decided from method, path and query alone, before anything is read. */
export type Operation =
  | { name: "SaveBundle" }
  | { name: "RestoreBundle"; generation: number }
  | { name: "ListBuckets" | "HeadBucket" | "GetBucketLocation" | "ListObjects" | "ListObjectsV2" | "DeleteObjects" }
  | {
      name: "GetObject" | "HeadObject" | "PutObject" | "CopyObject" | "DeleteObject" | "CreateMultipartUpload";
      key: string;
    }
  | { name: "CompleteMultipartUpload" | "AbortMultipartUpload" | "ListParts"; key: string; uploadId: string }
  | { name: "UploadPart"; key: string; uploadId: string; partNumber: number };

/** Query parameters that change nothing about which operation it is. */
const HARMLESS =
  /^(x-id|x-amz-.*|response-.*|prefix|delimiter|marker|max-keys|start-after|continuation-token|encoding-type|fetch-owner|list-type|max-parts|part-number-marker|allow-unordered)$/i;

/** @throws S3Error for what this subset of S3 does not know */
export function operationOf(method: string, url: URL, headers: Headers): Operation {
  const bundle = /^\/\.bundle\/(?:staging|(\d{1,15}))\.tar$/.exec(url.pathname);
  if (bundle !== null) {
    if (bundle[1] === undefined && method === "PUT") return { name: "SaveBundle" };
    if (bundle[1] !== undefined && method === "GET") return { name: "RestoreBundle", generation: Number(bundle[1]) };
    throw new S3Error("MethodNotAllowed", "This resource does not allow that method.");
  }
  const [, bucket = "", rest = ""] = /^\/([^/]*)\/?(.*)$/s.exec(url.pathname) ?? [];
  if (bucket === "") {
    if (method === "GET") return { name: "ListBuckets" };
    throw new S3Error("MethodNotAllowed", "The service itself can only be listed.");
  }
  if (bucket !== BUCKET) throw new S3Error("NoSuchBucket", "The specified bucket does not exist.");
  return rest === ""
    ? bucketOperation(method, url.searchParams)
    : objectOperation(method, decodeKey(rest), url.searchParams, headers);
}

function bucketOperation(method: string, query: URLSearchParams): Operation {
  const extra = subresources(query);
  if (method === "HEAD" && extra.length === 0) return { name: "HeadBucket" };
  if (method === "GET") {
    if (only(extra, "location")) return { name: "GetBucketLocation" };
    if (extra.length === 0) return { name: query.get("list-type") === "2" ? "ListObjectsV2" : "ListObjects" };
  }
  if (method === "POST" && only(extra, "delete")) return { name: "DeleteObjects" };
  if (method === "PUT" && extra.length === 0)
    throw new S3Error("BucketAlreadyOwnedByYou", "The bucket exists already.");
  throw notImplemented(method, extra);
}

function objectOperation(method: string, key: string, query: URLSearchParams, headers: Headers): Operation {
  const extra = subresources(query);
  const uploadId = query.get("uploadId") ?? "";
  if (extra.length === 0) {
    if (method === "GET") return { name: "GetObject", key };
    if (method === "HEAD") return { name: "HeadObject", key };
    if (method === "DELETE") return { name: "DeleteObject", key };
    if (method === "PUT") return { name: headers.has("x-amz-copy-source") ? "CopyObject" : "PutObject", key };
  }
  if (method === "POST" && only(extra, "uploads")) return { name: "CreateMultipartUpload", key };
  if (only(extra, "uploadId")) {
    if (method === "POST") return { name: "CompleteMultipartUpload", key, uploadId };
    if (method === "DELETE") return { name: "AbortMultipartUpload", key, uploadId };
    if (method === "GET") return { name: "ListParts", key, uploadId };
  }
  if (method === "PUT" && only(extra, "partNumber", "uploadId") && !headers.has("x-amz-copy-source")) {
    const partNumber = Number(query.get("partNumber"));
    if (!Number.isInteger(partNumber) || partNumber < 1 || partNumber > 10_000) {
      throw new S3Error("InvalidArgument", "Part number must be an integer between 1 and 10000, inclusive.");
    }
    return { name: "UploadPart", key, uploadId, partNumber };
  }
  throw notImplemented(method, extra);
}

const subresources = (query: URLSearchParams): string[] =>
  [...new Set(query.keys())].filter((name) => !HARMLESS.test(name)).sort();
const only = (extra: readonly string[], ...names: string[]): boolean => extra.join() === names.join();

function notImplemented(method: string, extra: readonly string[]): S3Error {
  const what = extra.length === 0 ? method : `${method} with ${extra.map((name) => `"${name}"`).join(", ")}`;
  return new S3Error("NotImplemented", `${what} is not implemented here.`);
}

/** A key as the vault names it, out of its percent-encoded bytes. @throws S3Error `InvalidURI`, `KeyTooLongError`, `InvalidArgument` */
export function decodeKey(encoded: string): string {
  if (/%(?![0-9a-fA-F]{2})/.test(encoded)) throw new S3Error("InvalidURI", "The key is not percent-encoded.");
  const bytes = Buffer.from(
    encoded.replace(/%([0-9a-fA-F]{2})/g, (_, hex) => String.fromCharCode(Number.parseInt(hex, 16))),
    "latin1",
  );
  if (bytes.length > 1024) throw new S3Error("KeyTooLongError", "Your key is too long.");
  if (bytes.includes(0)) throw new S3Error("InvalidArgument", "A key cannot contain NUL.");
  return decodeName(bytes);
}

/** As S3 writes keys with `encoding-type=url`: everything but unreserved characters and slashes. */
export function encodeKey(key: string): string {
  if (/^[A-Za-z0-9\-_.~/]*$/.test(key)) return key;
  return Array.from(encodeName(key), (byte) => {
    const character = String.fromCharCode(byte);
    return /[A-Za-z0-9\-_.~/]/.test(character) ? character : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }).join("");
}
