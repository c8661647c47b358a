import { decodeName, encodeName } from "../../vault/names.ts";
import { S3Error } from "./errors.ts";

/** Where a request points, taken from its raw URL: a URL object would resolve `..` and turn backslashes, and a key stays what it is. */
export interface Address {
  /** As sent, percent-encoded. */
  path: string;
  /** Empty for the service itself. */
  bucket: string;
  /** Empty for the bucket itself. */
  key: string;
  query: ReadonlyMap<string, string>;
}

/** @throws S3Error `InvalidURI`, `KeyTooLongError`, `InvalidArgument` for a parameter that comes twice */
export function addressOf(url: string): Address {
  const [, path = "/", search = ""] = /^[a-z]+:\/\/[^/?#]*([^?#]*)(?:\?([^#]*))?/i.exec(url) ?? [];
  const [, bucket = "", rest = ""] = /^\/([^/]*)\/?(.*)$/s.exec(path) ?? [];
  return { path, bucket: decoded(bucket), key: rest === "" ? "" : decodeKey(rest), query: queryOf(search) };
}

function queryOf(search: string): Map<string, string> {
  const query = new Map<string, string>();
  for (const pair of search.split("&")) {
    if (pair === "") continue;
    const [, name = "", value = ""] = /^([^=]*)=?(.*)$/s.exec(pair) ?? [];
    const key = decoded(name.replace(/\+/g, " "));
    if (query.has(key)) throw new S3Error("InvalidArgument", `The parameter ${key} comes more than once.`);
    query.set(key, decoded(value.replace(/\+/g, " ")));
  }
  return query;
}

/** A key as the vault names it, out of its percent-encoded bytes. @throws S3Error `InvalidURI`, `KeyTooLongError` */
export function decodeKey(encoded: string): string {
  return checkedKey(decoded(encoded));
}

/**
 * Keys are names of files, so what no file can be named is refused rather than stored where nothing would find it again: S3 itself would
 * take `a/../b` or a NUL literally. Empty segments, leading dots and trailing slashes stay as they are.
 * @throws S3Error `InvalidURI`, `KeyTooLongError`
 */
export function checkedKey(key: string): string {
  if (encodeName(key).length > 1024) throw new S3Error("KeyTooLongError", "Your key is too long.");
  if (key.includes("\0")) throw new S3Error("InvalidURI", "A key cannot contain NUL.");
  if (/(^|\/)\.{1,2}(\/|$)/.test(key)) throw new S3Error("InvalidURI", "A key cannot have the segments . and ..");
  return key;
}

/** @throws S3Error `InvalidURI` */
function decoded(encoded: string): string {
  if (/%(?![0-9a-fA-F]{2})/.test(encoded)) throw new S3Error("InvalidURI", "Couldn't parse the specified URI.");
  const bytes = Buffer.from(encoded, "utf8").toString("latin1");
  const plain = bytes.replace(/%([0-9a-fA-F]{2})/g, (_, hex) => String.fromCharCode(Number.parseInt(hex, 16)));
  return decodeName(Buffer.from(plain, "latin1"));
}

/** As S3 writes keys with `encoding-type=url`: everything but unreserved characters and slashes. */
export function encodeKey(key: string): string {
  if (/^[A-Za-z0-9\-_.~/]*$/.test(key)) return key;
  return Array.from(encodeName(key), (byte) => {
    const character = String.fromCharCode(byte);
    return /[A-Za-z0-9\-_.~/]/.test(character) ? character : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }).join("");
}
