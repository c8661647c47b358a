import { type IncomingHttpHeaders, request } from "node:http";
import { WebSocket } from "ws";

/** HTTP and WebSockets to a stack as clients really send them: any method, path and `Host`, nothing added or repaired. */

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly bytes: Buffer;
  readonly text: string;
  /** The body as JSON; throws with the text when it is none. */
  // biome-ignore lint/suspicious/noExplicitAny: bodies are looked at, not computed with
  readonly body: any;
}

export interface SendOptions {
  readonly headers?: Record<string, string | string[]>;
  readonly body?: string | Buffer;
  /** Sends no `Content-Length`. */
  readonly chunked?: boolean;
  readonly timeoutMs?: number;
}

/** One request on a connection of its own. `path` is sent as it is, without any normalisation. */
export function send(port: number, method: string, path: string, options: SendOptions = {}): Promise<Answer> {
  const { body, timeoutMs = 90_000 } = options;
  return new Promise((resolve, reject) => {
    const length = body === undefined || options.chunked ? {} : { "content-length": Buffer.byteLength(body) };
    const outgoing = request(
      { host: "127.0.0.1", port, method, path, agent: false, headers: { ...length, ...options.headers } },
      (incoming) => {
        const chunks: Buffer[] = [];
        incoming.on("data", (chunk: Buffer) => chunks.push(chunk));
        incoming.on("error", fail);
        incoming.on("end", () => {
          clearTimeout(limit);
          resolve(answer(incoming.statusCode ?? 0, incoming.headers, Buffer.concat(chunks)));
        });
      },
    );
    const limit = setTimeout(() => outgoing.destroy(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
    const fail = (problem: Error) => {
      clearTimeout(limit);
      reject(new Error(`${method} ${path}: ${problem.message}`));
    };
    outgoing.on("error", fail);
    outgoing.end(body);
  });
}

function answer(status: number, headers: IncomingHttpHeaders, bytes: Buffer): Answer {
  return {
    status,
    headers,
    bytes,
    get text() {
      return bytes.toString("utf8");
    },
    get body() {
      try {
        return JSON.parse(bytes.toString("utf8"));
      } catch {
        throw new Error(`${status}, and the body is not JSON: ${bytes.toString("utf8", 0, 500)}`);
      }
    },
  };
}

/** A WebSocket that keeps what it receives. */
export class Socket {
  readonly #peer: WebSocket;
  readonly #received: (string | Buffer)[] = [];
  readonly #waiting: ((message: string | Buffer) => void)[] = [];
  /** How it was closed. */
  readonly closed: Promise<{ code: number; reason: string }>;

  private constructor(peer: WebSocket) {
    this.#peer = peer;
    peer.on("message", (data: Buffer, isBinary: boolean) => {
      const message = isBinary ? data : data.toString("utf8");
      const waiting = this.#waiting.shift();
      if (waiting) waiting(message);
      else this.#received.push(message);
    });
    peer.on("error", () => {}); // `closed` tells
    this.closed = new Promise((resolve) =>
      peer.once("close", (code, reason) => resolve({ code, reason: reason.toString("utf8") })),
    );
  }

  /** Resolves when it is open; throws with the status of a refusal. */
  static open(port: number, path: string, headers: Record<string, string>): Promise<Socket> {
    const peer = new WebSocket(`ws://127.0.0.1:${port}${path}`, { headers, handshakeTimeout: 60_000 });
    const socket = new Socket(peer);
    return new Promise((resolve, reject) => {
      peer.once("open", () => resolve(socket));
      peer.once("unexpected-response", (_request, response) => {
        reject(new Error(`refused with ${response.statusCode}`));
        peer.terminate();
      });
      peer.once("error", reject);
    });
  }

  send(message: string | Buffer): void {
    this.#peer.send(message);
  }

  /** The next message, also one that came before. */
  next(timeoutMs = 10_000): Promise<string | Buffer> {
    const first = this.#received.shift();
    if (first !== undefined) return Promise.resolve(first);
    return new Promise((resolve, reject) => {
      const limit = setTimeout(() => reject(new Error(`no message within ${timeoutMs} ms`)), timeoutMs);
      this.#waiting.push((message) => {
        clearTimeout(limit);
        resolve(message);
      });
    });
  }

  async close(): Promise<void> {
    this.#peer.close();
    await this.closed;
  }
}
