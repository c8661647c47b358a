import { describe, expect, it } from "vitest";
import { ask, aWorld, Base, stub, until } from "./support.ts";

/** A Tenant that keeps a text and tells a Pool of it, and what the Pool heard. */
async function aTellingWorld() {
  const heard: string[] = [];
  class Tenant extends Base {
    async tell(text: string): Promise<void> {
      this.keep(text);
      await stub(this.env, "POOL").hear?.(text);
    }
    async read(): Promise<string | null> {
      return this.kept();
    }
  }
  class Pool extends Base {
    async hear(text: string): Promise<void> {
      heard.push(text);
    }
  }
  const world = await aWorld({ Tenant, Pool });
  return { world, heard };
}

describe("what an object stores", () => {
  it("a transaction that throws takes back its rows and its alarm", async () => {
    class Tenant extends Base {
      async fails(): Promise<string> {
        this.keep("before");
        this.storage.setAlarm(Date.now() + 60_000);
        const alarm = await this.storage.getAlarm();
        try {
          this.storage.transactionSync(() => {
            this.keep("inside");
            this.storage.setAlarm(Date.now() + 1_000);
            throw new Error("no");
          });
        } catch {}
        return `${this.kept()} ${(await this.storage.getAlarm()) === alarm}`;
      }
    }
    expect(await ask(await aWorld({ Tenant }), "TENANT", "fails")).toBe("before true");
  });

  it("a crash before the confirmation takes back what was written, and the message that waited for it", async () => {
    const { world, heard } = await aTellingWorld();
    await ask(world, "TENANT", "tell", "first");
    const call = world.worker("tell", async (env) => stub(env, "TENANT").tell?.("second"));
    await until(world, /^call .*Tenant\/x\.tell/);
    const tenant = world.objects.find("Tenant", "x");
    expect(tenant?.unconfirmed).toBe(true);
    if (tenant) world.objects.crash(tenant);
    await expect(world.finish(call)).rejects.toThrow("Network connection lost.");
    expect(await ask(world, "TENANT", "read")).toBe("first");
    expect(heard).toEqual(["first"]);
  });

  it("a confirmed write and its message outlive a crash", async () => {
    const { world, heard } = await aTellingWorld();
    const call = world.worker("tell", async (env) => stub(env, "TENANT").tell?.("told"));
    await until(world, /^confirm Tenant\/x/);
    const tenant = world.objects.find("Tenant", "x");
    if (tenant) world.objects.crash(tenant);
    await expect(world.finish(call)).rejects.toThrow();
    expect(await ask(world, "TENANT", "read")).toBe("told");
    await world.advance(1_000);
    expect(heard).toEqual(["told"]);
  });

  it("an eviction loses nothing that was written, and no object leaves in the midst of a call", async () => {
    class Tenant extends Base {
      async write(): Promise<void> {
        this.keep("written");
        await new Promise((resolve) => setTimeout(resolve, 1_000));
      }
      async read(): Promise<string | null> {
        return this.kept();
      }
    }
    const world = await aWorld({ Tenant });
    const call = world.worker("write", async (env) => stub(env, "TENANT").write?.());
    await until(world, /^call/);
    const tenant = world.objects.find("Tenant", "x");
    expect(tenant && world.objects.evict(tenant)).toBe(false);
    await world.finish(call);
    expect(tenant && world.objects.evict(tenant)).toBe(true);
    expect(tenant?.inMemory).toBe(false);
    expect(await ask(world, "TENANT", "read")).toBe("written");
  });

  it("of two copies the older one cannot write any more, and its call that is under way goes on", async () => {
    const said: string[] = [];
    class Tenant extends Base {
      async slow(): Promise<string> {
        this.keep("old");
        const answer = await stub(this.env, "POOL").wait?.();
        try {
          this.keep("old again");
        } catch (error) {
          said.push((error as Error).message);
        }
        return String(answer);
      }
      async quick(): Promise<string | null> {
        const before = this.kept();
        this.keep("new");
        return before;
      }
      async read(): Promise<string | null> {
        return this.kept();
      }
    }
    class Pool extends Base {
      async wait(): Promise<string> {
        await new Promise((resolve) => setTimeout(resolve, 200));
        return "waited";
      }
    }
    const world = await aWorld({ Tenant, Pool });
    const call = world.worker("slow", async (env) => stub(env, "TENANT").slow?.());
    await until(world, /^call Tenant\/x → Pool/);
    const tenant = world.objects.find("Tenant", "x");
    expect(tenant && world.objects.overlap(tenant, 5_000)).toBe(true);
    expect(await ask(world, "TENANT", "quick")).toBe("old");
    expect(await world.finish(call)).toBe("waited");
    expect(said).toEqual([expect.stringContaining("no longer active")]);
    expect(await ask(world, "TENANT", "read")).toBe("new");
  });

  it("nothing is let in while the constructor blocks, but for what that itself asked", async () => {
    const order: string[] = [];
    class Tenant extends Base {
      constructor(ctx: DurableObjectState, env: Env) {
        super(ctx, env);
        ctx.blockConcurrencyWhile(async () => {
          order.push("begins");
          await stub(env, "POOL").wait?.();
          order.push("ends");
        });
      }
      async call(): Promise<void> {
        order.push("called");
      }
    }
    class Pool extends Base {
      async wait(): Promise<void> {
        await new Promise((resolve) => setTimeout(resolve, 200));
      }
    }
    const world = await aWorld({ Tenant, Pool });
    await ask(world, "TENANT", "call");
    expect(order).toEqual(["begins", "ends", "called"]);
  });

  it("a constructor that blocks for more than 30 s is reset, and whoever waits is told", async () => {
    class Tenant extends Base {
      constructor(ctx: DurableObjectState, env: Env) {
        super(ctx, env);
        ctx.blockConcurrencyWhile(() => new Promise((resolve) => setTimeout(resolve, 60_000)));
      }
      async call(): Promise<void> {}
    }
    const world = await aWorld({ Tenant });
    await expect(ask(world, "TENANT", "call")).rejects.toThrow("waited for too long");
  });

  it("values come back as the platform gives them", async () => {
    class Tenant extends Base {
      async values(): Promise<unknown> {
        const { sql } = this.storage;
        sql.exec("CREATE TABLE v (a INTEGER, b TEXT, c BLOB, d REAL); CREATE INDEX i ON v (a)");
        sql.exec("INSERT INTO v VALUES (?, ?, ?, ?)", 1, null, new Uint8Array([1, 2]).buffer, 0.5);
        const cursor = sql.exec("SELECT * FROM v");
        const [row] = [...cursor];
        const blob = row?.c instanceof ArrayBuffer ? [...new Uint8Array(row.c)] : "no ArrayBuffer";
        return { ...row, c: blob, names: cursor.columnNames, raw: [...sql.exec("SELECT a, d FROM v").raw()] };
      }
    }
    const found = await ask(await aWorld({ Tenant }), "TENANT", "values");
    expect(found).toEqual({ a: 1, b: null, c: [1, 2], d: 0.5, names: ["a", "b", "c", "d"], raw: [[1, 0.5]] });
  });

  it("deleteAll leaves no table and no alarm", async () => {
    class Tenant extends Base {
      async fill(): Promise<void> {
        this.keep("something");
        await this.storage.setAlarm(Date.now() + 1_000);
      }
      async empty(): Promise<void> {
        await this.storage.deleteAll();
      }
    }
    const world = await aWorld({ Tenant });
    await ask(world, "TENANT", "fill");
    expect(world.objects.find("Tenant", "x")?.stored).toBe(true);
    await ask(world, "TENANT", "empty");
    await world.advance(5_000);
    expect(world.objects.find("Tenant", "x")).toMatchObject({ stored: false, alarmAt: null });
  });
});
