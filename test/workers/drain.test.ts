import { exports } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import type { ContainerId } from "../../src/ids.ts";
import { sha256 } from "../../src/sha256.ts";
import { aPool, call, claim, eventually, get, put, simulation, status } from "../support/fleet.ts";

/** `http://control.internal`, as an Instance registers it, and what comes of a drain. */
function controlOf(containerId: string): {
  drain(key?: string): Promise<Response>;
  ask(path: string, method?: string): Promise<Response>;
} {
  const { bootKey } = simulation.for(containerId).container.init.keys;
  const made = (exports as unknown as { ControlGateway: (options: { props: unknown }) => Fetcher }).ControlGateway({
    props: { containerId: containerId as ContainerId, bootKeyHash: sha256(bootKey) },
  });
  const ask = (path: string, method = "POST", key = bootKey) =>
    made.fetch(`http://control.internal${path}`, { method, headers: { authorization: `Bearer ${key}` } });
  return { drain: (key) => ask("/drain", "POST", key), ask };
}

describe("a container that is about to end", () => {
  it("has its unsaved files in the next generation, and the next request wakes its tenant with them", async () => {
    const pool = await aPool("draining", { minSize: 2 });
    const { body } = await claim("moved", pool);
    await put("moved", "a.txt", "not saved yet");
    const answer = await controlOf(body.containerId).drain();
    expect([answer.status, await answer.json()]).toEqual([200, { done: true }]);
    expect((await status("moved")).body).toMatchObject({
      state: "asleep",
      stoppedReason: "deploy",
      generation: 1,
      unsavedSince: null,
    });
    expect(await (await get("moved", "a.txt")).text()).toBe("not saved yet");
    expect((await status("moved")).body.containerId).not.toBe(body.containerId);
  });

  it("that serves nobody has nothing to wait for, and the pool makes another", async () => {
    const pool = await aPool("draining-warm");
    const { body } = await call<{ items: { id: string }[] }>("GET", `/api/v1/pools/${pool}/containers`);
    const id = body.items[0]?.id;
    expect((await controlOf(String(id)).drain()).status).toBe(200);
  });

  it("is asked again while its save fails, until that went well", async () => {
    const pool = await aPool("draining-again", { minSize: 2 });
    const { body } = await claim("patient", pool);
    await put("patient", "a.txt", "precious");
    simulation.for(body.containerId).fail("manifest", { times: 1 });
    const control = controlOf(body.containerId);
    expect((await control.drain()).status).toBe(202);
    await eventually(async () => expect((await control.drain()).status).toBe(200), 8_000);
    expect((await status("patient")).body).toMatchObject({ state: "asleep", generation: 1 });
  });

  it("opens nothing to others: another key, another path, another method", async () => {
    const pool = await aPool("draining-closed");
    const { body } = await claim("closed", pool);
    const control = controlOf(body.containerId);
    expect((await control.drain("another")).status).toBe(401);
    expect((await control.drain("")).status).toBe(401);
    expect((await control.ask("/other")).status).toBe(404);
    expect((await control.ask("/drain", "GET")).status).toBe(405);
    expect((await status("closed")).body).toMatchObject({ state: "active" });
  });
});
