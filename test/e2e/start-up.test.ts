import { existsSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { afterAll, afterEach, beforeAll, expect, it } from "vitest";
import { command } from "../../scripts/command.ts";
import { readVars } from "../../scripts/stack/dev-vars.ts";
import { freePort } from "../../scripts/stack/ports.ts";
import { isAlive } from "../../scripts/stack/processes.ts";
import { startStack } from "../../scripts/stack/stack.ts";
import { Checkout } from "../support/e2e-checkout.ts";
import { Client } from "../support/e2e-client.ts";
import { STACKS } from "../support/e2e-paths.ts";
import { onContainers, stopShared } from "../support/e2e-stack.ts";

onContainers("npm start", () => {
  const checkout = new Checkout();
  const varsFile = `${checkout.directory}/.dev.vars`;
  let port = 0;
  let secrets = "";

  beforeAll(async () => {
    await stopShared();
    await checkout.make();
    port = await freePort();
  }, 120_000);
  afterEach(({ task }) => (task.result?.state === "fail" ? checkout.clear() : undefined), 60_000);
  afterAll(() => checkout.remove(), 60_000);

  it("writes fresh secrets for its owner alone, serves with a warm demo pool, and Ctrl-C leaves nothing within 5 s", async () => {
    expect(existsSync(varsFile)).toBe(false);
    const started = checkout.start(port);
    await started.says("Ctrl-C stops it", 240_000);
    expect(statSync(varsFile).mode & 0o777).toBe(0o600);
    secrets = readFileSync(varsFile, "utf8");
    const adminKey = readVars(varsFile).ADMIN_KEY ?? "";
    expect(adminKey).toMatch(/^[A-Za-z0-9_-]{32,}$/);
    expect(started.stdout).toContain(`http://127.0.0.1:${port}`);
    expect(started.stdout).toContain(adminKey);

    const client = new Client({ port, adminKey });
    expect((await client.send("GET", "/ready")).body, started.stdout).toMatchObject({
      ready: true,
      runtime: "platform",
    });
    expect((await client.api("GET", "/pools/demo")).body.warm).toBeGreaterThan(0);
    const lines = started.stdout.split("\n").filter((line) => line.trim().startsWith("curl "));
    expect(lines).toHaveLength(3);
    for (const line of lines) {
      const { code, stderr } = await command("sh", ["-c", line.replace("curl ", "curl -sS --fail ")], {
        cwd: checkout.directory,
      });
      expect(code, `${line}\n${stderr}`).toBe(0);
    }
    await endsWithin5Seconds(started);
  }, 300_000);

  it("a second time is ready in under 15 s, with the same secrets and the same tenants", async () => {
    const before = Date.now();
    const started = checkout.start(port);
    await started.says("Ctrl-C stops it", 60_000);
    expect(Date.now() - before).toBeLessThan(15_000);
    expect(readFileSync(varsFile, "utf8")).toBe(secrets);
    const client = new Client({ port, adminKey: readVars(varsFile).ADMIN_KEY ?? "" });
    expect((await client.status("alice")).body).toMatchObject({ tenantId: "alice", poolId: "demo" });

    await client.claimed("bob", { poolId: "demo" });
    await client.put("bob", "b.txt", "saved");
    await client.released("bob");
    await client.claimed("bob");
    await checkout.kill(started);
  });

  it("after SIGKILL takes over the port and the state of the killed one, and ends what that left running", async () => {
    const left = checkout.record();
    const alive = async () => (await Promise.all((left?.processes ?? []).map(isAlive))).filter(Boolean).length;
    expect(await alive(), "workerd outlives wrangler, or this proves nothing").toBeGreaterThan(0);
    const containers = await containersOf(left?.worker);
    expect(containers.length).toBeGreaterThan(0);

    const started = checkout.start(port);
    await started.says("Ctrl-C stops it", 60_000);
    expect(await alive()).toBe(0);
    const now = await containersOf(left?.worker);
    expect(now.filter((id) => containers.includes(id))).toEqual([]);
    const client = new Client({ port, adminKey: readVars(varsFile).ADMIN_KEY ?? "" });
    expect((await client.get("bob", "b.txt")).text).toBe("saved");
    await endsWithin5Seconds(started);
  });

  it("on simulated containers, when asked for, is the same system without an engine's containers", async () => {
    const started = checkout.start(port, "--simulated");
    await started.says("Ctrl-C stops it", 60_000);
    const client = new Client({ port, adminKey: readVars(varsFile).ADMIN_KEY ?? "" });
    expect((await client.send("GET", "/ready")).body).toMatchObject({ ready: true, runtime: "simulated" });
    await client.claimed("carol", { poolId: "demo" });
    await client.put("carol", "c.txt", "simulated");
    await client.released("carol");
    await client.claimed("carol");
    expect((await client.get("carol", "c.txt")).text).toBe("simulated");
    expect(await containersOf(checkout.record()?.worker)).toEqual([]);
    started.signal("SIGINT");
    await started.ended;
  });

  it("on a port that is in use says so in one line and ends with 1", async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
    try {
      const started = checkout.start(port);
      expect(await started.ended).toBe(1);
      const lines = started.stderr.split("\n").filter((line) => line !== "" && !line.startsWith("npm "));
      expect(lines).toHaveLength(1);
      expect(lines[0]).toMatch(new RegExp(`\\b${port}\\b.*PORT=`));
    } finally {
      await new Promise((resolve) => server.close(resolve));
    }
  });

  it("without keys opens health and readiness only, and readiness names what is missing", async () => {
    const stateDir = `${STACKS}/closed`;
    rmSync(stateDir, { recursive: true, force: true });
    const empty = `${checkout.directory}/no-vars`;
    writeFileSync(empty, "");
    const stack = await startStack({ stateDir, varsFile: empty, simulated: true });
    try {
      const client = new Client(stack);
      expect((await client.send("GET", "/health")).status).toBe(200);
      const ready = await client.send("GET", "/ready");
      expect([ready.status, ready.body]).toEqual([
        503,
        { ready: false, runtime: "simulated", missing: ["ADMIN_KEY", "SECRETS_KEY"] },
      ]);
      for (const path of ["/api/v1/pools", "/openapi.json", "/t/alice/x", "/", "/api/v1/nothing"]) {
        for (const authorization of ["", "Bearer ", "Bearer undefined", "Bearer null"]) {
          const answer = await client.send("GET", path, { headers: { authorization } });
          expect([answer.status, answer.body.code], path).toEqual([503, "not_configured"]);
        }
      }
    } finally {
      await stack.stop();
    }
  });

  async function endsWithin5Seconds(started: ReturnType<Checkout["start"]>): Promise<void> {
    const record = checkout.record();
    if (!record) throw new Error("it wrote no record");
    expect(await containersOf(record.worker)).not.toEqual([]);
    const before = Date.now();
    started.signal("SIGINT");
    await started.ended;
    expect(await containersOf(record.worker), "containers").toEqual([]);
    expect(Date.now() - before).toBeLessThan(5_000);
    expect(await Promise.all(record.processes.map(isAlive)), "processes").not.toContain(true);
  }
});

/** Ids of a stack's containers, sidecars included. */
async function containersOf(worker = "none"): Promise<string[]> {
  const { stdout } = await command("docker", ["ps", "-aq", "--filter", `name=-${worker}-`]);
  return stdout.split("\n").filter(Boolean);
}
