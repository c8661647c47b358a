import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { type ContainerId, type Epoch, epoch, type TenantId } from "../../src/ids.ts";
import { type ProxyContext, serveProxied } from "../../src/instance/proxy.ts";
import { type Exposure, encodeRoute, ROUTE_HEADER, UNBOUND, VERDICT_HEADER } from "../../src/proxy/internal.ts";
import { OpenRequests } from "../../src/proxy/open-requests.ts";
import { RuntimeError, type RuntimeErrorCode } from "../../src/runtime/port.ts";

/** The Instance's half of the proxy over a container that a test plays itself. */
const ALICE = "alice" as TenantId;
const CONTAINER = "c-aaaaaaaaaaaaaaaaaaaa" as ContainerId;

function anInstance(container: (request: Request) => Response | Promise<Response>, running = true) {
  const open = new OpenRequests();
  const state = { open, activity: 0, failures: 0, current: epoch(1) as Epoch, gatewayToken: null as string | null };
  const context: ProxyContext = {
    runtime: { running, fetch: async (_port, request) => container(request) },
    hooks: {
      isCurrent: (tenantId, at) => tenantId === ALICE && at === state.current,
      onActivity: () => {
        state.activity += 1;
      },
      onFailure: () => {
        state.failures += 1;
      },
      begin: open.begin,
      gatewayToken: () => state.gatewayToken,
    },
    env,
  };
  return Object.assign(state, { serve: (request: Request) => serveProxied(request, context) });
}

function aRequest(init: RequestInit = {}, exposure: Exposure = "host", at = 1, session = UNBOUND): Request {
  const routed = { tenantId: ALICE, epoch: epoch(at), containerId: CONTAINER, port: 8080, exposure, session } as const;
  const headers = new Headers(init.headers);
  headers.set(ROUTE_HEADER, encodeRoute({ ...routed, forwarded: "once" }));
  headers.set("x-request-id", "req-1");
  return new Request("http://alice.localhost/x", { ...init, headers });
}

const verdict = (response: Response) => response.headers.get(VERDICT_HEADER);

describe("a proxied request at its Instance", () => {
  test("reaches the container without our routing header, and answers without what only we may say", async () => {
    let seen = new Headers();
    const instance = anInstance((request) => {
      seen = request.headers;
      const headers = { "content-type": "text/plain", "x-boilerhouse-verdict": "stale", "alt-svc": "h3" };
      return new Response("hello", { headers });
    });
    const response = await instance.serve(aRequest({ headers: { "x-app": "1" } }));
    expect(await response.text()).toBe("hello");
    expect(seen.has(ROUTE_HEADER)).toBe(false);
    expect(seen.get("x-app")).toBe("1");
    expect(verdict(response)).toBeNull();
    expect(response.headers.has("alt-svc")).toBe(false);
    expect(response.headers.get("x-request-id")).toBe("req-1");
    expect(instance.activity).toBe(1);
  });

  test("brings the container's gateway token, and its answer does not", async () => {
    const name = "x-boilerhouse-gateway-token";
    const seen: (string | null)[] = [];
    const instance = anInstance((request) => {
      seen.push(request.headers.get(name));
      return new Response("x", { headers: { [name]: "token" } });
    });
    expect((await instance.serve(aRequest())).headers.has(name)).toBe(false);
    instance.gatewayToken = "token";
    expect((await instance.serve(aRequest())).headers.has(name)).toBe(false);
    expect(seen).toEqual([null, "token"]);
  });

  test("of another epoch never reaches the container", async () => {
    let reached = 0;
    const instance = anInstance(() => {
      reached += 1;
      return new Response();
    });
    for (const request of [aRequest({}, "host", 0), aRequest({}, "host", 2), new Request("http://x/")]) {
      expect(verdict(await instance.serve(request))).toBe("stale");
    }
    expect(reached).toBe(0);
  });

  test("keeps the length of a body that has one, and streams one that has none", async () => {
    const sized = anInstance(() => new Response("12345", { headers: { "content-length": "5" } }));
    expect((await sized.serve(aRequest())).headers.get("content-length")).toBe("5");

    let release = () => {};
    const gate = new Promise<void>((resolve) => {
      release = resolve;
    });
    const streaming = anInstance(() => {
      const readable = new ReadableStream({
        type: "bytes",
        async start(controller) {
          controller.enqueue(new TextEncoder().encode("first"));
          await gate;
          controller.enqueue(new TextEncoder().encode("second"));
          controller.close();
        },
      });
      return new Response(readable);
    });
    const response = await streaming.serve(aRequest());
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    expect(new TextDecoder().decode((await reader.read()).value)).toBe("first"); // before the rest exists
    expect(streaming.open.count).toBe(1);
    release();
    expect(new TextDecoder().decode((await reader.read()).value)).toBe("second");
    expect((await reader.read()).done).toBe(true);
    await expect.poll(() => streaming.open.count).toBe(0);
  });

  test("is over when the client stops reading", async () => {
    let cancelled = false;
    const endless = new ReadableStream({
      type: "bytes",
      pull: (controller) => controller.enqueue(new Uint8Array(1024)),
      cancel: () => {
        cancelled = true;
      },
    });
    const instance = anInstance(() => new Response(endless));
    const response = await instance.serve(aRequest());
    expect(instance.open.count).toBe(1);
    await response.body?.cancel();
    await expect.poll(() => instance.open.count).toBe(0);
    expect(cancelled).toBe(true);
  });

  test("passes a compressed body on as it is announced", async () => {
    const gzip = new Blob(["hello ".repeat(1000)]).stream().pipeThrough(new CompressionStream("gzip"));
    const compressed = await new Response(gzip).arrayBuffer();
    const init = { headers: { "content-encoding": "gzip" }, encodeBody: "manual" } as const;
    const instance = anInstance(() => new Response(compressed, init));
    const response = await instance.serve(aRequest());
    expect(response.headers.get("content-encoding")).toBe("gzip");
  });

  test.each([
    ["not_running", "GET", null, "absent"],
    ["not_listening", "DELETE", null, "absent"],
    ["not_listening", "POST", "body", "spent"],
    ["lost", "GET", null, "lost"],
    ["timeout", "POST", "body", "lost"],
  ] as const)("that fails with %s on %s says %s→%s", async (code, method, body, expected) => {
    const instance = anInstance(() => {
      throw new RuntimeError(code as RuntimeErrorCode, "planned");
    });
    expect(verdict(await instance.serve(aRequest({ method, body })))).toBe(expected);
    expect(instance.open.count).toBe(0);
  });

  test("without a running container is absent, and the container is not asked", async () => {
    const instance = anInstance(() => {
      throw new Error("asked");
    }, false);
    expect(verdict(await instance.serve(aRequest()))).toBe("absent");
  });

  test.each([204, 205, 304])("with the status %i has no body", async (status) => {
    const instance = anInstance(() => new Response(null, { status }));
    const response = await instance.serve(aRequest());
    expect([response.status, response.body]).toEqual([status, null]);
  });
});

type Meanwhile = (open: OpenRequests) => void;

describe("a WebSocket at its Instance", () => {
  async function connect(play: (socket: WebSocket) => void, session = UNBOUND, duringHandshake: Meanwhile = () => {}) {
    const instance = anInstance((request) => {
      duringHandshake(instance.open);
      expect(request.headers.get("upgrade")).toBe("websocket");
      const { 0: outside, 1: server } = new WebSocketPair();
      server.accept();
      play(server);
      return new Response(null, { status: 101, webSocket: outside, headers: { "sec-websocket-protocol": "chat" } });
    });
    const response = await instance.serve(aRequest({ headers: { upgrade: "websocket" } }, "host", 1, session));
    expect(response.status).toBe(101);
    expect(response.headers.get("sec-websocket-protocol")).toBe("chat");
    const socket = response.webSocket as WebSocket;
    socket.binaryType = "arraybuffer";
    socket.accept();
    const messages: unknown[] = [];
    socket.addEventListener("message", ({ data }) => messages.push(data));
    const closed = new Promise<{ code: number; reason: string }>((resolve) =>
      socket.addEventListener("close", resolve),
    );
    return { instance, socket, messages, closed };
  }

  const echo = (socket: WebSocket) => {
    socket.binaryType = "arraybuffer";
    socket.addEventListener("message", ({ data }) => socket.send(data));
  };

  test("carries text and binary frames both ways, and every frame is activity", async () => {
    const { instance, socket, messages } = await connect(echo);
    socket.send("hello");
    socket.send(new Uint8Array([1, 2, 3]));
    await expect.poll(() => messages.length).toBe(2);
    expect(messages[0]).toBe("hello");
    expect(new Uint8Array(messages[1] as ArrayBuffer)).toEqual(new Uint8Array([1, 2, 3]));
    expect(instance.activity).toBe(1 + 4);
    expect(instance.open.count).toBe(1);
    socket.close(1000);
    await expect.poll(() => instance.open.count).toBe(0);
  });

  test("tells the container how the client left, and the client how the container did", async () => {
    let told: { code: number; reason: string } | null = null;
    const leaving = await connect((server) =>
      server.addEventListener("close", ({ code, reason }) => {
        told = { code, reason };
      }),
    );
    leaving.socket.close(4001, "bye");
    await expect.poll(() => told).toEqual({ code: 4001, reason: "bye" });

    const left = await connect((server) =>
      server.addEventListener("message", () => server.close(4002, "x".repeat(123))),
    );
    left.socket.send("go");
    expect(await left.closed).toMatchObject({ code: 4002, reason: "x".repeat(123) });
  });

  test("is closed with 1012 by a planned stop", async () => {
    const { instance, closed } = await connect(echo);
    instance.open.closeSockets();
    expect(await closed).toMatchObject({ code: 1012 });
    expect(instance.open.count).toBe(0);
  });

  test("is closed with 4401 when its session expires", async () => {
    const { instance, messages, socket, closed } = await connect(echo, {
      expiresAt: Date.now() + 150,
      tokenVersion: 1,
    });
    socket.send("still there");
    await expect.poll(() => messages).toEqual(["still there"]);
    expect(await closed).toMatchObject({ code: 4401 });
    expect(instance.open.count).toBe(0);
  });

  test("is closed with 4401 at once when its session expired during the handshake", async () => {
    const { closed } = await connect(echo, { expiresAt: Date.now() - 1, tokenVersion: 1 });
    expect(await closed).toMatchObject({ code: 4401 });
  });

  test("is closed with 4401 when tokens of its version are revoked, and not otherwise", async () => {
    const old = await connect(echo, { expiresAt: null, tokenVersion: 1 });
    old.instance.open.revoke(2);
    expect(await old.closed).toMatchObject({ code: 4401 });
    const current = await connect(echo, { expiresAt: null, tokenVersion: 2 });
    current.instance.open.revoke(2);
    current.socket.send("still there");
    await expect.poll(() => current.messages).toEqual(["still there"]);
  });

  test.each([
    ["a revocation", 4401, (open: OpenRequests) => open.revoke(2)],
    ["a planned stop", 1012, (open: OpenRequests) => open.closeSockets()],
  ])("is closed by %s that comes in the middle of its handshake", async (_, code, meanwhile) => {
    const { instance, closed } = await connect(echo, { expiresAt: null, tokenVersion: 1 }, meanwhile);
    expect(await closed).toMatchObject({ code });
    expect(instance.open.count).toBe(0);
  });

  test("is closed with 1009 by a message of more than 1 MiB", async () => {
    const { socket, closed } = await connect(echo);
    socket.send("x".repeat(1_048_577));
    expect(await closed).toMatchObject({ code: 1009 });
  });

  test("carries a message of 1 MiB", async () => {
    const { socket, messages } = await connect(echo);
    socket.send(new Uint8Array(1_048_576));
    await expect.poll(() => messages.length).toBe(1);
  });

  test("that the container refuses is answered as the container says", async () => {
    const instance = anInstance(() => new Response("no", { status: 403 }));
    const response = await instance.serve(aRequest({ headers: { upgrade: "websocket" } }));
    expect([response.status, await response.text()]).toEqual([403, "no"]);
    await expect.poll(() => instance.open.count).toBe(0);
  });
});
