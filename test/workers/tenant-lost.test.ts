import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { describe, expect, it } from "vitest";
import { aPool, call, claim, env, eventually, get, put, release, simulation, status } from "../support/fleet.ts";

/** Objects that lose what they stored, and a vault that does. */

const stubOf = (namespace: { getByName(name: string): unknown }, name: string) =>
  namespace.getByName(name) as DurableObjectStub;
const act = (tenant: string, action: string, body: object = {}) =>
  call<Record<string, unknown>>("POST", `/api/v1/tenants/${tenant}/${action}?wait=10s`, body);
const events = async (tenant: string) => {
  const { results } = await env.DB.prepare("SELECT action, detail FROM audit WHERE subject = ? ORDER BY id")
    .bind(`tenant:${tenant}`)
    .all<{ action: string; detail: string }>();
  return results.map(({ action, detail }) => ({ action, detail: JSON.parse(detail) as Record<string, unknown> }));
};

/** D1 has been told of everything. */
async function told(tenant: string, state: string): Promise<void> {
  await eventually(async () => {
    const row = await env.DB.prepare("SELECT state FROM tenants WHERE tenant_id = ?").bind(tenant).first();
    expect(row).toEqual({ state });
  });
}

async function loses(stub: DurableObjectStub): Promise<void> {
  await runInDurableObject(stub, async (_, { storage }) => {
    await storage.deleteAlarm();
    await storage.deleteAll();
  });
  await evictDurableObject(stub);
}

async function losesRecord(tenant: string, state: string): Promise<void> {
  await told(tenant, state);
  await loses(stubOf(env.TENANT, tenant));
}

describe("a tenant whose object lost its record", () => {
  it("goes on with the container that it has, and nothing in it is lost", async () => {
    const pool = await aPool("lost-active", { minSize: 2 });
    const { body } = await claim("amnesiac", pool);
    await put("amnesiac", "a.txt", "unsaved");
    await losesRecord("amnesiac", "active");
    const after = await status("amnesiac");
    expect(after.body).toMatchObject({ state: "active", containerId: body.containerId, epoch: 1 });
    expect(await (await get("amnesiac", "a.txt")).text()).toBe("unsaved");
    expect(await release("amnesiac")).toMatchObject({ status: 200, body: { saved: { generation: 1, files: 1 } } });
    await told("amnesiac", "idle");
    expect((await events("amnesiac")).map(({ action }) => action)).toContain("state.recovered");
    const verified = await call("GET", "/api/v1/audit/verify?subject=tenant:amnesiac");
    expect(verified.body).toMatchObject({ valid: true });
  });

  it("asleep is woken on what it saved, under an epoch that none before it had", async () => {
    const pool = await aPool("lost-asleep", { minSize: 2 });
    await claim("sleepwalker", pool);
    await put("sleepwalker", "a.txt", "kept");
    await act("sleepwalker", "stop");
    await losesRecord("sleepwalker", "asleep");
    expect(await (await get("sleepwalker", "a.txt")).text()).toBe("kept");
    const { body } = await status("sleepwalker");
    expect(body).toMatchObject({ state: "active", generation: 1 });
    expect(body.epoch).toBeGreaterThan(2);
  });

  it("is not begun anew by a claim: what it saved is there", async () => {
    const pool = await aPool("lost-idle", { minSize: 2 });
    await claim("returner", pool);
    await put("returner", "a.txt", "kept");
    await release("returner");
    await losesRecord("returner", "idle");
    const { body } = await claim("returner");
    expect(body).toMatchObject({ poolId: pool, restored: { generation: 1, files: 1 } });
  });

  it("is started with its config and secrets, or not at all: it asks for them", async () => {
    const pool = await aPool("lost-secrets", { minSize: 2 });
    const given = { config: { a: 1 }, secrets: { TOKEN: "secret-value-1" } };
    await claim("keyless", pool, given);
    await act("keyless", "stop");
    await losesRecord("keyless", "asleep");
    expect((await status("keyless")).body).toMatchObject({
      state: "asleep",
      rebuilt: { needs: ["config", "secrets"] },
    });
    expect(await act("keyless", "start")).toMatchObject({
      status: 409,
      body: { code: "state_missing", needs: ["config", "secrets"] },
    });
    expect(await claim("keyless", undefined, { config: { a: 1 } })).toMatchObject({
      status: 409,
      body: { code: "state_missing", needs: ["secrets"] },
    });
    expect(await claim("keyless", undefined, given)).toMatchObject({ status: 201, body: { state: "active" } });
    expect((await status("keyless")).body.rebuilt).toBeUndefined();
  });

  it("is destroyed as it was about to be", async () => {
    const pool = await aPool("lost-destroyed", { minSize: 1 });
    await claim("doomed", pool);
    await put("doomed", "a.txt", "x");
    await act("doomed", "destroy", { deleteData: true });
    await losesRecord("doomed", "destroyed");
    expect((await status("doomed")).body).toMatchObject({ state: "destroyed", generation: 0 });
  });

  it("that never was is not made up, whatever a list says", async () => {
    await env.DB.prepare(
      "INSERT INTO tenants (tenant_id, seq, state, desired, epoch, generation, created_at, updated_at) VALUES ('made-up', 1, 'active', 'active', 4, 2, 1, 1)",
    ).run();
    expect((await status("made-up")).status).toBe(404);
  });
});

describe("a vault that has nothing of what was saved", () => {
  it("starts nothing; a person is told, and goes on without it only by saying so", async () => {
    const pool = await aPool("robbed", { minSize: 2 });
    await claim("robbed", pool);
    await put("robbed", "a.txt", "gone");
    await release("robbed");
    await loses(stubOf(env.VAULT, "robbed"));
    const { objects } = await env.BUCKET.list({ prefix: "tenants/robbed/" });
    for (const { key } of objects) await env.BUCKET.delete(key);
    expect(await claim("robbed")).toMatchObject({ status: 409, body: { code: "state_missing" } });
    expect((await status("robbed")).body).toMatchObject({ state: "error", missing: { generation: 1 } });
    expect(await claim("robbed")).toMatchObject({ status: 409, body: { code: "state_missing" } });
    expect(await claim("robbed", undefined, { allowFresh: true })).toMatchObject({
      status: 201,
      body: { restored: null },
    });
    expect((await status("robbed")).body).toMatchObject({ state: "active", generation: 0 });
    await put("robbed", "b.txt", "new");
    expect(await release("robbed")).toMatchObject({ body: { saved: { generation: 1, files: 1 } } });
    await told("robbed", "idle");
    const told_ = (await events("robbed")).filter(({ action }) => /alert|loss/.test(action));
    expect(told_.map(({ action, detail }) => [action, detail.alert ?? detail.generation])).toEqual([
      ["data.loss_suspected", 1],
      ["alert.raised", "state_missing"],
      ["alert.cleared", "state_missing"],
    ]);
  });
});

describe("an idle or sleeping tenant", () => {
  it("has no alarm and writes nothing, whoever looks at it", async () => {
    const pool = await aPool("restful", { minSize: 1 });
    await claim("restful", pool);
    await put("restful", "a.txt", "x");
    await act("restful", "stop");
    await told("restful", "asleep");
    const stub = stubOf(env.TENANT, "restful");
    await runDurableObjectAlarm(stub); // the one that was left over
    const changes = () =>
      runInDurableObject(stub, async (_, { storage }) => ({
        alarm: await storage.getAlarm(),
        writes: storage.sql.exec<{ n: number }>("SELECT total_changes() AS n").one().n,
      }));
    const before = await changes();
    expect(before.alarm).toBeNull();
    for (let n = 0; n < 5; n += 1) await status("restful");
    await call("GET", "/api/v1/tenants/restful/config/versions");
    await runDurableObjectAlarm(stub);
    expect(await changes()).toEqual(before);
  });

  it("that is active again looks after itself though its alarm got lost", async () => {
    const pool = await aPool("unwound", { minSize: 1 });
    await claim("unwound", pool);
    const stub = stubOf(env.TENANT, "unwound");
    await runInDurableObject(stub, (_, { storage }) => storage.deleteAlarm());
    await evictDurableObject(stub);
    await status("unwound");
    await eventually(async () => {
      const alarm = await runInDurableObject(stub, (_, { storage }) => storage.getAlarm());
      expect(alarm).toBeGreaterThan(Date.now());
    });
  });
});

describe("a container that ends by itself", () => {
  it("is replaced by alarms alone, and the tenant says how it ended", async () => {
    const pool = await aPool("unattended", { minSize: 2 });
    const { body } = await claim("unattended", pool);
    await put("unattended", "a.txt", "x");
    await act("unattended", "sync", { direction: "outward" });
    simulation.for(body.containerId).crash();
    const stub = stubOf(env.TENANT, "unattended");
    await eventually(async () => {
      await runDurableObjectAlarm(stub);
      expect((await status("unattended")).body).toMatchObject({ state: "active", epoch: 2, restarts: 1 });
    }, 10_000);
    expect((await status("unattended")).body).toMatchObject({
      generation: 1,
      lastExit: { containerId: body.containerId },
    });
  });
});

describe("a destruction", () => {
  it("takes the tenant's keys and domains with it, and its operation says so", async () => {
    const pool = await aPool("thorough", { minSize: 1 });
    await claim("thorough", pool);
    const key = await call<{ id: string }>("POST", "/api/v1/keys", { name: "k", role: "tenant", tenantId: "thorough" });
    expect(key.status).toBe(201);
    const domain = await call("POST", "/api/v1/domains", { host: "thorough.example.com", tenantId: "thorough" });
    expect(domain.status).toBe(201);
    const destroying = await call<{ operation: { id: string } }>("POST", "/api/v1/tenants/thorough/destroy", {
      deleteData: true,
    });
    expect(destroying.status).toBe(202);
    const { id } = destroying.body.operation;
    await eventually(async () => {
      await runDurableObjectAlarm(stubOf(env.TENANT, "thorough"));
      expect((await status("thorough")).body).toMatchObject({ state: "destroyed" });
    });
    const { body } = await call<{ parts: { part: string; done: boolean }[] }>("GET", `/api/v1/operations/${id}`);
    expect(body.parts.map(({ part, done }) => [part, done])).toEqual(
      ["container", "specs", "state", "domains", "keys", "pool"].map((part) => [part, true]),
    );
    const row = await env.DB.prepare("SELECT revoked_at FROM api_keys WHERE id = ?").bind(key.body.id).first();
    expect(row?.revoked_at).not.toBeNull();
    expect((await call("GET", "/api/v1/domains/thorough.example.com")).status).toBe(404);
    expect(await claim("thorough", pool)).toMatchObject({ status: 201, body: { restored: null } });
  });
});
