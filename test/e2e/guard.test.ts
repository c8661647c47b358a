import { expect, it } from "vitest";
import { containerOf } from "../support/e2e-docker.ts";
import { onContainers, useSharedStack } from "../support/e2e-stack.ts";

onContainers("the save guard", () => {
  const shared = useSharedStack();

  /** A tenant with ten saved files of ten bytes each, claimed again. */
  async function withTenFiles(tenant: string): Promise<{ containerId: string; generation: number }> {
    const { client } = shared;
    const { containerId } = await client.claimed(tenant, { poolId: "work" });
    const container = await containerOf(client, containerId);
    await container.output(
      "workload",
      "cd /data; for i in 0 1 2 3 4 5 6 7 8 9; do printf 'content %s\\n' $i > f$i; done",
    );
    const { generation } = await client.released(tenant);
    return { containerId: (await client.claimed(tenant)).containerId, generation };
  }

  async function isRefused(tenant: string, containerId: string, generation: number): Promise<void> {
    const { client } = shared;
    const answer = await client.release(tenant);
    expect([answer.status, answer.body.code], answer.text).toEqual([409, "guard_blocked"]);
    expect((await client.status(tenant)).body).toMatchObject({ state: "release_failed", containerId, generation });
    expect(await (await containerOf(client, containerId)).isRunning()).toBe(true);
  }

  it("refuses an emptied directory, keeps the container, and accepts it when forced", async () => {
    const { client } = shared;
    const { containerId, generation } = await withTenFiles("emptied");
    expect((await client.at("emptied", "DELETE", "/files/")).status).toBe(204);
    await isRefused("emptied", containerId, generation);

    const forced = await client.release("emptied", { force: true });
    expect(forced.status, forced.text).toBe(200);
    expect(forced.body).toMatchObject({ state: "idle", saved: { files: 0, bytes: 0 } });
    expect(forced.body.saved.generation).toBeGreaterThan(generation);
    const again = await client.claimed("emptied");
    expect(again.restored).toMatchObject({ generation: forced.body.saved.generation, files: 0 });
    expect((await client.at("emptied", "GET", "/files/")).body).toEqual({ files: [] });
    await client.discard("emptied");
  });

  it("leaves the last good state the head: who gives up the emptied directory gets it back", async () => {
    const { client } = shared;
    const { containerId, generation } = await withTenFiles("regretted");
    await client.at("regretted", "DELETE", "/files/");
    await isRefused("regretted", containerId, generation);
    await client.discard("regretted");
    const again = await client.claimed("regretted");
    expect(again.restored).toEqual({ generation, files: 10, bytes: 100 });
    expect((await client.get("regretted", "f7")).text).toBe("content 7\n");
    await client.discard("regretted");
  });

  it("a claim after a refusal goes on with the same container under a new epoch, and a mended directory is saved", async () => {
    const { client } = shared;
    const { containerId, generation } = await withTenFiles("mended");
    await client.at("mended", "DELETE", "/files/");
    await isRefused("mended", containerId, generation);
    const resumed = await client.claim("mended");
    expect(resumed.status, resumed.text).toBe(200);
    expect(resumed.body).toMatchObject({ launch: "existing", containerId });
    for (let i = 0; i < 6; i++) await client.put("mended", `g${i}`, "content again\n");
    const saved = await client.released("mended");
    expect(saved).toMatchObject({ files: 6 });
    expect((await client.claimed("mended")).restored).toMatchObject({ generation: saved.generation, files: 6 });
    await client.discard("mended");
  });

  it("lets half of the files go, but not more", async () => {
    const { client } = shared;
    await withTenFiles("half");
    for (let i = 0; i < 5; i++) await client.at("half", "DELETE", `/files/f${i}`);
    expect(await client.released("half")).toMatchObject({ files: 5, changed: 5 });
    const { containerId } = await client.claimed("half");
    const { generation } = (await client.status("half")).body;
    for (let i = 5; i < 8; i++) await client.at("half", "DELETE", `/files/f${i}`);
    await isRefused("half", containerId, generation);
    await client.discard("half");
  });

  it("counts bytes as well as files", async () => {
    const { client } = shared;
    const { containerId } = await client.claimed("bytes", { poolId: "work" });
    await client.put("bytes", "big", Buffer.alloc(100_000, 1));
    for (let i = 0; i < 5; i++) await client.put("bytes", `small${i}`, "x");
    expect(containerId).toBeTruthy();
    const { generation } = await client.released("bytes");
    const second = await client.claimed("bytes");
    await client.put("bytes", "big", "");
    await isRefused("bytes", second.containerId, generation);
    await client.discard("bytes");
  });
});
