import { beforeAll, expect, it } from "vitest";
import { command } from "../../scripts/command.ts";
import { eventually } from "../support/e2e-client.ts";
import { type Container, containerOf } from "../support/e2e-docker.ts";
import { onContainers, useSharedStack } from "../support/e2e-stack.ts";

/** What a deploy or a restarting host does to a container: SIGTERM, minutes, SIGKILL. */
onContainers("a container that is told to end", () => {
  const shared = useSharedStack();
  beforeAll(async () => {
    await shared.client.pool({ id: "drain", minSize: 1 });
  }, 60_000);

  async function endedBy(tenant: string, end: (container: Container) => Promise<unknown>): Promise<void> {
    const { client } = shared;
    const first = await client.claimed(tenant, { poolId: "drain" });
    const container = await containerOf(client, first.containerId);
    await client.put(tenant, "unsaved.txt", "written a moment ago");
    await end(container);
    await eventually(async () => expect(await container.isRunning()).toBe(false), 20_000);
    const { body } = await client.status(tenant);
    expect(body).toMatchObject({ state: "asleep", stoppedReason: "deploy", generation: 1, unsavedSince: null });
    expect(body).not.toHaveProperty("lastLoss");

    const woken = await client.get(tenant, "unsaved.txt");
    expect([woken.status, woken.text]).toEqual([200, "written a moment ago"]);
    expect((await client.status(tenant)).body.containerId).not.toBe(first.containerId);
    await client.discard(tenant);
  }

  it("by SIGTERM is saved first, and the next request wakes its tenant with its files", () =>
    endedBy("drained", ({ name }) => command("docker", ["kill", "-s", "TERM", name])));

  it("by the engine, which waits ten seconds only, too", () =>
    endedBy("stopped", ({ name }) => command("docker", ["stop", name])));

  it("that serves nobody ends at once, and the pool makes another", async () => {
    const { client } = shared;
    const pool = await client.pool({ id: "drain-warm", minSize: 1 });
    const items = async () => (await client.api("GET", `/pools/${pool}/containers`)).body.items as { id: string }[];
    const [before] = await items();
    const container = await containerOf(client, String(before?.id));
    const since = Date.now();
    await command("docker", ["kill", "-s", "TERM", container.name]);
    await eventually(async () => expect(await container.isRunning()).toBe(false));
    expect(Date.now() - since).toBeLessThan(5_000);
    await eventually(async () => {
      const now = await items();
      expect(now.map(({ id }) => id)).not.toContain(before?.id);
      expect(now).toHaveLength(1);
    }, 90_000);
  });
});
