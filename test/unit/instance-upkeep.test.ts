import { describe, expect, it, vi } from "vitest";
import { epoch, type TenantId } from "../../src/ids.ts";
import type { Activity } from "../../src/instance/activity.ts";
import { Life } from "../../src/instance/life.ts";
import type { BootRecord } from "../../src/instance/record.ts";
import type { ContainerEnd } from "../../src/instance/types.ts";
import { Upkeep } from "../../src/instance/upkeep.ts";
import type { ContainerRuntime } from "../../src/runtime/port.ts";
import { fakeEnv, unreachable } from "../support/fake-objects.ts";

const activity = { at: 0, note: () => {} } as unknown as Activity;
const boot = { startedAt: 0, plan: { containerId: "c-1", poolId: "demo" } } as unknown as BootRecord;
const alice = { tenantId: "alice" as TenantId, epoch: epoch(3) };
const end: ContainerEnd = { at: 1, cause: "exited", exitCode: 1, detail: "It exited." };

function upkeepOf(objects: { POOL?: object; TENANT?: object; FLEET?: object }, holder: Life["holder"] = null) {
  const life = new Life({ running: true } as ContainerRuntime, boot, activity);
  life.holder = holder;
  const named = Object.fromEntries(Object.entries(objects).map(([name, object]) => [name, () => object]));
  return new Upkeep({} as DurableObjectStorage, fakeEnv({ objects: named }), life);
}
/** What it says each time that it is asked, 200 s and a bit apart. */
async function asked(upkeep: Upkeep, times: number): Promise<boolean[]> {
  const said: boolean[] = [];
  const start = Date.now();
  for (let time = 0; time < times; time += 1) {
    vi.spyOn(Date, "now").mockReturnValue(start + time * 201_000);
    said.push(await upkeep.isOrphan());
  }
  vi.restoreAllMocks();
  return said;
}

describe("a container", () => {
  it("is nobody's when its pool said so twice, and no tenant serves from it", async () => {
    const POOL = { has: async () => false };
    expect(await asked(upkeepOf({ POOL }), 2)).toEqual([false, true]);
    const TENANT = { servedBy: async () => null };
    expect(await asked(upkeepOf({ POOL, TENANT }, alice), 2)).toEqual([false, true]);
  });

  it("is somebody's as long as its tenant serves from it, or anybody does not answer", async () => {
    const POOL = { has: async () => false };
    const serving = { servedBy: async () => ({ epoch: alice.epoch, since: 0, admission: "open" }) };
    expect(await asked(upkeepOf({ POOL, TENANT: serving }, alice), 3)).toEqual([false, false, false]);
    expect(await asked(upkeepOf({ POOL, TENANT: { servedBy: unreachable } }, alice), 3)).toEqual([false, false, false]);
    expect(await asked(upkeepOf({ POOL: { has: unreachable } }), 3)).toEqual([false, false, false]);
  });

  it("that its pool knows again was never nobody's: what was said before does not count", async () => {
    const answers = [false, true, false, false];
    const POOL = { has: async () => answers.shift() };
    expect(await asked(upkeepOf({ POOL }), 4)).toEqual([false, false, false, true]);
  });
});

describe("the end of a container", () => {
  it("is told to the tenant that its pool names, else to the pool", async () => {
    const told: string[] = [];
    const TENANT = { ended: async (id: string, at: number) => void told.push(`tenant ${id} ${at}`) };
    const pool = (holder: object | null) => ({
      holder: async () => holder,
      ended: async (id: string) => void told.push(`pool ${id}`),
    });
    await upkeepOf({ POOL: pool(alice), TENANT }).tell(end);
    await upkeepOf({ POOL: pool(null), TENANT }).tell(end);
    expect(told).toEqual(["tenant c-1 3", "pool c-1"]);
  });

  it("that cannot be told now, or given back, is no error: the next alarm tells it", async () => {
    await expect(upkeepOf({ POOL: { holder: unreachable } }).tell(end)).resolves.toBeUndefined();
    await expect(upkeepOf({ FLEET: { release: unreachable } }).free(boot)).resolves.toBeUndefined();
  });
});
