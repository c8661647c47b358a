import { abortAllDurableObjects, evictDurableObject } from "cloudflare:test";
import { afterEach, describe, expect, it, vi } from "vitest";
import { instanceOf } from "../../src/durable/stubs.ts";
import type { ContainerId } from "../../src/ids.ts";
import { type BridgeEvents, bridge } from "../../src/proxy/bridge.ts";
import { OpenRequests } from "../../src/proxy/open-requests.ts";
import { aPool, call, claim, env, eventually, put, request, simulation, status } from "../support/fleet.ts";

const UPGRADE = { upgrade: "websocket" };

/** A socket to a tenant's container, through the whole proxy. */
async function aSocket(tenant: string) {
  const response = await request("GET", `/t/${tenant}/echo`, undefined, UPGRADE);
  expect(response.status).toBe(101);
  const socket = response.webSocket as WebSocket;
  const heard: unknown[] = [];
  const seen = { socket, heard, closed: null as number | null };
  socket.addEventListener("message", ({ data }) => heard.push(data));
  socket.addEventListener("close", ({ code }) => {
    seen.closed = code;
  });
  socket.accept();
  return seen;
}

async function expectEcho({ socket, heard }: { socket: WebSocket; heard: unknown[] }, text: string) {
  socket.send(text);
  await expect.poll(() => heard.at(-1)).toBe(text);
}

describe("an open socket", () => {
  it("outlives what does not stop its container: a live save, a command, others' sockets, its Tenant's memory", async () => {
    const pool = await aPool("staying", { minSize: 1 });
    await claim("staying", pool);
    await put("staying", "a.txt", "x");
    const [socket, other] = [await aSocket("staying"), await aSocket("staying")];
    expect((await call("POST", "/api/v1/tenants/staying/sync?wait=10s", { direction: "outward" })).status).toBe(200);
    other.socket.close(4000);
    await evictDurableObject(env.TENANT.getByName("staying") as unknown as DurableObjectStub);
    await evictDurableObject(env.POOL.getByName(pool) as unknown as DurableObjectStub);
    await expectEcho(socket, "still there");
    expect((await status("staying")).body).toMatchObject({ state: "active" });
    expect(socket.closed).toBeNull();
  });

  it("is closed with 1012 by a restart, and the next one reaches the workload that was started", async () => {
    await claim("restarted", await aPool("restarting", { minSize: 2 }));
    const before = await aSocket("restarted");
    const restarted = await call("POST", "/api/v1/tenants/restarted/restart?wait=10s", {});
    expect(restarted.status, JSON.stringify(restarted.body)).toBe(200);
    await expect.poll(() => before.closed).toBe(1012);
    await expectEcho(await aSocket("restarted"), "again");
  });

  it("is closed with 1011 or 1012, whoever tells first, when its container ends, and the next one reaches the new container", async () => {
    const { body } = await claim("crashed", await aPool("crashing-sockets", { minSize: 2 }));
    const before = await aSocket("crashed");
    simulation.for(body.containerId).crash(137);
    await expect.poll(() => before.closed).toBeOneOf([1011, 1012]);
    await expectEcho(await aSocket("crashed"), "again");
    expect((await status("crashed")).body.epoch).toBe(body.epoch + 1);
  });

  it("is closed when the workload that it leads to ends by itself", async () => {
    await claim("ended", await aPool("ending-sockets", { minSize: 1 }));
    const before = await aSocket("ended");
    await request("POST", "/t/ended/crash");
    await expect.poll(() => before.closed).toBe(1001);
    await eventually(async () => expectEcho(await aSocket("ended"), "again"));
  });

  it("breaks when its Instance is reset, and the next one reaches the same container", async () => {
    const { body } = await claim("reset", await aPool("resetting", { minSize: 1 }));
    const before = await aSocket("reset");
    await abortAllDurableObjects();
    await expect.poll(() => before.closed).toBe(1006);
    await eventually(async () => expectEcho(await aSocket("reset"), "again"));
    expect((await status("reset")).body).toMatchObject({ containerId: body.containerId });
  });

  it("that its container's Instance closes is open for it no more", async () => {
    const { body } = await claim("counted", await aPool("counting", { minSize: 1 }));
    const open = async () => (await instanceOf(env, body.containerId as ContainerId).observe()).openRequests;
    const { socket } = await aSocket("counted");
    expect(await open()).toBe(1);
    socket.close(1000);
    await expect.poll(open).toBe(0);
  });
});

describe("a handshake", () => {
  it("whose client goes away keeps nothing open", async () => {
    const { body } = await claim("shaking", await aPool("handshakes", { minSize: 1 }));
    const open = async () => (await instanceOf(env, body.containerId as ContainerId).observe()).openRequests;
    simulation.for(body.containerId).hang("fetch");
    const gone = new AbortController();
    const hanging = request("GET", "/t/shaking/echo", undefined, UPGRADE, gone.signal);
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(await open()).toBe(1);
    gone.abort();
    await expect(hanging).rejects.toThrow();
    await expect.poll(open).toBe(0);
  });
});

describe("sockets that are open for longer than requests count", () => {
  afterEach(() => {
    vi.restoreAllMocks();
  });

  it.each([
    ["a planned stop", (open: OpenRequests) => open.closeSockets(), 1012],
    ["a revocation", (open: OpenRequests) => open.revoke(2), 4401],
  ])("are closed by %s", (_, act, code) => {
    let now = 0;
    const open = new OpenRequests(() => now);
    const close = vi.fn();
    const end = open.begin(close, 1);
    open.begin();
    expect(open.count).toBe(2);
    now += 24 * 3_600_000;
    expect(open.count).toBe(0);
    act(open);
    expect(close).toHaveBeenCalledExactlyOnceWith(code, expect.any(String));
    end();
  });
});

/** One end of a socket that keeps what it is told, as slow as its test says. */
class FakeSocket extends EventTarget {
  readyState = WebSocket.OPEN;
  binaryType = "blob";
  bufferedAmount = 0;
  readonly sent: unknown[] = [];
  closed: number | null = null;
  send(data: unknown): void {
    this.sent.push(data);
  }
  close(code: number): void {
    this.closed = code;
    this.readyState = WebSocket.CLOSED;
  }
  says(data: unknown): void {
    this.dispatchEvent(new MessageEvent("message", { data }));
  }
}

describe("a bridge", () => {
  function aBridge(isCurrent = () => true) {
    const [client, container] = [new FakeSocket(), new FakeSocket()];
    const events: BridgeEvents = { isCurrent, onFrame: vi.fn(), onEnd: vi.fn() };
    bridge(client as unknown as WebSocket, container as unknown as WebSocket, events);
    return { client, container, events };
  }

  it.each([
    ["client", "container"],
    ["container", "client"],
  ] as const)("holds at most 1 MiB of what the %s sends for a slower %s", (from, to) => {
    const pair = aBridge();
    pair[to].bufferedAmount = 1_048_576 - 10;
    pair[from].says("0123456789");
    expect(pair[to].sent).toEqual(["0123456789"]);
    pair[from].says("01234567890");
    expect(pair[to].sent).toHaveLength(1);
    expect([pair.client.closed, pair.container.closed]).toEqual([1013, 1013]);
    expect(pair.events.onEnd).toHaveBeenCalledOnce();
  });

  it.each(["client", "container"] as const)("of an epoch that is over lets nothing of the %s through", (from) => {
    let current = true;
    const pair = aBridge(() => current);
    const to = from === "client" ? pair.container : pair.client;
    pair[from].says("before");
    current = false;
    pair[from].says("after");
    pair[from].says("and after that");
    expect(to.sent).toEqual(["before"]);
    expect([pair.client.closed, pair.container.closed]).toEqual([1012, 1012]);
    expect(pair.events.onFrame).toHaveBeenCalledOnce();
  });

  it("whose one side breaks tells the other 1011, once", () => {
    const { client, container, events } = aBridge();
    container.dispatchEvent(new Event("error"));
    container.dispatchEvent(new CloseEvent("close", { code: 1006 }));
    expect(client.closed).toBe(1011);
    expect(events.onEnd).toHaveBeenCalledOnce();
  });

  it.each([
    [1000, 1000],
    [1005, 1000],
    [1006, 1011],
    [1001, 1001],
    [1015, 1011],
    [4999, 4999],
  ])("passes the close code %i on as %i, in both directions", (code, told) => {
    for (const [from, to] of [
      ["client", "container"],
      ["container", "client"],
    ] as const) {
      const pair = aBridge();
      pair[from].dispatchEvent(new CloseEvent("close", { code }));
      expect(pair[to].closed).toBe(told);
    }
  });
});
