import type { OnlyIf } from "../../vault/storage.ts";
import { checkedKey } from "./address.ts";
import { ask, type Gateway } from "./context.ts";
import { malformedXml, S3Error } from "./errors.ts";
import { checkVersion } from "./operation.ts";
import { readDocument } from "./transfer.ts";
import { element, group, xml } from "./xml.ts";
import { childText, parseXml, type XmlNode } from "./xml-parse.ts";

const MOST_KEYS = 1000;
/** A thousand keys of 1,024 bytes, each written as character references. */
const LARGEST = 8 * 1024 * 1024;

/** One `Object` of the request. */
interface Removal {
  key: string;
  onlyIf: OnlyIf[];
  refusal: S3Error | null;
}

/** Removes what can be removed, and says of each key what became of it. @throws S3Error when the request as a whole is wrong */
export async function deleteObjects(gateway: Gateway, request: Request): Promise<Response> {
  const sums = ["content-md5", "x-amz-trailer"];
  if (![...request.headers.keys()].some((name) => sums.includes(name) || /^x-amz-checksum-(crc|sha)/.test(name))) {
    throw new S3Error("InvalidRequest", "Missing required header for this request: Content-MD5 OR x-amz-checksum-*");
  }
  const document = parseXml(await readDocument(request, LARGEST), "Delete");
  const removals = document.children.filter((child) => child.name === "Object").map(removalOf);
  const known = document.children.every((child) => child.name === "Object" || child.name === "Quiet");
  if (removals.length === 0 || removals.length > MOST_KEYS || !known) throw malformedXml();
  const plain = removals.filter((one) => one.refusal === null && one.onlyIf.length === 0);
  const conditional = removals.filter((one) => one.refusal === null && one.onlyIf.length > 0);
  if (plain.length > 0)
    await ask(
      gateway.vault.remove(
        gateway.actor,
        plain.map((one) => one.key),
      ),
    );
  for (const one of conditional) {
    try {
      await ask(gateway.vault.remove(gateway.actor, [one.key], one.onlyIf));
    } catch (error) {
      if (!(error instanceof S3Error)) throw error;
      one.refusal = error;
    }
  }
  const quiet = childText(document, "Quiet")?.trim() === "true";
  return xml("DeleteResult", removals.map((one) => resultOf(one, quiet)).join(""));
}

function removalOf(node: XmlNode): Removal {
  const key = childText(node, "Key");
  if (key === null || key === "") throw malformedXml();
  const etag = childText(node, "ETag");
  const onlyIf = etag === null ? [] : [{ key, is: [etag.trim().replace(/^"(.*)"$/, "$1")] }];
  try {
    checkedKey(key);
    checkVersion(childText(node, "VersionId") ?? undefined);
    const other = node.children.find((child) => !["Key", "ETag", "VersionId"].includes(child.name));
    if (other !== undefined) throw new S3Error("NotImplemented", `A removal with ${other.name} is not implemented.`);
    return { key, onlyIf, refusal: null };
  } catch (error) {
    if (error instanceof S3Error) return { key, onlyIf, refusal: error };
    throw error;
  }
}

function resultOf({ key, refusal }: Removal, quiet: boolean): string {
  if (refusal !== null) {
    return group("Error", element("Key", key) + element("Code", refusal.code) + element("Message", refusal.message));
  }
  return quiet ? "" : group("Deleted", element("Key", key));
}
