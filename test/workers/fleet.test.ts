import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { describe, expect, it } from "vitest";
import { fleetOf } from "../../src/durable/stubs.ts";
import { containerId, type PoolId } from "../../src/ids.ts";
import { env } from "../support/fleet.ts";

const pool = "demo" as PoolId;
const fresh = () => containerId(crypto.getRandomValues(new Uint8Array(20)));

describe("the fleet", () => {
  it("admits a tier up to its cap, also in a burst, and again when a container is confirmed gone", async () => {
    const fleet = fleetOf(env);
    const ids = Array.from({ length: 10 }, fresh);
    const admissions = await Promise.all(ids.map((id) => fleet.admit(id, pool, "standard-4")));
    expect(admissions.filter((admission) => admission.admitted)).toHaveLength(6); // the default cap
    const refused = admissions.find((admission) => !admission.admitted);
    expect(refused).toMatchObject({ reason: "cap", retryAfterMs: expect.any(Number) });
    const [first] = ids;
    if (first) await fleet.release(first);
    expect(await fleet.admit(fresh(), pool, "standard-4")).toEqual({ admitted: true });
    expect(await fleet.admit(fresh(), pool, "standard-4")).toMatchObject({ admitted: false });
  });

  it("counts a container once, however often it is admitted or released", async () => {
    const fleet = fleetOf(env);
    const id = fresh();
    for (let n = 0; n < 3; n += 1) await fleet.admit(id, pool, "standard-3");
    expect(await fleet.counts()).toMatchObject({ "standard-3": 1 });
    for (let n = 0; n < 3; n += 1) await fleet.release(id);
    expect((await fleet.counts())["standard-3"]).toBeUndefined();
  });

  it("goes on with what a version stored that kept no bucket", async () => {
    const stub = env.FLEET.getByName("fleet") as unknown as DurableObjectStub;
    const id = fresh();
    await runInDurableObject(stub, async (_, state) => {
      await state.storage.deleteAll();
      state.storage.sql.exec(
        "CREATE TABLE admissions (container_id TEXT PRIMARY KEY, pool_id TEXT NOT NULL, tier TEXT NOT NULL, at INTEGER NOT NULL) STRICT",
      );
      state.storage.sql.exec("INSERT INTO admissions VALUES (?, 'demo', 'basic', 1)", id);
    });
    await evictDurableObject(stub);
    const fleet = fleetOf(env);
    expect(await fleet.counts()).toEqual({ basic: 1 });
    expect(await fleet.admit(fresh(), pool, "basic")).toEqual({ admitted: true });
    expect(await fleet.counts()).toEqual({ basic: 2 });
    expect(await fleet.renew(pool, [])).toEqual({ strangers: [id] });
  });
});
