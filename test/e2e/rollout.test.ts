import { expect, it } from "vitest";
import { eventually, SANDBOX } from "../support/e2e-client.ts";
import { containerOf, containersNamed } from "../support/e2e-docker.ts";
import { onContainers, useSharedStack } from "../support/e2e-stack.ts";

onContainers("a new version of a workload, in a pool that rolls", () => {
  const shared = useSharedStack();

  it("reaches every tenant that runs, with its files and one container each, and so does the way back", async () => {
    const { client } = shared;
    const id = "rollout-rolls";
    await client.workload({ id, environment: { FIRST: "1" } });
    await client.pool({ id, workloadId: id, minSize: 1, maxSize: 6, upgrade: { policy: "rolling", healthyMs: 1_000 } });
    const tenants = ["rollout-a", "rollout-b"];
    const before: string[] = [];
    for (const tenant of tenants) {
      const { containerId } = await client.claimed(tenant, { poolId: id });
      before.push((await containerOf(client, containerId)).name);
      await client.put(tenant, "mine.txt", tenant);
    }

    const runs = async (version: number, variable: string, none: string) => {
      await eventually(async () => {
        const { body } = await client.api("GET", `/pools/${id}/rollout`);
        expect(body, JSON.stringify(body)).toMatchObject({ to: version, state: "done", outdated: 0, failed: [] });
      }, 60_000);
      for (const tenant of tenants) {
        expect((await client.status(tenant)).body).toMatchObject({ state: "active", version });
        expect((await client.get(tenant, "mine.txt")).text).toBe(tenant);
        const { env } = (await client.at(tenant, "GET", "/whoami")).body;
        expect(env).toContain(variable);
        expect(env).not.toContain(none);
      }
    };

    const updated = await client.api("PUT", `/workloads/${id}`, { ...SANDBOX, environment: { SECOND: "2" } });
    expect(updated.status, updated.text).toBe(200);
    await runs(2, "SECOND", "FIRST");
    for (const name of before) await eventually(async () => expect(await containersNamed(name)).toEqual([]));
    const back = await client.api("POST", `/workloads/${id}/rollback`, { version: 1 });
    expect(back.status, back.text).toBe(200);
    await runs(3, "FIRST", "SECOND");
    await client.discard(...tenants);
  }, 180_000);
});
