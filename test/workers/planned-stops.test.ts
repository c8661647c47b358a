import { afterEach, describe, expect, it } from "vitest";
import { aPool, call, claim, eventually, get, put, simulation, status } from "../support/fleet.ts";

/** Everything that stops a container on purpose saves it first, and leaves it where that fails (F56). */

const STOPS: readonly [name: string, path: string, body: object, then: string][] = [
  ["a stop", "stop", {}, "asleep"],
  ["a restart", "restart", { scope: "container" }, "active"],
  ["a restart into the latest image", "restart", { scope: "image" }, "active"],
  ["a restore", "restore", { generation: 1 }, "active"],
  ["a suspension", "suspend", {}, "suspended"],
  ["a release", "release", {}, "idle"],
];

const ask = (tenant: string, path: string, body: object) =>
  call<Record<string, unknown>>("POST", `/api/v1/tenants/${tenant}/${path}?wait=10s`, body);

/** A tenant with generation 1 and something newer, whose next saves fail as long as `/data/needed` is missing. */
async function aTenant(name: string): Promise<string> {
  const pool = await aPool(name, {}, { preSave: ["sh", "-c", "cat /data/needed"] });
  const { body } = await claim(name, pool);
  await put(name, "needed", "");
  await put(name, "a.txt", "one");
  expect(await ask(name, "sync", { direction: "outward" })).toMatchObject({
    status: 200,
    body: { saved: { files: 2 } },
  });
  await put(name, "a.txt", "two");
  simulation.for(body.containerId).container.files.remove("/data/needed");
  return body.containerId;
}

afterEach(() => simulation.every.faults.clear());

describe.each(STOPS)("%s whose save fails", (name, path, body, then) => {
  it("is 409 save_failed, and the container goes on with everything in it", async () => {
    const tenant = `kept-by-${name.replaceAll(" ", "-")}`;
    const containerId = await aTenant(tenant);
    expect(await ask(tenant, path, body)).toMatchObject({ status: 409, body: { code: "save_failed" } });
    expect((await status(tenant)).body).toMatchObject({ state: "release_failed", containerId, generation: 1 });
    const resumed = await claim(tenant, tenant);
    expect(resumed).toMatchObject({ status: 200, body: { state: "active", containerId } });
    expect(await (await get(tenant, "a.txt")).text()).toBe("two");
    await put(tenant, "needed", "");
    expect(await ask(tenant, path, body)).toMatchObject({ status: 200, body: { state: then } });
  });
});

/** A release gives up what it cannot save by `sync: false`; nothing forces a suspension. */
const FORCED = STOPS.filter(([, path]) => path !== "release" && path !== "suspend");

describe.each(FORCED)("%s that cannot save", (name, path, body, then) => {
  it("is forced at the price of what was not saved, which is answered and recorded", async () => {
    const tenant = `forced-by-${name.replaceAll(" ", "-")}`;
    const containerId = await aTenant(tenant);
    simulation.for(containerId).fail("manifest", { times: 1_000 });
    const forced = await ask(tenant, path, { ...body, force: true });
    expect(forced).toMatchObject({ status: 200, body: { state: then, notSaved: { detail: expect.any(String) } } });
    expect((await status(tenant)).body).toMatchObject({ lastLoss: { containerId } });
    await eventually(async () => {
      const { body: audit } = await call<{ items: { action: string }[] }>(
        "GET",
        `/api/v1/audit?subject=tenant:${tenant}`,
      );
      expect(audit.items.map(({ action }) => action)).toContain("tenant.unsaved");
    });
  });
});
