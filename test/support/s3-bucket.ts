import { AwsClient } from "aws4fetch";

/** The bucket of a test's sink, as another tool sees it. */
export class Bucket {
  readonly #client: AwsClient;
  readonly #url: string;

  constructor(endpoint: string, bucket: string, key: string, secret = key, region = "us-east-1") {
    this.#client = new AwsClient({ accessKeyId: key, secretAccessKey: secret, service: "s3", region, retries: 0 });
    this.#url = `${endpoint}/${bucket}`;
  }

  async keys(prefix = ""): Promise<string[]> {
    const xml = await this.#text("GET", `?list-type=2&prefix=${encodeURIComponent(prefix)}`);
    return [...xml.matchAll(/<Key>([^<]*)<\/Key>/g)].map(([, key = ""]) => key).sort();
  }

  get = (key: string): Promise<string> => this.#text("GET", `/${key}`);
  put = (key: string, body: string): Promise<string> => this.#text("PUT", `/${key}`, body);
  delete = (key: string): Promise<string> => this.#text("DELETE", `/${key}`);

  async #text(method: string, path: string, body?: string): Promise<string> {
    const response = await this.#client.fetch(this.#url + path, { method, ...(body === undefined ? {} : { body }) });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
    return text;
  }
}
