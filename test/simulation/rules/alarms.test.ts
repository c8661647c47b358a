import { describe, expect, it } from "vitest";
import type { Verdict } from "../world/faults.ts";
import type { World } from "../world/types.ts";
import { ask, aWorld, Base, until } from "./support.ts";

/** An object whose alarm does what the test says, and the virtual times at which it rang. */
async function ringing(act: (object: Base, count: number) => unknown): Promise<{ world: World; rang: number[] }> {
  const rang: number[] = [];
  class Tenant extends Base {
    async set(inMs: number): Promise<number> {
      await this.storage.setAlarm(Date.now() + inMs);
      return Date.now();
    }
    async alarm(): Promise<void> {
      rang.push(Date.now());
      await act(this, rang.length);
    }
  }
  return { world: await aWorld({ Tenant }), rang };
}

const gaps = (times: readonly number[]): number[] => times.slice(1).map((time, index) => time - (times[index] ?? 0));

function oneFault(world: World, verdict: Verdict): void {
  let left = 1;
  world.faults = {
    verdict: (point) => {
      if (point.at !== "alarm" || left === 0) return { do: "ok" };
      left -= 1;
      return verdict;
    },
  };
}

describe("alarms", () => {
  it("ring when they are due, and once", async () => {
    const { world, rang } = await ringing(() => {});
    const since = (await ask(world, "TENANT", "set", 90_000)) as number;
    await world.advance(3_600_000);
    expect(rang).toEqual([since + 90_000]);
    expect(world.objects.find("Tenant", "x")?.alarmAt).toBeNull();
  });

  it("a handler that throws is tried again six times, after two seconds and then twice as long each time", async () => {
    const { world, rang } = await ringing(() => Promise.reject(new Error("no")));
    await ask(world, "TENANT", "set", 1_000);
    await world.advance(3_600_000);
    expect(gaps(rang)).toEqual([2_000, 4_000, 8_000, 16_000, 32_000, 64_000]);
    expect(world.complaints).toEqual([expect.stringContaining("was dropped")]);
  });

  it("what a handler set before it threw is what rings next", async () => {
    const { world, rang } = await ringing(async (object, count) => {
      if (count > 1) return;
      await object.storage.setAlarm(Date.now() + 10_000);
      throw new Error("no");
    });
    await ask(world, "TENANT", "set", 1_000);
    await world.advance(3_600_000);
    expect(gaps(rang)).toEqual([10_000]);
  });

  it("an alarm whose handler was cut off rings again", async () => {
    const { world, rang } = await ringing((object) => {
      object.keep("in the midst of it");
      return new Promise((resolve) => setTimeout(resolve, 5_000));
    });
    await ask(world, "TENANT", "set", 1_000);
    await until(world, /^alarm/);
    await world.advance(1_000);
    const tenant = world.objects.find("Tenant", "x");
    if (tenant) world.objects.crash(tenant);
    await world.advance(60_000);
    expect(rang).toHaveLength(2);
  });

  it("one that is not durable yet does not ring after a crash", async () => {
    const { world, rang } = await ringing(() => {});
    const call = world.worker("set", async (env) =>
      (env.TENANT.getByName("x") as unknown as { set(ms: number): unknown }).set(1_000),
    );
    await until(world, /^call/);
    const tenant = world.objects.find("Tenant", "x");
    if (tenant) world.objects.crash(tenant);
    await world.advance(60_000);
    expect(call.outcome?.ok).toBe(false);
    expect(rang).toEqual([]);
  });

  it.each([
    ["late", { do: "delay", ms: 30_000 } as const, 1],
    ["lost", { do: "lose" } as const, 0],
    ["stuck in the past", { do: "stick" } as const, 0],
    ["twice", { do: "twice" } as const, 2],
  ])("%s", async (_how, verdict, times) => {
    const { world, rang } = await ringing(() => {});
    oneFault(world, verdict);
    const since = (await ask(world, "TENANT", "set", 1_000)) as number;
    await world.advance(3_600_000);
    expect(rang).toHaveLength(times);
    if (verdict.do === "delay") expect(rang[0]).toBe(since + 31_000);
    const { alarmAt } = world.objects.find("Tenant", "x") ?? {};
    expect(alarmAt).toBe(verdict.do === "stick" ? since + 1_000 : null);
    await ask(world, "TENANT", "set", 1_000);
    await world.advance(3_600_000);
    expect(rang).toHaveLength(times + 1);
  });
});
