import { Agent, createServer, type IncomingMessage, request, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/**
 * HTTP to another port of this machine, where every request waits `delayMs` before it is passed on: a server that is that
 * far away, for a client that keeps its connections. Bodies stream both ways; Host stays as the client signed it.
 */
export class LatencyProxy {
  readonly port: number;
  readonly #server: Server;
  readonly #agent: Agent;

  private constructor(server: Server, agent: Agent) {
    this.#server = server;
    this.#agent = agent;
    this.port = (server.address() as AddressInfo).port;
  }

  static async start(targetPort: number, delayMs: number): Promise<LatencyProxy> {
    const agent = new Agent({ keepAlive: true, maxSockets: 256 });
    const server = createServer({ noDelay: true, keepAliveTimeout: 60_000 }, (incoming, answer) => {
      setTimeout(() => pass(incoming, answer, agent, targetPort), delayMs);
    });
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(0, "127.0.0.1", resolve);
    });
    return new LatencyProxy(server, agent);
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
    this.#agent.destroy();
  }
}

/** A failure on either side breaks the other: the client must not take half an answer for a whole one. */
function pass(incoming: IncomingMessage, answer: ServerResponse, agent: Agent, port: number): void {
  const { method = "GET", url: path = "/", rawHeaders: headers } = incoming;
  const onward = request({ agent, host: "127.0.0.1", port, method, path, headers });
  onward.once("response", (found) => {
    answer.writeHead(found.statusCode ?? 502, found.rawHeaders);
    found.once("error", () => answer.destroy());
    found.pipe(answer);
  });
  onward.once("error", () => answer.destroy());
  incoming.once("error", () => onward.destroy());
  answer.once("close", () => {
    if (!answer.writableFinished) onward.destroy();
  });
  incoming.pipe(onward);
}
