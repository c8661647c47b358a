import { createHash } from "node:crypto";

/** A bucket in memory that answers what rclone and the bundle operations ask, and remembers who asked what. */
export interface SinkRequest {
  method: string;
  /** Path and query as they were sent. */
  target: string;
  accessKey: string | null;
}
interface StoredObject {
  body: Uint8Array<ArrayBuffer>;
  headers: Record<string, string>;
}

export class MemorySink {
  readonly requests: SinkRequest[] = [];
  readonly objects = new Map<string, StoredObject>();
  /** What `GET /.bundle/NAME` answers, and what `PUT` stored there. */
  readonly bundles = new Map<string, Uint8Array<ArrayBuffer>>();
  /** Refuses every upload with this S3 error. */
  refuse: { status: number; code: string } | null = null;
  /** Delays every upload. */
  delayMs = 0;

  /** Keys of those who asked `control.internal` whether they may end, and what the next ones are answered; then 200. */
  readonly drains: (string | null)[] = [];
  readonly drainAnswers: number[] = [];

  /** What was told of the workload's ends there, and what the next ones are answered; then 200. */
  readonly exits: { by: string | null; report: unknown }[] = [];
  readonly exitAnswers: number[] = [];

  async handle(request: Request): Promise<Response> {
    const url = new URL(request.url);
    if (url.hostname === "control.internal" && url.pathname === "/exit") {
      this.exits.push({ by: request.headers.get("authorization"), report: await request.json() });
      return Response.json({}, { status: this.exitAnswers.shift() ?? 200 });
    }
    if (url.hostname === "control.internal") {
      this.drains.push(request.headers.get("authorization"));
      return Response.json({}, { status: this.drainAnswers.shift() ?? 200 });
    }
    this.requests.push({ method: request.method, target: url.pathname + url.search, accessKey: accessKeyOf(request) });
    if (url.pathname.startsWith("/.bundle/")) return await this.#bundle(request, url.pathname.slice(9));
    const [, , ...names] = url.pathname.split("/");
    const key = names.map(decodeURIComponent).join("/");
    if (request.method === "GET" && key === "") return this.#list(url.searchParams);
    if (request.method === "PUT") return await this.#put(request, key);
    const object = this.objects.get(key);
    if (request.method === "DELETE") {
      this.objects.delete(key);
      return new Response(null, { status: 204 });
    }
    if (!object) return problem(404, "NoSuchKey");
    const headers = { etag: `"${etag(object)}"`, "content-length": String(object.body.length), ...meta(object) };
    return new Response(request.method === "HEAD" ? null : object.body, { headers });
  }

  async #bundle(request: Request, name: string): Promise<Response> {
    if (request.method === "PUT") {
      if (this.refuse) return problem(this.refuse.status, this.refuse.code);
      this.bundles.set(name, new Uint8Array(await request.arrayBuffer()));
      return Response.json({ ok: true });
    }
    const bundle = this.bundles.get(name);
    return bundle ? new Response(bundle) : problem(404, "NoSuchKey");
  }

  async #put(request: Request, key: string): Promise<Response> {
    const body = new Uint8Array(await request.arrayBuffer());
    if (this.delayMs > 0) await new Promise((resolve) => setTimeout(resolve, this.delayMs));
    if (this.refuse) return problem(this.refuse.status, this.refuse.code);
    const source = request.headers.get("x-amz-copy-source");
    const copied = source === null ? null : this.objects.get(decodeURIComponent(source).replace(/^\/?[^/]+\//, ""));
    const object = { body: copied?.body ?? body, headers: Object.fromEntries(request.headers) };
    this.objects.set(key, object);
    if (source === null) return new Response(null, { headers: { etag: `"${etag(object)}"` } });
    const xml = `<CopyObjectResult><ETag>"${etag(object)}"</ETag><LastModified>${modified(object)}</LastModified></CopyObjectResult>`;
    return new Response(xml, { headers: { "content-type": "application/xml" } });
  }

  #list(query: URLSearchParams): Response {
    const prefix = query.get("prefix") ?? "";
    const from = query.get("continuation-token") ?? "";
    const max = Number(query.get("max-keys") ?? 1000);
    const keys = [...this.objects.keys()].filter((key) => key.startsWith(prefix) && key > from).sort();
    const page = keys.slice(0, max);
    const contents = page.map((key) => {
      const object = this.objects.get(key) ?? { body: new Uint8Array(), headers: {} };
      const fields = `<LastModified>${modified(object)}</LastModified><ETag>"${etag(object)}"</ETag><Size>${object.body.length}</Size>`;
      return `<Contents><Key>${encodeURIComponent(key)}</Key>${fields}<StorageClass>STANDARD</StorageClass></Contents>`;
    });
    const more = keys.length > page.length;
    const token = more ? `<NextContinuationToken>${page.at(-1)}</NextContinuationToken>` : "";
    const head = `<Name>state</Name><Prefix>${encodeURIComponent(prefix)}</Prefix><EncodingType>url</EncodingType><KeyCount>${page.length}</KeyCount><MaxKeys>${max}</MaxKeys><IsTruncated>${more}</IsTruncated>`;
    return new Response(`<ListBucketResult>${head}${token}${contents.join("")}</ListBucketResult>`, {
      headers: { "content-type": "application/xml" },
    });
  }
}

function accessKeyOf(request: Request): string | null {
  const signed = /Credential=([^/]+)\//.exec(request.headers.get("authorization") ?? "")?.[1];
  return request.headers.get("x-boilerhouse-access-key") ?? signed ?? null;
}

const problem = (status: number, code: string): Response =>
  new Response(`<Error><Code>${code}</Code><Message>refused</Message></Error>`, {
    status,
    headers: { "content-type": "application/xml" },
  });
const etag = ({ body }: StoredObject): string => createHash("md5").update(body).digest("hex");
const meta = ({ headers }: StoredObject) =>
  Object.fromEntries(Object.entries(headers).filter(([name]) => name.startsWith("x-amz-meta-")));

/** The file's own mod-time with nine decimals, as the vault lists it. */
function modified({ headers }: StoredObject): string {
  const [seconds = "0", fraction = ""] = (headers["x-amz-meta-mtime"] ?? "0").split(".");
  return `${new Date(Number(seconds) * 1000).toISOString().slice(0, 19)}.${fraction.padEnd(9, "0")}Z`;
}
