import type { ListPage, ListQuery } from "../../vault/storage.ts";
import { encodeKey } from "./address.ts";
import { ask, type Gateway } from "./context.ts";
import { S3Error } from "./errors.ts";
import { isoNanoseconds } from "./times.ts";
import { element, group, xml } from "./xml.ts";

type Query = ReadonlyMap<string, string>;

const MOST_KEYS = 1000;
/** Of everything: there is nobody else. */
export const OWNER = element("ID", "boilerhouse") + element("DisplayName", "boilerhouse");

export async function listObjectsV2(gateway: Gateway, query: Query): Promise<Response> {
  const token = query.get("continuation-token");
  const startAfter = query.get("start-after") ?? "";
  const encode = encoderOf(query);
  const owners = flag(query, "fetch-owner");
  const asked = {
    ...common(query),
    ...(token === undefined ? { after: startAfter, afterIsPrefix: false } : decodeToken(token)),
  };
  const page = await ask(gateway.vault.list(gateway.actor, asked));
  return xml(
    "ListBucketResult",
    head(gateway, asked, query, encode) +
      (token === undefined ? "" : element("ContinuationToken", token)) +
      (startAfter === "" ? "" : element("StartAfter", encode(startAfter))) +
      element("KeyCount", page.objects.length + page.prefixes.length) +
      element("IsTruncated", page.next !== null) +
      (page.next === null ? "" : element("NextContinuationToken", encodeToken(page.next))) +
      contents(page, encode, owners),
  );
}

export async function listObjects(gateway: Gateway, query: Query): Promise<Response> {
  const marker = query.get("marker") ?? "";
  const delimiter = query.get("delimiter") ?? "";
  const encode = encoderOf(query);
  // A marker that is a common prefix, as NextMarker may be, stands for everything under it.
  const asked = { ...common(query), after: marker, afterIsPrefix: delimiter !== "" && marker.endsWith(delimiter) };
  const page = await ask(gateway.vault.list(gateway.actor, asked));
  return xml(
    "ListBucketResult",
    head(gateway, asked, query, encode) +
      element("Marker", encode(marker)) +
      element("IsTruncated", page.next !== null) +
      (page.next === null || delimiter === "" ? "" : element("NextMarker", encode(page.next.after))) +
      contents(page, encode, true),
  );
}

export function listBuckets(gateway: Gateway): Response {
  const bucket = group("Bucket", element("Name", gateway.name) + element("CreationDate", "2026-01-01T00:00:00.000Z"));
  return xml("ListAllMyBucketsResult", group("Owner", OWNER) + group("Buckets", bucket));
}

function common(query: Query): Pick<ListQuery, "prefix" | "delimiter" | "limit"> {
  return {
    prefix: query.get("prefix") ?? "",
    delimiter: query.get("delimiter") ?? "",
    limit: count(query, "max-keys", MOST_KEYS),
  };
}

/** How many the client wants at most; never more than `most`, which is also what it gets unasked. @throws S3Error `InvalidArgument` */
export function count(query: Query, name: string, most: number): number {
  const asked = query.get(name);
  if (asked === undefined) return most;
  if (!/^\d{1,10}$/.test(asked) || Number(asked) > 2 ** 31 - 1) {
    throw new S3Error("InvalidArgument", `Argument ${name} must be an integer between 0 and 2147483647`, {
      elements: { ArgumentName: name, ArgumentValue: asked },
    });
  }
  return Math.min(Number(asked), most);
}

/** @throws S3Error `InvalidArgument` */
function flag(query: Query, name: string): boolean {
  const asked = query.get(name) ?? "false";
  if (asked !== "true" && asked !== "false") throw new S3Error("InvalidArgument", `${name} must be true or false.`);
  return asked === "true";
}

function head(gateway: Gateway, asked: ListQuery, query: Query, encode: (key: string) => string): string {
  return (
    element("Name", gateway.name) +
    element("Prefix", encode(asked.prefix)) +
    (asked.delimiter === "" ? "" : element("Delimiter", encode(asked.delimiter))) +
    element("MaxKeys", asked.limit) +
    (query.has("encoding-type") ? element("EncodingType", "url") : "")
  );
}

function contents(page: ListPage, encode: (key: string) => string, owners: boolean): string {
  const objects = page.objects.map((object) =>
    group(
      "Contents",
      element("Key", encode(object.key)) +
        element("LastModified", isoNanoseconds(object)) +
        element("ETag", `"${object.etag}"`) +
        element("Size", object.size) +
        (owners ? group("Owner", OWNER) : "") +
        element("StorageClass", "STANDARD"),
    ),
  );
  const prefixes = page.prefixes.map((prefix) => group("CommonPrefixes", element("Prefix", encode(prefix))));
  return objects.join("") + prefixes.join("");
}

/** @throws S3Error `InvalidArgument` */
export function encoderOf(query: Query): (key: string) => string {
  const type = query.get("encoding-type");
  if (type === undefined) return (key) => key;
  if (type !== "url") throw new S3Error("InvalidArgument", "Invalid Encoding Method specified in Request.");
  return encodeKey;
}

const encodeToken = (next: { after: string; afterIsPrefix: boolean }): string =>
  Buffer.from((next.afterIsPrefix ? "p" : "k") + next.after).toString("base64url");

/** @throws S3Error `InvalidArgument` */
function decodeToken(token: string): { after: string; afterIsPrefix: boolean } {
  const text = Buffer.from(token, "base64url").toString();
  if (!/^[pk]/.test(text) || Buffer.from(text).toString("base64url") !== token) {
    throw new S3Error("InvalidArgument", "The continuation token provided is incorrect.");
  }
  return { after: text.slice(1), afterIsPrefix: text.startsWith("p") };
}
