import { env } from "cloudflare:workers";
import { expect, test } from "vitest";
import { specVaultOf, vaultOf } from "../../src/durable/stubs.ts";
import type { TenantId } from "../../src/ids.ts";
import { aPool, call, claim, eventually, get, put, release, remove, request } from "../support/fleet.ts";

/** Sync specs with the vault as their sink, beside the state (docs/adr/0004). */
const PATH = "/api/v1/sync-specs";

const aSpec = (id: string, poolId: string, mapping: object = {}, policy: object = {}) => ({
  id,
  poolId,
  mappings: [
    {
      containerPath: "/data/out",
      pattern: "*.log",
      sinkPath: "out/",
      direction: "bidirectional",
      mode: "sync",
      ...mapping,
    },
  ],
  sink: { type: "r2" },
  policy: { onClaim: true, onRelease: true, allowManualTrigger: true, ...policy },
});
const register = async (spec: object) => {
  const answer = await call("POST", PATH, spec);
  expect(answer.status, JSON.stringify(answer.body)).toBe(201);
};
const trigger = (id: string, tenantId: string) => call("POST", `${PATH}/${id}/trigger?wait=15s`, { tenantId });
const own = (tenantId: string, specId: string) => specVaultOf(env, tenantId as TenantId, specId);
const paths = async (tenantId: string, specId: string) => {
  const listed = await own(tenantId, specId).listFiles("", { after: null, limit: 100, recursive: true }, null);
  if (!listed.ok) return [];
  return (listed.value.found?.entries ?? []).filter(({ kind }) => kind === "file").map(({ path }) => path);
};

test("a spec in the vault has a history of its own, beside the state's", async () => {
  const pool = await aPool("own-vault");
  await register(aSpec("own-vault", pool));
  await claim("vera", pool);
  await put("vera", "out/a.log", "alpha");
  await put("vera", "other.txt", "state");
  expect(await trigger("own-vault", "vera")).toMatchObject({
    status: 200,
    body: { items: [{ result: { synced: [{ specId: "own-vault", files: 1, bytes: 5 }] } }] },
  });
  expect(await paths("vera", "own-vault")).toEqual(["out/a.log"]);
  expect((await vaultOf(env, "vera" as TenantId).describe()).generations).toEqual([]);
  expect(await release("vera")).toMatchObject({ body: { saved: { generation: 1, files: 2 } } });
});

test("its files come back with a claim, also where the state has none of them", async () => {
  const pool = await aPool("own-back", {}, { exclude: ["out/**"] });
  await register(aSpec("own-back", pool));
  await claim("bea", pool);
  await put("bea", "out/a.log", "alpha");
  await release("bea");
  await claim("bea", pool);
  expect(await (await get("bea", "out/a.log")).text()).toBe("alpha");
});

test("what a copy mapping does not have any more stays; what a sync mapping does not have goes", async () => {
  const pool = await aPool("modes");
  for (const mode of ["copy", "sync"]) await register(aSpec(`mode-${mode}`, pool, { mode, direction: "upload" }));
  await claim("moe", pool);
  for (const name of ["a", "b", "c"]) await put("moe", `out/${name}.log`, name);
  for (const mode of ["copy", "sync"]) expect((await trigger(`mode-${mode}`, "moe")).status).toBe(200);
  await remove("moe", "out/a.log");
  for (const mode of ["copy", "sync"]) expect((await trigger(`mode-${mode}`, "moe")).status).toBe(200);
  expect(await paths("moe", "mode-copy")).toEqual(["out/a.log", "out/b.log", "out/c.log"]);
  expect(await paths("moe", "mode-sync")).toEqual(["out/b.log", "out/c.log"]);
});

test("a guard stops a sync that lost most of its files, and keeps the head", async () => {
  const pool = await aPool("own-guard");
  await register(aSpec("own-guard", pool, { direction: "upload" }));
  await claim("gil", pool);
  for (const name of ["a", "b", "c"]) await put("gil", `out/${name}.log`, name);
  await trigger("own-guard", "gil");
  for (const name of ["a", "b", "c"]) await remove("gil", `out/${name}.log`);
  expect((await trigger("own-guard", "gil")).body).toMatchObject({ code: "guard_blocked" });
  expect(await paths("gil", "own-guard")).toHaveLength(3);
});

test("erasing a tenant erases what its specs kept, and deleting a spec erases nothing", async () => {
  const pool = await aPool("own-erased");
  await register(aSpec("own-erased", pool));
  await claim("eve", pool);
  await put("eve", "out/a.log", "alpha".repeat(20_000));
  await release("eve");
  const kept = async () => (await env.BUCKET.list({ prefix: "tenants/eve/" })).objects.length;
  expect((await request("DELETE", `${PATH}/own-erased`)).status).toBe(204);
  expect(await paths("eve", "own-erased")).toEqual(["out/a.log"]);
  expect(await kept()).toBeGreaterThan(1);
  await call("DELETE", "/api/v1/tenants/eve?deleteData=true&wait=10s");
  await eventually(async () => expect(await kept()).toBe(0));
  expect(await paths("eve", "own-erased")).toEqual([]);
});
