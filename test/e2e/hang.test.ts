import { expect, it } from "vitest";
import { eventually } from "../support/e2e-client.ts";
import { containerOf } from "../support/e2e-docker.ts";
import { onContainers, useSharedStack } from "../support/e2e-stack.ts";

const INTERVAL_MS = 5_000;
/** A start on this machine while others use it. */
const START_MS = 5_000;

onContainers("a container that hangs", () => {
  const shared = useSharedStack();

  it("frozen by the engine, is replaced within two health intervals and a start, and serves nobody when it thaws", async () => {
    const { client } = shared;
    const healthCheck = { http: { path: "/healthz" }, intervalMs: INTERVAL_MS, timeoutMs: 1_000, retries: 3 };
    await client.workload({ id: "hang", healthCheck });
    await client.pool({ id: "hang", workloadId: "hang", minSize: 1 });
    await client.claimed("frozen", { poolId: "hang" });
    await client.put("frozen", "kept", "kept");
    await client.released("frozen");
    const lost = await client.claimed("frozen");
    await client.put("frozen", "new", "not saved");
    const container = await containerOf(client, lost.containerId);
    await container.freeze();

    // Nothing asks for it but its status, which looks at no container.
    const status = await eventually(
      async () => {
        const { body, text } = await client.status("frozen");
        expect(body, text).toMatchObject({ state: "active" });
        expect(body.epoch, text).toBeGreaterThan(lost.epoch);
        return body;
      },
      2 * INTERVAL_MS + START_MS,
    );
    expect(status).toMatchObject({ lastLoss: { containerId: lost.containerId } });
    await container.thaw();
    expect((await client.get("frozen", "kept")).text).toBe("kept");
    expect((await client.get("frozen", "new")).status).toBe(404);
    await eventually(async () => expect(await container.isRunning(), "the frozen one").toBe(false), 30_000);
    expect((await client.status("frozen")).body).toMatchObject({ state: "active", epoch: status.epoch });
    await client.discard("frozen");
  });
});
