import { runDurableObjectAlarm } from "cloudflare:test";
import { afterEach, describe, expect, it, vi } from "vitest";
import { Fleet } from "../../src/fleet/object.ts";
import type { Pool } from "../../src/pool/object.ts";
import { aPool, call, claim, env, eventually, simulation, status } from "../support/fleet.ts";

/** Slots, containers and admissions when a start and its end do not come in order: none may be left that nobody ends (P-EXIT, P-CAP). */

const stubOf = (namespace: "POOL" | "TENANT", name: string) =>
  env[namespace].getByName(name) as unknown as DurableObjectStub;
const fleetCounts = () => (env.FLEET.getByName("fleet") as unknown as Fleet).counts();
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Moves what `Date.now` says; timers go on as they were. */
function laterBy(ms: number): void {
  const now = Date.now.bind(Date);
  vi.spyOn(Date, "now").mockImplementation(() => now() + ms);
}

afterEach(() => {
  vi.restoreAllMocks();
  simulation.every.faults.clear();
});

describe("a start", () => {
  it("whose slot was given up before it began leaves neither container nor admission", async () => {
    const pool = await aPool("given-up", { minSize: 0 });
    const admit = Fleet.prototype.admit;
    let opened = () => {};
    const gate = new Promise<void>((resolve) => {
      opened = resolve;
    });
    vi.spyOn(Fleet.prototype, "admit").mockImplementationOnce(async function (this: Fleet, ...args) {
      await gate;
      return admit.apply(this, args);
    });
    const before = await fleetCounts();
    const running = simulation.running.length;
    const stub = env.POOL.getByName(pool) as unknown as Pool;
    const first = stub.lease({ tenantId: "hasty" as never, epoch: 1 as never });
    await pause(20);
    const second = await stub.lease({ tenantId: "hasty" as never, epoch: 2 as never });
    expect(second.ok).toBe(true);
    await pause(50); // the first slot is gone by now
    opened();
    expect((await first).ok).toBe(false);
    await eventually(async () => {
      expect(simulation.running.length).toBe(running + 1);
      expect((await fleetCounts()).lite).toBe((before.lite ?? 0) + 1);
    });
  });

  it("of which only its deadline is left gives its container back", async () => {
    const pool = await aPool("overdue", { minSize: 1, maxSize: 1 });
    simulation.every.hang("claim");
    const claimed = claim("stuck", pool);
    await pause(100);
    laterBy(61_000);
    await runDurableObjectAlarm(stubOf("POOL", pool)); // asks whether the tenant owns it: it may yet
    await pause(50);
    vi.restoreAllMocks();
    laterBy(600_000);
    await runDurableObjectAlarm(stubOf("TENANT", "stuck"));
    expect((await status("stuck")).body.state).toBe("error");
    await runDurableObjectAlarm(stubOf("POOL", pool));
    await eventually(async () =>
      expect((await call("GET", `/api/v1/pools/${pool}`)).body).toMatchObject({ claimed: 0 }),
    );
    await claimed;
  });
});
