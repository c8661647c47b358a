import type { ListedObject, ListPage, ListQuery } from "../../vault/storage.ts";
import { ask, type Gateway } from "./context.ts";
import { S3Error } from "./errors.ts";
import { BUCKET, encodeKey } from "./operation.ts";
import { element, group, xmlDocument } from "./xml.ts";

const MOST_KEYS = 1000;

export async function listObjectsV2(gateway: Gateway, query: URLSearchParams): Promise<Response> {
  const token = query.get("continuation-token");
  const startAfter = query.get("start-after") ?? "";
  const asked = {
    ...common(query),
    ...(token === null ? { after: startAfter, afterIsPrefix: false } : decodeToken(token)),
  };
  const page = await ask(gateway.vault.list(gateway.actor, asked));
  const encode = encoderOf(query);
  return xml(
    "ListBucketResult",
    head(asked, query, encode) +
      (token === null ? "" : element("ContinuationToken", token)) +
      (startAfter === "" ? "" : element("StartAfter", encode(startAfter))) +
      element("KeyCount", page.objects.length + page.prefixes.length) +
      element("IsTruncated", page.next !== null) +
      (page.next === null ? "" : element("NextContinuationToken", encodeToken(page.next))) +
      contents(page, encode),
  );
}

export async function listObjects(gateway: Gateway, query: URLSearchParams): Promise<Response> {
  const marker = query.get("marker") ?? "";
  const delimiter = query.get("delimiter") ?? "";
  // A marker that is a common prefix, as NextMarker may be, stands for everything under it.
  const asked = { ...common(query), after: marker, afterIsPrefix: delimiter !== "" && marker.endsWith(delimiter) };
  const page = await ask(gateway.vault.list(gateway.actor, asked));
  const encode = encoderOf(query);
  return xml(
    "ListBucketResult",
    head(asked, query, encode) +
      element("Marker", encode(marker)) +
      element("IsTruncated", page.next !== null) +
      (page.next === null || delimiter === "" ? "" : element("NextMarker", encode(page.next.after))) +
      contents(page, encode),
  );
}

export function listBuckets(): Response {
  const bucket = group("Bucket", element("Name", BUCKET) + element("CreationDate", "2026-01-01T00:00:00.000Z"));
  const owner = group("Owner", element("ID", "boilerhouse") + element("DisplayName", "boilerhouse"));
  return xml("ListAllMyBucketsResult", owner + group("Buckets", bucket));
}

export const xml = (root: string, content: string): Response =>
  new Response(xmlDocument(root, content), { headers: { "content-type": "application/xml" } });

function common(query: URLSearchParams): Pick<ListQuery, "prefix" | "delimiter" | "limit"> {
  const asked = query.get("max-keys");
  const limit = asked === null ? MOST_KEYS : Number(asked);
  if (!Number.isInteger(limit) || limit < 0 || asked === "")
    throw new S3Error("InvalidArgument", "max-keys must be a whole number.");
  return {
    prefix: query.get("prefix") ?? "",
    delimiter: query.get("delimiter") ?? "",
    limit: Math.min(limit, MOST_KEYS),
  };
}

function head(asked: ListQuery, query: URLSearchParams, encode: (key: string) => string): string {
  return (
    element("Name", BUCKET) +
    element("Prefix", encode(asked.prefix)) +
    (asked.delimiter === "" ? "" : element("Delimiter", encode(asked.delimiter))) +
    element("MaxKeys", asked.limit) +
    (query.get("encoding-type") === "url" ? element("EncodingType", "url") : "")
  );
}

function contents(page: ListPage, encode: (key: string) => string): string {
  const objects = page.objects.map((object) =>
    group(
      "Contents",
      element("Key", encode(object.key)) +
        element("LastModified", isoNanoseconds(object)) +
        element("ETag", `"${object.etag}"`) +
        element("Size", object.size) +
        element("StorageClass", "STANDARD"),
    ),
  );
  const prefixes = page.prefixes.map((prefix) => group("CommonPrefixes", element("Prefix", encode(prefix))));
  return objects.join("") + prefixes.join("");
}

/** @throws S3Error `InvalidArgument` */
function encoderOf(query: URLSearchParams): (key: string) => string {
  const type = query.get("encoding-type");
  if (type === null || type === "") return (key) => key;
  if (type !== "url") throw new S3Error("InvalidArgument", "Invalid Encoding Method specified in Request.");
  return encodeKey;
}

/** The file's own mod-time to the nanosecond: with `--use-server-modtime` an unchanged tree then needs no HEAD (design §4). */
export function isoNanoseconds({ mtimeNs }: Pick<ListedObject, "mtimeNs">): string {
  const { ms, fraction } = splitTime(mtimeNs);
  return `${new Date(ms).toISOString().slice(0, 19)}.${fraction}Z`;
}

/** For `Last-Modified` and conditions. */
export const httpDate = (mtimeNs: string): string => new Date(splitTime(mtimeNs).ms).toUTCString();
export const milliseconds = (mtimeNs: string): number => splitTime(mtimeNs).ms;

function splitTime(mtimeNs: string): { ms: number; fraction: string } {
  const ns = BigInt(mtimeNs);
  const second = 1_000_000_000n;
  const fraction = ((ns % second) + second) % second;
  // S3 dates have four digits of year; a stranger time is listed as the last or first of them.
  const seconds = Math.min(Math.max(Number((ns - fraction) / second), -62_135_596_800), 253_402_300_799);
  return { ms: seconds * 1000, fraction: String(fraction).padStart(9, "0") };
}

const encodeToken = (next: { after: string; afterIsPrefix: boolean }): string =>
  Buffer.from((next.afterIsPrefix ? "p" : "k") + next.after).toString("base64url");

function decodeToken(token: string): { after: string; afterIsPrefix: boolean } {
  const text = Buffer.from(token, "base64url").toString();
  if (!/^[pk]/.test(text)) throw new S3Error("InvalidArgument", "The continuation token provided is incorrect.");
  return { after: text.slice(1), afterIsPrefix: text.startsWith("p") };
}
