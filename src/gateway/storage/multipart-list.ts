import type { OpenUpload } from "../../vault/storage.ts";
import { ask, type Gateway } from "./context.ts";
import { count, encoderOf, OWNER } from "./list.ts";
import { uploadFor, uploadIdOf } from "./multipart.ts";
import { isoNanoseconds } from "./times.ts";
import { element, group, xml } from "./xml.ts";

type Query = ReadonlyMap<string, string>;

const MOST = 1000;
const STORED_BY = group("Initiator", OWNER) + group("Owner", OWNER) + element("StorageClass", "STANDARD");

export async function listParts(gateway: Gateway, query: Query, key: string, uploadId: string): Promise<Response> {
  const limit = count(query, "max-parts", MOST);
  const marker = query.has("part-number-marker") ? count(query, "part-number-marker", 10_000) : 0;
  const encode = encoderOf(query);
  const found = await uploadFor(gateway, key, uploadId);
  const begun = (await ask(gateway.vault.uploads(gateway.actor))).find((upload) => upload.object === found.object);
  const rest = (await ask(gateway.vault.parts(gateway.actor, found.object))).filter((part) => part.number > marker);
  const page = rest.slice(0, limit);
  // When a part came is not kept; none is older than its upload.
  const at = timeOf(begun?.at ?? 0);
  const listed = page.map((part) =>
    group(
      "Part",
      element("PartNumber", part.number) +
        element("LastModified", at) +
        element("ETag", `"${part.md5}"`) +
        element("Size", part.size),
    ),
  );
  return xml(
    "ListPartsResult",
    element("Bucket", gateway.name) +
      element("Key", encode(key)) +
      element("UploadId", uploadId) +
      STORED_BY +
      element("PartNumberMarker", marker) +
      element("NextPartNumberMarker", page.at(-1)?.number ?? 0) +
      element("MaxParts", limit) +
      element("IsTruncated", rest.length > page.length) +
      (query.has("encoding-type") ? element("EncodingType", "url") : "") +
      listed.join(""),
  );
}

/** The uploads of the save that is open: others can no longer be completed. */
export async function listMultipartUploads(gateway: Gateway, query: Query): Promise<Response> {
  const limit = count(query, "max-uploads", MOST);
  const [prefix, delimiter] = [query.get("prefix") ?? "", query.get("delimiter") ?? ""];
  const [keyMarker, idMarker] = [query.get("key-marker") ?? "", query.get("upload-id-marker") ?? ""];
  const encode = encoderOf(query);
  const all = await ask(gateway.vault.uploads(gateway.actor));
  const rows = rollUp(behind(all, keyMarker, idMarker), prefix, delimiter);
  const page = rows.slice(0, limit);
  const last = page.at(-1);
  const truncated = rows.length > page.length && limit > 0;
  return xml(
    "ListMultipartUploadsResult",
    element("Bucket", gateway.name) +
      element("KeyMarker", encode(keyMarker)) +
      element("UploadIdMarker", idMarker) +
      (truncated && last !== undefined
        ? element("NextKeyMarker", encode(last.key)) +
          element("NextUploadIdMarker", last.upload === null ? "" : uploadIdOf(last.upload.object))
        : "") +
      element("Prefix", encode(prefix)) +
      (delimiter === "" ? "" : element("Delimiter", encode(delimiter))) +
      element("MaxUploads", limit) +
      element("IsTruncated", truncated) +
      (query.has("encoding-type") ? element("EncodingType", "url") : "") +
      page.map((row) => rowXml(row, encode)).join(""),
  );
}

/** An upload, or with a null upload a common prefix of several. */
interface Row {
  key: string;
  upload: OpenUpload | null;
}

/** A marker alone means the keys after it; with an upload's id also the uploads of its own key that come after that one. */
function behind(uploads: readonly OpenUpload[], key: string, id: string): OpenUpload[] {
  if (key === "") return [...uploads];
  const at = id === "" ? -1 : uploads.findIndex((upload) => upload.key === key && uploadIdOf(upload.object) === id);
  if (at >= 0) return uploads.slice(at + 1);
  return uploads.filter((upload) => Buffer.compare(Buffer.from(upload.key), Buffer.from(key)) > 0);
}

function rollUp(uploads: readonly OpenUpload[], prefix: string, delimiter: string): Row[] {
  const rows: Row[] = [];
  for (const upload of uploads) {
    if (!upload.key.startsWith(prefix)) continue;
    const cut = delimiter === "" ? -1 : upload.key.indexOf(delimiter, prefix.length);
    if (cut === -1) rows.push({ key: upload.key, upload });
    else {
      const common = upload.key.slice(0, cut + delimiter.length);
      if (rows.at(-1)?.key !== common) rows.push({ key: common, upload: null });
    }
  }
  return rows;
}

function rowXml({ key, upload }: Row, encode: (key: string) => string): string {
  if (upload === null) return group("CommonPrefixes", element("Prefix", encode(key)));
  const ids = element("Key", encode(key)) + element("UploadId", uploadIdOf(upload.object));
  return group("Upload", ids + STORED_BY + element("Initiated", timeOf(upload.at)));
}

const timeOf = (ms: number): string => isoNanoseconds({ mtimeNs: `${ms}000000` });
