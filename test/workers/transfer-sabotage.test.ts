import { runDurableObjectAlarm } from "cloudflare:test";
import { afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { Tenant } from "../../src/tenant/object.ts";
import { Vault } from "../../src/vault/object.ts";
import { failCalls, loseOneAnswer } from "../support/broken-calls.ts";
import { aPool, call, claim, env, eventually, get, put, release, request, status } from "../support/fleet.ts";
import { aTar, type Node, random } from "./vault-kit.ts";

/**
 * What goes wrong while people move state: whatever it is, the head is afterwards what it was or what was asked for, whole,
 * and the tenant can be used again.
 */
const BUCKET = Object.getPrototypeOf(env.BUCKET) as object;
const LARGE = random(200_000);
const FILES: Node[] = [
  { path: "a.txt", content: "new" },
  { path: "large.bin", content: LARGE },
];
const importTar = async (tenant: string) => {
  const headers = { "content-type": "application/x-tar" };
  const response = await request("POST", `/api/v1/tenants/${tenant}/import?force=true`, aTar(FILES), headers);
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
};
const text = async (tenant: string, path: string): Promise<string> =>
  new TextDecoder().decode(await (await get(tenant, path)).arrayBuffer());

let pool = "";
beforeAll(async () => {
  pool = await aPool("moved", { minSize: 2 });
});
afterEach(() => {
  vi.restoreAllMocks();
});

/** Idle, with generation 1 (`a.txt` = one) and 2 (two). */
async function aTenant(tenant: string): Promise<void> {
  await claim(tenant, pool);
  await put(tenant, "a.txt", "one");
  await call("POST", `/api/v1/tenants/${tenant}/sync?wait=10s`, { direction: "outward" });
  await put(tenant, "a.txt", "two");
  expect((await release(tenant)).status).toBe(200);
}

/** What it holds is one of these, and it goes on from there. */
async function isSound(tenant: string, contents: readonly string[]): Promise<string> {
  vi.restoreAllMocks();
  await eventually(async () => {
    await runDurableObjectAlarm(env.TENANT.getByName(tenant) as unknown as DurableObjectStub);
    expect((await status(tenant)).body.operation).toBeUndefined();
  }, 10_000);
  expect((await call<{ problems: object[] }>("POST", `/api/v1/tenants/${tenant}/fsck`, {})).body.problems).toEqual([]);
  const claimed = await claim(tenant, pool);
  expect([200, 201], JSON.stringify(claimed.body)).toContain(claimed.status);
  const found = await text(tenant, "a.txt");
  expect(contents).toContain(found);
  await put(tenant, "after.txt", "goes on");
  expect((await release(tenant)).body).toMatchObject({ state: "idle" });
  expect((await status(tenant)).body).toMatchObject({ unsavedSince: null });
  return found;
}

describe("an import", () => {
  const STEPS = ["fence", "open", "beginBundle", "reserve", "stageBundle", "commit"];
  it.each(STEPS)("whose vault is not there at %s leaves what was, or is whole", async (method) => {
    const tenant = `mv-import-${method}`;
    await aTenant(tenant);
    failCalls(Vault.prototype, method, 1, 1);
    const { status: code } = await importTar(tenant);
    const found = await isSound(tenant, ["two", "new"]);
    // A commit is asked for again by its name; everything before it is refused as a whole.
    expect([code, found]).toEqual(method === "commit" ? [200, "new"] : [409, "two"]);
  });

  it.each(["commit", "stageBundle"])("whose answer to %s gets lost happens once, or not", async (method) => {
    const tenant = `mv-lost-${method}`;
    await aTenant(tenant);
    loseOneAnswer(Vault.prototype, method, "after");
    const { status: code, body } = await importTar(tenant);
    const found = await isSound(tenant, ["two", "new"]);
    if (method === "stageBundle") expect([code, found]).toEqual([409, "two"]);
    else expect([code, found, body.generation]).toEqual([200, "new", 3]);
  });

  it.each(["beginImport", "endImport"])(
    "whose tenant's answer to %s gets lost asks again, and is one",
    async (method) => {
      const tenant = `mv-told-${method}`;
      await aTenant(tenant);
      loseOneAnswer(Tenant.prototype, method, "after");
      expect(await importTar(tenant)).toMatchObject({ status: 200, body: { generation: 3 } });
      expect(await isSound(tenant, ["new"])).toBe("new");
    },
  );

  it("whose contents R2 does not take leaves what was", async () => {
    await aTenant("mv-r2");
    failCalls(BUCKET, "put", 1, 1);
    expect((await importTar("mv-r2")).status).toBe(409);
    expect(await isSound("mv-r2", ["two"])).toBe("two");
  });
});

describe("a restore", () => {
  it.each([
    ["is not there at", "before"],
    ["answers in vain to", "after"],
  ] as const)("whose vault %s restoreTo happens once, asleep and running", async (_, when) => {
    const tenant = `mv-restore-${when}`;
    await aTenant(tenant);
    loseOneAnswer(Vault.prototype, "restoreTo", when);
    const idle = await call("POST", `/api/v1/tenants/${tenant}/restore?wait=10s`, { generation: 1 });
    expect([idle.status, idle.body.generation], JSON.stringify(idle.body)).toEqual([200, 3]);
    await claim(tenant, pool);
    expect(await text(tenant, "a.txt")).toBe("one");
    loseOneAnswer(Vault.prototype, "restoreTo", when);
    const running = await call("POST", `/api/v1/tenants/${tenant}/restore?wait=10s`, { generation: 2 });
    expect([running.status, running.body.state], JSON.stringify(running.body)).toEqual([200, "active"]);
    expect(await text(tenant, "a.txt")).toBe("two");
    await release(tenant);
    expect(await isSound(tenant, ["two"])).toBe("two");
  });

  it("whose vault stays away leaves the tenant asleep on what was saved", async () => {
    await aTenant("mv-away");
    await claim("mv-away", pool);
    await put("mv-away", "a.txt", "three");
    failCalls(Vault.prototype, "restoreTo", 1, 10);
    const answer = await call("POST", "/api/v1/tenants/mv-away/restore?wait=10s", { generation: 1 });
    expect([answer.status, answer.body.code]).toEqual([409, "operation_interrupted"]);
    expect((await status("mv-away")).body).toMatchObject({ state: "asleep", generation: 3, unsavedSince: null });
    expect(await isSound("mv-away", ["three"])).toBe("three");
  });
});

describe("a clone", () => {
  it.each(["exported", "reserve", "stageBundle"])(
    "that cannot go on at %s leaves the target as it was",
    async (method) => {
      const [from, to] = [`mv-from-${method}`, `mv-to-${method}`];
      expect((await importTar(from)).status).toBe(200);
      await aTenant(to);
      failCalls(Vault.prototype, method, 1, 1);
      const answer = await call("POST", `/api/v1/tenants/${from}/clone`, { to, force: true });
      expect(answer.status, JSON.stringify(answer.body)).toBe(409);
      expect(await isSound(to, ["two"])).toBe("two");
      expect(await isSound(from, ["new"])).toBe("new");
    },
  );
});
