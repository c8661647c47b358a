import { Agent, createServer, type IncomingMessage, request, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { LatencyProxy } from "../../bench/harness/latency-proxy.ts";

const DELAY_MS = 30;
const stops: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

/** A server that answers with what it was sent, or breaks off in the middle of an answer. */
async function aServer(): Promise<{ port: number; connections: () => number }> {
  let connections = 0;
  const server: Server = createServer((incoming, answer) => {
    if (incoming.url === "/broken") {
      answer.writeHead(200, { "content-length": "10" });
      answer.write("half");
      setTimeout(() => answer.destroy(), 10);
      return;
    }
    answer.writeHead(207, { "x-host": incoming.headers.host ?? "", "x-asked": `${incoming.method} ${incoming.url}` });
    incoming.pipe(answer);
  });
  server.on("connection", () => {
    connections += 1;
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  stops.push(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  return { port: (server.address() as AddressInfo).port, connections: () => connections };
}

async function aProxy(port: number): Promise<{ port: number; agent: Agent }> {
  const proxy = await LatencyProxy.start(port, DELAY_MS);
  const agent = new Agent({ keepAlive: true });
  stops.push(
    () => proxy.stop(),
    async () => agent.destroy(),
  );
  return { port: proxy.port, agent };
}

function send(to: { port: number; agent: Agent }, method: string, path: string, body = Buffer.alloc(0)) {
  return new Promise<{ answer: IncomingMessage; body: Buffer; ms: number }>((resolve, reject) => {
    const startedAt = performance.now();
    const sent = request({ ...to, host: "127.0.0.1", method, path, headers: { host: "signed.example" } }, (answer) => {
      const pieces: Buffer[] = [];
      answer.on("data", (piece: Buffer) => pieces.push(piece));
      answer.once("error", reject);
      answer.once("end", () => resolve({ answer, body: Buffer.concat(pieces), ms: performance.now() - startedAt }));
    });
    sent.once("error", reject);
    sent.end(body);
  });
}

describe("the latency proxy", () => {
  it("delays every request, also on a connection that is kept, and changes nothing of it or of its answer", async () => {
    const server = await aServer();
    const proxy = await aProxy(server.port);
    const content = Buffer.alloc(300_000, "content");
    for (let round = 0; round < 3; round += 1) {
      const { answer, body, ms } = await send(proxy, "PUT", "/a%20b?x=1&y", content);
      expect(answer.statusCode).toBe(207);
      expect(answer.headers).toMatchObject({ "x-host": "signed.example", "x-asked": "PUT /a%20b?x=1&y" });
      expect(body.equals(content)).toBe(true);
      expect(ms).toBeGreaterThanOrEqual(DELAY_MS - 1);
    }
    expect(server.connections()).toBe(1);
  });

  it("delays requests side by side, not one after another", async () => {
    const server = await aServer();
    const proxy = await aProxy(server.port);
    const startedAt = performance.now();
    await Promise.all(Array.from({ length: 32 }, () => send(proxy, "GET", "/")));
    expect(performance.now() - startedAt).toBeLessThan(16 * DELAY_MS);
  });

  it("breaks an answer off where the server does", async () => {
    const server = await aServer();
    const proxy = await aProxy(server.port);
    await expect(send(proxy, "GET", "/broken")).rejects.toThrow(/aborted|hang up|ECONNRESET/);
  });
});
