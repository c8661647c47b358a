import type { Address } from "./address.ts";
import { S3Error } from "./errors.ts";

/** What a request asks for; decided from method, address and headers alone, before anything is read. */
export type Operation =
  | { name: "SaveBundle" }
  | { name: "RestoreBundle"; generation: number }
  | { name: "ListBuckets" }
  | {
      name:
        | "HeadBucket"
        | "GetBucketLocation"
        | "ListObjects"
        | "ListObjectsV2"
        | "ListMultipartUploads"
        | "DeleteObjects";
    }
  | {
      name:
        | "GetObject"
        | "HeadObject"
        | "GetObjectTagging"
        | "PutObject"
        | "CopyObject"
        | "DeleteObject"
        | "CreateMultipartUpload";
      key: string;
    }
  | { name: "CompleteMultipartUpload" | "AbortMultipartUpload" | "ListParts"; key: string; uploadId: string }
  | { name: "UploadPart" | "UploadPartCopy"; key: string; uploadId: string; partNumber: number };

const OVERRIDES = ["type", "language", "expires", "cache-control", "disposition", "encoding"].map((name) =>
  name === "expires" || name === "cache-control" ? `response-${name}` : `response-content-${name}`,
);
const LISTING = ["prefix", "delimiter", "max-keys", "encoding-type"];

/** The parameters of each operation; `x-id`, in which SDKs name it, may stand with all of them. */
const PARAMETERS: Readonly<Record<Exclude<Operation["name"], "SaveBundle" | "RestoreBundle">, readonly string[]>> = {
  ListBuckets: [],
  HeadBucket: [],
  GetBucketLocation: ["location"],
  ListObjects: [...LISTING, "marker"],
  ListObjectsV2: [...LISTING, "list-type", "start-after", "continuation-token", "fetch-owner"],
  ListMultipartUploads: [
    "uploads",
    "prefix",
    "delimiter",
    "encoding-type",
    "key-marker",
    "upload-id-marker",
    "max-uploads",
  ],
  DeleteObjects: ["delete"],
  GetObject: ["versionId", ...OVERRIDES],
  HeadObject: ["versionId", ...OVERRIDES],
  GetObjectTagging: ["tagging", "versionId"],
  PutObject: [],
  CopyObject: [],
  DeleteObject: ["versionId"],
  CreateMultipartUpload: ["uploads"],
  UploadPart: ["uploadId", "partNumber"],
  UploadPartCopy: ["uploadId", "partNumber"],
  CompleteMultipartUpload: ["uploadId"],
  AbortMultipartUpload: ["uploadId"],
  ListParts: ["uploadId", "max-parts", "part-number-marker", "encoding-type"],
};

/** Parameters by which S3 knows requests that are not answered here. All others are mistakes. */
const ELSEWHERE = new Set(
  (
    "abac accelerate acl analytics append attributes cors encryption intelligent-tiering inventory legal-hold lifecycle location logging " +
    "metadataConfiguration metadataInventoryTable metadataJournalTable metadataTable metrics notification object-lock ownershipControls " +
    "partNumber policy policyStatus publicAccessBlock renameObject replication requestPayment restore retention select select-type session " +
    "tagging torrent uploads versioning versions website delete"
  ).split(" "),
);

/** @throws S3Error for what this subset of S3 does not know */
export function operationOf(method: string, address: Address, headers: Headers): Operation {
  const bundle = /^\/\.bundle\/(?:staging|(\d{1,15}))\.tar$/.exec(address.path);
  if (bundle !== null) {
    if (bundle[1] === undefined && method === "PUT") return { name: "SaveBundle" };
    if (bundle[1] !== undefined && method === "GET") return { name: "RestoreBundle", generation: Number(bundle[1]) };
    throw notAllowed();
  }
  const { bucket, key, query } = address;
  if (!["GET", "HEAD", "PUT", "POST", "DELETE"].includes(method)) throw notAllowed();
  const operation =
    bucket === ""
      ? serviceOperation(method)
      : key === ""
        ? bucketOperation(method, query)
        : objectOperation(method, key, query, headers);
  checkParameters(operation, query);
  return operation;
}

function serviceOperation(method: string): AddressedOperation {
  if (method === "GET") return { name: "ListBuckets" };
  throw notAllowed();
}

type AddressedOperation = Exclude<Operation, { name: "SaveBundle" | "RestoreBundle" }>;

function bucketOperation(method: string, query: Address["query"]): AddressedOperation {
  switch (method) {
    case "HEAD":
      return { name: "HeadBucket" };
    case "GET":
      if (query.has("location")) return { name: "GetBucketLocation" };
      if (query.has("uploads")) return { name: "ListMultipartUploads" };
      if (!query.has("list-type")) return { name: "ListObjects" };
      if (query.get("list-type") === "2") return { name: "ListObjectsV2" };
      throw new S3Error("InvalidArgument", "Invalid list type specified in Request.");
    case "POST":
      if (query.has("delete")) return { name: "DeleteObjects" };
      break;
    case "PUT":
      if (query.size === 0) throw new S3Error("BucketAlreadyOwnedByYou", "The bucket exists already.");
  }
  throw notImplemented(method, query);
}

function objectOperation(method: string, key: string, query: Address["query"], headers: Headers): AddressedOperation {
  const copies = headers.has("x-amz-copy-source");
  const uploadId = query.get("uploadId");
  switch (method) {
    case "GET":
      if (query.has("tagging")) return { name: "GetObjectTagging", key };
      return uploadId === undefined ? { name: "GetObject", key } : { name: "ListParts", key, uploadId };
    case "HEAD":
      return { name: "HeadObject", key };
    case "DELETE":
      return uploadId === undefined ? { name: "DeleteObject", key } : { name: "AbortMultipartUpload", key, uploadId };
    case "POST":
      if (query.has("uploads")) return { name: "CreateMultipartUpload", key };
      if (uploadId !== undefined) return { name: "CompleteMultipartUpload", key, uploadId };
      if (query.size === 0) throw notAllowed();
      throw notImplemented(method, query);
    default: {
      if (uploadId === undefined) return { name: copies ? "CopyObject" : "PutObject", key };
      const partNumber = partNumberOf(query.get("partNumber"));
      return { name: copies ? "UploadPartCopy" : "UploadPart", key, uploadId, partNumber };
    }
  }
}

/** @throws S3Error `InvalidArgument` */
function partNumberOf(text: string | undefined): number {
  const number = /^\d{1,5}$/.test(text ?? "") ? Number(text) : 0;
  if (number >= 1 && number <= 10_000) return number;
  throw new S3Error("InvalidArgument", "Part number must be an integer between 1 and 10000, inclusive.");
}

/** Nothing is answered as if a parameter had not been there. @throws S3Error `NotImplemented`, `InvalidArgument`, `NoSuchVersion` */
function checkParameters({ name }: AddressedOperation, query: Address["query"]): void {
  for (const parameter of query.keys()) {
    if (parameter === "x-id" || PARAMETERS[name].includes(parameter)) continue;
    if (ELSEWHERE.has(parameter)) throw new S3Error("NotImplemented", `${name} with ?${parameter} is not implemented.`);
    throw new S3Error("InvalidArgument", `${name} has no parameter ${JSON.stringify(parameter)}.`);
  }
  checkVersion(query.get("versionId"));
}

/** Objects here have one version, which S3 calls `null`. @throws S3Error */
export function checkVersion(id: string | undefined): void {
  if (id === undefined || id === "null") return;
  if (id === "") throw new S3Error("InvalidArgument", "Version id cannot be the empty string.");
  throw new S3Error("NoSuchVersion", "The specified version does not exist.");
}

const notAllowed = (): S3Error =>
  new S3Error("MethodNotAllowed", "The specified method is not allowed against this resource.");

function notImplemented(method: string, query: Address["query"]): S3Error {
  const names = [...query.keys()].map((name) => JSON.stringify(name)).join(", ");
  return new S3Error("NotImplemented", `${method}${names === "" ? "" : ` with ${names}`} is not implemented.`);
}
