import { Agent, type IncomingMessage, request } from "node:http";

/** Longer than anything here takes; without an end a bench could wait for ever. */
const TIMEOUT_MS = 180_000;

export interface Answer {
  readonly status: number;
  /** From the request's first byte to the answer's last. */
  readonly ms: number;
  readonly text: string;
}

/**
 * HTTP over kept-alive connections on loopback. Head and body leave in one write: sent as two, the second waits for the
 * server's delayed acknowledgement (45 ms), which would be measured as the server's.
 */
export class Client {
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 256 });
  readonly #host: string;
  readonly #port: number;
  readonly #headers: Readonly<Record<string, string>>;

  constructor(port: number, headers: Readonly<Record<string, string>> = {}, host = "127.0.0.1") {
    this.#host = host;
    this.#port = port;
    this.#headers = headers;
  }

  /** Resolves with whatever the answer is. @throws when there is none */
  send(method: string, path: string, body?: unknown): Promise<Answer> {
    const text = body === undefined ? "" : JSON.stringify(body);
    const headers = {
      ...this.#headers,
      ...(body === undefined ? {} : { "content-type": "application/json", "content-length": Buffer.byteLength(text) }),
    };
    return new Promise((resolve, reject) => {
      const startedAt = performance.now();
      const to = { agent: this.#agent, host: this.#host, port: this.#port };
      const sent = request({ ...to, method, path, headers, timeout: TIMEOUT_MS });
      sent.once("timeout", () => sent.destroy(new Error(`${method} ${path} was not answered within ${TIMEOUT_MS} ms`)));
      sent.once("error", reject);
      sent.once("response", (response: IncomingMessage) => {
        let received = "";
        response.setEncoding("utf8");
        response.on("data", (piece: string) => {
          received += piece;
        });
        response.once("error", reject);
        response.once("end", () => {
          resolve({ status: response.statusCode ?? 0, ms: performance.now() - startedAt, text: received });
        });
      });
      sent.end(text);
    });
  }

  /** As `send`, but any other status than the wanted ones is an error that shows the answer. */
  async must(method: string, path: string, body?: unknown, statuses: readonly number[] = [200, 201]): Promise<Answer> {
    const answer = await this.send(method, path, body);
    if (statuses.includes(answer.status)) return answer;
    throw new Error(`${method} ${path} answered ${answer.status}: ${answer.text.slice(0, 600)}`);
  }

  close(): void {
    this.#agent.destroy();
  }
}
