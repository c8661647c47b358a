import type { ObjectRead, OnlyIf } from "../../vault/storage.ts";
import { decodeKey } from "./address.ts";
import { LARGEST_UPLOAD, pullFrom, type Upload } from "./body.ts";
import { evaluateSource, writeConditions } from "./conditions.ts";
import { ask, type Gateway, reach } from "./context.ts";
import { noSuchKey, S3Error } from "./errors.ts";
import { metadataOf } from "./metadata.ts";
import { checkVersion } from "./operation.ts";
import { isoNanoseconds, milliseconds } from "./times.ts";
import { element, xml } from "./xml.ts";

/** A copy of the whole is a change of the index; metadata and conditions as S3 has them. @throws S3Error */
export async function copyObject(gateway: Gateway, request: Request, key: string): Promise<Response> {
  const { headers } = request;
  const onlyIf = writeConditions(headers, key, "put");
  const from = sourceKey(gateway, headers);
  const directive = headers.get("x-amz-metadata-directive") ?? "COPY";
  if (directive !== "COPY" && directive !== "REPLACE")
    throw new S3Error("InvalidArgument", "Unknown metadata directive.");
  if (directive === "COPY" && from === key) {
    throw new S3Error(
      "InvalidRequest",
      "This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, storage class, website redirect location or encryption attributes.",
    );
  }
  const metadata = directive === "REPLACE" ? metadataOf(headers) : null;
  const unmoved = hasSourceConditions(headers) ? (await checkedSource(gateway, headers, from)).unmoved : [];
  const info = await ask(gateway.vault.copy(gateway.actor, from, key, metadata, [...onlyIf, ...unmoved]));
  if (info === null) throw noSuchKey();
  return xml("CopyObjectResult", element("LastModified", isoNanoseconds(info)) + element("ETag", `"${info.etag}"`));
}

/** The bytes that a part is copied from, as if a client had sent them. @throws S3Error */
export async function copiedPart(
  gateway: Gateway,
  headers: Headers,
): Promise<{ upload: Upload; lastModified: string }> {
  const { found } = await checkedSource(gateway, headers, sourceKey(gateway, headers));
  const { size } = found.info;
  const { offset, length } = sourceRange(headers.get("x-amz-copy-source-range"), size);
  if (length > LARGEST_UPLOAD) {
    throw new S3Error(
      "InvalidRequest",
      `The specified copy source is larger than the maximum allowable size for a copy source: ${LARGEST_UPLOAD}`,
    );
  }
  const stream = await contentStream(gateway, found, offset, length);
  const upload: Upload = { pull: pullFrom(stream, length), length, contentMd5: null, sha256: null, checksum: null };
  return { upload, lastModified: isoNanoseconds(found.info) };
}

/** @throws S3Error `InvalidArgument`, `NoSuchBucket`, `NoSuchVersion` and those of keys */
function sourceKey(gateway: Gateway, headers: Headers): string {
  const source = /^\/?([^/?]+)\/([^?]+)(?:\?versionId=(.*))?$/s.exec(headers.get("x-amz-copy-source") ?? "");
  if (source === null)
    throw new S3Error("InvalidArgument", "Copy Source must mention the source bucket and key: sourcebucket/sourcekey.");
  const [, bucket, key = "", version] = source;
  if (bucket !== gateway.name) throw new S3Error("NoSuchBucket", "The specified bucket does not exist.");
  checkVersion(version);
  // In this header a plus is a space, as in a form.
  return decodeKey(key.replace(/\+/g, "%20"));
}

const hasSourceConditions = (headers: Headers): boolean =>
  [...headers.keys()].some((name) => name.startsWith("x-amz-copy-source-if-"));

/** `unmoved` lets the Vault find out whether it is still what the conditions were compared with. */
async function checkedSource(
  gateway: Gateway,
  headers: Headers,
  key: string,
): Promise<{ found: ObjectRead; unmoved: OnlyIf[] }> {
  const found = await ask(gateway.vault.read(gateway.actor, key));
  if (found === null) throw noSuchKey();
  evaluateSource(headers, { etag: found.info.etag, modifiedAt: milliseconds(found.info.mtimeNs) });
  return { found, unmoved: [{ key, is: [found.info.etag] }] };
}

/** Unlike that of a read, it names both ends and lies within the source. @throws S3Error `InvalidArgument` */
function sourceRange(header: string | null, size: number): { offset: number; length: number } {
  if (header === null) return { offset: 0, length: size };
  const match = /^bytes=(\d{1,15})-(\d{1,15})$/.exec(header);
  const [first, last] = [Number(match?.[1]), Number(match?.[2])];
  if (match === null || last < first) {
    throw new S3Error(
      "InvalidArgument",
      "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the zero-based offsets of the first and last bytes to copy",
    );
  }
  if (last >= size)
    throw new S3Error("InvalidArgument", `Range specified is not valid for source object of size: ${size}`);
  return { offset: first, length: last - first + 1 };
}

async function contentStream(
  gateway: Gateway,
  { body, object }: ObjectRead,
  offset: number,
  length: number,
): Promise<ReadableStream<Uint8Array> | null> {
  if (length === 0) return null;
  if (object === null) return new Response(body?.subarray(offset, offset + length) ?? null).body;
  const stored = await reach(gateway.bucket.get(object, { range: { offset, length } }));
  if (stored === null) throw new S3Error("InternalError", "The content of this object is missing.");
  return stored.body;
}
