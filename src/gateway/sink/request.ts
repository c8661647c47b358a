import { mayRead, mayWrite, type Place } from "../../sync/places.ts";
import { encodeName } from "../../vault/names.ts";
import { checkedKey, decodeKey, encodeKey } from "../storage/address.ts";
import { malformedXml, S3Error } from "../storage/errors.ts";
import type { Operation } from "../storage/operation.ts";
import { childText, parseXml } from "../storage/xml-parse.ts";

/** Which requests to a tenant's part of a bucket pass, and as what. Pure. */

/** What goes on to the sink: everything else that a client sends is about our side of the way. */
const PASSED =
  /^(?:content-type|content-md5|content-encoding|content-language|content-disposition|cache-control|expires|range|if-match|if-none-match|if-modified-since|if-unmodified-since|x-amz-meta-[\w.-]+|x-amz-storage-class|x-amz-metadata-directive|x-amz-checksum-[\w-]+|x-amz-sdk-checksum-algorithm|x-amz-copy-source-(?:range|if-[\w-]+))$/i;

/** Parameters that choose what is listed, or how a part is named. */
const QUERY =
  /^(?:x-id|prefix|delimiter|marker|max-keys|start-after|continuation-token|encoding-type|fetch-owner|list-type|max-parts|part-number-marker|uploadId|partNumber|uploads|delete|location)$/;

const MOST_KEYS = 1000;

export interface Passed {
  method: string;
  /** Below the endpoint: `/bucket`, or `/bucket/key`, and the query. */
  path: string;
  headers: Headers;
  /** May be sent again when the answer was lost: it changes nothing, or the same again. */
  repeatable: boolean;
}

/** @throws S3Error `AccessDenied` for what is not the tenant's, `NotImplemented` for what cannot be passed on as it is */
export function passedOn(
  operation: Operation,
  request: { method: string; headers: Headers; query: ReadonlyMap<string, string> },
  at: { bucket: string; own: string; places: readonly Place[] },
): Passed {
  if (!isOwn(operation, request.query, at.places)) throw denied();
  checkEncoding(request.headers);
  const headers = new Headers();
  for (const [name, value] of request.headers) if (PASSED.test(name)) headers.set(name, value);
  const source = request.headers.get("x-amz-copy-source");
  if (source !== null) headers.set("x-amz-copy-source", copySource(source, at));
  const query = new URLSearchParams();
  for (const [name, value] of request.query) if (QUERY.test(name)) query.set(name, value);
  const key = "key" in operation ? `/${sendable(operation.key)}` : "";
  const text = query.toString().replaceAll("+", "%20");
  return {
    method: request.method,
    path: `/${at.bucket}${key}${text === "" ? "" : `?${text}`}`,
    headers,
    repeatable: request.method === "GET" || request.method === "HEAD" || request.method === "DELETE",
  };
}

/** @throws S3Error `NotImplemented` for what no such sink knows */
function isOwn(operation: Operation, query: ReadonlyMap<string, string>, places: readonly Place[]): boolean {
  switch (operation.name) {
    case "HeadBucket":
    case "GetBucketLocation":
    case "DeleteObjects": // its keys are in its body
      return true;
    case "ListObjects":
    case "ListObjectsV2":
      return mayRead(places, query.get("prefix") ?? "");
    case "GetObject":
    case "HeadObject":
      return mayRead(places, operation.key);
    case "PutObject":
    case "CopyObject":
    case "DeleteObject":
    case "CreateMultipartUpload":
    case "UploadPart":
    case "UploadPartCopy":
    case "CompleteMultipartUpload":
    case "AbortMultipartUpload":
    case "ListParts":
      return mayWrite(places, operation.key);
    default:
      throw new S3Error("NotImplemented", "A sink of this kind does not know that.");
  }
}

/** The keys of a `DeleteObjects` body are all the tenant's. @throws S3Error */
export function checkDeletion(xml: string, places: readonly Place[]): void {
  const objects = parseXml(xml, "Delete").children.filter(({ name }) => name !== "Quiet");
  if (objects.length === 0 || objects.length > MOST_KEYS) throw malformedXml();
  for (const object of objects) {
    const keys = object.children.filter(({ name }) => name === "Key");
    const key = childText(object, "Key");
    if (object.name !== "Object" || keys.length !== 1 || key === null) throw malformedXml();
    if (!mayWrite(places, checkedKey(key))) throw denied();
  }
}

function copySource(
  source: string,
  { bucket, own, places }: { bucket: string; own: string; places: readonly Place[] },
) {
  const [, from = "", key = ""] = /^\/?([^/]+)\/(.+)$/s.exec(source.replace(/\?versionId=.*$/, "")) ?? [];
  if (from !== own) throw denied();
  const decoded = decodeKey(key);
  if (!mayRead(places, decoded)) throw denied();
  return `${bucket}/${sendable(decoded)}`;
}

/** Chunks with signatures of their own cannot be signed again without holding them. */
function checkEncoding(headers: Headers): void {
  const chunked = /^STREAMING-/i.test(headers.get("x-amz-content-sha256") ?? "");
  if (chunked || /aws-chunked/i.test(headers.get("content-encoding") ?? "")) {
    throw new S3Error("NotImplemented", "Send the body as it is (UNSIGNED-PAYLOAD), not in signed chunks.");
  }
}

/** The key as a path that no URL parser reads otherwise. @throws S3Error for keys that an S3 URL cannot say */
function sendable(key: string): string {
  const bytes = encodeName(key);
  if (new TextDecoder().decode(bytes).includes("\uFFFD") && !key.includes("\uFFFD")) {
    throw new S3Error("InvalidURI", "The key is not UTF-8.");
  }
  return encodeKey(key);
}

const denied = () => new S3Error("AccessDenied", "Access Denied: this is no place of this tenant's.");
