import { beforeAll, expect, it } from "vitest";
import { eventually } from "../support/e2e-client.ts";
import { containerOf, everyContainerNamed } from "../support/e2e-docker.ts";
import { onContainers, useSharedStack } from "../support/e2e-stack.ts";

const IDLE_MS = 1_500;
const HTML = { headers: { accept: "text/html,application/xhtml+xml" } };

onContainers("an idle tenant", () => {
  const shared = useSharedStack();
  beforeAll(async () => {
    await shared.client.pool({ id: "sleep", minSize: 0, idleTimeoutMs: IDLE_MS });
    await shared.client.workload({ id: "sleep-slow", command: ["sh", "-c", "sleep 4; exec node /srv/server.js"] });
    await shared.client.pool({ id: "sleep-slow", workloadId: "sleep-slow", minSize: 0, idleTimeoutMs: IDLE_MS });
    await shared.client.pool({ id: "sleep-one", minSize: 0, maxSize: 1, idleTimeoutMs: IDLE_MS });
  }, 60_000);

  /** The name of a container that is to be gone when the suite ends. */
  let ended = "";

  const asleep = (tenant: string) =>
    eventually(async () => {
      const { body } = await shared.client.status(tenant);
      expect(body, tenant).toMatchObject({ state: "asleep" });
      return body;
    }, 20_000);

  it("is put to sleep with its state saved, stays asleep when it is looked at, and wakes on a request", async () => {
    const { client } = shared;
    const first = await client.claimed("sleeper", { poolId: "sleep" });
    const container = await containerOf(client, first.containerId);
    await client.put("sleeper", "dream.txt", "kept");

    const status = await asleep("sleeper");
    expect(status).toMatchObject({ desired: "asleep", generation: 1, unsavedSince: null });
    expect(status).not.toHaveProperty("lastLoss");
    await eventually(async () => expect(await container.inspect()).toBeNull());
    ended = container.name;
    expect((await client.status("sleeper")).body).toMatchObject({ state: "asleep", epoch: first.epoch });

    const woken = await client.get("sleeper", "dream.txt");
    expect([woken.status, woken.text]).toEqual([200, "kept"]);
    const { body } = await client.status("sleeper");
    expect(body).toMatchObject({ state: "active", assigned: true });
    expect(body.epoch).toBeGreaterThan(first.epoch);
    expect(body.containerId).not.toBe(first.containerId);
    await client.discard("sleeper");
  });

  it("wakes for a request with a body and for a WebSocket, which then keeps it awake", async () => {
    const { client } = shared;
    await client.claimed("awake", { poolId: "sleep" });
    await asleep("awake");
    await client.put("awake", "posted.txt", "arrived");
    expect((await client.get("awake", "posted.txt")).text).toBe("arrived");
    await asleep("awake");

    const socket = await client.socket("awake");
    socket.send("ping");
    expect(await socket.next()).toBe("ping");
    await new Promise((resolve) => setTimeout(resolve, 3 * IDLE_MS));
    expect((await client.status("awake")).body).toMatchObject({ state: "active" });
    socket.send("still there?");
    expect(await socket.next()).toBe("still there?");
    await socket.close();
    await asleep("awake");
    expect((await client.release("awake")).body).toMatchObject({ state: "idle" });
  });

  it("shows browsers a page that reloads while it starts, and a claim that does not wait names its operation", async () => {
    const { client } = shared;
    const begun = await client.claim("slow", { poolId: "sleep-slow" }, "0s");
    expect(begun.status, begun.text).toBe(202);
    const location = String(begun.headers.location);
    expect(location).toMatch(/^\/api\/v1\/operations\/.+/);
    const operation = await client.send("GET", location);
    expect(operation.body).toMatchObject({ tenantId: "slow", kind: "claim", status: "running" });

    const page = await client.at("slow", "GET", "/", HTML);
    expect(page.status).toBe(503);
    expect(page.headers["content-type"]).toMatch(/^text\/html/);
    expect(Number(page.headers["retry-after"])).toBeGreaterThan(0);
    expect(page.headers["cache-control"]).toBe("no-store");
    expect(page.text).toMatch(/starting/i);

    const joined = await client.claim("slow", { poolId: "sleep-slow" });
    expect([200, 201], joined.text).toContain(joined.status);
    expect((await client.send("GET", location)).body).toMatchObject({
      status: "succeeded",
      result: { containerId: joined.body.containerId },
    });
    expect((await client.at("slow", "GET", "/healthz", HTML)).status).toBe(200);
    await client.discard("slow");
  });

  it("that cannot be woken for want of room answers 503 with Retry-After, and is woken when there is room", async () => {
    const { client } = shared;
    await client.claimed("queued", { poolId: "sleep-one" });
    await asleep("queued");
    const busy = await eventually(async () => {
      const answer = await client.claim("holder", { poolId: "sleep-one" });
      expect(answer.status, answer.text).toBe(201);
      return client.socket("holder");
    });
    const refused = await client.at("queued", "GET", "/healthz");
    expect([refused.status, refused.body.code]).toEqual([503, "capacity_exhausted"]);
    expect(refused.headers["content-type"]).toMatch(/^application\/problem\+json/);
    expect(Number(refused.headers["retry-after"])).toBeGreaterThan(0);
    await busy.close();
    await client.discard("holder");
    await eventually(async () => expect((await client.at("queued", "GET", "/healthz")).status).toBe(200));
    await client.discard("queued");
  });

  it("leaves nothing of its container behind, the networking sidecar included", async () => {
    expect(ended).not.toBe("");
    await eventually(async () => expect(await everyContainerNamed(ended)).toEqual([]), 45_000, 500);
  });
});
