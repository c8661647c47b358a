import { describe, expect, it } from "vitest";
import { commits } from "../../src/durable/commit.ts";
import {
  aPool,
  call,
  claim,
  claimAtOnce,
  eventually,
  get,
  put,
  release,
  simulation,
  status,
} from "../support/fleet.ts";

describe("a claim", () => {
  it("gives a warm container, keeps its files over a release, and says which generation came back", async () => {
    const pool = await aPool("main-job", { minSize: 1 });
    const first = await claim("alice", pool);
    expect(first.status, JSON.stringify(first.body)).toBe(201);
    expect(first.body).toMatchObject({
      tenantId: "alice",
      poolId: pool,
      state: "active",
      launch: "warm",
      epoch: 1,
      restored: null,
    });
    expect((await put("alice", "a.txt", "hello")).status).toBeLessThan(300);
    const released = await release("alice");
    expect(released.status, JSON.stringify(released.body)).toBe(200);
    expect(released.body).toMatchObject({ state: "idle", saved: { generation: 1, files: 1, bytes: 5, changed: 1 } });
    const second = await claim("alice");
    expect(second.body).toMatchObject({ epoch: 2, restored: { generation: 1, files: 1, bytes: 5 } });
    expect(second.body.containerId).not.toBe(first.body.containerId);
    expect(await (await get("alice", "a.txt")).text()).toBe("hello");
  });

  it("costs at most four durable commits", async () => {
    const stateful = await aPool("commits-state", { minSize: 2 });
    const stateless = await aPool("commits-bare", { minSize: 1 }, { volumes: {} });
    for (const pool of [stateful, stateless])
      expect((await call("POST", `/api/v1/pools/${pool}/pause`)).status).toBe(200);
    await claim("counted", stateful);
    await put("counted", "x", "x");
    await release("counted");
    await eventually(async () => expect((await status("counted")).body).toMatchObject({ state: "idle" }));
    await new Promise((resolve) => setTimeout(resolve, 300)); // the removal of the first container ends
    for (const [tenant, pool] of [
      ["counted", stateful],
      ["bare", stateless],
    ] as const) {
      const before = commits.count;
      const answer = await claim(tenant, pool);
      expect(answer.body).toMatchObject({ launch: "warm" });
      expect(commits.count - before, pool).toBeLessThanOrEqual(4);
    }
  });

  it("of an active tenant is the same container, whoever asks and however often", async () => {
    const pool = await aPool("idempotent", { minSize: 2 });
    const answers = await Promise.all(Array.from({ length: 20 }, () => claim("twenty", pool)));
    expect(new Set(answers.map((answer) => answer.body.containerId)).size).toBe(1);
    const again = await claim("twenty", pool);
    expect(again.status).toBe(200);
    expect(again.body).toMatchObject({ launch: "existing", epoch: 1 });
  });

  it("gives ten tenants at once a container each", async () => {
    const pool = await aPool("ten", { minSize: 3 });
    const answers = await Promise.all(Array.from({ length: 10 }, (_, n) => claim(`ten-${n}`, pool)));
    expect(answers.map((answer) => answer.status)).toEqual(Array(10).fill(201));
    expect(new Set(answers.map((answer) => answer.body.containerId)).size).toBe(10);
  });

  it("with other config than the running container has says pendingRestart", async () => {
    const pool = await aPool("pending", { minSize: 1 });
    await claim("config", pool, { config: { a: 1 } });
    expect((await claim("config", pool, { config: { a: 1 } })).body.pendingRestart).toBeUndefined();
    expect((await claim("config", pool, { config: { a: 2 } })).body).toMatchObject({
      launch: "existing",
      pendingRestart: true,
    });
  });

  it("in another pool is refused while the tenant holds a container", async () => {
    const [here, there] = [await aPool("here"), await aPool("there")];
    await claim("mover", here);
    expect(await claim("mover", there)).toMatchObject({ status: 409, body: { code: "claimed_elsewhere" } });
  });

  it("without room is 503 with Retry-After, and nothing is held", async () => {
    const pool = await aPool("full", { minSize: 1, maxSize: 1 });
    await claim("first", pool);
    const refused = await claimAtOnce("second", pool);
    expect(refused).toMatchObject({ status: 503, body: { code: "capacity_exhausted" } });
    expect(refused.headers.get("retry-after")).toBe("30");
    expect((await status("second")).body).toMatchObject({ state: "idle", assigned: false });
  });

  it("of a container that died meanwhile gives a fresh one", async () => {
    const pool = await aPool("died", { minSize: 2 });
    const first = await claim("dead", pool);
    simulation.for(first.body.containerId).vanish();
    const second = await claim("dead", pool);
    expect(second.body).toMatchObject({ epoch: 2 });
    expect(second.body.containerId).not.toBe(first.body.containerId);
    expect((await status("dead")).body).toMatchObject({
      state: "active",
      lastLoss: { containerId: first.body.containerId },
    });
  });
});
