import type { ObjectInfo, ObjectMetadata } from "../../vault/storage.ts";
import { S3Error } from "./errors.ts";
import { httpDate } from "./times.ts";

/** Headers that an object carries from its upload to its download. */
const KEPT_HEADERS = [
  "content-type",
  "cache-control",
  "content-disposition",
  "content-encoding",
  "content-language",
  "expires",
];

const USER = "x-amz-meta-";
/** Bytes of all names and values of user metadata together. */
const MOST_USER_METADATA = 2048;

/** @throws S3Error `MetadataTooLarge` */
export function metadataOf(headers: Headers): ObjectMetadata {
  const metadata: ObjectMetadata = { headers: {}, user: {} };
  let size = 0;
  for (const [name, value] of headers) {
    if (name.startsWith(USER)) {
      metadata.user[name.slice(USER.length)] = value;
      size += Buffer.byteLength(name) - USER.length + Buffer.byteLength(value);
    } else if (KEPT_HEADERS.includes(name)) keepHeader(metadata, name, value);
  }
  if (size > MOST_USER_METADATA) {
    throw new S3Error("MetadataTooLarge", "Your metadata headers exceed the maximum allowed metadata size.", {
      elements: { Size: size, MaxSizeAllowed: MOST_USER_METADATA },
    });
  }
  return metadata;
}

/** `aws-chunked` says how the upload was framed, not what the object is. */
function keepHeader(metadata: ObjectMetadata, name: string, value: string): void {
  const codings = value.split(",").map((coding) => coding.trim());
  const kept = name === "content-encoding" ? codings.filter((coding) => coding !== "aws-chunked").join(",") : value;
  if (kept !== "") metadata.headers[name] = kept;
}

export function headersOf(info: ObjectInfo, query: ReadonlyMap<string, string>): Headers {
  const headers = new Headers({
    "accept-ranges": "bytes",
    "content-type": "binary/octet-stream",
    etag: `"${info.etag}"`,
    "last-modified": httpDate(info.mtimeNs),
  });
  for (const [name, value] of Object.entries(info.metadata.headers)) headers.set(name, value);
  for (const [name, value] of Object.entries(info.metadata.user)) headers.set(USER + name, value);
  for (const name of KEPT_HEADERS) {
    const override = query.get(`response-${name}`);
    if (override !== undefined) headers.set(name, override);
  }
  return headers;
}

/** Headers that ask for what is not kept here: refused rather than ignored, since what they ask for would silently not happen. */
const REFUSED: [
  pattern: RegExp,
  accepted: (value: string) => boolean,
  code: "NotImplemented" | "InvalidStorageClass" | "AccessControlListNotSupported",
][] = [
  [/^x-amz-storage-class$/, (value) => value === "STANDARD", "InvalidStorageClass"],
  // What an object has anyway: nobody but the container's root reaches it.
  [
    /^x-amz-acl$/,
    (value) => value === "private" || value === "bucket-owner-full-control",
    "AccessControlListNotSupported",
  ],
  [/^x-amz-grant-/, () => false, "AccessControlListNotSupported"],
  // R2 and Durable Objects are encrypted at rest with AES-256.
  [/^x-amz-server-side-encryption$/, (value) => value === "AES256", "NotImplemented"],
  [
    /^x-amz-(copy-source-)?server-side-encryption-(customer-.*|aws-kms-key-id|context|bucket-key-enabled)$/,
    () => false,
    "NotImplemented",
  ],
  [/^x-amz-tagging$/, (value) => value === "", "NotImplemented"],
  [/^x-amz-(website-redirect-location|write-offset-bytes|object-lock-.*)$/, () => false, "NotImplemented"],
  [/^x-amz-(source-)?expected-bucket-owner$/, () => false, "NotImplemented"],
];

/** @throws S3Error */
export function refuseUnkept(headers: Headers): void {
  for (const [name, value] of headers) {
    if (!name.startsWith("x-amz-")) continue;
    const refusal = REFUSED.find(([pattern, accepted]) => pattern.test(name) && !accepted(value));
    if (refusal !== undefined) throw new S3Error(refusal[2], `${name}: ${value} is not supported.`);
  }
}
