import { createHash } from "node:crypto";
import type { ContentRef, NewUpload, UploadPart } from "../../vault/storage.ts";
import { streamThrough, uploadOf } from "./body.ts";
import { writeConditions } from "./conditions.ts";
import { ask, expectToHold, type Gateway } from "./context.ts";
import { S3Error } from "./errors.ts";
import { xml } from "./list.ts";
import { metadataOf, smallDocument } from "./objects.ts";
import { BUCKET } from "./operation.ts";
import { element, elements, group, textOf } from "./xml.ts";

const SMALLEST_PART = 5 * 1024 * 1024;

/** The upload's id is the last part of the R2 key that was reserved for it; it means nothing in another tenant's vault. */
export async function createMultipartUpload(gateway: Gateway, request: Request, key: string): Promise<Response> {
  const { objects } = await ask(gateway.vault.reserve(gateway.actor, 1));
  const object = objects[0] as string;
  const { uploadId: r2UploadId } = await gateway.bucket.createMultipartUpload(object);
  await ask(
    gateway.vault.beginUpload(gateway.actor, { object, key, r2UploadId, metadata: metadataOf(request.headers) }),
  );
  const uploadId = object.slice(object.lastIndexOf("/") + 1);
  return xml(
    "InitiateMultipartUploadResult",
    element("Bucket", BUCKET) + element("Key", key) + element("UploadId", uploadId),
  );
}

export async function uploadPart(
  gateway: Gateway,
  request: Request,
  key: string,
  uploadId: string,
  number: number,
): Promise<Response> {
  const found = await uploadFor(gateway, key, uploadId);
  const upload = uploadOf(request);
  const target = gateway.bucket.resumeMultipartUpload(found.object, found.r2UploadId);
  const { sha256, md5, stored } = await streamThrough(upload, (content) => target.uploadPart(number, content));
  const part: UploadPart = { number, size: upload.length, sha256, md5, r2Etag: stored.etag };
  await ask(gateway.vault.putPart(gateway.actor, found.object, part));
  return new Response(null, { headers: { etag: `"${md5}"` } });
}

export async function completeMultipartUpload(
  gateway: Gateway,
  request: Request,
  key: string,
  uploadId: string,
): Promise<Response> {
  const onlyIf = writeConditions(request.headers, key, "put");
  const wanted = wantedParts(await smallDocument(request));
  const found = await uploadFor(gateway, key, uploadId);
  await expectToHold(gateway, onlyIf);
  const parts = chosenParts(wanted, await ask(gateway.vault.parts(gateway.actor, found.object)));
  const target = gateway.bucket.resumeMultipartUpload(found.object, found.r2UploadId);
  await target.complete(parts.map((part) => ({ partNumber: part.number, etag: part.r2Etag })));
  const content = compose(parts, found.object);
  const info = await ask(gateway.vault.put(gateway.actor, { key, content, metadata: found.metadata }, null, onlyIf));
  const location = element("Location", `http://sink.internal/${BUCKET}/${encodeURIComponent(key)}`);
  return xml(
    "CompleteMultipartUploadResult",
    location + element("Bucket", BUCKET) + element("Key", key) + element("ETag", `"${info.etag}"`),
  );
}

export async function abortMultipartUpload(gateway: Gateway, key: string, uploadId: string): Promise<Response> {
  const found = await uploadFor(gateway, key, uploadId);
  await gateway.bucket.resumeMultipartUpload(found.object, found.r2UploadId).abort();
  await ask(gateway.vault.dropUpload(gateway.actor, found.object));
  return new Response(null, { status: 204 });
}

export async function listParts(
  gateway: Gateway,
  query: URLSearchParams,
  key: string,
  uploadId: string,
): Promise<Response> {
  const found = await uploadFor(gateway, key, uploadId);
  const marker = Number(query.get("part-number-marker") ?? 0);
  const limit = Math.min(Number(query.get("max-parts") ?? 1000), 1000);
  if (!Number.isInteger(marker) || !Number.isInteger(limit) || limit < 0)
    throw new S3Error("InvalidArgument", "max-parts must be a whole number.");
  const rest = (await ask(gateway.vault.parts(gateway.actor, found.object))).filter((part) => part.number > marker);
  const page = rest.slice(0, limit);
  const listed = page.map((part) =>
    group("Part", element("PartNumber", part.number) + element("ETag", `"${part.md5}"`) + element("Size", part.size)),
  );
  return xml(
    "ListPartsResult",
    element("Bucket", BUCKET) +
      element("Key", key) +
      element("UploadId", uploadId) +
      element("PartNumberMarker", marker) +
      element("NextPartNumberMarker", page.at(-1)?.number ?? 0) +
      element("MaxParts", limit) +
      element("IsTruncated", rest.length > page.length) +
      listed.join(""),
  );
}

/** @throws S3Error `NoSuchUpload`, also for an upload of an earlier save or of another key */
async function uploadFor(gateway: Gateway, key: string, uploadId: string): Promise<NewUpload> {
  const found = /^[0-9a-f-]{36}$/.test(uploadId)
    ? await ask(gateway.vault.upload(gateway.actor, `tenants/${gateway.tenantId}/objects/${uploadId}`))
    : null;
  if (found === null || found.key !== key) {
    throw new S3Error(
      "NoSuchUpload",
      "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed.",
    );
  }
  return found;
}

interface WantedPart {
  number: number;
  etag: string;
}

/** @throws S3Error `MalformedXML`, `InvalidPartOrder` */
function wantedParts(document: string): WantedPart[] {
  const parts = [...elements(document, "Part")].map((part) => ({
    number: Number(textOf(part, "PartNumber") ?? Number.NaN),
    etag: (textOf(part, "ETag") ?? "").replace(/^"|"$/g, ""),
  }));
  if (parts.length === 0 || parts.some((part) => !Number.isInteger(part.number))) {
    throw new S3Error(
      "MalformedXML",
      "The XML you provided was not well-formed or did not validate against our published schema.",
    );
  }
  if (parts.some((part, i) => i > 0 && part.number <= (parts[i - 1]?.number ?? 0))) {
    throw new S3Error("InvalidPartOrder", "The list of parts was not in ascending order.");
  }
  return parts;
}

/** @throws S3Error `InvalidPart`, `EntityTooSmall` */
export function chosenParts(wanted: readonly WantedPart[], arrived: readonly UploadPart[]): UploadPart[] {
  const byNumber = new Map(arrived.map((part) => [part.number, part]));
  const chosen = wanted.map(({ number, etag }) => {
    const part = byNumber.get(number);
    if (part === undefined || part.md5 !== etag)
      throw new S3Error("InvalidPart", `Part ${number} was not uploaded, or has another entity tag.`);
    return part;
  });
  const body = chosen.slice(0, -1);
  if (body.some((part) => part.size < SMALLEST_PART))
    throw new S3Error("EntityTooSmall", "Your proposed upload is smaller than the minimum allowed size.");
  // R2 demands it, and the verification of a restore counts on it (docs/container.md, `parts`).
  const size = chosen[0]?.size ?? 0;
  if (body.some((part) => part.size !== size) || (chosen.at(-1)?.size ?? 0) > size) {
    throw new S3Error("InvalidPart", "All parts but the last must have the same size.");
  }
  return chosen;
}

/** One content out of its parts: SHA-256 over the parts' hex SHA-256 values, each with a newline; the entity tag as S3 makes it. */
export function compose(parts: readonly UploadPart[], object: string): ContentRef {
  const size = parts.reduce((sum, part) => sum + part.size, 0);
  const md5s = createHash("md5");
  for (const part of parts) md5s.update(Buffer.from(part.md5, "hex"));
  const etag = `${md5s.digest("hex")}-${parts.length}`;
  const [first] = parts;
  if (first !== undefined && parts.length === 1) return { size, sha256: first.sha256, partSize: null, etag, object };
  const sha256 = createHash("sha256").update(parts.map((part) => `${part.sha256}\n`).join(""));
  return { size, sha256: sha256.digest("hex"), partSize: first?.size ?? null, etag, object };
}
