import { describe, expect, it } from "vitest";
import type { World } from "../world/types.ts";
import { asking, aTenant, until } from "./support.ts";

const UPGRADE = { headers: { upgrade: "websocket", connection: "upgrade" } };

/** A socket of the tenant's, with what it hears. */
async function aSocket(world: World) {
  const { status, webSocket } = await asking(world, "/echo", UPGRADE);
  if (!webSocket) throw new Error(`no socket: ${status}`);
  const heard: unknown[] = [];
  const seen = { webSocket, heard, closed: null as number | null };
  webSocket.addEventListener("message", ({ data }) => heard.push(data));
  webSocket.addEventListener("close", ({ code }) => {
    seen.closed = code;
  });
  webSocket.accept();
  return seen;
}

const epochOf = (world: World) => world.objects.find("Tenant", "t")?.document<{ epoch: number }>("tenant")?.epoch;

describe("a socket", () => {
  it("keeps its Instance in memory, and outlives its Tenant's and its Pool's stays there", async () => {
    const { world, instance } = await aTenant();
    const socket = await aSocket(world);
    await world.advance(1_000);
    expect(world.objects.evict(instance)).toBe(false);
    for (const kind of ["Tenant", "Pool"] as const)
      for (const each of world.objects.list(kind)) world.objects.crash(each);
    await world.advance(300_000);
    socket.webSocket.send("still there");
    await world.advance(1_000);
    expect(socket).toMatchObject({ heard: ["still there"], closed: null });
  });

  it("is closed with 1011 or 1012, whoever tells first, when its container ends, and the next one reaches the new container", async () => {
    const { world, id } = await aTenant();
    const socket = await aSocket(world);
    const before = epochOf(world) ?? 0;
    world.containers.controls.for(id).crash(137);
    await world.advance(30_000);
    expect(socket.closed).toBeOneOf([1011, 1012]);
    expect(epochOf(world)).toBe(before + 1);
    const next = await aSocket(world);
    next.webSocket.send("again");
    await world.advance(1_000);
    expect(next).toMatchObject({ heard: ["again"], closed: null });
    expect(() => socket.webSocket.send("old")).toThrow();
  });

  it("is closed with 1012 when its container hangs and is replaced", async () => {
    const { world, id } = await aTenant();
    const socket = await aSocket(world);
    world.containers.controls.for(id).freeze();
    await world.advance(120_000);
    expect(socket.closed).toBe(1012);
  });

  it("whose workload closes it while a frame is under way gets no answer to that, and is closed", async () => {
    const { world, id } = await aTenant();
    const socket = await aSocket(world);
    socket.webSocket.send("too late");
    await until(world, /^socket message$/); // its Instance has passed it on
    world.containers.get(id)?.init.workload()?.closeSockets();
    await world.advance(1_000);
    expect(socket.heard).toEqual([]);
    expect(socket.closed).not.toBeNull();
  });

  it("breaks when its Instance is reset, and the next one reaches the same container", async () => {
    const { world, id, instance } = await aTenant();
    const socket = await aSocket(world);
    world.objects.crash(instance);
    await world.advance(1_000);
    expect(socket.closed).toBe(1006);
    const next = await aSocket(world);
    next.webSocket.send("again");
    await world.advance(1_000);
    expect(next.heard).toEqual(["again"]);
    expect(world.containers.running).toEqual([id]);
  });

  it("whose handshake has no answer is given up, and keeps its container awake no longer", async () => {
    const { world, instance } = await aTenant();
    const open = () =>
      world.finish(
        world.worker("observe", (env) => world.modules.stubs.instanceOf(env, instance.name as never).observe()),
      );
    const { openRequests } = await open();
    world.containers.controls.for(instance.name).hang("fetch");
    const response = await asking(world, "/echo", UPGRADE);
    expect([response.status, await response.json()]).toMatchObject([409, { code: "operation_interrupted" }]);
    expect(await open()).toMatchObject({ openRequests, alive: true });
  });
});
