import { expect, it } from "vitest";
import { containerOf } from "../support/e2e-docker.ts";
import type { Socket } from "../support/e2e-http.ts";
import { onContainers, useSharedStack } from "../support/e2e-stack.ts";

onContainers("a socket to a container", () => {
  const shared = useSharedStack();

  async function expectEcho(socket: Socket, text: string): Promise<void> {
    socket.send(text);
    expect(await socket.next()).toBe(text);
  }

  it("is closed with 1012 by a restart of its workload, and the next one reaches what was started", async () => {
    const { client } = shared;
    await client.claimed("again", { poolId: "work" });
    const before = await client.socket("again");
    await expectEcho(before, "before");
    const restarted = await client.api("POST", "/tenants/again/restart?wait=60s", { scope: "process" });
    expect(restarted.status, restarted.text).toBe(200);
    expect(await before.closed).toMatchObject({ code: 1012 });
    const next = await client.socket("again");
    await expectEcho(next, "after");
    await next.close();
    await client.discard("again");
  });

  it("is closed with 1011 or 1012 when the engine kills its container, and the next one reaches the new container", async () => {
    const { client } = shared;
    const { containerId, epoch } = await client.claimed("killed", { poolId: "work" });
    const before = await client.socket("killed");
    await expectEcho(before, "before");
    await (await containerOf(client, containerId)).kill();
    expect((await before.closed).code).toBeOneOf([1011, 1012]);
    const next = await client.socket("killed");
    await expectEcho(next, "after");
    expect((await client.status("killed")).body.epoch).toBe(epoch + 1);
    await next.close();
    await client.discard("killed");
  });

  it("outlives a live save, and lets its tenant go once it is closed", async () => {
    const { client } = shared;
    await client.claimed("stays", { poolId: "work" });
    await client.put("stays", "a.txt", "x");
    const socket = await client.socket("stays");
    const saved = await client.api("POST", "/tenants/stays/sync?wait=60s", { direction: "outward" });
    expect(saved.status, saved.text).toBe(200);
    await expectEcho(socket, "still there");
    await socket.close();
    expect((await client.release("stays")).body).toMatchObject({ state: "idle" });
    await client.discard("stays");
  });
});
