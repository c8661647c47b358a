import type { NewUpload, UploadPart } from "../../vault/storage.ts";
import { pullFrom, type Upload, uploadOf } from "./body.ts";
import { type Announced, algorithmNamed, announcedBy, compareChecksum, newChecksum } from "./checksum.ts";
import { writeConditions } from "./conditions.ts";
import { ask, expectToHold, type Gateway, reach } from "./context.ts";
import { copiedPart } from "./copy.ts";
import { S3Error } from "./errors.ts";
import { metadataOf } from "./metadata.ts";
import { storedHeaders } from "./objects.ts";
import { chosenParts, compose, wantedParts } from "./parts.ts";
import { type Digests, readDocument, streamThrough } from "./transfer.ts";
import { element, xml } from "./xml.ts";

/** A part of an upload that is under way. */
export interface PartAddress {
  key: string;
  uploadId: string;
  partNumber: number;
}

/** Ten thousand parts with their tags and checksums. */
const LARGEST_DOCUMENT = 4 * 1024 * 1024;

/** The upload's id is the last part of the R2 key that was reserved for it; it means nothing in another tenant's vault. */
export async function createMultipartUpload(gateway: Gateway, request: Request, key: string): Promise<Response> {
  const metadata = metadataOf(request.headers);
  const algorithm = request.headers.get("x-amz-checksum-algorithm");
  const headers = new Headers();
  // Which checksum the parts will carry; each is compared when it comes.
  if (algorithm !== null) headers.set("x-amz-checksum-algorithm", algorithmNamed(algorithm).toUpperCase());
  const { objects } = await ask(gateway.vault.reserve(gateway.actor, 1));
  const object = objects[0] as string;
  const { uploadId: r2UploadId } = await reach(gateway.bucket.createMultipartUpload(object));
  await ask(gateway.vault.beginUpload(gateway.actor, { object, key, r2UploadId, metadata }));
  const answer = xml(
    "InitiateMultipartUploadResult",
    element("Bucket", gateway.name) + element("Key", key) + element("UploadId", uploadIdOf(object)),
  );
  for (const [name, value] of headers) answer.headers.set(name, value);
  return answer;
}

export async function uploadPart(gateway: Gateway, request: Request, address: PartAddress): Promise<Response> {
  const found = await uploadFor(gateway, address.key, address.uploadId);
  const digests = await storePart(gateway, found, address.partNumber, uploadOf(request));
  return new Response(null, { headers: storedHeaders(digests.md5, digests) });
}

export async function uploadPartCopy(gateway: Gateway, request: Request, address: PartAddress): Promise<Response> {
  const found = await uploadFor(gateway, address.key, address.uploadId);
  const { upload, lastModified } = await copiedPart(gateway, request.headers);
  const { md5 } = await storePart(gateway, found, address.partNumber, upload);
  return xml("CopyPartResult", element("LastModified", lastModified) + element("ETag", `"${md5}"`));
}

async function storePart(gateway: Gateway, found: NewUpload, number: number, upload: Upload): Promise<Digests> {
  const target = gateway.bucket.resumeMultipartUpload(found.object, found.r2UploadId);
  const { stored, ...digests } = await streamThrough(upload, (content) => target.uploadPart(number, content));
  const { sha256, md5 } = digests;
  const part: UploadPart = { number, size: upload.length, sha256, md5, r2Etag: stored.etag };
  await ask(gateway.vault.putPart(gateway.actor, found.object, part));
  return digests;
}

export async function completeMultipartUpload(
  gateway: Gateway,
  request: Request,
  key: string,
  uploadId: string,
): Promise<Response> {
  const { headers } = request;
  const onlyIf = writeConditions(headers, key, "put");
  const wanted = wantedParts(await documentOf(request));
  const found = await uploadFor(gateway, key, uploadId);
  await expectToHold(gateway, onlyIf);
  const parts = chosenParts(wanted, await ask(gateway.vault.parts(gateway.actor, found.object)));
  const content = compose(parts, found.object);
  checkSize(headers, content.size);
  const whole = announcedBy(headers, false);
  const target = gateway.bucket.resumeMultipartUpload(found.object, found.r2UploadId);
  await reach(target.complete(parts.map((part) => ({ partNumber: part.number, etag: part.r2Etag }))));
  if (whole !== null) await compareWhole(gateway, whole, found.object);
  const info = await ask(gateway.vault.put(gateway.actor, { key, content, metadata: found.metadata }, null, onlyIf));
  const location = element("Location", `http://sink.internal/${gateway.name}/${encodeURIComponent(key)}`);
  return xml(
    "CompleteMultipartUploadResult",
    location + element("Bucket", gateway.name) + element("Key", key) + element("ETag", `"${info.etag}"`),
  );
}

/** Here a checksum header is of the object, not of the document. @throws S3Error */
function documentOf(request: Request): Promise<string> {
  const headers = new Headers([...request.headers].filter(([name]) => !/^x-amz-(checksum-|sdk-checksum-)/.test(name)));
  return readDocument(new Request(request, { headers }), LARGEST_DOCUMENT);
}

/** @throws S3Error `InvalidRequest` */
function checkSize(headers: Headers, size: number): void {
  const expected = headers.get("x-amz-mp-object-size");
  if (expected !== null && expected !== String(size)) {
    throw new S3Error(
      "InvalidRequest",
      `The provided 'x-amz-mp-object-size' header value ${expected} does not match what was computed: ${size}`,
    );
  }
}

/**
 * A checksum of the whole object, which no part alone can show, is compared with what R2 now holds.
 * @throws S3Error `BadDigest`, after which the upload is gone
 */
async function compareWhole(gateway: Gateway, { algorithm, value }: Announced, object: string): Promise<void> {
  const stored = await reach(gateway.bucket.get(object));
  if (stored === null) throw new S3Error("InternalError", "The content of this upload is missing.");
  const checksum = newChecksum(algorithm);
  const pull = pullFrom(stored.body);
  for (let chunk = await pull(); chunk !== null; chunk = await pull()) checksum.update(chunk);
  try {
    compareChecksum(algorithm, value ?? "", checksum.digest().toString("base64"));
  } catch (error) {
    await ask(gateway.vault.dropUpload(gateway.actor, object));
    throw error;
  }
}

export async function abortMultipartUpload(gateway: Gateway, key: string, uploadId: string): Promise<Response> {
  const found = await uploadFor(gateway, key, uploadId);
  await reach(gateway.bucket.resumeMultipartUpload(found.object, found.r2UploadId).abort());
  await ask(gateway.vault.dropUpload(gateway.actor, found.object));
  return new Response(null, { status: 204 });
}

export const uploadIdOf = (object: string): string => object.slice(object.lastIndexOf("/") + 1);

/** @throws S3Error `NoSuchUpload`, also for an upload of an earlier save or of another key */
export async function uploadFor(gateway: Gateway, key: string, uploadId: string): Promise<NewUpload> {
  const found = /^[0-9a-f-]{36}$/.test(uploadId)
    ? await ask(gateway.vault.upload(gateway.actor, gateway.objectPrefix + uploadId))
    : null;
  if (found === null || found.key !== key) {
    throw new S3Error(
      "NoSuchUpload",
      "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed.",
    );
  }
  return found;
}
