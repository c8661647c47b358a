import { afterEach, describe, expect, test } from "vitest";
import { instanceOf } from "../../src/durable/stubs.ts";
import { type ContainerId, hostLabel, type TenantId } from "../../src/ids.ts";
import { aPool, call, claim, env, put, release, request, simulation, status } from "../support/fleet.ts";

afterEach(() => simulation.every.faults.clear());

const onHost = (tenant: string, path: string, init: RequestInit = {}) =>
  request(init.method ?? "GET", `http://${tenant}.localhost:8787${path}`, init.body ?? undefined, {
    ...(init.headers as Record<string, string>),
  });

describe("a tenant's addresses", () => {
  test("are its own host and /t/{tenant}/, for the same container", async () => {
    const { body } = await claim("addressed", await aPool("addresses"));
    expect(body.endpoints).toEqual({ http: "http://addressed.localhost:8787", ws: "ws://addressed.localhost:8787" });
    await put("addressed", "a.txt", "one");
    const response = await onHost("addressed", "/files/a.txt");
    expect(await response.text()).toBe("one");
    expect(response.headers.has("content-security-policy")).toBe(false);
    const under = await request("GET", "/t/addressed/files/a.txt");
    expect(await under.text()).toBe("one");
    expect(under.headers.get("content-security-policy")).toBe("sandbox");
  });

  test("of an id that is no host name are a hashed label and the encoded id", async () => {
    const id = "User_1@example.com" as TenantId;
    const path = `/api/v1/tenants/${encodeURIComponent(id)}`;
    const pool = await aPool("hashed");
    const claimed = await call<{ endpoints: { http: string } }>("POST", `${path}/claim?wait=10s`, { poolId: pool });
    expect(claimed.status).toBe(201);
    const label = await hostLabel(id);
    expect(claimed.body.endpoints.http).toBe(`http://${label}.localhost:8787`);
    expect((await call("GET", `${path}/status`)).body).toMatchObject({ host: `${label}.localhost` });
    for (const url of [`${claimed.body.endpoints.http}/healthz`, `/t/${encodeURIComponent(id)}/healthz`]) {
      expect((await request("GET", url)).status).toBe(200);
    }
  });

  test("show the container who is asking, and nothing of the key that opened them", async () => {
    await claim("curious", await aPool("whoami"));
    const headers = {
      "x-boilerhouse-tenant": "bob",
      "x-request-id": "my-request",
      cookie: "a=1; __Host-boilerhouse-s=x",
    };
    const response = await onHost("curious", "/whoami", { headers });
    expect(response.headers.get("x-request-id")).toBe("my-request");
    const seen = ((await response.json()) as { headers: Record<string, string> }).headers;
    expect(seen).toMatchObject({ "x-boilerhouse-tenant": "curious", "x-request-id": "my-request", cookie: "a=1" });
    expect(Object.keys(seen)).not.toContain("authorization");
    expect(JSON.stringify(seen)).not.toContain("test-admin-key");
    expect(Object.keys(seen).filter((name) => name.startsWith("x-boilerhouse-"))).toEqual(["x-boilerhouse-tenant"]);
  });

  test("refuse without the key, before they say whether there is such a tenant", async () => {
    for (const url of ["/t/nobody/", "http://nobody.localhost:8787/", "http://a.b.localhost:8787/"]) {
      expect((await request("GET", url, undefined, { authorization: "Bearer wrong" })).status).toBe(401);
      const known = await request("GET", url);
      expect(known.status).toBe(404);
      expect(known.headers.get("content-type")).toBe("application/problem+json");
    }
    expect((await request("GET", "/t/a%2Fb/")).status).toBe(422);
  });

  test("refuse what a page of another origin would change", async () => {
    await claim("guarded-origin", await aPool("origins"));
    const foreign = { headers: { origin: "http://evil.example" } };
    expect((await onHost("guarded-origin", "/healthz", foreign)).status).toBe(200);
    expect((await onHost("guarded-origin", "/files/x", { ...foreign, method: "PUT", body: "x" })).status).toBe(403);
    const upgrade = { headers: { ...foreign.headers, upgrade: "websocket" } };
    expect((await onHost("guarded-origin", "/echo", upgrade)).status).toBe(403);
    const own = { headers: { origin: "http://guarded-origin.localhost:8787" } };
    expect((await onHost("guarded-origin", "/files/x", { ...own, method: "PUT", body: "x" })).status).toBe(201);
  });
});

describe("a route that is old", () => {
  test("never leads to what the tenant had before, with a body or without", async () => {
    await claim("moved", await aPool("moving", { minSize: 3 }));
    await put("moved", "a.txt", "one");
    await release("moved");
    const second = await claim("moved");
    expect(await (await request("GET", "/t/moved/files/a.txt")).text()).toBe("one");
    await release("moved");
    await claim("moved");
    expect((await put("moved", "b.txt", "two")).status).toBe(201); // forwarded by the stale Instance
    expect(await (await request("GET", "/t/moved/files/b.txt")).text()).toBe("two");
    expect(second.body.epoch).toBe(2);
  });

  test("of a released tenant leads to nothing", async () => {
    await claim("gone", await aPool("released"));
    await put("gone", "a.txt", "one");
    await release("gone");
    expect((await request("GET", "/t/gone/files/a.txt")).status).toBe(404);
    expect((await put("gone", "a.txt", "two")).status).toBeGreaterThanOrEqual(404);
  });

  test("upgrades on the container that is current", async () => {
    await claim("socket", await aPool("sockets", { minSize: 2 }));
    await put("socket", "a.txt", "one");
    await release("socket");
    await claim("socket");
    const response = await request("GET", "/t/socket/echo", undefined, { upgrade: "websocket" });
    expect(response.status).toBe(101);
    const socket = response.webSocket as WebSocket;
    socket.accept();
    const echoed = new Promise((resolve) => socket.addEventListener("message", ({ data }) => resolve(data)));
    socket.send("hello");
    expect(await echoed).toBe("hello");
    const closed = new Promise((resolve) => socket.addEventListener("close", ({ code }) => resolve(code)));
    await release("socket");
    expect(await closed).toBe(1012);
  });
});

describe("a client that goes away", () => {
  test("does not keep its container awake", async () => {
    const { body } = await claim("impatient", await aPool("aborts"));
    const open = async () => (await instanceOf(env, body.containerId as ContainerId).observe()).openRequests;
    const gone = new AbortController();
    const hanging = request("POST", "/t/impatient/hang", undefined, {}, gone.signal);
    await expect.poll(open).toBe(1);
    gone.abort();
    await expect(hanging).rejects.toThrow();
    await expect.poll(open).toBe(0);
  });
});

describe("a container that is gone", () => {
  test("is replaced for a request that it never saw", async () => {
    const { body } = await claim("healed", await aPool("healing", { minSize: 2 }));
    simulation.for(body.containerId).crash();
    expect((await request("GET", "/t/healed/healthz")).status).toBe(200);
    expect((await status("healed")).body).toMatchObject({ state: "active" });
  });

  test("is replaced for a body that it never saw", async () => {
    const { body } = await claim("healed-put", await aPool("healing-put", { minSize: 2 }));
    simulation.for(body.containerId).crash();
    expect((await put("healed-put", "a.txt", "one")).status).toBe(201);
  });
});

describe("a tenant that is starting", () => {
  test("is a page for a person and a problem for a program, both to be tried again", async () => {
    const pool = await aPool("slow", { minSize: 0 });
    simulation.every.slow("ready", 2_500, { times: 20 });
    const claimed = await call("POST", "/api/v1/tenants/sleepy/claim?wait=0s", { poolId: pool });
    expect(claimed.status).toBe(202);
    expect(claimed.headers.get("location")).toMatch(/^\/api\/v1\/operations\/op-/);
    const page = await request("GET", "/t/sleepy/", undefined, { accept: "text/html,*/*" });
    expect(page.status).toBe(503);
    expect(page.headers.get("content-type")).toContain("text/html");
    expect(page.headers.get("cache-control")).toBe("no-store");
    expect(page.headers.get("retry-after")).not.toBeNull();
    expect(await page.text()).toContain("starting");
    const waited = await request("GET", "/t/sleepy/healthz");
    expect(waited.status).toBe(200);
  });
});
