import { command, must } from "../../../scripts/command.ts";
import { TEST_LABEL } from "./container.ts";

/** What stands in for the gateway: keeps what is put, gives it back, and remembers who asked for what. Answers like an empty S3. */
const SERVER = `
const http = require("node:http"), crypto = require("node:crypto");
const stored = new Map(), requests = [];
const send = (res, status, type, body, more) => { res.writeHead(status, { "content-type": type, "content-length": Buffer.byteLength(body), ...more }); res.end(body); };
const etag = (body) => ({ etag: '"' + crypto.createHash("md5").update(body).digest("hex") + '"' });
http.createServer((req, res) => {
  const url = new URL(req.url, "http://sink");
  if (url.pathname === "/.requests") return send(res, 200, "application/json", JSON.stringify(requests));
  const chunks = [];
  req.on("data", (chunk) => chunks.push(chunk));
  req.on("end", () => {
    const body = Buffer.concat(chunks);
    requests.push({ method: req.method, url: req.url, headers: req.headers, bytes: body.length });
    if (req.method === "PUT") { stored.set(url.pathname, body); return send(res, 200, "text/plain", 'stored "' + body.length + '"\\n', etag(body)); }
    if (url.searchParams.has("list-type")) return send(res, 200, "application/xml", '<?xml version="1.0"?><ListBucketResult><Name>state</Name><KeyCount>0</KeyCount><IsTruncated>false</IsTruncated></ListBucketResult>');
    const found = stored.get(url.pathname);
    if (!found) return send(res, 404, "text/plain", "not found");
    const cut = url.pathname.endsWith(".cut");
    res.writeHead(200, { "content-length": found.length });
    if (url.pathname.endsWith(".stall")) return res.write(found.subarray(0, found.length >> 1));
    if (cut) { res.write(found.subarray(0, found.length >> 1)); setTimeout(() => res.destroy(), 20); } else res.end(found);
  });
}).listen(80);
`;

export interface SinkRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly bytes: number;
}

/** A server on port 80 of a container of its own, where the containers under test find `sink.internal`. */
export class Sink {
  readonly id: string;
  /** For `--add-host`. */
  readonly address: string;
  readonly #url: string;

  private constructor(id: string, address: string, url: string) {
    this.id = id;
    this.address = address;
    this.#url = url;
  }

  static async start(): Promise<Sink> {
    const run = [
      "run",
      "-d",
      "--label",
      TEST_LABEL,
      "-p",
      "127.0.0.1::80",
      "--entrypoint",
      "node",
      "boilerhouse-sandbox",
      "-e",
      SERVER,
    ];
    const id = (await must("docker", run)).trim();
    const address = (
      await must("docker", ["inspect", "-f", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", id])
    ).trim();
    const published = (await must("docker", ["port", id, "80/tcp"])).trim().split("\n")[0];
    const sink = new Sink(id, address, `http://${published}`);
    for (let tries = 0; tries < 500; tries++) {
      if (
        await sink.requests().then(
          () => true,
          () => false,
        )
      )
        return sink;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    throw new Error("the sink does not answer");
  }

  async put(path: string, body: Uint8Array<ArrayBuffer>): Promise<void> {
    const response = await fetch(`${this.#url}${path}`, { method: "PUT", body });
    if (!response.ok) throw new Error(`PUT ${path}: ${response.status}`);
  }

  async get(path: string): Promise<Uint8Array<ArrayBuffer>> {
    return new Uint8Array(await (await fetch(`${this.#url}${path}`)).arrayBuffer());
  }

  async requests(): Promise<SinkRequest[]> {
    return (await (await fetch(`${this.#url}/.requests`)).json()) as SinkRequest[];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await command("docker", ["rm", "-f", this.id]);
  }
}
