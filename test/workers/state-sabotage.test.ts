import { afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import type { Generation } from "../../src/ids.ts";
import { Instance } from "../../src/instance/object.ts";
import { Vault } from "../../src/vault/object.ts";
import { failCalls, loseOneAnswer } from "../support/broken-calls.ts";
import { aPool, call, env, simulation } from "../support/fleet.ts";
import { pause, StateWorld } from "../support/state-world.ts";
import { describeVault } from "../support/vault-audit.ts";

/**
 * What goes wrong around a save or a restore, one thing at a time, each with many seeds (`VITE_SEEDS=200 npx vitest …` tries
 * more). After every one: the head is a complete, verified earlier or later generation, and nothing else is readable.
 */
const SEEDS = Array.from({ length: Number(import.meta.env.VITE_SEEDS ?? 6) }, (_, index) => index + 1);

const BUCKET = Object.getPrototypeOf(env.BUCKET) as object;
const OF_A_SAVE = ["open", "commit", "beginBundle", "stageBundle", "reserve", "put", "remove", "list", "abort"];
const OF_A_RESTORE = ["fence", "page"];

const SCENARIOS: Record<string, (world: StateWorld) => Promise<void>> = {
  "a restore that fails": async (world) => {
    world.change();
    await world.release();
    simulation.every.fail("restore", { times: 1 + world.random.int(3) });
    await world.claim();
  },
  "a restore that breaks off": async (world) => {
    world.change();
    await world.release();
    simulation.every.truncate("restore", { times: 1 + world.random.int(2) });
    await world.claim();
  },
  "a restore that stalls, in a container that then ends": async (world) => {
    world.change();
    await world.release();
    simulation.every.hang("restore");
    const claiming = world.claim();
    await pause(50);
    for (const id of await world.running()) simulation.for(id).crash();
    await claiming;
  },
  "R2 that refuses to keep contents": async (world) => {
    world.change(12);
    failCalls(BUCKET, "put", 1 + world.random.int(3), 1 + world.random.int(4));
    await world.anySave();
  },
  "R2 that does not give contents back": async (world) => {
    world.change();
    await world.release();
    failCalls(BUCKET, "get", 1 + world.random.int(3), 1 + world.random.int(3));
    await world.claim();
  },
  "R2 that deletes nothing": async (world) => {
    for (let n = 0; n < 3; n += 1) {
      world.change(8);
      await world.sync();
    }
    failCalls(BUCKET, "delete", 1, 2);
    await world.alarm("vault");
  },
  "a Vault that is unavailable at a step of a save": async (world) => {
    world.change();
    failCalls(Vault.prototype, world.random.pick(OF_A_SAVE), 1 + world.random.int(2), 1 + world.random.int(3));
    await world.anySave();
  },
  "a Vault whose answer gets lost in a save": async (world) => {
    world.change();
    loseOneAnswer(Vault.prototype, world.random.pick(OF_A_SAVE), "after");
    await world.anySave();
  },
  "a Vault that is unavailable at a step of a restore": async (world) => {
    world.change();
    await world.release();
    failCalls(Vault.prototype, world.random.pick(OF_A_RESTORE), 1, 1 + world.random.int(3));
    await world.claim();
  },
  "a container that is killed in the middle of a save": async (world) => {
    world.change();
    simulation.for(world.containerId).slow(world.random.pick(["manifest", "bundle", "sync", "stop"]), 60);
    const saving = world.anySave();
    await pause(world.random.int(90));
    world.crash();
    await saving;
  },
  "an older container that goes on writing": async (world) => {
    const old = world.gateway();
    world.change();
    await world.restart();
    world.change();
    const writes: (() => Promise<Response>)[] = [
      () => old("/state/zombie", { method: "PUT", body: "late" }),
      () => old("/state/zombie", { method: "DELETE" }),
      () => old("/.bundle/staging.tar", { method: "PUT", body: new Uint8Array(10_240) }),
      () => old("/state/zombie?uploads", { method: "POST" }),
      () => old("/state?list-type=2"),
    ];
    const saving = world.anySave();
    for (let n = 0; n < 6; n += 1) {
      expect((await world.random.pick(writes)()).status, "a stale container's request").toBe(403);
      await pause(world.random.int(10));
    }
    await saving;
  },
  "two saves at once": async (world) => {
    world.change();
    await Promise.all([world.anySave(), world.anySave(), world.sync()]);
  },
  "a commit whose answer gets lost": async (world) => {
    world.change();
    loseOneAnswer(Vault.prototype, "commit", "after");
    await world.anySave();
  },
  "a save that ended, and whose answer gets lost": async (world) => {
    world.change();
    loseOneAnswer(Instance.prototype, "save", "after");
    await world.anySave();
  },
  "a head that an admin moves in the middle of a save": async (world) => {
    world.change();
    await world.sync();
    world.change();
    simulation.for(world.containerId).slow(world.random.pick(["manifest", "bundle", "sync"] as const), 40);
    const saving = world.anySave();
    await pause(world.random.int(30));
    await world.moveHead(1 as Generation);
    const moved = await world.head();
    const { status, body } = await saving;
    if (status !== 200) {
      expect(body).toMatchObject({ code: "conflict" });
      expect(await world.head(), "a head that was moved on purpose").toBe(moved);
      expect((await describeVault(world.tenant)).generations.at(-1)).toMatchObject({ status: "detached" });
    }
  },
  "files whose content changed, size and mod-time put back": async (world) => {
    for (const path of world.directory.paths) if (world.random() < 0.4) world.directory.rewriteUnseen(path);
    world.note();
    const answer = await world.anySave();
    expect(answer.status).toBe(200);
    expect(await world.head(), "what was rewritten").toBe(world.latest);
  },
  "a directory that was emptied": async (world) => {
    const before = await world.head();
    world.directory.remove(1);
    world.note();
    expect(await world.release()).toMatchObject({ status: 409, body: { code: "guard_blocked" } });
    expect(await world.head()).toBe(before);
  },
  "more than half of the files gone": async (world) => {
    const before = await world.head();
    world.directory.remove(0.9);
    world.note();
    const { status } = await world.random.pick([world.release, world.stop, world.restart])();
    if (status !== 200) expect(await world.head()).toBe(before);
  },
  "a file that grows while it is saved": async (world) => {
    world.change();
    const { containerId } = world;
    simulation.for(containerId).slow(world.random.pick(["bundle", "sync", "manifest"] as const), 15, { times: 2 });
    const saving = world.sync();
    for (let n = 0; n < 8; n += 1) {
      await pause(world.random.int(8));
      if (world.containerId !== containerId) break;
      const path = world.directory.paths.find((one) => !one.endsWith("-link"));
      if (path !== undefined) world.directory.grow(path);
      world.note();
    }
    await saving;
  },
  "a clock that jumps": async (world) => {
    const real = simulation.clock;
    let offset = 0;
    simulation.clock = { now: () => Date.now() + offset, sleep: async (ms) => void (await pause(ms)) };
    try {
      for (let n = 0; n < 4; n += 1) {
        offset = world.random.pick([-86_400_000, -1_000, 0, 1_000, 86_400_000]);
        world.change();
        await world.random.pick([world.sync, world.restart])();
        await world.audit();
      }
    } finally {
      simulation.clock = real;
    }
  },
  "retention in the middle of a restore": async (world) => {
    for (let n = 0; n < 14; n += 1) {
      world.change(2);
      await world.sync();
    }
    await world.release();
    simulation.every.slow("restore", 30);
    const claiming = world.claim();
    for (let n = 0; n < 3; n += 1) {
      await pause(world.random.int(20));
      await world.alarm("vault");
    }
    expect((await claiming).status).toBe(201);
  },
  "another tier between two claims": async (world) => {
    world.change();
    await world.release();
    const tier = world.random.pick(["lite", "basic", "standard-1"]);
    expect((await call("PUT", `/api/v1/tenants/${world.tenant}/tier`, { tier })).status).toBeLessThan(300);
    expect((await world.claim()).status).toBe(201);
  },
};

afterEach(() => {
  vi.restoreAllMocks();
  simulation.every.faults.clear();
});

describe.each(Object.entries(SCENARIOS))("%s", (name, sabotage) => {
  const pool = name.toLowerCase().replace(/[^a-z0-9]+/g, "-");
  beforeAll(async () => {
    await aPool(pool, { minSize: 2, maxSize: 12, idleTimeoutMs: 300_000 });
  });

  it.each(SEEDS)(
    "leaves a complete head, and a tenant that goes on, seed %i",
    async (seed) => {
      const world = await StateWorld.create(pool, seed);
      try {
        await sabotage(world);
        await world.recovers();
      } finally {
        world.crash();
      }
    },
    60_000,
  );
});
