import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { createHmac } from "node:crypto";
import { describe, expect, test } from "vitest";
import { whomItServes } from "../../src/instance/holder.ts";
import type { BootRecord } from "../../src/instance/record.ts";
import { aPool, call, claim, env, put, release, request, simulation, status } from "../support/fleet.ts";
import { bearer, configure, hostOf, visit } from "../support/visitors.ts";

/** What a workload knows the proxy by, from the claim on and through rotations of its secret. */
const NAME = "x-boilerhouse-gateway-token";
const [first, second, third] = ["1".repeat(32), "2".repeat(32), "3".repeat(32)];
const ON_BOOT = { start: "on-boot", volumes: {} };

/** What an Instance that comes back to memory knows, by the configuration that it finds then. */
async function rehydrated(containerId: string, current: string | undefined, previous: string | undefined) {
  const rotated = { ...env, GATEWAY_TOKEN_SECRET: current, GATEWAY_TOKEN_SECRET_PREVIOUS: previous };
  const { plan } = await runInDurableObject(stubOf(containerId), (_, state) => {
    const [row] = state.storage.sql.exec<{ doc: string }>("SELECT doc FROM instance").toArray();
    return JSON.parse(row?.doc ?? "{}") as BootRecord;
  });
  return (await whomItServes(rotated as Env, plan)).holder?.gatewayToken;
}
const stubOf = (containerId: string) => env.INSTANCE.getByName(containerId) as unknown as DurableObjectStub;

/** The token that the workload sees, from a client that claims to be the proxy. */
async function seen(tenant: string): Promise<string | undefined> {
  const headers = {
    ...bearer("test-admin-key-0123456789").headers,
    [NAME]: "forged",
    x_boilerhouse_gateway_token: "forged",
  };
  const response = await visit(hostOf(tenant, "/whoami"), { headers });
  expect(response.status).toBe(200);
  expect(response.headers.has(NAME)).toBe(false);
  const { headers: all } = (await response.json()) as { headers: Record<string, string> };
  expect(JSON.stringify(all)).not.toContain("forged");
  return all[NAME];
}

const fileOf = (containerId: string) => {
  const { files } = simulation.for(containerId).container;
  const node = files.stat("/run/boilerhouse/gateway-token");
  return node && { text: files.readText("/run/boilerhouse/gateway-token"), mode: node.mode, uid: node.uid };
};
const derived = (secret: string, tenant: string, epoch: number, version = 1) =>
  createHmac("sha256", secret).update(`gw:${tenant}:${epoch}:${version}`).digest("base64url");

configure({ GATEWAY_TOKEN_SECRET: first });

describe("a gateway token", () => {
  test.each([
    ["started with it", {}],
    ["running since before", ON_BOOT],
  ])(
    "is in a file for a workload %s, and in every request of the proxy instead of a forged one",
    async (name, workload) => {
      const tenant = `tok-${name.replaceAll(" ", "-")}`;
      const { body } = await claim(tenant, await aPool(tenant, {}, workload));
      const token = derived(first, tenant, 1);
      expect(fileOf(body.containerId)).toEqual({ text: token, mode: 0o400, uid: 10001 });
      expect(await seen(tenant)).toBe(token);
    },
  );

  test("is another one for the next container, and after a revocation", async () => {
    await claim("tok-next", await aPool("tok-next", { minSize: 2 }));
    await release("tok-next");
    await call("POST", "/api/v1/tenants/tok-next/revoke-tokens", {});
    await claim("tok-next");
    expect(await seen("tok-next")).toBe(derived(first, "tok-next", 2, 2));
  });

  test("stays what the container was given while it runs, also when tokens are revoked", async () => {
    await claim("tok-same", await aPool("tok-same"));
    await call("POST", "/api/v1/tenants/tok-same/revoke-tokens", {});
    expect(await seen("tok-same")).toBe(derived(first, "tok-same", 1, 1));
  });

  test("survives the eviction of whoever knows it", async () => {
    const { body } = await claim("tok-evicted", await aPool("tok-evicted"));
    await evictDurableObject(stubOf(body.containerId));
    await evictDurableObject(env.TENANT.getByName("tok-evicted") as unknown as DurableObjectStub);
    expect(await seen("tok-evicted")).toBe(derived(first, "tok-evicted", 1));
  });

  test("survives one rotation of its secret, and is left out after the second", async () => {
    const { body } = await claim("tok-rotated", await aPool("tok-rotated"));
    const given = derived(first, "tok-rotated", 1);
    expect(await rehydrated(body.containerId, second, first)).toBe(given);
    expect(await rehydrated(body.containerId, third, second)).toBeUndefined();
    expect(await rehydrated(body.containerId, undefined, undefined)).toBeUndefined();
  });

  test("stays the same when a release is called off", async () => {
    const { body } = await claim("tok-resumed", await aPool("tok-resumed"));
    simulation.for(body.containerId).fail("bundle", { times: 5 });
    await put("tok-resumed", "a.txt", "one");
    await release("tok-resumed");
    expect((await status("tok-resumed")).body.state).toBe("release_failed");
    const again = await claim("tok-resumed");
    expect(again.body).toMatchObject({ containerId: body.containerId, epoch: 2 });
    expect(await seen("tok-resumed")).toBe(derived(first, "tok-resumed", 1));
    await evictDurableObject(stubOf(body.containerId));
    expect(await seen("tok-resumed")).toBe(derived(first, "tok-resumed", 1));
  });

  test("is not in the status, the settings or the journal", async () => {
    await claim("tok-quiet", await aPool("tok-quiet"));
    const token = derived(first, "tok-quiet", 1);
    for (const path of ["/status", "", "/config"]) {
      expect(await (await request("GET", `/api/v1/tenants/tok-quiet${path}`)).text()).not.toContain(token);
    }
  });
});
