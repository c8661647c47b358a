import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { describe, expect, it } from "vitest";
import { SYSTEM } from "../../src/auth/principal.ts";
import type { TenantId } from "../../src/ids.ts";
import { Pool } from "../../src/pool/object.ts";
import type { Tenant } from "../../src/tenant/object.ts";
import { loseOneAnswer } from "../support/broken-calls.ts";
import { aPool, call, claim, env, eventually, get, put, simulation, status } from "../support/fleet.ts";

const act = (tenant: string, action: string, body: object = {}, wait = "10s") =>
  call<Record<string, never>>("POST", `/api/v1/tenants/${tenant}/${action}?wait=${wait}`, body);

describe("an action that leads to an operation of another kind", () => {
  it("answers 202 with that operation: a way back to what is saved, and a restart of a sleeping tenant", async () => {
    const pool = await aPool("kinds", { minSize: 2 });
    await claim("kinds", pool);
    const inward = await act("kinds", "sync", { direction: "inward" }, "0s");
    expect(inward).toMatchObject({ status: 202, body: { operation: { kind: "restart" } } });
    await eventually(async () => expect((await status("kinds")).body).toMatchObject({ state: "active", epoch: 2 }));
    await act("kinds", "stop");
    const restarted = await act("kinds", "restart", {}, "0s");
    expect(restarted).toMatchObject({ status: 202, body: { operation: { kind: "wake" } } });
    await eventually(async () => expect((await status("kinds")).body).toMatchObject({ state: "active", epoch: 3 }));
  });
});

describe("a destruction", () => {
  it("during a save of the running workload keeps what came after that began", async () => {
    const pool = await aPool("ends-in-save", { minSize: 2 });
    const { body } = await claim("ends-in-save", pool);
    await put("ends-in-save", "a.txt", "1");
    simulation.for(body.containerId).slow("bundle", 700);
    const syncing = act("ends-in-save", "sync", { direction: "outward" });
    await new Promise((resolve) => setTimeout(resolve, 200));
    await put("ends-in-save", "b.txt", "2");
    const destroyed = await act("ends-in-save", "destroy");
    expect(destroyed).toMatchObject({ status: 200, body: { state: "destroyed" } });
    await syncing;
    await claim("ends-in-save", pool);
    expect(await (await get("ends-in-save", "b.txt")).text()).toBe("2");
    expect((await status("ends-in-save")).body.lastLoss).toBeUndefined();
  });

  it("whose container does not go at once is waited for until it is gone", async () => {
    const pool = await aPool("ends-late", { minSize: 1 });
    await claim("ends-late", pool);
    loseOneAnswer(Pool.prototype, "retire", "before");
    const destroying = act("ends-late", "destroy", {}, "20s");
    await eventually(async () => expect((await status("ends-late")).body).toMatchObject({ state: "destroying" }));
    await eventually(async () => {
      await runDurableObjectAlarm(env.TENANT.getByName("ends-late") as unknown as DurableObjectStub);
      expect((await status("ends-late")).body).toMatchObject({ state: "destroyed" });
    });
    expect(await destroying).toMatchObject({ status: 200, body: { state: "destroyed" } });
  });

  it("in the middle of a claim leaves no container behind", async () => {
    const pool = await aPool("ends-in-claim", { minSize: 1 });
    simulation.every.slow("claim", 500);
    const claiming = claim("ends-in-claim", pool);
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(await act("ends-in-claim", "destroy")).toMatchObject({ status: 200 });
    await claiming;
    await eventually(async () => {
      const { body } = await call<{ items: object[] }>("GET", `/api/v1/pools/${pool}/containers`);
      expect(body.items).toMatchObject([{ state: "warm" }]);
    });
  });
});

describe("the operations of a tenant", () => {
  it("that saves again and again under one epoch are not all kept", async () => {
    const pool = await aPool("many-saves");
    await claim("many-saves", pool);
    for (let n = 0; n < 30; n += 1) await act("many-saves", "sync", { direction: "outward" });
    const kept = await runInDurableObject(env.TENANT.getByName("many-saves"), (_, { storage }) =>
      storage.sql.exec("SELECT id FROM operations").toArray(),
    );
    expect(kept.length).toBeLessThanOrEqual(28);
  });
});

describe("a projection that is asked for", () => {
  it("does not put an older record under the number of a newer entry", async () => {
    const pool = await aPool("projects");
    await claim("projects", pool);
    const row = await runInDurableObject(env.TENANT.getByName("projects"), async (tenant: Tenant) => {
      const id = "projects" as TenantId;
      await tenant.change(id, { kind: "tier", tier: "standard-1" }, null, SYSTEM);
      // The tenant changes while D1 is told of the change before.
      const projected = tenant.project();
      await tenant.change(id, { kind: "tier", tier: "standard-2" }, null, SYSTEM);
      await projected;
      return env.DB.prepare("SELECT tier FROM tenants WHERE tenant_id = 'projects'").first();
    });
    expect(row).toEqual({ tier: "standard-2" });
  });
});

describe("what is given to a tenant piece by piece", () => {
  it("is refused where it is too much in all, and the tenant stays as it was", async () => {
    const pool = await aPool("heavy");
    await claim("heavy", pool);
    const set = (path: string, body: object) => call("PUT", `/api/v1/tenants/heavy/${path}`, body);
    const many = (count: number, length: number) =>
      Object.fromEntries(Array.from({ length: count }, (_, n) => [`S${n}`, "x".repeat(length)]));
    expect((await set("config", { text: "é".repeat(490_000) })).status).toBe(200);
    expect(await set("secrets", many(15, 65_000))).toMatchObject({ status: 413, body: { code: "payload_too_large" } });
    const more = { secrets: many(15, 65_000) };
    expect(await claim("heavy", pool, more)).toMatchObject({ status: 413, body: { code: "payload_too_large" } });
    expect((await set("secrets", many(100, 10))).status).toBe(200);
    expect(await set("secrets/ONE_MORE", { value: "x" })).toMatchObject({ status: 422, body: { code: "invalid" } });
    expect((await set("secrets/S7", { value: "y" })).status).toBe(200);
    expect((await status("heavy")).body).toMatchObject({ state: "active", pendingRestart: true });
  });
});
