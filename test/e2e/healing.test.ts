import { expect, it } from "vitest";
import { eventually } from "../support/e2e-client.ts";
import { Container, containerOf, containersNamed } from "../support/e2e-docker.ts";
import { onContainers, useSharedStack } from "../support/e2e-stack.ts";

/** For a start on a busy machine; a warm slot takes a tenth of it. */
const START_MS = 10_000;

onContainers("a container that ends on its own", () => {
  const shared = useSharedStack();

  it("killed by the engine, is replaced at the next request with the last saved state, and the loss is shown", () =>
    loses("killed", (container) => container.kill()));

  it("restarted in place by the engine after its PID 1 failed, counts as lost in the same way", () =>
    loses("rebooted", async (container) => {
      await container.failPid1();
      await eventually(async () => {
        const now = await container.inspect();
        const restarted = now === null || (now.RestartCount > 0 && now.State.Status !== "restarting");
        expect(restarted, "restarted, or removed already").toBe(true);
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

  it("in the middle of its save, leaves the last saved state the head and shows the loss; its sockets are closed", async () => {
    const { client } = shared;
    await client.claimed("torn", { poolId: "work" });
    await client.put("torn", "kept.txt", "kept");
    const { generation } = await client.released("torn");
    const second = await client.claimed("torn");
    const container = await containerOf(client, second.containerId);
    const socket = await client.socket("torn");
    await container.output("workload", "head -c 60000000 /dev/urandom > /data/big");
    const releasing = client.release("torn");
    await eventually(async () => expect((await client.status("torn")).body.state).toBe("releasing"), 5_000, 5);
    await container.kill();

    const answer = await releasing;
    expect(answer.status, answer.text).toBe(409);
    expect(["save_failed", "operation_interrupted"]).toContain(answer.body.code);
    await eventually(async () => {
      const { body } = await client.status("torn");
      const lastLoss = { containerId: second.containerId, generation };
      expect(body).toMatchObject({ state: "idle", generation, lastLoss });
    });
    expect([1006, 1011, 1012]).toContain((await socket.closed).code);
    expect((await client.claimed("torn")).restored).toEqual({ generation, files: 1, bytes: 4 });
    expect((await client.get("torn", "kept.txt")).text).toBe("kept");
    await client.discard("torn");
  });

  it("warm, before anybody has it, is never given to a tenant", async () => {
    const { client, stack } = shared;
    const before = await containersNamed(`-${stack.worker}-`);
    await client.pool({ id: "healing-warm", minSize: 1 });
    const warm = (await containersNamed(`-${stack.worker}-`)).filter((name) => !before.includes(name));
    expect(warm).not.toEqual([]);
    for (const name of warm) await new Container(name).kill();
    const claim = await client.claimed("lucky", { poolId: "healing-warm" });
    await client.put("lucky", "x", "served");
    expect(warm).not.toContain((await containerOf(client, claim.containerId)).name);
    await client.discard("lucky");
  });

  it("whose workload is killed stays, and has it again without anybody asking", async () => {
    const { client } = shared;
    const first = await savedTenant("killed-inside", "work");
    await client.put("killed-inside", "unsaved.txt", "still here");
    await first.container.killWorkload();
    await eventually(async () => {
      const state = await first.container.output("root", "cat /run/boilerhouse/private/state");
      expect(state.trim()).toBe("running 1 137");
    }, 10_000);
    await eventually(async () => expect((await client.get("killed-inside", "unsaved.txt")).text).toBe("still here"));
    expect((await client.status("killed-inside")).body).toMatchObject({ epoch: first.epoch, state: "active" });
    await client.discard("killed-inside");
  });

  it("whose workload ends again and again, is replaced", async () => {
    const { client } = shared;
    const first = await savedTenant("hopeless", "work");
    for (let ends = 1; ends <= 5; ends += 1) {
      await eventually(async () => {
        const state = await first.container.output("root", "cat /run/boilerhouse/private/state");
        expect(state.startsWith(`running ${ends - 1} `), state).toBe(true);
        await first.container.output("root", "pidof node");
      }, 15_000);
      await first.container.killWorkload();
    }
    await backAgain("hopeless", first.epoch, 10_000 + START_MS);
    await client.discard("hopeless");
  }, 120_000);

  it("whose workload hangs, is found within two health intervals and replaced", async () => {
    const { client } = shared;
    const healthCheck = { http: { path: "/healthz" }, intervalMs: 4_000, timeoutMs: 500, retries: 3 };
    await client.workload({ id: "checked", healthCheck });
    const first = await savedTenant("hung", await client.pool({ id: "checked", workloadId: "checked", minSize: 1 }));
    await first.container.output("root", "curl -s -m 1 -X POST http://127.0.0.1:8080/hang || true");
    await backAgain("hung", first.epoch, 2 * healthCheck.intervalMs + START_MS);
    await client.discard("hung");
  });

  /** With one saved file. */
  async function savedTenant(tenant: string, poolId: string) {
    const { client } = shared;
    const { containerId, epoch } = await client.claimed(tenant, { poolId });
    await client.put(tenant, "saved.txt", "saved");
    const saved = await client.api("POST", `/tenants/${tenant}/sync?wait=60s`, { direction: "outward" });
    expect(saved.status, saved.text).toBe(200);
    return { epoch, container: await containerOf(client, containerId) };
  }

  /** Active under a later epoch, by looking at its record alone; then with what was saved. */
  async function backAgain(tenant: string, epoch: number, withinMs: number): Promise<void> {
    const { client } = shared;
    await eventually(async () => {
      const { body } = await client.status(tenant);
      expect(body).toMatchObject({ state: "active" });
      expect(body.epoch).toBeGreaterThan(epoch);
    }, withinMs);
    expect((await client.get(tenant, "saved.txt")).text).toBe("saved");
  }

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
    await eventually(async () => expect(await container.isRunning(), "the old container").toBe(false));

    // The new one is a whole one: it saves, and its save comes back.
    await client.put(tenant, "after.txt", "after");
    expect((await client.released(tenant)).generation).toBeGreaterThan(generation);
    await client.claimed(tenant);
    expect((await client.get(tenant, "after.txt")).text).toBe("after");
    await client.discard(tenant);
  }
});
