import { createHash } from "node:crypto";
import type { ContentRef, UploadPart } from "../../vault/storage.ts";
import { malformedXml, S3Error } from "./errors.ts";
import { childText, parseXml } from "./xml-parse.ts";

const SMALLEST_PART = 5 * 1024 * 1024;
const MOST_PARTS = 10_000;

/** A part as a client names it when it completes an upload. */
export interface WantedPart {
  number: number;
  etag: string;
}

/** Each part is named by its entity tag, which is the MD5 of what arrived; checksums that a client adds were compared then. @throws S3Error `MalformedXML`, `InvalidPartOrder` */
export function wantedParts(document: string): WantedPart[] {
  const { children } = parseXml(document, "CompleteMultipartUpload");
  if (children.length === 0 || children.length > MOST_PARTS || children.some((child) => child.name !== "Part"))
    throw malformedXml();
  const parts = children.map((part) => {
    const [number, etag] = [childText(part, "PartNumber")?.trim() ?? "", childText(part, "ETag")?.trim() ?? ""];
    if (!/^\d{1,5}$/.test(number) || etag === "") throw malformedXml();
    return { number: Number(number), etag: etag.replace(/^"|"$/g, "") };
  });
  if (parts.some((part, i) => i > 0 && part.number <= (parts[i - 1]?.number ?? 0))) {
    throw new S3Error(
      "InvalidPartOrder",
      "The list of parts was not in ascending order. Parts must be ordered by part number.",
    );
  }
  return parts;
}

/** @throws S3Error `InvalidPart`, `EntityTooSmall` */
export function chosenParts(wanted: readonly WantedPart[], arrived: readonly UploadPart[]): UploadPart[] {
  const byNumber = new Map(arrived.map((part) => [part.number, part]));
  const chosen = wanted.map(({ number, etag }) => {
    const part = byNumber.get(number);
    if (part === undefined || part.md5 !== etag)
      throw new S3Error("InvalidPart", `Part ${number} was not uploaded, or has another entity tag.`, {
        elements: { PartNumber: number, ETag: etag },
      });
    return part;
  });
  const body = chosen.slice(0, -1);
  if (body.some((part) => part.size < SMALLEST_PART))
    throw new S3Error("EntityTooSmall", "Your proposed upload is smaller than the minimum allowed size.");
  // R2 demands it, and the verification of a restore counts on it (docs/container.md, `parts`).
  const size = chosen[0]?.size ?? 0;
  if (body.some((part) => part.size !== size) || (chosen.at(-1)?.size ?? 0) > size) {
    throw new S3Error(
      "InvalidPart",
      "All parts but the last must have the same size, and the last must not be larger.",
    );
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
