import type { Failure } from "../../outcome.ts";
import { element, xmlDocument } from "./xml.ts";

/** S3's own codes with the status that S3 answers with. */
const STATUS = {
  AccessControlListNotSupported: 400,
  AccessDenied: 403,
  BadDigest: 400,
  BucketAlreadyOwnedByYou: 409,
  EntityTooLarge: 400,
  EntityTooSmall: 400,
  IncompleteBody: 400,
  InternalError: 500,
  InvalidArgument: 400,
  InvalidDigest: 400,
  InvalidPart: 400,
  InvalidPartOrder: 400,
  InvalidRange: 416,
  InvalidRequest: 400,
  InvalidURI: 400,
  InvalidStorageClass: 400,
  KeyTooLongError: 400,
  MalformedTrailerError: 400,
  MalformedXML: 400,
  MaxMessageLengthExceeded: 400,
  MetadataTooLarge: 400,
  MethodNotAllowed: 405,
  MissingContentLength: 411,
  NoSuchBucket: 404,
  NoSuchKey: 404,
  NoSuchUpload: 404,
  NoSuchVersion: 404,
  NotImplemented: 501,
  OperationAborted: 409,
  PreconditionFailed: 412,
  RequestTimeout: 400,
  ServiceUnavailable: 503,
  XAmzContentSHA256Mismatch: 400,
} as const;

export type S3Code = keyof typeof STATUS;

/** A refusal as S3 words it; `errorResponse` turns it into the answer. */
export class S3Error extends Error {
  readonly code: S3Code;
  /** Further elements of the answer, and its headers. */
  readonly more: { elements?: Record<string, string | number>; headers?: Record<string, string> };
  constructor(code: S3Code, message: string, more: S3Error["more"] = {}) {
    super(message);
    this.name = "S3Error";
    this.code = code;
    this.more = more;
  }
}

export const malformedXml = (): S3Error =>
  new S3Error(
    "MalformedXML",
    "The XML you provided was not well-formed or did not validate against our published schema.",
  );

export const noSuchKey = (): S3Error => new S3Error("NoSuchKey", "The specified key does not exist.");

/** What the Vault refuses, in S3's words. Superseded is final (rclone must not try again); everything unknown is a fault of ours. */
export function fromFailure(failure: Failure): S3Error {
  switch (failure.code) {
    case "stale_epoch":
      return new S3Error("AccessDenied", failure.detail);
    case "save_failed":
      return new S3Error("OperationAborted", failure.detail);
    case "not_found":
      return new S3Error("NoSuchKey", failure.detail);
    case "version_mismatch":
      return new S3Error("PreconditionFailed", failure.detail);
    default:
      return new S3Error("InternalError", failure.detail);
  }
}

export function errorResponse(error: S3Error, method: string, url: string, requestId: string): Response {
  const resource = /^[a-z]+:\/\/[^/?#]*([^?#]*)/i.exec(url)?.[1] ?? "/";
  const body = xmlDocument(
    "Error",
    element("Code", error.code) +
      element("Message", error.message) +
      Object.entries(error.more.elements ?? {})
        .map(([name, value]) => element(name, value))
        .join("") +
      element("Resource", resource) +
      element("RequestId", requestId),
  );
  const headers = { ...error.more.headers, "content-type": "application/xml", "x-amz-request-id": requestId };
  return new Response(method === "HEAD" ? null : body, { status: STATUS[error.code], headers });
}
