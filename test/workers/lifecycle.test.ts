import { abortAllDurableObjects, evictDurableObject, runDurableObjectAlarm } from "cloudflare:test";
import { describe, expect, it } from "vitest";
import {
  aPool,
  call,
  claim,
  env,
  eventually,
  get,
  put,
  release,
  remove,
  simulation,
  status,
} from "../support/fleet.ts";

const tenantStub = (tenant: string) => env.TENANT.getByName(tenant) as unknown as DurableObjectStub;

describe("an idle tenant", () => {
  it("falls asleep with its files saved, and the next request wakes it", async () => {
    const pool = await aPool("sleepy", { minSize: 2, idleTimeoutMs: 1_000 });
    const first = await claim("dozer", pool);
    await put("dozer", "dream.txt", "zzz");
    await eventually(async () => {
      await runDurableObjectAlarm(tenantStub("dozer"));
      expect((await status("dozer")).body).toMatchObject({ state: "asleep", generation: 1, unsavedSince: null });
    });
    const woken = await get("dozer", "dream.txt");
    expect(await woken.text()).toBe("zzz");
    const after = await status("dozer");
    expect(after.body).toMatchObject({ state: "active", epoch: 2 });
    expect(after.body.containerId).not.toBe(first.body.containerId);
  });

  it("is not woken by reading its status", async () => {
    const pool = await aPool("still", { minSize: 1, idleTimeoutMs: 1_000 });
    await claim("sleeper", pool);
    await eventually(async () => {
      await runDurableObjectAlarm(tenantStub("sleeper"));
      expect((await status("sleeper")).body).toMatchObject({ state: "asleep" });
    });
    for (let n = 0; n < 3; n += 1)
      expect((await status("sleeper")).body).toMatchObject({ state: "asleep", assigned: false });
  });
});

describe("a container that dies", () => {
  it("is replaced at the next request, on the last saved state, and what was lost is said", async () => {
    const pool = await aPool("mortal", { minSize: 2 });
    await claim("phoenix", pool);
    await put("phoenix", "saved.txt", "kept");
    await release("phoenix");
    const { body } = await claim("phoenix");
    await put("phoenix", "unsaved.txt", "gone");
    simulation.for(body.containerId).crash();
    expect(await (await get("phoenix", "saved.txt")).text()).toBe("kept");
    expect((await get("phoenix", "unsaved.txt")).status).toBe(404);
    const after = await status("phoenix");
    expect(after.body).toMatchObject({
      state: "active",
      generation: 1,
      lastLoss: { containerId: body.containerId, generation: 1 },
    });
    expect(after.body.unsavedSince).not.toBeNull();
  });
});

describe("a save that a guard refuses", () => {
  it("keeps container and head, and becomes the head by force only", async () => {
    const pool = await aPool("guarded", { minSize: 2 });
    await claim("careful", pool);
    for (const name of ["a", "b", "c", "d"]) await put("careful", name, "text");
    await release("careful");
    const { body } = await claim("careful");
    for (const name of ["a", "b", "c"]) await remove("careful", name);
    const refused = await release("careful");
    expect(refused).toMatchObject({ status: 409, body: { code: "guard_blocked" } });
    expect((await status("careful")).body).toMatchObject({
      state: "release_failed",
      containerId: body.containerId,
      generation: 1,
    });
    expect(simulation.running.length).toBeGreaterThan(0);
    const forced = await release("careful", { force: true });
    expect(forced).toMatchObject({ status: 200, body: { state: "idle", saved: { generation: 2, files: 1 } } });
    expect((await claim("careful")).body.restored).toMatchObject({ files: 1 });
  });

  it("can be called off by a claim: same container, new epoch", async () => {
    const pool = await aPool("called-off", { minSize: 2 });
    await claim("undecided", pool);
    for (const name of ["a", "b", "c", "d"]) await put("undecided", name, "text");
    await release("undecided");
    const { body } = await claim("undecided");
    for (const name of ["a", "b", "c"]) await remove("undecided", name);
    expect((await release("undecided")).status).toBe(409);
    const back = await claim("undecided");
    expect(back).toMatchObject({
      status: 200,
      body: { launch: "existing", containerId: body.containerId, epoch: body.epoch + 1 },
    });
    await put("undecided", "e", "text");
    await put("undecided", "f", "text");
    expect(await (await get("undecided", "d")).text()).toBe("text");
    expect(await release("undecided")).toMatchObject({ status: 200 });
  });
});

describe("objects that leave memory", () => {
  it("know again whom their containers serve, and storage goes on working", async () => {
    const pool = await aPool("evicted", { minSize: 2 });
    const { body } = await claim("forgotten", pool);
    await put("forgotten", "a.txt", "before");
    const objects = [
      env.TENANT.getByName("forgotten"),
      env.POOL.getByName(pool),
      env.VAULT.getByName("forgotten"),
      env.INSTANCE.getByName(body.containerId),
    ];
    for (const stub of objects) await evictDurableObject(stub as unknown as DurableObjectStub);
    expect(await (await get("forgotten", "a.txt")).text()).toBe("before");
    expect((await claim("forgotten")).body).toMatchObject({ launch: "existing", containerId: body.containerId });
    expect(await release("forgotten")).toMatchObject({ status: 200, body: { saved: { generation: 1 } } });
    expect((await claim("forgotten")).body).toMatchObject({ restored: { generation: 1 } });
  });

  it("go on with a claim that was cut off as soon as somebody asks for it", async () => {
    const pool = await aPool("cut-claim", { minSize: 2 });
    const claiming = claim("eager", pool).catch(() => null);
    await new Promise((resolve) => setTimeout(resolve, 2));
    await abortAllDurableObjects();
    await claiming;
    const again = await claim("eager", pool);
    expect(again.body).toMatchObject({ state: "active" });
    expect((await put("eager", "a.txt", "x")).status).toBeLessThan(300);
  });

  it("finish an operation that was cut off in the middle", async () => {
    const pool = await aPool("cut", { minSize: 2 });
    await claim("halfway", pool);
    await put("halfway", "a.txt", "kept");
    const releasing = call("POST", "/api/v1/tenants/halfway/release?wait=10s", {}).catch(() => null);
    await new Promise((resolve) => setTimeout(resolve, 5));
    await abortAllDurableObjects();
    await releasing;
    await eventually(async () => {
      await runDurableObjectAlarm(tenantStub("halfway"));
      expect((await status("halfway")).body).toMatchObject({ state: "idle", generation: 1 });
    }, 15_000);
    await claim("halfway");
    expect(await (await get("halfway", "a.txt")).text()).toBe("kept");
  });
});
