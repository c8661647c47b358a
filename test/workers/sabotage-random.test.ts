import { evictDurableObject, runDurableObjectAlarm } from "cloudflare:test";
import { afterEach, describe, expect, it, vi } from "vitest";
import { Fleet } from "../../src/fleet/object.ts";
import { Instance } from "../../src/instance/object.ts";
import { Pool } from "../../src/pool/object.ts";
import type { FaultPoint } from "../../src/runtime/simulated/faults.ts";
import { Tenant } from "../../src/tenant/object.ts";
import { Vault } from "../../src/vault/object.ts";
import { loseOneAnswer } from "../support/broken-calls.ts";
import {
  type Answer,
  aPool,
  call,
  claim,
  env,
  eventually,
  get,
  put,
  release,
  request,
  simulation,
  status,
} from "../support/fleet.ts";
import { seeded } from "../support/random.ts";

/** One tenant, things that go wrong at random, and what must be true whatever did. A failure prints the seed and what was done. */

const SEEDS = [1, 2, 3, 29, 43, 100, 107, 110];
const STEPS = 60;

/** Calls whose answer may get lost. */
const CALLS: readonly (readonly [{ prototype: object }, readonly string[]])[] = [
  [Fleet, ["admit", "release"]],
  [Instance, ["boot", "assign", "quiesce", "save", "resume", "restart", "observe", "retire"]],
  [Pool, ["lease", "holder"]],
  [Tenant, ["owns", "servedBy", "beginImport", "endImport"]],
  [Vault, ["fence", "open", "commit", "abort", "promote", "restoreTo", "erase"]],
];
const POINTS: readonly FaultPoint[] = [
  "start",
  "status",
  "claim",
  "restore",
  "stop",
  "manifest",
  "bundle",
  "sync",
  "fetch",
  "destroy",
];

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

afterEach(() => {
  vi.restoreAllMocks();
  simulation.every.faults.clear();
});

describe.each(SEEDS)("a tenant to whom everything happens, seed %i", (seed) => {
  it("keeps what was acknowledged as saved, can be claimed again, and leaves nothing behind", async () => {
    const { pick } = seeded(seed);
    const pool = await aPool(`random-${seed}`, { minSize: 1, maxSize: 6, idleTimeoutMs: 300_000 });
    const tenant = `random-${seed}`;
    const stubs = {
      tenant: env.TENANT.getByName(tenant),
      pool: env.POOL.getByName(pool),
      vault: env.VAULT.getByName(tenant),
    };
    const alarm = (stub: unknown) => runDurableObjectAlarm(stub as DurableObjectStub);
    const log: string[] = [];
    /** The last value that was put, and where; what another container holds is at least what was saved. */
    let [written, writtenIn] = [0, ""];
    let saved = 0;
    const held = async () => (await status(tenant)).body.containerId as string | undefined;

    const settle = async () => {
      await alarm(stubs.tenant);
      await alarm(stubs.pool);
    };
    /** Whatever says that it saved has saved what was there before it was asked. */
    const saving = async (ask: () => Promise<Answer>) => {
      const before = (await held()) === writtenIn ? written : saved;
      const answer = await ask();
      if (answer.status === 200 && answer.body.saved) saved = before;
      return answer.status;
    };
    const release_ = (body: object) => saving(() => release(tenant, body));
    const act = (action: string, body: object = {}) =>
      saving(() => call("POST", `/api/v1/tenants/${tenant}/${action}?wait=5s`, body));
    const actions: Record<string, () => Promise<unknown>> = {
      claim: async () => (await claim(tenant, pool)).status,
      put: async () => {
        const value = written + 1;
        const answer = await put(tenant, "n", String(value));
        if (answer.status < 300) [written, writtenIn] = [value, (await held()) ?? ""];
        return answer.status;
      },
      read: async () => {
        const answer = await get(tenant, "n");
        const text = await answer.text();
        if (answer.status === 200) expect(Number(text), "what was saved").toBeGreaterThanOrEqual(saved);
        return `${answer.status} ${text.slice(0, 40)}`;
      },
      release: () => release_({}),
      force: () => release_({ force: true }),
      stop: () => act("stop", pick([{}, { force: true }])),
      start: () => act("start"),
      restart: () => act("restart", { scope: pick(["process", "container", "image"]), force: pick([true, false]) }),
      sync: () => act("sync", { direction: pick(["outward", "inward"]) }),
      suspend: async () => `${await act("suspend")} ${await act("resume")}`,
      // To what is current: what a safety save keeps on the way is not the head afterwards, so nothing more is expected.
      restore: async () => {
        const { body } = await call<{ items?: { generation: number; status: string }[] }>(
          "GET",
          `/api/v1/tenants/${tenant}/generations`,
        );
        const head = body.items?.find((one) => one.status === "head");
        if (!head) return "nothing";
        const wanted = { generation: head.generation, force: pick([true, false]) };
        return (await call("POST", `/api/v1/tenants/${tenant}/restore?wait=5s`, wanted)).status;
      },
      reimport: async () => {
        const exported = await request("GET", `/api/v1/tenants/${tenant}/export`);
        const tar = await exported.arrayBuffer();
        if (exported.status !== 200) return exported.status;
        const headers = { "content-type": "application/x-tar" };
        const answer = await request("POST", `/api/v1/tenants/${tenant}/import`, tar, headers);
        await answer.arrayBuffer();
        return answer.status;
      },
      destroy: () => act("destroy"),
      crash: async () => {
        const id = await held();
        if (id && simulation.running.includes(id)) simulation.for(id).crash();
        return id;
      },
      evict: async () => {
        const id = await held();
        const instance = id ? { instance: env.INSTANCE.getByName(id) } : {};
        const [name, stub] = pick(Object.entries({ ...stubs, ...instance }));
        const evicted = evictDurableObject(stub as unknown as DurableObjectStub).then(() => name);
        // workerd may hold an eviction back for half a minute; it then comes in the middle of something else.
        return Promise.race([evicted.catch(String), pause(300).then(() => `${name} later`)]);
      },
      lose: async () => {
        const [of, methods] = pick(CALLS);
        const [method, when] = [pick(methods), pick(["before", "after"] as const)];
        loseOneAnswer(of.prototype, method, when);
        return `${method} ${when}`;
      },
      fail: async () => {
        const point = pick(POINTS);
        simulation.every[pick(["fail", "lose"] as const)](point);
        return point;
      },
      settle,
    };
    try {
      for (let step = 0; step < STEPS; step += 1) {
        const name = pick([
          "claim",
          "put",
          "put",
          "read",
          "release",
          "force",
          "stop",
          "start",
          "restart",
          "sync",
          pick(["suspend", "destroy", "restore", "reimport"]),
          "crash",
          "evict",
          "lose",
          "lose",
          "fail",
          "settle",
        ]);
        log.push(`${name}: ${await actions[name]?.()}`);
      }
      vi.restoreAllMocks();
      simulation.every.faults.clear();
      log.push("quiet");
      await eventually(async () => {
        await settle();
        await act("resume"); // it may have been left suspended
        const answer = await claim(tenant, pool);
        expect(answer.body, JSON.stringify(answer.body)).toMatchObject({ state: "active" });
      }, 8_000);
      const text = await (await get(tenant, "n")).text();
      if (saved > 0) expect(Number(text), "what was saved").toBeGreaterThanOrEqual(saved);
      await put(tenant, "last", "x");
      await eventually(async () => {
        await settle();
        expect((await release(tenant, { force: true })).body).toMatchObject({ state: "idle" });
      }, 8_000);
      await eventually(async () => {
        await settle();
        const { body } = await call<{ size: number; warm: number }>("GET", `/api/v1/pools/${pool}`);
        expect(body).toMatchObject({ size: body.warm, claimed: 0, starting: 0 });
        const counts = await (env.FLEET.getByName("fleet") as unknown as Fleet).counts();
        expect(simulation.running.length, "containers and admissions").toBe(counts.lite ?? 0);
      }, 8_000);
    } catch (error) {
      console.log(`seed ${seed}\n${log.join("\n")}\n${JSON.stringify((await status(tenant)).body)}`);
      throw error;
    }
  }, 120_000);
});
