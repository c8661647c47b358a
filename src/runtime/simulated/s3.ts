import { createHash } from "node:crypto";
import { decodeName, encodeName } from "../../vault/names.ts";
import type { Egress } from "./container.ts";

/** An object as a listing shows it. */
export interface ListedObject {
  key: string;
  size: number;
  etag: string;
  modifiedNs: bigint;
}

/** What stock rclone 1.75 asks of the bucket behind the gateway, in its own words (captured from the real one). */
export class S3Client {
  readonly #egress: Egress;
  readonly #accessKeyId: string;
  readonly #bucket: string;

  constructor(egress: Egress, accessKeyId: string, bucket: string) {
    this.#egress = egress;
    this.#accessKeyId = accessKeyId;
    this.#bucket = bucket;
  }

  async list(prefix: string): Promise<ListedObject[]> {
    const objects: ListedObject[] = [];
    let token: string | null = null;
    do {
      const query = new URLSearchParams({ ...(token !== null && { "continuation-token": token }) });
      query.set("encoding-type", "url");
      query.set("list-type", "2");
      query.set("max-keys", "1000");
      query.set("prefix", prefix);
      const answer = await this.#send("ListObjectsV2", "GET", `?${query}`);
      const page = await answer.text();
      objects.push(...listedIn(page));
      token = element(page, "IsTruncated") === "true" ? element(page, "NextContinuationToken") : null;
    } while (token !== null);
    return objects;
  }

  async put(key: string, body: Uint8Array<ArrayBuffer>, metadata: Record<string, string>): Promise<void> {
    await this.#send("PutObject", "PUT", `/${encodeKey(key)}?x-id=PutObject`, {
      body,
      headers: {
        "content-md5": md5(body).toString("base64"),
        "content-type": "application/octet-stream",
        "x-amz-content-sha256": "UNSIGNED-PAYLOAD",
        ...amzMeta(metadata),
      },
    });
  }

  /** Replaces an object's metadata by a copy onto itself. */
  async touch(key: string, metadata: Record<string, string>): Promise<void> {
    await this.#send("CopyObject", "PUT", `/${encodeKey(key)}?x-id=CopyObject`, {
      headers: {
        "content-type": "application/octet-stream",
        "x-amz-copy-source": `${this.#bucket}/${encodeKey(key)}`,
        "x-amz-metadata-directive": "REPLACE",
        ...amzMeta(metadata),
      },
    });
  }

  /** The hash of an object's content, in hex, where the server knows it. */
  async hash(key: string): Promise<string | null> {
    const answer = await this.#send("HeadObject", "HEAD", `/${encodeKey(key)}`);
    const etag = unquote(answer.headers.get("etag") ?? "");
    return /^[0-9a-f]{32}$/.test(etag) ? etag : null;
  }

  async copy(from: string, to: string): Promise<void> {
    await this.#send("CopyObject", "PUT", `/${encodeKey(to)}?x-id=CopyObject`, {
      headers: { "x-amz-copy-source": `${this.#bucket}/${encodeKey(from)}`, "x-amz-metadata-directive": "COPY" },
    });
  }

  async get(key: string): Promise<{ body: Uint8Array<ArrayBuffer>; metadata: Record<string, string> }> {
    const answer = await this.#send("GetObject", "GET", `/${encodeKey(key)}?x-id=GetObject`);
    const metadata = [...answer.headers].flatMap(([name, value]) =>
      name.startsWith("x-amz-meta-") ? [[name.slice("x-amz-meta-".length), value] as const] : [],
    );
    return { body: new Uint8Array(await answer.arrayBuffer()), metadata: Object.fromEntries(metadata) };
  }

  async delete(key: string): Promise<void> {
    await this.#send("DeleteObject", "DELETE", `/${encodeKey(key)}?x-id=DeleteObject`);
  }

  async #send(
    operation: string,
    method: string,
    rest: string,
    { body, headers }: { body?: Uint8Array<ArrayBuffer>; headers?: Record<string, string> } = {},
  ): Promise<Response> {
    const authorization = `AWS4-HMAC-SHA256 Credential=${this.#accessKeyId}/20260101/auto/s3/aws4_request, SignedHeaders=host, Signature=0`;
    const url = `http://sink.internal/${this.#bucket}${rest}`;
    const all = { authorization, "user-agent": "rclone/v1.75.2", ...headers };
    const response = await this.#egress.outbound(new Request(url, { method, headers: all, ...(body && { body }) }));
    if (response.ok) return response;
    const problem = method === "HEAD" ? "" : await response.text();
    // A listing that finds nothing at all is a directory that is not there, for rclone.
    if (operation === "ListObjectsV2" && response.status === 404) throw new Error("directory not found");
    const code = element(problem, "Code") ?? "UnknownError";
    throw new Error(
      `operation error S3: ${operation}, https response error StatusCode: ${response.status}, RequestID: , HostID: , ` +
        `api error ${code}: ${element(problem, "Message") ?? ""}`,
    );
  }
}

export const md5 = (body: Uint8Array) => createHash("md5").update(body).digest();

/** Percent-encoded bytes, as rclone sends them. */
const encodeKey = (key: string): string =>
  Array.from(encodeName(key), (byte) => {
    const character = String.fromCharCode(byte);
    return /[A-Za-z0-9\-_.~/]/.test(character) ? character : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }).join("");
const decodeKey = (key: string): string => {
  const bytes = key.replace(/%([0-9a-fA-F]{2})/g, (_all, hex) => String.fromCharCode(Number.parseInt(hex, 16)));
  return decodeName(Uint8Array.from(bytes, (character) => character.charCodeAt(0)));
};
const amzMeta = (metadata: Record<string, string>) =>
  Object.fromEntries(Object.entries(metadata).map(([name, value]) => [`x-amz-meta-${name}`, value]));
const unquote = (etag: string): string => etag.replace(/^"|"$/g, "");

function listedIn(page: string): ListedObject[] {
  return [...page.matchAll(/<Contents>(.*?)<\/Contents>/gs)].map(([, object = ""]) => ({
    key: decodeKey((element(object, "Key") ?? "").replace(/\+/g, " ")),
    size: Number(element(object, "Size")),
    etag: unquote(element(object, "ETag") ?? ""),
    modifiedNs: timeNs(element(object, "LastModified") ?? ""),
  }));
}

function element(xml: string, name: string): string | null {
  const found = new RegExp(`<${name}>([^<]*)</${name}>`).exec(xml)?.[1];
  return found === undefined ? null : unescapeXml(found);
}

const ENTITIES: Readonly<Record<string, string>> = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'" };
const unescapeXml = (text: string): string =>
  text.replace(/&(?:#(\d+)|#x([0-9a-fA-F]+)|(\w+));/g, (all, decimal, hex, name) => {
    if (decimal || hex) return String.fromCodePoint(decimal ? Number(decimal) : Number.parseInt(hex, 16));
    return ENTITIES[name] ?? all;
  });

/** RFC 3339 with up to nine decimals. */
function timeNs(text: string): bigint {
  const [, seconds = "", fraction = ""] = /^(.*?)(?:\.(\d+))?Z$/.exec(text) ?? [];
  return BigInt(Date.parse(`${seconds}Z`)) * 1_000_000n + BigInt(fraction.slice(0, 9).padEnd(9, "0"));
}
