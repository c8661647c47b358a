import { describe, expect, it } from "vitest";
import type { Point, Verdict } from "../world/faults.ts";
import type { World } from "../world/types.ts";
import { ask, aWorld, Base, stub, until } from "./support.ts";

function faultAt(world: World, at: Point["at"], verdict: Verdict): void {
  world.faults = { verdict: (point) => (point.at === at ? verdict : { do: "ok" }) };
}

class Counter extends Base {
  count = 0;
  async add(by: number): Promise<number> {
    this.count += by;
    return this.count;
  }
  async read(): Promise<number> {
    return this.count;
  }
}

describe("calls", () => {
  it("share nothing: what is passed is copied, both ways", async () => {
    const kept: unknown[] = [];
    class Pool extends Base {
      async give(value: unknown): Promise<unknown> {
        kept.push(value);
        return value;
      }
    }
    const world = await aWorld({ Pool });
    const given = {
      list: [1, { deep: "yes" }],
      bytes: new Uint8Array([1]),
      none: undefined,
      map: new Map([["a", [1]]]),
    };
    const back = await ask(world, "POOL", "give", given);
    expect(back).toEqual(given);
    expect(kept[0]).toEqual(given);
    expect(kept[0]).not.toBe(given);
    expect(back).not.toBe(kept[0]);
  });

  it("what the platform cannot send is refused", async () => {
    class Pool extends Base {
      async give(): Promise<unknown> {
        return new (class Secret {})();
      }
    }
    await expect(ask(await aWorld({ Pool }), "POOL", "give")).rejects.toThrow("could not be cloned");
  });

  it("an error arrives as the platform sends it: its message, and a name of ours before it", async () => {
    class Pool extends Base {
      async fail(how: string): Promise<never> {
        if (how === "plain") throw new TypeError("no such thing");
        throw Object.assign(new Error("late"), { name: "DeadlineError", code: "secret" });
      }
    }
    const world = await aWorld({ Pool });
    await expect(ask(world, "POOL", "fail", "plain")).rejects.toMatchObject({
      name: "TypeError",
      message: "no such thing",
      remote: true,
    });
    const error = await ask(world, "POOL", "fail", "own").catch((reason: unknown) => reason);
    expect(error).toMatchObject({ name: "Error", message: "DeadlineError: late" });
    expect(error).not.toHaveProperty("code");
  });

  it("a refused delivery had no effect, a lost answer had one, and a lost message is never answered", async () => {
    const world = await aWorld({ Pool: Counter });
    faultAt(world, "deliver", { do: "fail", message: "not reached" });
    await expect(ask(world, "POOL", "add", 1)).rejects.toMatchObject({ message: "not reached", retryable: true });
    faultAt(world, "reply", { do: "fail" });
    await expect(ask(world, "POOL", "add", 1)).rejects.toThrow("Network connection lost.");
    faultAt(world, "deliver", { do: "lose" });
    await expect(ask(world, "POOL", "add", 1)).rejects.toThrow("has not ended");
    faultAt(world, "confirm", { do: "ok" });
    expect(await ask(world, "POOL", "read")).toBe(1);
  });

  it("who waits for an object that crashes is told, and the answer of one that lives on reaches nobody who is gone", async () => {
    const answers: unknown[] = [];
    class Tenant extends Base {
      async waits(): Promise<void> {
        answers.push(await stub(this.env, "POOL").slow?.());
      }
    }
    class Pool extends Base {
      async slow(): Promise<string> {
        await new Promise((resolve) => setTimeout(resolve, 1_000));
        return "done";
      }
    }
    const world = await aWorld({ Tenant, Pool });
    const crash = (kind: "Tenant" | "Pool") => {
      const object = world.objects.find(kind, "x");
      if (object) world.objects.crash(object);
    };
    const first = world.worker("first", async (env) => stub(env, "TENANT").waits?.());
    await until(world, /^call Tenant\/x → Pool/);
    crash("Pool");
    await expect(world.finish(first)).rejects.toThrow("Network connection lost.");
    const second = world.worker("second", async (env) => stub(env, "TENANT").waits?.());
    await until(world, /^call Tenant\/x → Pool/);
    crash("Tenant");
    await world.advance(10_000);
    expect(second.outcome?.ok).toBe(false);
    expect(answers).toEqual([]);
  });

  it("timers end with their object", async () => {
    const rang: string[] = [];
    class Tenant extends Base {
      async start(name: string): Promise<void> {
        setTimeout(() => rang.push(name), 5_000);
      }
    }
    const world = await aWorld({ Tenant });
    await ask(world, "TENANT", "start", "first");
    const tenant = world.objects.find("Tenant", "x");
    expect(tenant && world.objects.evict(tenant)).toBe(true);
    await ask(world, "TENANT", "start", "second");
    await world.advance(10_000);
    expect(rang).toEqual(["second"]);
  });

  it("a deploy resets every object, with the platform's word for it", async () => {
    class Pool extends Base {
      async slow(): Promise<void> {
        await new Promise((resolve) => setTimeout(resolve, 60_000));
      }
    }
    const world = await aWorld({ Pool });
    const call = world.worker("slow", async (env) => stub(env, "POOL").slow?.());
    await until(world, /^call/);
    world.objects.deploy();
    await expect(world.finish(call)).rejects.toMatchObject({
      message: "Durable Object reset because its code was updated.",
      durableObjectReset: true,
    });
    expect(world.objects.find("Pool", "x")?.inMemory).toBe(false);
  });

  it("a stream breaks off with its source, and where a fault says so", async () => {
    class Pool extends Base {
      override readonly ctx: DurableObjectState;
      constructor(ctx: DurableObjectState, env: Env) {
        super(ctx, env);
        this.ctx = ctx;
      }
      async fetch(): Promise<Response> {
        return new Response("x".repeat(1_000));
      }
    }
    const world = await aWorld({ Pool });
    faultAt(world, "body", { do: "truncate", after: 300 });
    const read = world.worker("read", async (env) => {
      const response = await env.POOL.getByName("x").fetch(new Request("http://x/"));
      let seen = 0;
      try {
        for await (const chunk of response.body ?? []) seen += (chunk as Uint8Array).length;
      } catch (error) {
        return `${seen} ${(error as Error).message}`;
      }
      return `${seen}`;
    });
    expect(await world.finish(read)).toBe("300 Network connection lost.");
  });
});
