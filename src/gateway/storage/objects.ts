import { INLINE_LIMIT, type NewObject, type ObjectInfo, type OnlyIf } from "../../vault/storage.ts";
import { type Upload, uploadOf } from "./body.ts";
import { evaluate, rangeHolds, rangeOf, writeConditions } from "./conditions.ts";
import { ask, expectToHold, type Gateway, reach } from "./context.ts";
import { noSuchKey, S3Error } from "./errors.ts";
import { headersOf, metadataOf } from "./metadata.ts";
import { milliseconds } from "./times.ts";
import { type Digests, readWhole, streamThrough } from "./transfer.ts";
import { xml } from "./xml.ts";

export async function getObject(
  gateway: Gateway,
  request: Request,
  key: string,
  query: ReadonlyMap<string, string>,
): Promise<Response> {
  const found = await ask(gateway.vault.read(gateway.actor, key));
  if (found === null) throw noSuchKey();
  const { info } = found;
  const headers = headersOf(info, query);
  // What an object is encoded in is its own affair: the platform would encode it once more.
  const encodeBody = "manual";
  const validators = { etag: info.etag, modifiedAt: milliseconds(info.mtimeNs) };
  if (evaluate(request.headers, validators) === "not_modified") return new Response(null, { status: 304, headers });
  const range = rangeHolds(request.headers, validators) ? rangeOf(request.headers.get("range"), info.size) : null;
  const { offset, length } = range ?? { offset: 0, length: info.size };
  headers.set("content-length", String(length));
  if (range !== null) headers.set("content-range", `bytes ${offset}-${offset + length - 1}/${info.size}`);
  const status = range === null ? 200 : 206;
  if (request.method === "HEAD") return new Response(null, { status, headers, encodeBody });
  if (found.object === null)
    return new Response(found.body?.subarray(offset, offset + length) ?? null, { status, headers, encodeBody });
  const stored = await reach(gateway.bucket.get(found.object, { range: { offset, length } }));
  if (stored === null) throw new S3Error("InternalError", "The content of this object is missing.");
  // A fixed length lets the answer carry Content-Length and fail when the content is cut short.
  return new Response(stored.body.pipeThrough(new FixedLengthStream(length)), { status, headers, encodeBody });
}

/** Objects here have no tags; clients that copy one ask for them first. */
export async function getObjectTagging(gateway: Gateway, key: string): Promise<Response> {
  if ((await ask(gateway.vault.read(gateway.actor, key))) === null) throw noSuchKey();
  return xml("Tagging", "<TagSet/>");
}

export async function putObject(gateway: Gateway, request: Request, key: string): Promise<Response> {
  const onlyIf = writeConditions(request.headers, key, "put");
  const upload = uploadOf(request);
  const target = { key, metadata: metadataOf(request.headers), onlyIf };
  const { info, digests } =
    upload.length <= INLINE_LIMIT ? await putSmall(gateway, upload, target) : await putLarge(gateway, upload, target);
  return new Response(null, { headers: storedHeaders(info.etag, digests) });
}

/** What an upload is answered with: its entity tag, and the checksum that was compared. */
export function storedHeaders(etag: string, { checksum }: Pick<Digests, "checksum">): Headers {
  const headers = new Headers({ etag: `"${etag}"` });
  if (checksum !== null) headers.set(checksum.header, checksum.value);
  return headers;
}

interface Target extends Pick<NewObject, "key" | "metadata"> {
  onlyIf: OnlyIf[];
}
interface Put {
  info: ObjectInfo;
  digests: Digests;
}

async function putSmall(gateway: Gateway, upload: Upload, { key, metadata, onlyIf }: Target): Promise<Put> {
  const { bytes, ...digests } = await readWhole(upload);
  const content = { size: bytes.length, sha256: digests.sha256, partSize: null, etag: digests.md5, object: null };
  const info = await ask(gateway.vault.put(gateway.actor, { key, content, metadata }, bytes, onlyIf));
  return { info, digests };
}

async function putLarge(gateway: Gateway, upload: Upload, { key, metadata, onlyIf }: Target): Promise<Put> {
  await expectToHold(gateway, onlyIf);
  const { objects } = await ask(gateway.vault.reserve(gateway.actor, 1));
  const object = objects[0] as string;
  const digests = await streamThrough(upload, (content) => gateway.bucket.put(object, content));
  const content = { size: upload.length, sha256: digests.sha256, partSize: null, etag: digests.md5, object };
  const info = await ask(gateway.vault.put(gateway.actor, { key, content, metadata }, null, onlyIf));
  return { info, digests };
}

export async function deleteObject(gateway: Gateway, request: Request, key: string): Promise<Response> {
  await ask(gateway.vault.remove(gateway.actor, [key], writeConditions(request.headers, key, "delete")));
  return new Response(null, { status: 204 });
}
