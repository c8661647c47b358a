import { randomBytes } from "node:crypto";
import { expect, it } from "vitest";
import { type ClaimBody, type Client, eventually } from "../support/e2e-client.ts";
import { killAndStart, noObjectHasTwo } from "../support/e2e-crash.ts";
import { Container, containerOf, containersNamed } from "../support/e2e-docker.ts";
import { onContainers, useOwnStack } from "../support/e2e-stack.ts";

/** What everybody is about when the end comes, and where that may lead. */
const ABOUT: Readonly<
  Record<string, { from: "idle" | "active"; ask: (client: Client, tenant: string) => unknown; leads: string[] }>
> = {
  claiming: { from: "idle", ask: (client, tenant) => client.claim(tenant, {}, "0s"), leads: ["active", "idle"] },
  starting: { from: "idle", ask: (client, tenant) => client.claim(tenant, {}, "0s"), leads: ["active", "idle"] },
  running: { from: "active", ask: () => {}, leads: ["active"] },
  syncing: { from: "active", ask: act("sync", { direction: "outward" }), leads: ["active"] },
  restarting: { from: "active", ask: act("restart", { scope: "container" }), leads: ["active", "asleep"] },
  stopping: { from: "active", ask: act("stop"), leads: ["asleep", "active"] },
  releasing: { from: "active", ask: (client, tenant) => client.release(tenant, {}, "0s"), leads: ["idle"] },
  destroying: { from: "active", ask: act("destroy"), leads: ["destroyed"] },
};

function act(action: string, body: object = {}) {
  return (client: Client, tenant: string) => client.api("POST", `/tenants/${tenant}/${action}?wait=0s`, body);
}

/** A start on this machine while others use it. */
const START_MS = 5_000;

onContainers("tenants whose system or containers are killed under them", () => {
  const own = useOwnStack("kill");

  it("by SIGKILL of everything, come to rest with what was saved, whatever they were about, and leave nothing", async () => {
    const names = Object.keys(ABOUT);
    for (const [name, { from }] of Object.entries(ABOUT)) {
      await own.client.claimed(name, { poolId: "work" });
      await own.client.put(name, "kept", name);
      await own.client.released(name);
      if (from === "idle") continue;
      await own.client.claimed(name);
      await own.client.put(name, "new", randomBytes(8_000_000)); // its save takes a moment
    }
    await Promise.all(Object.entries(ABOUT).map(([name, { ask }]) => ask(own.client, name)));
    await killAndStart(own);

    const { client } = own;
    await Promise.all(
      names.map((name) =>
        eventually(async () => {
          if (name === "running") await client.get(name, "kept"); // a request finds that its container is gone
          const { body } = await client.status(name);
          expect(body.operation, JSON.stringify(body)).toBeUndefined();
          expect(ABOUT[name]?.leads, `${name}: ${JSON.stringify(body)}`).toContain(body.state);
        }, 60_000),
      ),
    );
    for (const name of names) {
      await client.claimed(name, { poolId: "work" });
      expect((await client.get(name, "kept")).text).toBe(name);
      await noObjectHasTwo(own);
    }
    for (const name of names) await client.released(name);
    await isAllThatRuns();
  });

  it("by the engine, all at once, come back with what was saved, and the pool is warm again", async () => {
    const { client } = own;
    const names = ["first", "second", "third"];
    for (const name of names) {
      await client.claimed(name, { poolId: "work" });
      await client.put(name, "kept", name);
      await client.released(name);
      await client.claimed(name);
    }
    const before = await containersNamed(`-${own.stack.worker}-`);
    expect(before.length).toBeGreaterThanOrEqual(names.length);
    await Promise.all(before.map((name) => new Container(name).kill()));

    const read = await Promise.all(names.map((name) => client.get(name, "kept")));
    expect(read.map(({ status, text }) => [status, text])).toEqual(names.map((name) => [200, name]));
    for (const name of names) await client.released(name);
    await isAllThatRuns();
    const after = await containersNamed(`-${own.stack.worker}-`);
    expect(after.filter((name) => before.includes(name))).toEqual([]);
  });

  it("by the engine, with nobody asking for anything, come back within 10 s and a start", async () => {
    const { client } = own;
    const lost = await savedAndClaimed("unasked", "work");
    const startedAt = Date.now();
    await (await containerOf(client, lost.containerId)).kill();
    const { body } = await untilReplaced("unasked", lost.epoch, 10_000 + START_MS);
    expect(Date.now() - startedAt).toBeLessThan(10_000 + START_MS);
    expect(body).toMatchObject({ lastLoss: { containerId: lost.containerId } });
    expect((await client.get("unasked", "kept")).text).toBe("unasked");
    await client.released("unasked");
    await isAllThatRuns();
  });

  /** Nothing reads it but its status, which looks at no container. */
  async function untilReplaced(tenant: string, epoch: number, withinMs: number) {
    return eventually(async () => {
      const answer = await own.client.status(tenant);
      expect(answer.body, answer.text).toMatchObject({ state: "active" });
      expect(answer.body.epoch).toBeGreaterThan(epoch);
      return answer;
    }, withinMs);
  }

  /** An active tenant with a saved file `kept`. */
  async function savedAndClaimed(tenant: string, poolId: string): Promise<ClaimBody> {
    const { client } = own;
    await client.claimed(tenant, { poolId });
    await client.put(tenant, "kept", tenant);
    await client.released(tenant);
    return client.claimed(tenant);
  }

  /** Nobody holds a container: the engine has as many as the pool keeps warm. */
  async function isAllThatRuns(): Promise<void> {
    await eventually(async () => {
      const { body } = await own.client.api("GET", "/pools/work");
      expect(body).toMatchObject({ warm: 2, size: 2, claimed: 0, unhealthy: 0 });
      expect(await containersNamed(`-${own.stack.worker}-`)).toHaveLength(2);
    }, 60_000);
    await noObjectHasTwo(own);
  }
});
