import { evictDurableObject, runDurableObjectAlarm } from "cloudflare:test";
import { describe, expect, it } from "vitest";
import { poolOf } from "../../src/durable/stubs.ts";
import type { PoolId } from "../../src/ids.ts";
import { aPool, call, claim, env, eventually, get, put, simulation, status } from "../support/fleet.ts";

interface Container {
  id: string;
  poolId: string;
  tenantId?: string;
  state: string;
  durableObjectId: string;
  workloadVersion: number;
}
interface Page {
  items: Container[];
  nextCursor: string | null;
}
const list = async (query: string) => (await call<Page>("GET", `/api/v1/containers?${query}`)).body;
const ofPool = async (id: string, query = "") =>
  (await call<Page>("GET", `/api/v1/pools/${id}/containers?${query}`)).body;
const stub = (id: string) => env.POOL.getByName(id) as unknown as DurableObjectStub;
const SECOND = 1_000;

describe("the list of containers", () => {
  it("shows within a second who came, who serves whom, and who is gone", async () => {
    const id = await aPool("listed", { minSize: 2, maxSize: 5 });
    await call("POST", `/api/v1/pools/${id}/pause`);
    await eventually(async () => expect((await list(`poolId=${id}&state=warm`)).items).toHaveLength(2), SECOND);
    const { body } = await claim("listener", id);
    await eventually(async () => {
      const { items } = await list(`tenantId=listener`);
      expect(items).toMatchObject([{ id: body.containerId, poolId: id, state: "assigned", epoch: 1 }]);
    }, SECOND);
    const [one] = (await list(`poolId=${id}&state=claimed`)).items;
    const detail = await call("GET", `/api/v1/containers/${body.containerId}`);
    const { startedAt, ...rest } = detail.body;
    expect(one).toMatchObject(rest);
    expect(rest).toMatchObject({ workloadVersion: 1, tenantId: "listener", image: "sandbox" });
    await call("POST", "/api/v1/tenants/listener/release?wait=10s", {});
    await eventually(async () => expect((await list(`poolId=${id}`)).items).toHaveLength(1), SECOND);
  });

  it("comes in pages that miss nothing and repeat nothing, at most a thousand at a time", async () => {
    const id = await aPool("paged", { minSize: 5, maxSize: 5 });
    await eventually(async () => expect((await list(`poolId=${id}`)).items).toHaveLength(5));
    for (const base of [`/api/v1/containers?poolId=${id}&`, `/api/v1/pools/${id}/containers?`]) {
      const seen: string[] = [];
      for (let cursor: string | null = ""; cursor !== null; ) {
        const page: Page = (await call<Page>("GET", `${base}limit=2${cursor ? `&cursor=${cursor}` : ""}`)).body;
        expect(page.items.length).toBeLessThanOrEqual(2);
        seen.push(...page.items.map((item) => item.id));
        cursor = page.nextCursor;
      }
      expect(seen).toHaveLength(5);
      expect(seen).toEqual([...new Set(seen)].sort());
      expect((await call("GET", `${base}limit=1000`)).status).toBe(200);
      expect((await call("GET", `${base}limit=1001`)).status).toBe(422);
      expect((await call("GET", `${base}state=lost`)).status).toBe(422);
    }
    expect((await call("GET", "/api/v1/pools/nope/containers")).status).toBe(404);
  });

  it("is made whole again by the pool after its rows were lost, or were more than there is", async () => {
    const id = await aPool("projected", { minSize: 2 });
    await eventually(async () => expect((await list(`poolId=${id}&state=warm`)).items).toHaveLength(2));
    const before = (await list(`poolId=${id}`)).items;
    await env.DB.prepare("DELETE FROM containers WHERE pool_id = ?").bind(id).run();
    const ghost = `INSERT INTO containers VALUES ('c-aaaaaaaaaaaaaaaaaaaa', ?, ?, 1, 'sandbox', 'warm', 'lite', NULL, NULL, 0, 0, 0)`;
    await env.DB.prepare(ghost).bind(id, id).run();
    expect(await poolOf(env, id as PoolId).project()).toMatchObject({ ok: true });
    expect((await list(`poolId=${id}`)).items).toEqual(before);
    await env.DB.prepare("DELETE FROM containers WHERE pool_id = ?").bind(id).run();
    await evictDurableObject(stub(id));
    await runDurableObjectAlarm(stub(id));
    await eventually(async () => expect((await list(`poolId=${id}`)).items).toEqual(before), SECOND);
  });
});

describe("a removed container", () => {
  const removal = (id: string, query = "") => call("DELETE", `/api/v1/containers/${id}${query}`);

  it("that waits goes at once and is replaced, and that is recorded", async () => {
    const id = await aPool("removed-warm", { minSize: 1 });
    const [warm] = (await ofPool(id, "state=warm")).items;
    expect(await removal(warm?.id ?? "")).toMatchObject({ status: 200, body: { id: warm?.id, state: "gone" } });
    expect((await call("GET", `/api/v1/containers/${warm?.id}`)).status).toBe(404);
    await eventually(async () => {
      const { items } = await ofPool(id, "state=warm");
      expect(items).toHaveLength(1);
      expect(items[0]?.id).not.toBe(warm?.id);
    });
    await eventually(async () => {
      const rows = env.DB.prepare("SELECT actor, detail FROM audit WHERE subject = ? AND action = 'container.removed'");
      const { results } = await rows.bind(`pool:${id}`).all<{ actor: string; detail: string }>();
      expect(results).toHaveLength(1);
      expect(results[0]?.actor).toBe("admin-key");
      expect(JSON.parse(results[0]?.detail ?? "")).toMatchObject({
        containerId: warm?.id,
        tenantId: null,
        force: false,
      });
    });
    expect((await removal(warm?.id ?? "")).status).toBe(404);
  });

  it("that serves a tenant stays without force; by force its tenant goes on from what was saved", async () => {
    const id = await aPool("removed-claimed", { minSize: 2 });
    const { body } = await claim("bereft", id);
    await put("bereft", "unsaved.txt", "x");
    const refused = await removal(body.containerId);
    expect(refused).toMatchObject({ status: 409, body: { code: "in_use", usedBy: ["tenant:bereft"] } });
    expect(refused.body.detail).toContain("Release or restart");
    expect((await get("bereft", "unsaved.txt")).status).toBe(200);
    expect(await removal(body.containerId, "?force=true")).toMatchObject({ status: 200, body: { state: "gone" } });
    expect((await get("bereft", "unsaved.txt")).status).toBe(404);
    expect((await status("bereft")).body).toMatchObject({
      state: "active",
      epoch: 2,
      lastLoss: { containerId: body.containerId },
    });
  });

  it("that does not go yet is 202, and goes later", async () => {
    const id = await aPool("removed-late", { minSize: 1 });
    const [warm] = (await ofPool(id)).items;
    simulation.for(warm?.id ?? "").fail("destroy");
    expect(await removal(warm?.id ?? "")).toMatchObject({ status: 202, body: { state: "draining" } });
    await eventually(async () => {
      await runDurableObjectAlarm(stub(id));
      expect((await ofPool(id)).items.map((one) => one.id)).not.toContain(warm?.id);
    }, 15_000); // it is told again after 7 s
  });

  it("that never was is 404", async () => {
    expect((await removal("c-aaaaaaaaaaaaaaaaaaaa")).status).toBe(404);
    expect((await removal("nonsense")).status).toBe(404);
  });
});
