import { expect, it } from "vitest";
import { containerOf } from "../support/e2e-docker.ts";
import { onContainers, useSharedStack } from "../support/e2e-stack.ts";

onContainers("what can be asked of a tenant", () => {
  const shared = useSharedStack();
  const act = async (tenant: string, action: string, body: object = {}) => {
    const answer = await shared.client.api("POST", `/tenants/${tenant}/${action}?wait=60s`, body);
    expect(answer.status, answer.text).toBe(200);
    return answer.body as Record<string, unknown>;
  };

  /** A save of what is written all the time may find no quiet moment on a busy machine; it says so, and is asked for again. */
  const savedLive = async (tenant: string, direction: "outward" | "both") => {
    for (let attempt = 1; ; attempt += 1) {
      const answer = await shared.client.api("POST", `/tenants/${tenant}/sync?wait=60s`, { direction });
      if (answer.status === 200) return answer.body as Record<string, unknown>;
      expect([answer.body.code, attempt < 10], answer.text).toEqual(["save_failed", true]);
    }
  };

  it("a restart of the process ends the workload's process, and nothing else", async () => {
    const { client } = shared;
    const { containerId } = await client.claimed("acts", { poolId: "work" });
    await client.put("acts", "a.txt", "unsaved");
    const container = await containerOf(client, containerId);
    await container.output("workload", "echo here > /tmp/marker");
    const pids = () => container.output("root", "find /proc -maxdepth 1 -name '[0-9]*' -uid 10001 | sort");
    const before = await pids();
    expect(before).toContain("/proc/");
    expect(await act("acts", "restart", { scope: "process" })).toMatchObject({ state: "active", containerId });
    expect(await pids()).not.toBe(before);
    expect(await container.output("workload", "cat /tmp/marker")).toContain("here");
    expect((await client.get("acts", "a.txt")).text).toBe("unsaved");
    await client.discard("acts");
  });

  it("a restart of the container moves the saved tree into another container, and the old one is gone", async () => {
    const { client } = shared;
    const before = await client.claimed("moves", { poolId: "work", config: { colour: "red" } });
    await client.put("moves", "a.txt", "moved");
    const config = await client.api("PUT", "/tenants/moves/config", { colour: "green" });
    expect(config.body).toMatchObject({ version: 2, pendingRestart: true });
    const after = await act("moves", "restart", { scope: "container" });
    expect(after).toMatchObject({ state: "active", epoch: 2, saved: { generation: 1 } });
    expect(after.containerId).not.toBe(before.containerId);
    expect((await client.get("moves", "a.txt")).text).toBe("moved");
    const container = await containerOf(client, String(after.containerId));
    expect(await container.output("workload", "cat /run/boilerhouse/config.json")).toContain("green");
    expect((await client.api("GET", `/containers/${before.containerId}`)).status).toBe(404);
    await client.discard("moves");
  });

  it("a save of a running workload that goes on writing is one whole moment of it", async () => {
    const { client } = shared;
    const { containerId } = await client.claimed("writes", { poolId: "work" });
    const container = await containerOf(client, containerId);
    // Two files that always agree, rewritten by rename, and one that grows all the time.
    await container.output(
      "workload",
      `cd /data; for i in $(seq 200); do echo $i > "f$i"; done
       (i=0; while [ $i -lt 400 ]; do i=$((i+1)); echo $i > .t; mv .t counter; sleep 0.05; done) >/dev/null 2>&1 &
       echo started`,
    );
    const first = await savedLive("writes", "outward");
    expect(first).toMatchObject({ state: "active", containerId, saved: { generation: 1 } });
    await client.put("writes", "later.txt", "second save");
    const second = await savedLive("writes", "both");
    expect(second).toMatchObject({ saved: { generation: 2 } });
    // The container dies with what came after; what the second save said is all there.
    await container.kill();
    const again = await client.claimed("writes");
    expect(again).toMatchObject({ restored: { generation: 2 } });
    expect((await client.get("writes", "later.txt")).text).toBe("second save");
    expect((await client.get("writes", "f200")).text).toBe("200\n");
    await client.discard("writes");
  });

  it("suspended, resumed, destroyed with its data: no container, no object, no row of it is left", async () => {
    const { client } = shared;
    await client.claimed("ends", { poolId: "work" });
    await client.put("ends", "big.bin", Buffer.alloc(200_000, 7));
    expect(await act("ends", "suspend", { reason: "test" })).toMatchObject({ state: "suspended" });
    expect((await client.claim("ends")).status).toBe(403);
    expect(await act("ends", "resume")).toMatchObject({ state: "asleep" });
    expect((await client.get("ends", "big.bin")).status).toBe(200); // wakes it
    expect(await act("ends", "destroy", { deleteData: true })).toMatchObject({ state: "destroyed" });
    expect((await client.api("GET", "/tenants/ends/generations")).body).toMatchObject({ items: [] });
    expect((await client.claimed("ends", { poolId: "work" })).restored).toBeNull();
    await client.discard("ends");
  });
});
