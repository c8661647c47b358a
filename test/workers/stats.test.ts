import { afterEach, describe, expect, it, vi } from "vitest";
import {
  aPool,
  call,
  claim,
  eventually,
  get,
  put,
  release,
  remove,
  request,
  simulation,
  status,
} from "../support/fleet.ts";

interface Stats {
  pools: number;
  containers: { used: number; total: number };
  tenantsActive: number;
  tenants: Record<string, number>;
  sync: { ok: number; warn: number; errors: number };
  capacity: Record<string, { running: number; cap: number; leased: number; waiting: number }>;
}
const stats = async (path = "/api/v1/stats") => (await call<Stats>("GET", path)).body;
const scrape = async () => {
  const response = await request("GET", "/metrics");
  return { status: response.status, type: response.headers.get("content-type"), text: await response.text() };
};

afterEach(() => {
  vi.restoreAllMocks();
  simulation.every.faults.clear();
});

describe("the statistics", () => {
  it("count what there is, within a second, at both of their addresses", async () => {
    const before = await stats();
    const id = await aPool("stats", { minSize: 2, maxSize: 5 });
    await call("POST", `/api/v1/pools/${id}/pause`);
    await claim("counted", id);
    await eventually(async () => {
      const after = await stats();
      expect(after.pools).toBe(before.pools + 1);
      expect(after.containers).toEqual({ used: before.containers.used + 1, total: before.containers.total + 2 });
      expect(after.tenantsActive).toBe(before.tenantsActive + 1);
      expect(after.tenants.active).toBe(after.tenantsActive);
      expect(after.capacity.lite).toEqual({
        running: (before.capacity.lite?.running ?? 0) + 2,
        cap: 200,
        leased: (before.capacity.lite?.leased ?? 0) + 1,
        waiting: 0,
      });
    }, 1_000);
    expect(await stats("/stats")).toEqual(await stats());
  });

  it("need a key", async () => {
    for (const path of ["/api/v1/stats", "/stats", "/metrics"]) {
      expect((await request("GET", path, undefined, { authorization: "" })).status).toBe(401);
    }
  });
});

describe("saves", () => {
  it("count as well, as lost with a container, and as failed", async () => {
    const id = await aPool("saved", { minSize: 3, maxSize: 5 });
    const before = (await stats()).sync;
    await claim("well", id);
    await claim("robbed", id);
    await put("robbed", "a.txt", "x");
    await claim("blocked", id);
    for (const name of ["a", "b", "c"]) await put("blocked", name, "x");
    await release("blocked");
    await claim("blocked", id);
    for (const name of ["a", "b"]) await remove("blocked", name);
    expect((await release("blocked")).status).toBe(409);
    const robbed = await status("robbed");
    await call("POST", `/api/v1/pools/${id}/pause`);
    simulation.every.fail("start", { times: 5 });
    simulation.for(robbed.body.containerId as string).crash();
    const { body } = await call<{ items: { id: string }[] }>("GET", `/api/v1/pools/${id}/containers?state=warm`);
    for (const one of body.items) await call("DELETE", `/api/v1/containers/${one.id}`);
    expect((await get("robbed", "a.txt")).status).toBe(503);
    await eventually(async () => {
      const { ok, warn, errors } = (await stats()).sync;
      expect({ ok: ok - before.ok, warn: warn - before.warn, errors: errors - before.errors }).toEqual({
        ok: 1,
        warn: 1,
        errors: 1,
      });
    });
  });
});

describe("the metrics", () => {
  it("are Prometheus' text, with few labels, at most ten seconds old", async () => {
    const id = await aPool("metered", { minSize: 1, maxSize: 4 });
    await claim("not-a-label", id);
    await eventually(async () => {
      const { body } = await call<{ items: object[] }>("GET", `/api/v1/containers?poolId=${id}&state=assigned`);
      expect(body.items).toHaveLength(1);
    });
    const first = await scrape();
    expect([first.status, first.type]).toEqual([200, "text/plain; version=0.0.4; charset=utf-8"]);
    expect(first.text).toContain(`boilerhouse_pool_claims_warm_total{pool="${id}"} 1\n`);
    expect(first.text).toContain(`boilerhouse_containers{pool="${id}",state="assigned",tier="lite"} 1\n`);
    expect(first.text).toMatch(/^boilerhouse_tenants\{state="active"\} \d+$/m);
    expect(first.text).toMatch(/^boilerhouse_tier_leased\{tier="lite"\} [1-9]\d*$/m);
    expect(first.text).toMatch(/^boilerhouse_tier_waiting\{tier="lite"\} 0$/m);
    expect(first.text).toMatch(/^boilerhouse_tier_cap\{tier="lite"\} 200$/m);
    expect(first.text).not.toContain("not-a-label");
    for (const line of first.text.trim().split("\n")) {
      expect(line).toMatch(
        /^(?:# (?:HELP|TYPE) boilerhouse_\w+ .+|boilerhouse_\w+(?:\{\w+="[^"]*"(?:,\w+="[^"]*")*\})? [\d.e+-]+)$/,
      );
    }
    await aPool("metered-later", { minSize: 0 });
    expect((await scrape()).text).toBe(first.text);
    vi.spyOn(Date, "now").mockReturnValue(Date.now() + 10_001);
    expect((await scrape()).text).toContain('pool="metered-later"');
  });
});
