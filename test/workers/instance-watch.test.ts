import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { exports } from "cloudflare:workers";
import { afterEach, describe, expect, it, vi } from "vitest";
import { instanceOf } from "../../src/durable/stubs.ts";
import { type ContainerId, containerId, type PoolId } from "../../src/ids.ts";
import { workloadSchema } from "../../src/registry/specs.ts";
import { sha256 } from "../../src/sha256.ts";
import { aPool, call, claim, env, eventually, get, put, simulation, status } from "../support/fleet.ts";

const instance = (id: string) => instanceOf(env, id as ContainerId);
const object = (id: string) => env.INSTANCE.getByName(id) as unknown as DurableObjectStub;
const ring = (id: string) => runDurableObjectAlarm(object(id));
const observed = (id: string) => instance(id).observe();
/** Short enough to wait for, long enough that nothing healthy fails it. */
const CHECK = { intervalMs: 1_000, timeoutMs: 200, retries: 2 };
const warmOf = async (pool: string): Promise<string[]> => {
  const { body } = await call<{ items: { id: string; state: string }[] }>("GET", `/api/v1/pools/${pool}/containers`);
  return body.items.filter(({ state }) => state === "warm").map(({ id }) => id);
};
const newId = (): ContainerId => containerId(crypto.getRandomValues(new Uint8Array(20)));

/** Lets as much time pass at once. */
function later(ms: number): void {
  const now = Date.now() + ms;
  vi.spyOn(Date, "now").mockImplementation(() => now);
}
afterEach(() => {
  vi.restoreAllMocks();
});

describe("a container that ends without anybody asking it for anything", () => {
  it("is replaced by its tenant when its Instance's alarm rings, on the last saved state", async () => {
    const pool = await aPool("alarmed", { minSize: 2 });
    const { body } = await claim("unaware", pool);
    await put("unaware", "a.txt", "saved");
    await call("POST", "/api/v1/tenants/unaware/sync?wait=10s", { direction: "outward" });
    simulation.for(body.containerId).crash(1);
    await ring(body.containerId);
    await eventually(async () => {
      const now = await status("unaware");
      expect(now.body).toMatchObject({ state: "active", epoch: body.epoch + 1 });
    });
    expect(await (await get("unaware", "a.txt")).text()).toBe("saved");
  });

  it("is told of by an alarm that comes after its Instance left memory", async () => {
    const pool = await aPool("evicted-dead", { minSize: 2 });
    const { body } = await claim("absent", pool);
    await evictDurableObject(object(body.containerId));
    simulation.for(body.containerId).vanish();
    await ring(body.containerId);
    await eventually(async () => expect((await status("absent")).body).toMatchObject({ epoch: body.epoch + 1 }));
  });

  it("warm, is replaced by its pool", async () => {
    const pool = await aPool("warm-dead", { minSize: 1 });
    const [id = ""] = await warmOf(pool);
    simulation.for(id).crash(1);
    await ring(id);
    await eventually(async () => {
      const now = await warmOf(pool);
      expect(now).toHaveLength(1);
      expect(now).not.toContain(id);
    });
  });

  it("is looked at by whoever's request it lost", async () => {
    const pool = await aPool("looked-at", { minSize: 2 });
    const { body } = await claim("losing", pool);
    await put("losing", "a.txt", "x");
    simulation.for(body.containerId).crash(137);
    expect(await observed(body.containerId)).toMatchObject({ alive: false, end: { cause: expect.any(String) } });
    await get("losing", "a.txt");
    expect((await status("losing")).body.epoch).toBe(body.epoch + 1);
  });
});

describe("the alarm of a running container", () => {
  it("is there, and armed again by whoever looks when it got lost or stuck", async () => {
    const pool = await aPool("armed", { minSize: 1 });
    const [id = ""] = await warmOf(pool);
    const armedAt = () => runInDurableObject(object(id), (_instance, state) => state.storage.getAlarm());
    expect(await armedAt()).toBeGreaterThan(Date.now());
    await runInDurableObject(object(id), (_instance, state) => state.storage.deleteAlarm());
    await observed(id);
    const at = await armedAt();
    expect(at).toBeGreaterThan(Date.now());
    expect(at).toBeLessThan(Date.now() + 70_000);
    await instance(id).retire("over");
    expect(await armedAt()).toBeNull();
  });
});

describe("how a container ended", () => {
  it.each([
    [137, "oom"],
    [1, "exited"],
    [0, "exited"],
  ])("with %i is told as %s, by its monitor", async (code, cause) => {
    const pool = await aPool(`ended-${code}`, { minSize: 1 });
    const [id = ""] = await warmOf(pool);
    simulation.for(id).crash(code);
    await eventually(async () => {
      const { end } = await observed(id);
      expect(end).toMatchObject({ cause, exitCode: code });
    });
  });
});

describe("a container of which nothing answers any more", () => {
  it("is given up when its health check failed as often as it says, and its health shows it", async () => {
    const pool = await aPool("frozen", { minSize: 2 }, { healthCheck: CHECK });
    const { body } = await claim("cold", pool);
    await ring(body.containerId);
    expect((await observed(body.containerId)).health).toMatchObject({ status: "healthy", failures: 0 });
    simulation.for(body.containerId).freeze();
    await eventually(async () => {
      const seen = await observed(body.containerId);
      expect(seen).toMatchObject({ end: { cause: "hung" }, health: { status: "unhealthy", failures: 2 } });
    });
  });

  it("is asked in the way its workload says", async () => {
    const http = { path: "/healthz", expectJson: { ok: "never" } };
    const pool = await aPool("unhealthy", { minSize: 1 }, { healthCheck: { ...CHECK, http } });
    const { body } = await claim("ill", pool);
    await eventually(async () => {
      expect((await observed(body.containerId)).end).toMatchObject({ cause: "unhealthy", detail: /healthz/ });
    });
    const command = await aPool("commanded", { minSize: 1 }, { healthCheck: { ...CHECK, command: ["false"] } });
    const second = await claim("commanded", command);
    await eventually(async () => {
      expect((await observed(second.body.containerId)).end).toMatchObject({ cause: "unhealthy", detail: / 1\./ });
    });
  });

  it("warm, is replaced by its pool", async () => {
    const pool = await aPool("warm-frozen", { minSize: 1 }, { healthCheck: CHECK });
    const [id = ""] = await warmOf(pool);
    await ring(id);
    simulation.for(id).freeze();
    await eventually(async () => expect(await warmOf(pool)).not.toContain(id), 10_000);
    await eventually(async () => expect(await warmOf(pool)).toHaveLength(1));
  });

  it("is not asked while it is saved", async () => {
    const pool = await aPool("quiet", { minSize: 1 }, { healthCheck: CHECK });
    const { body } = await claim("saving", pool);
    await instance(body.containerId).quiesce(body.epoch as never);
    await instance(body.containerId).save({ epoch: body.epoch as never, saveId: "s", force: false, timeoutMs: 5_000 });
    for (let rings = 0; rings < 4; rings += 1) await ring(body.containerId);
    const seen = await observed(body.containerId);
    expect([seen.state, seen.end, seen.health.failures]).toEqual(["saving", undefined, 0]);
  });
});

describe("a workload that ends in a container that lives", () => {
  it("is started again by init, and its Instance knows", async () => {
    const pool = await aPool("crashing", { minSize: 1 });
    const { body } = await claim("crashing", pool);
    await put("crashing", "a.txt", "unsaved");
    simulation.for(body.containerId).outOfMemory();
    await eventually(async () => expect((await observed(body.containerId)).lastOomAt).toBeTypeOf("number"));
    const seen = await observed(body.containerId);
    expect(seen).toMatchObject({ alive: true, health: { status: "unknown", failures: 0 } });
    expect(seen.end).toBeUndefined();
    await eventually(async () => expect(await (await get("crashing", "a.txt")).text()).toBe("unsaved"));
  });

  it("too often ends its container, also when init's word on it is lost", async () => {
    const pool = await aPool("hopeless", { minSize: 1 });
    const { body } = await claim("hopeless", pool);
    const { init } = simulation.for(body.containerId).container;
    vi.spyOn(init, "report").mockResolvedValue();
    for (let ends = 0; ends < 5; ends += 1) {
      await eventually(async () => expect(init.workload()).not.toBeNull());
      await call("POST", "/t/hopeless/crash").catch(() => null);
    }
    const seen = await observed(body.containerId);
    expect(seen).toMatchObject({ alive: true, end: { cause: "exited", exitCode: 1 } });
  });
});

describe("what init reports", () => {
  const exit = { exitCode: 1, restarts: 0, restarting: true, oom: null };
  function reporter(id: string, key = simulation.for(id).container.init.keys.bootKey) {
    const { bootKey } = simulation.for(id).container.init.keys;
    const made = (exports as unknown as { ControlGateway: (options: { props: unknown }) => Fetcher }).ControlGateway({
      props: { containerId: id as ContainerId, bootKeyHash: sha256(bootKey) },
    });
    const headers = { authorization: `Bearer ${key}`, "content-type": "application/json" };
    return async (body: unknown, method = "POST") => {
      const text = typeof body === "string" ? body : JSON.stringify(body);
      const sent = { "content-length": String(new TextEncoder().encode(text).length) };
      const init = method === "GET" ? { method, headers } : { method, headers: { ...headers, ...sent }, body: text };
      return (await made.fetch("http://control.internal/exit", init)).status;
    };
  }

  it("is heard of a container's root alone, in its form, and no oftener than makes sense", async () => {
    const pool = await aPool("reporting", { minSize: 1 });
    const [id = ""] = await warmOf(pool);
    expect(await reporter(id, "another")(exit)).toBe(401);
    const report = reporter(id);
    expect(await report(exit, "GET")).toBe(405);
    const wrong = [{}, { ...exit, exitCode: 256 }, { ...exit, exitCode: "1" }, { ...exit, more: 1 }, "no json", "[]"];
    for (const body of [...wrong, `${JSON.stringify(exit)}${" ".repeat(2_000)}`]) expect(await report(body)).toBe(422);
    expect(await report(exit)).toBe(200);
    const many = await Promise.all(Array.from({ length: 40 }, () => report(exit)));
    expect(many).toContain(429);
  });

  it("of a workload that was given up does not end one that was started since", async () => {
    const pool = await aPool("old-report", { minSize: 1 });
    const [id = ""] = await warmOf(pool);
    expect(await reporter(id)({ ...exit, restarts: 4, restarting: false, oom: true })).toBe(200);
    const seen = await observed(id);
    expect([seen.end, seen.lastOomAt]).toEqual([undefined, undefined]);
  });

  it("twice of the same kill is counted once", async () => {
    const pool = await aPool("twice-told", { minSize: 1 });
    const [id = ""] = await warmOf(pool);
    const report = reporter(id);
    await report({ ...exit, oom: true });
    const { lastOomAt } = await observed(id);
    expect(lastOomAt).toBeTypeOf("number");
    later(1_000);
    await report({ ...exit, oom: true });
    expect((await observed(id)).lastOomAt).toBe(lastOomAt);
    await report({ ...exit, restarts: 1, oom: true });
    expect((await observed(id)).lastOomAt).toBeGreaterThan(lastOomAt as number);
  });
});

describe("a start", () => {
  const workload = workloadSchema.parse({ id: "w", image: "sandbox" });
  const plan = (id: ContainerId) => ({
    containerId: id,
    poolId: "nobody" as PoolId,
    workload,
    tier: "lite" as const,
    startTimeoutMs: 400,
  });

  it("after which nothing ever answers fails at its deadline", async () => {
    const id = newId();
    simulation.for(id).lose("ready");
    const began = Date.now();
    expect(await instance(id).boot(plan(id), Date.now() + 10_000)).toMatchObject({
      ok: false,
      failure: { code: "start_failed" },
    });
    expect(Date.now() - began).toBeLessThan(3_000);
    expect(await observed(id)).toMatchObject({ alive: false });
    await instance(id).retire("over");
  });

  it("for which there was no room says so, also where the platform says it late", async () => {
    for (const late of [false, true]) {
      const id = newId();
      simulation.for(id).fail("start", { code: "capacity", late });
      expect(await instance(id).boot(plan(id), Date.now() + 10_000)).toMatchObject({
        ok: false,
        failure: { code: "capacity_exhausted", retryAfterMs: 30_000 },
      });
      await instance(id).retire("over");
    }
  });

  it("that is asked for when nobody waits for it any more begins nothing", async () => {
    const id = newId();
    expect(await instance(id).boot(plan(id), Date.now() - 1)).toMatchObject({
      ok: false,
      failure: { code: "start_failed" },
    });
    expect(await instance(id).describe()).toMatchObject({ ok: false, failure: { code: "not_found" } });
  });

  it("that another boot answers is no container of ours, at once and later", async () => {
    const id = newId();
    expect(await instance(id).boot(plan(id), Date.now() + 10_000)).toMatchObject({ ok: true });
    simulation.for(id).reboot();
    expect(await observed(id)).toMatchObject({ alive: false, end: { cause: "rebooted" } });
    await instance(id).retire("over");
  });
});

describe("a container that nobody has", () => {
  it("is ended by its own Instance, after its pool said twice that it does not know it", async () => {
    const pool = await aPool("disowning");
    const id = newId();
    const workload = workloadSchema.parse({ id: "w", image: "sandbox" });
    const plan = { containerId: id, poolId: pool as PoolId, workload, tier: "lite" as const, startTimeoutMs: 5_000 };
    expect(await instance(id).boot(plan, Date.now() + 10_000)).toMatchObject({ ok: true });
    await ring(id);
    later(200_000);
    await ring(id);
    expect(simulation.running).toContain(id);
    later(300_000);
    await ring(id);
    expect(simulation.running).not.toContain(id);
    expect(await instance(id).describe()).toMatchObject({ ok: false });
  });

  it("and of which no record was kept, is ended when its object comes to memory", async () => {
    const pool = await aPool("forgetting", { minSize: 1 });
    const [id = ""] = await warmOf(pool);
    await runInDurableObject(object(id), (_instance, state) => state.storage.deleteAll());
    await evictDurableObject(object(id));
    expect(await instance(id).describe()).toMatchObject({ ok: false });
    await eventually(async () => expect(simulation.running).not.toContain(id));
  });

  it("is not one of a pool, however old it is", async () => {
    const pool = await aPool("owning", { minSize: 1 });
    const [id = ""] = await warmOf(pool);
    for (let rings = 1; rings <= 3; rings += 1) {
      later(300_000);
      await ring(id);
    }
    expect(simulation.running).toContain(id);
  });
});
