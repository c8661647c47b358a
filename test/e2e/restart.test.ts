import { utimesSync } from "node:fs";
import { expect, it } from "vitest";
import { ROOT } from "../../scripts/paths.ts";
import { eventually } from "../support/e2e-client.ts";
import { killAndStart, noObjectHasTwo } from "../support/e2e-crash.ts";
import { containerOf } from "../support/e2e-docker.ts";
import { onContainers, useOwnStack } from "../support/e2e-stack.ts";

onContainers("the whole system, ended and started again", () => {
  const own = useOwnStack("restart");

  it("with SIGKILL between a save and a release, loses nothing that was saved and leaves no orphans", async () => {
    await own.client.claimed("survivor", { poolId: "work" });
    await own.client.put("survivor", "saved.txt", "saved");
    const { generation } = await own.client.released("survivor");
    await own.client.claimed("survivor");
    await own.client.put("survivor", "unsaved.txt", "not saved");
    await own.client.claimed("resting", { poolId: "work" });
    await own.client.put("resting", "r.txt", "resting");
    await own.client.released("resting");
    const before = (await own.client.status("survivor")).body;

    await killAndStart(own);
    const { client } = own;
    const answer = await client.get("survivor", "saved.txt");
    expect([answer.status, answer.text]).toEqual([200, "saved"]);
    expect((await client.get("survivor", "unsaved.txt")).status).toBe(404);
    const { body } = await client.status("survivor");
    expect(body).toMatchObject({
      state: "active",
      generation,
      lastLoss: { containerId: before.containerId, generation },
    });
    expect(body.epoch).toBeGreaterThan(before.epoch);
    await noObjectHasTwo(own);

    // Idle tenants come back, the pool is warm again, and what was recovered saves again.
    expect((await client.claimed("resting")).restored).toMatchObject({ files: 1 });
    expect((await client.get("resting", "r.txt")).text).toBe("resting");
    await client.put("survivor", "later.txt", "later");
    expect((await client.released("survivor")).generation).toBeGreaterThan(generation);
    expect((await client.claimed("survivor")).restored).toMatchObject({ files: 2 });
    await eventually(async () =>
      expect((await client.api("GET", "/pools/work")).body).toMatchObject({ warm: 2, unhealthy: 0 }),
    );
    await noObjectHasTwo(own);
    await client.discard("survivor", "resting");
  });

  it("with SIGKILL in the middle of a release, ends it, and what was saved before is there", async () => {
    await own.client.claimed("leaving", { poolId: "work" });
    await own.client.put("leaving", "kept.txt", "kept");
    const { generation } = await own.client.released("leaving");
    await own.client.claimed("leaving");
    await own.client.put("leaving", "new.txt", "new");
    const accepted = await own.client.release("leaving", {}, "0s");
    expect([200, 202], accepted.text).toContain(accepted.status);

    await killAndStart(own);
    const { client } = own;
    const status = await eventually(async () => {
      const { body } = await client.status("leaving");
      expect(body).toMatchObject({ state: "idle" });
      return body;
    }, 30_000);
    await client.claimed("leaving");
    expect((await client.get("leaving", "kept.txt")).text).toBe("kept");
    // Either the save was committed before the end, or the status says what was lost.
    if (status.generation > generation) expect((await client.get("leaving", "new.txt")).text).toBe("new");
    else expect(status.lastLoss).toMatchObject({ generation });
    await noObjectHasTwo(own);
    await client.discard("leaving");
  });

  it("by a hot reload, keeps active tenants in their containers, and their storage works", async () => {
    const { client, stack } = own;
    const first = await client.claimed("reloaded", { poolId: "work" });
    const container = await containerOf(client, first.containerId);
    await client.put("reloaded", "before.txt", "before");
    const reloads = () => stack.logTail(100_000).split("Local server updated and ready").length;
    const count = reloads();
    const now = new Date();
    utimesSync(`${ROOT}/src/index.ts`, now, now); // as if it had been saved unchanged
    await eventually(async () => expect(reloads()).toBeGreaterThan(count), 30_000);

    expect((await client.get("reloaded", "before.txt")).text).toBe("before");
    expect((await client.status("reloaded")).body).toMatchObject({
      state: "active",
      containerId: first.containerId,
      epoch: first.epoch,
    });
    expect(await container.isRunning()).toBe(true);
    await client.put("reloaded", "after.txt", "after");
    const socket = await client.socket("reloaded");
    socket.send("hello");
    expect(await socket.next()).toBe("hello");
    await socket.close();
    expect(await client.released("reloaded")).toMatchObject({ files: 2, changed: 2 });

    // Slots that were warm before are leased after, and restore.
    const second = await client.claimed("reloaded");
    expect(second).toMatchObject({ launch: "warm", restored: { files: 2 } });
    expect((await client.get("reloaded", "after.txt")).text).toBe("after");
    await noObjectHasTwo(own);
    await client.discard("reloaded");
  });
});
