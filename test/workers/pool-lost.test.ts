import { afterEach, describe, expect, it } from "vitest";
import { aPool, call, claim, env, eventually, status } from "../support/fleet.ts";
import {
  asBefore,
  containersOf,
  expectWhole,
  later,
  loseStorage,
  path,
  pool,
  poolObject,
  poolStub,
  recorded,
  request,
  ring,
} from "../support/pool-driver.ts";

/** D1 has heard of so many containers that serve a tenant of the pool. */
const told = (id: string, n: number) =>
  eventually(async () => {
    const rows = env.DB.prepare("SELECT COUNT(*) AS n FROM containers WHERE pool_id = ? AND state = 'assigned'");
    expect(await rows.bind(id).first()).toEqual({ n });
  });

const newVersion = (id: string) =>
  call("PUT", `/api/v1/workloads/${id}`, {
    ...{ image: "sandbox", port: 9090 },
    volumes: { state: { containerPath: "/data" } },
  });

afterEach(asBefore);

describe("a pool that lost its storage", () => {
  it("knows its tenants again, gives out nothing of which it is not sure, and its chain goes on", async () => {
    const id = await aPool("amnesiac", { minSize: 1, maxSize: 5 });
    const held = await claim("remembered", id);
    await eventually(async () => expect(await pool(id)).toMatchObject({ warm: 1, claimed: 1 }));
    const old = (await containersOf(id)).map((one) => one.id);
    const listed = () =>
      env.DB.prepare("SELECT COUNT(*) AS n FROM containers WHERE pool_id = ? AND state IN ('warm', 'assigned')").bind(
        id,
      );
    await eventually(async () => expect(await listed().first()).toEqual({ n: 2 }));
    await loseStorage(poolObject(id));
    expect(await claim("newcomer", id)).toMatchObject({ status: 201, body: { launch: "cold" } });
    await eventually(async () => {
      await ring(id);
      expect(await pool(id)).toMatchObject({ claimed: 2, warm: 1, draining: 0 });
    });
    const now = await containersOf(id);
    expect(now.find(({ tenantId }) => tenantId === "remembered")?.id).toBe(held.body.containerId);
    expect(now.filter(({ state }) => state === "warm").map((one) => one.id)).not.toContainEqual(expect.toBeOneOf(old));
    expect((await status("remembered")).body).toMatchObject({ state: "active", epoch: 1 });
    await eventually(async () => expect(await recorded(id, "pool.recovered")).toHaveLength(1));
    await expectWhole(id);
  });

  it("describes a container that it leased by the version that this was started with", async () => {
    const id = await aPool("amnesiac-old", { minSize: 0, maxSize: 5 });
    const first = await claim("old-hand", id);
    expect((await newVersion(id)).body).toMatchObject({ version: 2 });
    await told(id, 1);
    const before = await poolStub(id).lease(request("old-hand", first.body.epoch));
    expect(before).toMatchObject({ ok: true, value: { workloadVersion: 1, workload: { port: 8080 } } });
    await loseStorage(poolObject(id));
    const again = await poolStub(id).lease(request("old-hand", first.body.epoch));
    if (!before.ok) throw new Error("leased before");
    expect(again).toMatchObject({
      ok: true,
      value: { containerId: first.body.containerId, workloadVersion: 1, workload: before.value.workload },
    });
    expect(await poolStub(id).lease(request("new-hand"))).toMatchObject({
      ok: true,
      value: { workloadVersion: 2, workload: { port: 9090 } },
    });
  });

  it("leases nothing of a version that nobody knows any more", async () => {
    const id = await aPool("amnesiac-gone", { minSize: 0, maxSize: 5 });
    const first = await claim("unknown-hand", id);
    await newVersion(id);
    await told(id, 1);
    await env.DB.prepare("DELETE FROM workload_versions WHERE workload_id = ? AND version = 1").bind(id).run();
    await loseStorage(poolObject(id));
    expect(await poolStub(id).lease(request("unknown-hand", first.body.epoch))).toMatchObject({
      ok: false,
      failure: { code: "start_failed" },
    });
    const next = await poolStub(id).lease(request("unknown-hand", first.body.epoch + 1));
    expect(next).toMatchObject({ ok: true, value: { workloadVersion: 2, workload: { port: 9090 } } });
  });

  it("knows its tenants whatever is asked of it first, and ends none of their containers", async () => {
    const asks: Record<string, (id: string) => Promise<unknown>> = {
      changed: (id) => call("PUT", path(id), { maxSize: 7 }),
      upgraded: (id) => newVersion(id),
      paused: (id) => call("POST", path(id, "/pause")),
      shown: (id) => call("GET", path(id)),
      deleted: (id) => call("DELETE", path(id)),
      swept: (id) => poolStub(id).touch("mend"),
    };
    for (const [how, ask] of Object.entries(asks)) {
      const id = await aPool(`amnesiac-${how}`, { minSize: 0, maxSize: 5 });
      const held = await claim(`kept-${how}`, id);
      await told(id, 1);
      await loseStorage(poolObject(id));
      await ask(id);
      later(300_000); // its leases with the fleet are renewed
      await ring(id);
      expect((await status(`kept-${how}`)).body, how).toMatchObject({ state: "active", epoch: 1 });
      expect(await containersOf(id), how).toMatchObject([{ id: held.body.containerId, state: "assigned" }]);
      await eventually(async () => expect(await recorded(id, "pool.recovered"), how).toHaveLength(1));
      await expectWhole(id);
    }
  });

  it("is not what a new one is taken for", async () => {
    const id = await aPool("newborn", { minSize: 0 });
    await eventually(async () => expect(await recorded(id, "pool.created")).toHaveLength(1));
    expect(await recorded(id, "pool.recovered")).toEqual([]);
    expect(await poolStub("never-registered").describe()).toMatchObject({ ok: false, failure: { code: "not_found" } });
  });
});
