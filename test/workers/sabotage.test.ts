import { evictDurableObject, runDurableObjectAlarm } from "cloudflare:test";
import { afterEach, describe, expect, it, vi } from "vitest";
import { Instance } from "../../src/instance/object.ts";
import { Pool } from "../../src/pool/object.ts";
import { Vault } from "../../src/vault/object.ts";
import { loseOneAnswer } from "../support/broken-calls.ts";
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

/** What breaks between two steps: replies that get lost after the effect, starts that outlive their slot, clocks that run out. */

const tenantStub = (tenant: string) => env.TENANT.getByName(tenant) as unknown as DurableObjectStub;
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

afterEach(() => {
  vi.restoreAllMocks();
  simulation.every.faults.clear();
});

describe("a release that is called off half-way", () => {
  it("leaves a container that can still be saved", async () => {
    const pool = await aPool("half-resumed", { minSize: 2 });
    const { body } = await claim("wavering", pool);
    await put("wavering", "a.txt", "precious");
    simulation.for(body.containerId).fail("manifest", { times: 1 });
    expect((await release("wavering")).status).toBeGreaterThanOrEqual(400);
    loseOneAnswer(Instance.prototype, "resume", "after");
    await claim("wavering");
    await eventually(async () => {
      await runDurableObjectAlarm(tenantStub("wavering"));
      expect((await status("wavering")).body).toMatchObject({ state: "idle", generation: 1, unsavedSince: null });
    }, 8_000);
    await claim("wavering");
    expect(await (await get("wavering", "a.txt")).text()).toBe("precious");
  });

  it("is asked for again by the next claim", async () => {
    const pool = await aPool("resumed-twice", { minSize: 2 });
    const { body } = await claim("insistent", pool);
    await put("insistent", "a.txt", "precious");
    simulation.for(body.containerId).fail("manifest", { times: 1 });
    expect((await release("insistent")).status).toBeGreaterThanOrEqual(400);
    loseOneAnswer(Instance.prototype, "resume", "after");
    await claim("insistent");
    expect(await claim("insistent")).toMatchObject({ status: 200, body: { containerId: body.containerId } });
    expect(await (await get("insistent", "a.txt")).text()).toBe("precious");
    expect(await release("insistent")).toMatchObject({ status: 200, body: { saved: { generation: 1 } } });
  });
});

describe("a save of a sleep that fails once", () => {
  it("ends asleep, not idle: the next request still wakes the tenant", async () => {
    const pool = await aPool("sleep-retried", { minSize: 2, idleTimeoutMs: 1_000 });
    const { body } = await claim("drowsy", pool);
    await put("drowsy", "a.txt", "kept");
    simulation.for(body.containerId).fail("manifest", { times: 1 });
    await eventually(async () => {
      await runDurableObjectAlarm(tenantStub("drowsy"));
      expect((await status("drowsy")).body.state).toMatch(/asleep|idle/);
    }, 10_000);
    expect(await (await get("drowsy", "a.txt")).text()).toBe("kept");
  });
});

describe("a start", () => {
  it("that breaks off with its Pool's answer is tried again", async () => {
    const pool = await aPool("pool-lost", { minSize: 2 });
    loseOneAnswer(Pool.prototype, "lease", "after");
    expect(await claim("patient", pool)).toMatchObject({ status: 201, body: { state: "active" } });
  });

  it("that breaks off with its Instance's answer is tried again on another container", async () => {
    const pool = await aPool("instance-lost", { minSize: 3 });
    await claim("steady", pool);
    await put("steady", "a.txt", "kept");
    await release("steady");
    loseOneAnswer(Instance.prototype, "assign", "after");
    expect(await claim("steady")).toMatchObject({ status: 201, body: { restored: { generation: 1 } } });
    expect(await (await get("steady", "a.txt")).text()).toBe("kept");
    await eventually(async () =>
      expect((await call("GET", `/api/v1/pools/${pool}`)).body).toMatchObject({ claimed: 1 }),
    );
  });
});

describe("an Instance that left memory", () => {
  it("and cannot learn at once whom it serves does not cost the tenant its unsaved files", async () => {
    const pool = await aPool("unsure", { minSize: 2 });
    const { body } = await claim("lasting", pool);
    await put("lasting", "a.txt", "unsaved");
    vi.spyOn(Pool.prototype, "holder").mockRejectedValueOnce(new Error("Network connection lost."));
    await evictDurableObject(env.INSTANCE.getByName(body.containerId) as unknown as DurableObjectStub);
    await get("lasting", "a.txt");
    expect(await (await get("lasting", "a.txt")).text()).toBe("unsaved");
    expect((await status("lasting")).body).toMatchObject({ containerId: body.containerId, epoch: 1 });
  });
});

describe("claims with other config", () => {
  it("at the same time: none is silently ignored", async () => {
    const pool = await aPool("two-configs", { minSize: 2 });
    const answers = await Promise.all([
      claim("twofold", pool, { config: { a: 1 } }),
      claim("twofold", pool, { config: { a: 2 } }),
    ]);
    expect(answers.filter((answer) => answer.body.pendingRestart)).toHaveLength(1);
  });

  it("are not undone by one without config that looked at the tenant before", async () => {
    const pool = await aPool("lost-update", { minSize: 2 });
    await claim("renewed", pool, { config: { a: 1 } });
    const observe = Instance.prototype.observe;
    vi.spyOn(Instance.prototype, "observe").mockImplementationOnce(async function (this: Instance) {
      await pause(200);
      return observe.call(this);
    });
    const slow = claim("renewed", pool);
    await pause(20);
    expect((await claim("renewed", pool, { config: { a: 2 } })).body.pendingRestart).toBe(true);
    await slow;
    expect((await claim("renewed", pool)).body.pendingRestart).toBe(true);
  });
});

describe("what is asked for while another operation runs", () => {
  it("and cannot wait for its turn is refused, not taken for that operation", async () => {
    const pool = await aPool("impatient", { minSize: 2, idleTimeoutMs: 1_000 });
    const { body } = await claim("nodding", pool);
    simulation.for(body.containerId).slow("stop", 1_500);
    await eventually(async () => {
      await runDurableObjectAlarm(tenantStub("nodding"));
      expect((await status("nodding")).body).toMatchObject({ state: "sleeping" });
    });
    for (const action of ["release", "claim"]) {
      const answer = await call("POST", `/api/v1/tenants/nodding/${action}?wait=0s`, {});
      expect(answer, action).toMatchObject({ status: 409, body: { code: "operation_in_progress" } });
    }
    expect(await release("nodding")).toMatchObject({ status: 200, body: { state: "idle" } });
  });
});

describe("a secret", () => {
  it("whose name cannot be delivered is refused with the claim", async () => {
    const pool = await aPool("long-names", { minSize: 1 });
    expect((await claim("verbose", pool, { secrets: { ["s".repeat(92)]: "x" } })).status).toBe(422);
    expect((await claim("verbose", pool, { secrets: { ["s".repeat(91)]: "x" } })).status).toBe(201);
  });
});

describe("a guard's refusal whose answer got lost", () => {
  it("is accepted by one force", async () => {
    const pool = await aPool("refused-unheard", { minSize: 2 });
    await claim("trimmed", pool);
    for (const name of ["a", "b", "c", "d"]) await put("trimmed", name, "text");
    await release("trimmed");
    await claim("trimmed");
    for (const name of ["a", "b", "c"]) await remove("trimmed", name);
    loseOneAnswer(Vault.prototype, "commit", "after");
    expect(await release("trimmed")).toMatchObject({ status: 409, body: { code: "operation_interrupted" } });
    expect(await release("trimmed", { force: true })).toMatchObject({
      status: 200,
      body: { saved: { generation: 2, files: 1 } },
    });
  });
});

describe("giving up", () => {
  it("what was not saved works also when the Instance does not answer", async () => {
    const pool = await aPool("forsaken", { minSize: 2 });
    const { body } = await claim("resigned", pool);
    vi.spyOn(Instance.prototype, "quiesce").mockRejectedValue(new Error("Network connection lost."));
    expect(await release("resigned", { sync: false })).toMatchObject({ status: 200, body: { state: "idle" } });
    await eventually(async () => expect(simulation.running).not.toContain(body.containerId));
  });
});
