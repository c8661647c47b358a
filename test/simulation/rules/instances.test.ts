import { describe, expect, it } from "vitest";
import type { BootRecord } from "../../../src/instance/record.ts";
import type { ObjectView, World } from "../world/types.ts";
import { asking, aTenant } from "./support.ts";

const MINUTE_MS = 60_000;
const IDLE_MS = 15 * MINUTE_MS;

const stateOf = (world: World): string | undefined =>
  world.objects.find("Tenant", "t")?.document<{ state: string }>("tenant")?.state;

/** Minutes of life, with `each` before every one of them, until the tenant sleeps. */
async function minutesUntilAsleep(world: World, each: (minute: number) => void | Promise<void>): Promise<number> {
  for (let minute = 1; minute <= 60; minute += 1) {
    await each(minute);
    await world.advance(MINUTE_MS);
    if (stateOf(world) === "asleep") return minute;
  }
  return Number.POSITIVE_INFINITY;
}

describe("an Instance that leaves memory", () => {
  it.each([
    ["by eviction", (world: World, instance: ObjectView) => void world.objects.evict(instance)],
    ["by a deploy", (world: World) => world.objects.deploy()],
  ])("%s every few minutes lets its tenant fall asleep when nobody used it for the idle time", async (_, leave) => {
    const { world, instance } = await aTenant({ idleTimeoutMs: IDLE_MS });
    const minutes = await minutesUntilAsleep(world, (minute) => {
      if (minute % 4 === 0) leave(world, instance);
    });
    expect(minutes).toBeGreaterThanOrEqual(15);
    expect(minutes).toBeLessThanOrEqual(18);
  });

  it("right after somebody used it, counts that", async () => {
    const { world, instance } = await aTenant({ idleTimeoutMs: IDLE_MS });
    const minutes = await minutesUntilAsleep(world, async (minute) => {
      if (minute !== 10) return;
      await asking(world, "/healthz");
      world.objects.crash(instance);
    });
    expect(minutes).toBeGreaterThanOrEqual(24);
    expect(minutes).toBeLessThanOrEqual(28);
  });

  it("while its workload starts, counts that workload's silence from the start's deadline on", async () => {
    const { world, id, instance } = await aTenant();
    const { startedAt, plan } = instance.document<BootRecord>("instance") as BootRecord;
    const workload = world.containers.get(id)?.init.workload();
    if (!workload) throw new Error("no workload");
    workload.hung = true;
    world.objects.crash(instance);
    const deadline = startedAt + plan.startTimeoutMs;
    await world.advance(deadline - world.now - 1_000);
    expect(world.containers.running).toContain(id);
    await world.advance(2 * plan.workload.healthCheck.intervalMs + 10_000);
    expect(world.containers.running).not.toContain(id);
  });
});

describe("a container that nobody uses", () => {
  it("costs its Instance no write, and one that is used at most one a minute", async () => {
    const { world, instance } = await aTenant({ idleTimeoutMs: 24 * IDLE_MS });
    await world.advance(5 * MINUTE_MS);
    const tables = () =>
      JSON.stringify(["instance", "activity"].map((table) => instance.rows(`SELECT * FROM ${table}`)));
    const before = tables();
    await world.advance(60 * MINUTE_MS);
    expect(tables()).toBe(before);
    const began = world.now;
    let writes = 0;
    let seen = tables();
    world.onCommit = (object) => {
      if (object !== instance || tables() === seen) return;
      seen = tables();
      writes += 1;
    };
    for (let second = 0; second < 240; second += 1) {
      await asking(world, "/healthz");
      await world.advance(1_000);
    }
    const minutes = (world.now - began) / MINUTE_MS;
    expect(writes).toBeGreaterThan(minutes - 3);
    expect(writes).toBeLessThanOrEqual(minutes + 1);
  });
});
