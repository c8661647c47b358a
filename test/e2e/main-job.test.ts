import { randomBytes } from "node:crypto";
import { expect, it } from "vitest";
import { eventually } from "../support/e2e-client.ts";
import { containerOf, containersNamed } from "../support/e2e-docker.ts";
import { onContainers, useSharedStack } from "../support/e2e-stack.ts";

onContainers("a tenant's container", () => {
  const shared = useSharedStack();

  it("is claimed warm, answers at its path and its own host, and keeps its files over a release", async () => {
    const { client } = shared;
    const first = await client.claim("alice", { poolId: "work" });
    expect(first.status, first.text).toBe(201);
    expect(first.body).toMatchObject({
      tenantId: "alice",
      containerId: expect.stringMatching(/^c-/),
      poolId: "work",
      state: "active",
      launch: "warm",
      epoch: 1,
      restored: null,
      endpoints: {
        http: expect.stringMatching(/^http:\/\/alice\.localhost:\d+/),
        ws: expect.stringMatching(/^ws:\/\/alice\.localhost:\d+/),
      },
      timings: expect.any(Object),
    });

    await client.put("alice", "a.txt", "the first bytes");
    const container = await containerOf(client, first.body.containerId);
    expect(await container.output("workload", "cat /data/a.txt")).toBe("the first bytes");
    const atHost = await client.atHost("alice", "GET", "/files/a.txt");
    expect([atHost.status, atHost.text]).toEqual([200, "the first bytes"]);

    expect(await client.released("alice")).toEqual({ generation: 1, files: 1, bytes: 15, changed: 1 });
    const { body: idle } = await client.status("alice");
    expect(idle).toMatchObject({ state: "idle", assigned: false, assignment: null, generation: 1, unsavedSince: null });
    expect(idle).not.toHaveProperty("containerId");

    const second = await client.claim("alice");
    expect(second.status, second.text).toBe(201);
    expect(second.body).toMatchObject({ epoch: 2, poolId: "work", restored: { generation: 1, files: 1, bytes: 15 } });
    expect(second.body.containerId).not.toBe(first.body.containerId);
    expect((await client.get("alice", "a.txt")).text).toBe("the first bytes");
    await eventually(async () => expect(await container.inspect(), "the first container").toBeNull());
    await client.discard("alice");
  });

  it("echoes WebSocket messages at its path and at its own host, and closes with 1012 when it is released", async () => {
    const { client } = shared;
    await client.claimed("socket", { poolId: "work" });
    const bytes = randomBytes(100_000);
    const sockets = [await client.socket("socket"), await client.socketAtHost("socket")];
    for (const socket of sockets) {
      socket.send("hello");
      socket.send(bytes);
      expect(await socket.next()).toBe("hello");
      expect(bytes.equals((await socket.next()) as Buffer)).toBe(true);
    }
    await client.released("socket");
    for (const socket of sockets) expect(await socket.closed).toMatchObject({ code: 1012 });
  });

  it("is the same one when it is claimed again, and another pool is refused", async () => {
    const { client } = shared;
    const first = await client.claimed("again", { poolId: "work" });
    const again = await client.claim("again", { poolId: "work" });
    expect(again.status, again.text).toBe(200);
    expect(again.body).toMatchObject({ launch: "existing", containerId: first.containerId, epoch: first.epoch });
    await client.pool({ id: "main-job-other", minSize: 0 });
    const elsewhere = await client.claim("again", { poolId: "main-job-other" });
    expect([elsewhere.status, elsewhere.body.code]).toEqual([409, "claimed_elsewhere"]);
    const { body: container } = await client.api("GET", `/containers/${first.containerId}`);
    expect(container).toMatchObject({
      id: first.containerId,
      tenantId: "again",
      poolId: "work",
      image: "sandbox",
      tier: "lite",
    });
    expect(await containersNamed(container.durableObjectId)).toHaveLength(1);
    await client.discard("again");
  });

  it("gets the claim's config and secrets, readable by its user alone", async () => {
    const { client } = shared;
    const given = {
      poolId: "work",
      config: { greeting: "hi", nested: { n: 1 } },
      secrets: { API_KEY: "s3cret value" },
    };
    const { containerId } = await client.claimed("configured", given);
    const seen = await client.at("configured", "GET", "/config");
    expect(seen.body).toEqual({ config: given.config, secrets: ["API_KEY"] });
    const container = await containerOf(client, containerId);
    expect(await container.output("workload", "cat /run/secrets/API_KEY")).toBe("s3cret value");
    expect(await container.output("root", "stat -c '%a %U' /run/secrets/API_KEY")).toBe("400 workload\n");
    expect(await container.output("workload", "ls -A /data")).toBe("");
    const other = await client.claim("configured", { config: { greeting: "hello" } });
    expect([other.status, other.body.pendingRestart]).toEqual([200, true]);
    await client.discard("configured");
  });

  it("has a host of its own also when its tenant's id is no host label", async () => {
    const { client } = shared;
    const tenant = "User.42@Example:x";
    const claim = await client.claim(tenant, { poolId: "work" });
    expect(claim.status, claim.text).toBe(201);
    const { body } = await client.status(tenant);
    expect(body.host).toMatch(/^t-[a-z2-7]{20}\.localhost/);
    const label = body.host.split(".")[0];
    const answer = await client.atHost(label, "GET", "/whoami");
    expect(answer.body.headers["x-boilerhouse-tenant"]).toBe(tenant);
    await client.discard(tenant);
  });
});
