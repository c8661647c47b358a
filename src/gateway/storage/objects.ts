import { createHash } from "node:crypto";
import {
  INLINE_LIMIT,
  type NewObject,
  type ObjectInfo,
  type ObjectMetadata,
  type OnlyIf,
} from "../../vault/storage.ts";
import { readWhole, streamThrough, type Upload, uploadOf } from "./body.ts";
import { evaluate, rangeOf, writeConditions } from "./conditions.ts";
import { ask, expectToHold, type Gateway } from "./context.ts";
import { S3Error } from "./errors.ts";
import { httpDate, isoNanoseconds, milliseconds, xml } from "./list.ts";
import { BUCKET, decodeKey } from "./operation.ts";
import { element, elements, group, textOf } from "./xml.ts";

/** Headers that an object carries from its upload to its download. */
const KEPT_HEADERS = [
  "content-type",
  "cache-control",
  "content-disposition",
  "content-encoding",
  "content-language",
  "expires",
];

export async function getObject(gateway: Gateway, request: Request, key: string): Promise<Response> {
  const found = await ask(gateway.vault.read(gateway.actor, key));
  if (found === null) throw new S3Error("NoSuchKey", "The specified key does not exist.");
  const { info } = found;
  const headers = headersOf(info, new URL(request.url).searchParams);
  if (evaluate(request.headers, { etag: info.etag, modifiedAt: milliseconds(info.mtimeNs) }) === "not_modified") {
    return new Response(null, { status: 304, headers });
  }
  const range = rangeOf(request.headers.get("range"), info.size);
  const { offset, length } = range ?? { offset: 0, length: info.size };
  headers.set("content-length", String(length));
  if (range !== null) headers.set("content-range", `bytes ${offset}-${offset + length - 1}/${info.size}`);
  const status = range === null ? 200 : 206;
  if (request.method === "HEAD") return new Response(null, { status, headers });
  if (found.object === null)
    return new Response(found.body?.subarray(offset, offset + length) ?? null, { status, headers });
  const stored = await gateway.bucket.get(found.object, { range: { offset, length } });
  if (stored === null) throw new S3Error("InternalError", "The content of this object is missing.");
  // A fixed length lets the answer carry Content-Length and fail when the content is cut short.
  return new Response(stored.body.pipeThrough(new FixedLengthStream(length)), { status, headers });
}

export async function putObject(gateway: Gateway, request: Request, key: string): Promise<Response> {
  const onlyIf = writeConditions(request.headers, key, "put");
  const upload = uploadOf(request);
  const target = { key, metadata: metadataOf(request.headers), onlyIf };
  const info =
    upload.length <= INLINE_LIMIT ? await putSmall(gateway, upload, target) : await putLarge(gateway, upload, target);
  return new Response(null, { headers: { etag: `"${info.etag}"` } });
}

interface Target extends Pick<NewObject, "key" | "metadata"> {
  onlyIf: OnlyIf[];
}

async function putSmall(gateway: Gateway, upload: Upload, { key, metadata, onlyIf }: Target): Promise<ObjectInfo> {
  const { bytes, sha256, md5 } = await readWhole(upload);
  const content = { size: bytes.length, sha256, partSize: null, etag: md5, object: null };
  return ask(gateway.vault.put(gateway.actor, { key, content, metadata }, bytes, onlyIf));
}

async function putLarge(gateway: Gateway, upload: Upload, { key, metadata, onlyIf }: Target): Promise<ObjectInfo> {
  await expectToHold(gateway, onlyIf);
  const { objects } = await ask(gateway.vault.reserve(gateway.actor, 1));
  const object = objects[0] as string;
  const { sha256, md5 } = await streamThrough(upload, (content) => gateway.bucket.put(object, content));
  const content = { size: upload.length, sha256, partSize: null, etag: md5, object };
  return ask(gateway.vault.put(gateway.actor, { key, content, metadata }, null, onlyIf));
}

export async function copyObject(gateway: Gateway, request: Request, key: string): Promise<Response> {
  const onlyIf = writeConditions(request.headers, key, "put");
  const source = /^\/?([^/]+)\/(.+)$/s.exec(
    request.headers.get("x-amz-copy-source")?.replace(/\?versionId=.*$/, "") ?? "",
  );
  if (source === null)
    throw new S3Error("InvalidArgument", "Copy Source must mention the source bucket and key: sourcebucket/sourcekey.");
  if (source[1] !== BUCKET) throw new S3Error("NoSuchBucket", "The specified bucket does not exist.");
  const from = decodeKey(source[2] as string);
  const directive = request.headers.get("x-amz-metadata-directive") ?? "COPY";
  if (directive !== "COPY" && directive !== "REPLACE")
    throw new S3Error("InvalidArgument", "Unknown metadata directive.");
  if (directive === "COPY" && from === key) {
    throw new S3Error(
      "InvalidRequest",
      "This copy request is illegal because it is trying to copy an object to itself without changing its metadata.",
    );
  }
  const metadata = directive === "REPLACE" ? metadataOf(request.headers) : null;
  const info = await ask(gateway.vault.copy(gateway.actor, from, key, metadata, onlyIf));
  if (info === null) throw new S3Error("NoSuchKey", "The specified key does not exist.");
  return xml("CopyObjectResult", element("LastModified", isoNanoseconds(info)) + element("ETag", `"${info.etag}"`));
}

export async function deleteObject(gateway: Gateway, request: Request, key: string): Promise<Response> {
  await ask(gateway.vault.remove(gateway.actor, [key], writeConditions(request.headers, key, "delete")));
  return new Response(null, { status: 204 });
}

export async function deleteObjects(gateway: Gateway, request: Request): Promise<Response> {
  const document = await smallDocument(request);
  const objects = [...elements(document, "Object")];
  const keys = objects.map((object) => textOf(object, "Key"));
  if (keys.length === 0 || keys.length > 1000 || keys.some((key) => key === null || key === "")) {
    throw new S3Error(
      "MalformedXML",
      "The XML you provided was not well-formed or did not validate against our published schema.",
    );
  }
  const names = keys as string[];
  await ask(gateway.vault.remove(gateway.actor, names));
  const quiet = textOf(document, "Quiet") === "true";
  return xml("DeleteResult", quiet ? "" : names.map((key) => group("Deleted", element("Key", key))).join(""));
}

/** A request's XML, at most 2 MiB. @throws S3Error `MalformedXML`, `BadDigest` */
export async function smallDocument(request: Request): Promise<string> {
  const limit = 2 * 1024 * 1024;
  if (Number(request.headers.get("content-length") ?? limit) > limit)
    throw new S3Error("MalformedXML", "The document is too large.");
  const bytes = await request.bytes();
  if (bytes.length > limit) throw new S3Error("MalformedXML", "The document is too large.");
  const md5 = request.headers.get("content-md5");
  if (md5 !== null && md5 !== createHash("md5").update(bytes).digest("base64")) {
    throw new S3Error("BadDigest", "The Content-MD5 you specified did not match what we received.");
  }
  return new TextDecoder().decode(bytes);
}

export function metadataOf(headers: Headers): ObjectMetadata {
  const metadata: ObjectMetadata = { headers: {}, user: {} };
  for (const [name, value] of headers) {
    if (name.startsWith("x-amz-meta-")) metadata.user[name.slice("x-amz-meta-".length)] = value;
    else if (KEPT_HEADERS.includes(name)) keepHeader(metadata, name, value);
  }
  return metadata;
}

/** `aws-chunked` says how the upload was framed, not what the object is. */
function keepHeader(metadata: ObjectMetadata, name: string, value: string): void {
  const kept = name === "content-encoding" ? value.replace(/\baws-chunked\b,?\s*/, "") : value;
  if (kept !== "") metadata.headers[name] = kept;
}

function headersOf(info: ObjectInfo, query: URLSearchParams): Headers {
  const headers = new Headers({
    "accept-ranges": "bytes",
    "content-type": "application/octet-stream",
    etag: `"${info.etag}"`,
    "last-modified": httpDate(info.mtimeNs),
  });
  for (const [name, value] of Object.entries(info.metadata.headers)) headers.set(name, value);
  for (const [name, value] of Object.entries(info.metadata.user)) headers.set(`x-amz-meta-${name}`, value);
  for (const name of KEPT_HEADERS) {
    const override = query.get(`response-${name}`);
    if (override !== null) headers.set(name, override);
  }
  return headers;
}
