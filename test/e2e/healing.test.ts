import { expect, it } from "vitest";
import { eventually } from "../support/e2e-client.ts";
import { type Container, containerOf } from "../support/e2e-docker.ts";
import { onContainers, useSharedStack } from "../support/e2e-stack.ts";

onContainers("a container that ends on its own", () => {
  const shared = useSharedStack();

  it("killed by the engine, is replaced at the next request with the last saved state, and the loss is shown", () =>
    loses("killed", (container) => container.kill()));

  it("restarted in place by the engine after its PID 1 failed, counts as lost in the same way", () =>
    loses("rebooted", async (container) => {
      await container.failPid1();
      await eventually(async () => {
        const now = await container.inspect();
        expect(now === null || now.RestartCount > 0, "restarted, or removed already").toBe(true);
      });
    }));

  it("that is replaced for a request with a body and an upgrade, carries them out or says that it did not", async () => {
    const { client } = shared;
    const first = await client.claimed("bodies", { poolId: "work" });
    await client.put("bodies", "x", "1");
    await (await containerOf(client, first.containerId)).kill();
    const answer = await client.at("bodies", "PUT", "/files/y", { body: "2" });
    expect([201, 503], answer.text).toContain(answer.status);
    await client.claimed("bodies");
    await client.put("bodies", "y", "3");
    const socket = await client.socket("bodies");
    socket.send("alive");
    expect(await socket.next()).toBe("alive");
    await socket.close();
    await client.discard("bodies");
  });

  it("whose workload alone crashes stays, and the workload is started again", async () => {
    const { client } = shared;
    const { containerId, epoch } = await client.claimed("crasher", { poolId: "work" });
    await client.put("crasher", "before", "still here");
    expect((await client.at("crasher", "POST", "/crash")).status).toBe(202);
    await eventually(async () => {
      const answer = await client.get("crasher", "before");
      if (answer.status === 503) expect(Number(answer.headers["retry-after"])).toBeGreaterThan(0);
      expect([answer.status, answer.text]).toEqual([200, "still here"]);
    }, 10_000);
    expect((await client.status("crasher")).body).toMatchObject({ containerId, epoch, state: "active" });
    await client.discard("crasher");
  });

  async function loses(tenant: string, end: (container: Container) => Promise<void>): Promise<void> {
    const { client } = shared;
    await client.claimed(tenant, { poolId: "work" });
    await client.put(tenant, "saved.txt", "saved");
    const { generation } = await client.released(tenant);
    const lost = await client.claimed(tenant);
    await client.put(tenant, "unsaved.txt", "not saved");
    const container = await containerOf(client, lost.containerId);
    await end(container);

    const next = await client.get(tenant, "saved.txt");
    expect([next.status, next.text]).toEqual([200, "saved"]);
    expect((await client.get(tenant, "unsaved.txt")).status).toBe(404);
    const { body } = await client.status(tenant);
    expect(body).toMatchObject({
      state: "active",
      generation,
      lastLoss: {
        containerId: lost.containerId,
        generation,
        unsavedSince: expect.any(String),
        detail: expect.any(String),
      },
    });
    expect(body.epoch).toBeGreaterThan(lost.epoch);
    expect(body.containerId).not.toBe(lost.containerId);
    expect(await container.isRunning(), "the old container").toBe(false);

    // The new one is a whole one: it saves, and its save comes back.
    await client.put(tenant, "after.txt", "after");
    expect((await client.released(tenant)).generation).toBeGreaterThan(generation);
    await client.claimed(tenant);
    expect((await client.get(tenant, "after.txt")).text).toBe("after");
    await client.discard(tenant);
  }
});
