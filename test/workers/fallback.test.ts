import { afterEach, describe, expect, it, vi } from "vitest";
import { checkFallback, tenantsElsewhere } from "../../src/pool/fallback.ts";
import { Pool } from "../../src/pool/object.ts";
import { replacePool } from "../../src/pool/registry.ts";
import { aPool, call, claim, claimAtOnce, env, eventually, release, status } from "../support/fleet.ts";
import { asBefore, path, pool, poolStub, request } from "../support/pool-driver.ts";

/** Pools that help out another one, and what they do not reach. */

afterEach(asBefore);

describe("a fallback pool", () => {
  it("gives its containers to another's tenants while that has none, once each, and says so", async () => {
    const id = await aPool("own", { minSize: 0, maxSize: 1 });
    const more = { workloadId: id, minSize: 1, maxSize: 2, tier: "basic" };
    expect((await call("POST", "/api/v1/pools", { id: "spare", ...more })).status).toBe(201);
    expect((await call("PUT", path(id), { fallbackPoolId: "spare" })).body).toMatchObject({ fallbackPoolId: "spare" });
    await eventually(async () => expect(await pool("spare")).toMatchObject({ warm: 1 }));
    expect(await claim("at-home", id)).toMatchObject({ status: 201, body: { poolId: id } });
    const sent = await claimAtOnce("sent", id);
    expect(sent).toMatchObject({ status: 201, body: { poolId: "spare", launch: "warm", reason: "fallback_pool" } });
    expect((await status("sent")).body).toMatchObject({ poolId: id, state: "active" });
    expect(await pool("spare")).toMatchObject({ claimed: 1 });
    await release("at-home");
    const again = await poolStub(id).lease(request("sent", sent.body.epoch));
    expect(again).toMatchObject({ ok: true, value: { poolId: "spare", containerId: sent.body.containerId } });
    expect(await pool(id)).toMatchObject({ claimed: 0 });
    await release("sent");
    await eventually(async () => expect(await pool("spare")).toMatchObject({ claimed: 0, draining: 0 }));
    expect(await claim("sent")).toMatchObject({ status: 201, body: { poolId: id, launch: "cold" } });
    expect((await call("DELETE", path("spare", "?wait=10s"))).status).toBe(200);
    expect(await claimAtOnce("late", id)).toMatchObject({ status: 503, body: { code: "capacity_exhausted" } });
  });

  it("has to be there, run the same workload, and lead to an end", async () => {
    const [first, second] = [await aPool("chain-a", { minSize: 0 }), await aPool("chain-b", { minSize: 0 })];
    const put = (id: string, fallbackPoolId: string | null) => call("PUT", path(id), { fallbackPoolId });
    const wrong = { status: 422, body: { errors: [{ pointer: "/fallbackPoolId" }] } };
    for (const bad of ["no-such-pool", first, second]) expect(await put(first, bad), bad).toMatchObject(wrong);
    await call("POST", "/api/v1/pools", { id: "chain-c", workloadId: first, maxSize: 1, fallbackPoolId: first });
    expect(await pool("chain-c")).toMatchObject({ fallbackPoolId: first });
    expect(await put(first, "chain-c")).toMatchObject(wrong);
    expect((await put("chain-c", null)).body.fallbackPoolId).toBeUndefined();
    expect(await put(first, "chain-c")).toMatchObject({ status: 200 });
  });
});

describe("a pool with a fallback", () => {
  const spec = (id: string, poolId: string) => ({
    ...{ id, poolId, sink: { type: "r2" } },
    mappings: [{ containerPath: "/data/models", sinkPath: "models/", direction: "upload", mode: "sync" }],
  });
  const created = (id: string, poolId: string) => call("POST", "/api/v1/sync-specs", spec(id, poolId));
  const fallback = (id: string, fallbackPoolId: string | null) => call("PUT", path(id), { fallbackPoolId });

  it("gets no sync specs, and a pool with sync specs no fallback, whichever comes second", async () => {
    const id = await aPool("either", { minSize: 0 });
    await call("POST", "/api/v1/pools", { id: "either-spare", workloadId: id, maxSize: 2 });
    expect((await fallback(id, "either-spare")).status).toBe(200);
    const detail = expect.stringContaining("either-spare");
    const refused = { status: 422, body: { code: "invalid", errors: [{ pointer: "/poolId", detail }] } };
    expect(await created("of-either", id)).toMatchObject(refused);
    expect(await created("of-spare", "either-spare")).toMatchObject({ status: 201 }); // its own tenants'
    const moved = await call("PUT", "/api/v1/sync-specs/of-spare", spec("of-spare", id));
    expect(moved).toMatchObject(refused);
    await fallback(id, null);
    expect(await created("of-either", id)).toMatchObject({ status: 201 });
    expect(await fallback(id, "either-spare")).toMatchObject({
      status: 422,
      body: { errors: [{ pointer: "/fallbackPoolId", detail: expect.stringContaining("of-either") }] },
    });
  });

  it("has either of them, also when one comes while it is looked whether there is the other", async () => {
    const id = await aPool("at-once", { minSize: 0 });
    await call("POST", "/api/v1/pools", { id: "at-once-spare", workloadId: id, maxSize: 2 });
    const replaced = replacePool(
      env.DB,
      id,
      null,
      async (before) => {
        const next = { ...before, fallbackPoolId: "at-once-spare" };
        await checkFallback(env.DB, next);
        expect((await created("came-between", id)).status).toBe(201);
        return next;
      },
      Date.now(),
    );
    await expect(replaced).rejects.toMatchObject({ failure: { code: "invalid" } });
    expect((await pool(id)).fallbackPoolId).toBeUndefined();
  });

  it("gets no sync specs either while its former fallback serves its tenants", async () => {
    const id = await aPool("former", { minSize: 0, maxSize: 1 });
    await call("POST", "/api/v1/pools", { id: "former-spare", workloadId: id, maxSize: 2 });
    await fallback(id, "former-spare");
    await claim("at-home-still", id);
    expect(await claimAtOnce("abroad", id)).toMatchObject({ status: 201, body: { poolId: "former-spare" } });
    await fallback(id, null);
    // After a burst of changes D1 hears of the next ones up to six seconds later.
    await eventually(async () => expect(await tenantsElsewhere(env.DB, id, 5)).toEqual(["abroad"]), 15_000);
    expect(await created("too-early", id)).toMatchObject({
      status: 409,
      body: { code: "in_use", usedBy: ["tenant:abroad"] },
    });
    await release("abroad");
    await eventually(async () => expect(await created("too-early", id)).toMatchObject({ status: 201 }));
  });

  it("that was deleted while it was asked asks nobody else to begin: the pool's own room is used", async () => {
    const id = await aPool("orphaned", { minSize: 0, maxSize: 1 });
    await call("POST", "/api/v1/pools", { id: "orphaned-spare", workloadId: id, maxSize: 2 });
    await fallback(id, "orphaned-spare");
    await claim("holds-it", id);
    const { lease: real } = Pool.prototype;
    vi.spyOn(Pool.prototype, "lease").mockImplementation(async function (this: Pool, asked) {
      if (asked.via) throw new Error("the answer got lost");
      return real.call(this, asked);
    });
    expect(await poolStub(id).lease(request("sent-away"))).toMatchObject({
      ok: false,
      failure: { code: "capacity_exhausted" },
    });
    vi.restoreAllMocks();
    expect((await call("DELETE", path("orphaned-spare", "?wait=10s"))).status).toBe(200);
    await release("holds-it");
    expect(await poolStub(id).lease(request("sent-away"))).toMatchObject({ ok: true, value: { poolId: id } });
  });
});

describe("a pool by the name of a fallback that was deleted", () => {
  it("helps nobody out while it runs another workload", async () => {
    const id = await aPool("renamed", { minSize: 0, maxSize: 1 });
    await call("POST", "/api/v1/pools", { id: "renamed-spare", workloadId: id, maxSize: 2 });
    await call("PUT", path(id), { fallbackPoolId: "renamed-spare" });
    expect((await call("DELETE", path("renamed-spare", "?wait=10s"))).status).toBe(200);
    await aPool("renamed-spare", { minSize: 1 });
    await claim("at-home-alone", id);
    expect(await claimAtOnce("not-misled", id)).toMatchObject({ status: 503, body: { limit: "pool" } });
    expect(await pool("renamed-spare")).toMatchObject({ warm: 1, claimed: 0, starting: 0 });
    expect(await claim("its-own", "renamed-spare")).toMatchObject({ status: 201, body: { launch: "warm" } });
    await release("at-home-alone");
    expect(await claimAtOnce("not-misled", id)).toMatchObject({ status: 201, body: { poolId: id } });
  });
});
