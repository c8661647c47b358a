import { expect, test } from "vitest";
import { must } from "../../scripts/command.ts";
import { TestContainer } from "./support/container.ts";

const STATE = { BOILERHOUSE_STATE_DIR: "/data" };
const ON_CLAIM = { ...STATE, BOILERHOUSE_START: "on-claim" };

test("an on-boot workload runs without a claim, an on-claim one waits for it", async () => {
  await using booted = await TestContainer.start();
  await booted.ready();
  expect((await booted.control("GET", "status")).body).toEqual({
    bootId: booted.bootId,
    workload: "running",
    restarts: 0,
    lastExitCode: null,
  });
  await using waiting = await TestContainer.start({ env: ON_CLAIM });
  expect((await waiting.control("GET", "status")).body.workload).toBe("waiting");
});

test("the workload is not root, has a session of its own, no way to more rights, and nothing of ours in its environment", async () => {
  await using container = await TestContainer.start({ env: { GREETING: "it's me\nand two lines" } });
  await container.ready();
  const who = (await (await container.workload("/whoami")).json()) as { uid: number; env: string[]; pid: number };
  expect(who.uid).toBe(10001);
  expect(who.env).toContain("GREETING");
  expect(who.env.filter((name) => name.startsWith("BOILERHOUSE_"))).toEqual([]);
  const seen = await container.exec(
    `cat /proc/${who.pid}/status; tr '\\0' '\\n' < /proc/${who.pid}/environ; cut -d' ' -f5,6 /proc/${who.pid}/stat`,
    "workload",
  );
  expect(seen.stdout).toMatch(/^NoNewPrivs:\s*1$/m);
  expect(seen.stdout).toMatch(/^CapEff:\s*0+$/m);
  expect(seen.stdout).toMatch(/^CapBnd:\s*0+$/m);
  expect(seen.stdout).toMatch(/^HOME=\/home\/workload$/m);
  expect(seen.stdout).toContain("GREETING=it's me\nand two lines");
  expect(seen.stdout).toMatch(new RegExp(`^${who.pid} ${who.pid}$`, "m"));
});

test.each([
  ["root", 0],
  ["12345", 12345],
  ["12345:54321", 12345],
  ["workload", 10001],
])("BOILERHOUSE_USER=%s runs the workload as %i", async (user, uid) => {
  await using container = await TestContainer.start({ env: { BOILERHOUSE_USER: user } });
  await container.ready();
  expect(await (await container.workload("/whoami")).json()).toMatchObject({ uid });
});

test("a stop ends every process of the workload's user, and start brings the workload back", async () => {
  await using container = await TestContainer.start({
    env: { BOILERHOUSE_STATE_DIR: "/data" },
    // A daemon in a session of its own, which ignores SIGTERM, is of the same user but not of the same group.
    command: ["sh", "-c", "setsid sh -c 'trap \"\" TERM; while :; do sleep 1; done' & exec node /srv/server.js"],
  });
  await container.ready();
  const stopped = await container.control("POST", "stop&graceMs=5000");
  expect(stopped).toMatchObject({ status: 200, body: { bootId: container.bootId, stopped: true, exitCode: 0 } });
  expect((await container.exec("find /proc -maxdepth 1 -uid 10001")).stdout).toBe("");
  expect((await container.control("GET", "status")).body.workload).toBe("stopped");
  expect((await container.control("POST", "stop&graceMs=5000")).body.stopped).toBe(true);

  expect((await container.control("POST", "start")).body).toEqual({ bootId: container.bootId, workload: "running" });
  await container.ready();
  expect((await container.control("POST", "start")).body.workload).toBe("running");
});

test("a workload that ignores SIGTERM is killed after the grace, and one with a slow helper gets the grace", async () => {
  await using stubborn = await TestContainer.start({
    command: ["sh", "-c", "trap '' TERM; while :; do sleep 1; done"],
  });
  await stubborn.until(async () => (await stubborn.control("GET", "status")).body.workload === "running");
  const killed = await stubborn.control("POST", "stop&graceMs=300");
  expect(killed.body.exitCode).toBe(137);
  expect(killed.ms).toBeGreaterThan(290);
  expect(killed.ms).toBeLessThan(1500);

  const helper = "trap 'sleep 0.3; echo saved > /tmp/saved; exit' TERM; while :; do sleep 0.05; done";
  await using patient = await TestContainer.start({
    command: ["sh", "-c", `sh -c "${helper}" & exec node /srv/server.js`],
  });
  await patient.ready();
  await patient.control("POST", "stop&graceMs=5000");
  expect((await patient.exec("cat /tmp/saved")).stdout).toBe("saved\n");
});

test("a workload that ends is started again, after 0.2 s and then later and later", async () => {
  await using container = await TestContainer.start({ command: ["sh", "-c", "date +%s%3N >> /tmp/starts; exit 3"] });
  await container.until(async () => (await container.control("GET", "status")).body.restarts >= 3);
  expect((await container.control("GET", "status")).body).toMatchObject({ lastExitCode: 3 });
  const starts = (await container.exec("cat /tmp/starts")).stdout.trim().split("\n").map(Number);
  const pauses = starts.slice(1).map((at, index) => at - (starts[index] ?? 0));
  for (const [index, least] of [190, 390, 790].entries()) {
    expect(pauses[index]).toBeGreaterThan(least);
    expect(pauses[index]).toBeLessThan(least + 250);
  }
  expect((await container.control("POST", "stop&graceMs=1000")).body.stopped).toBe(true);
});

test("a crash of the sandbox is a restart with a new process", async () => {
  await using container = await TestContainer.start();
  await container.ready();
  await container.workload("/crash", { method: "POST" });
  await container.until(async () => (await container.control("GET", "status")).body.restarts === 1);
  await container.ready();
});

test("PID 1 reaps what the workload leaves behind", async () => {
  await using container = await TestContainer.start({
    command: ["sh", "-c", "for i in 1 2 3 4 5; do (sh -c 'sleep 0.1' &) ; done; exec node /srv/server.js"],
  });
  await container.ready();
  await new Promise((resolve) => setTimeout(resolve, 400));
  const states = await container.exec("cat /proc/1/comm; grep -h '^State:' /proc/[0-9]*/status");
  expect(states.stdout).toMatch(/^tini\n/);
  expect(states.stdout).not.toContain("Z (zombie)");
});

test("SIGTERM to the container stops the workload and ends it well", async () => {
  await using container = await TestContainer.start({
    command: ["sh", "-c", "trap 'echo bye > /tmp/bye; exit 0' TERM; while :; do sleep 0.05; done"],
  });
  await container.until(async () => (await container.control("GET", "status")).body.workload === "running");
  const startedAt = performance.now();
  await must("docker", ["stop", container.id]);
  expect(performance.now() - startedAt).toBeLessThan(4000);
  expect((await must("docker", ["inspect", "-f", "{{.State.ExitCode}}", container.id])).trim()).toBe("0");
});

test("a container that an engine starts again ends at once with 0", async () => {
  await using container = await TestContainer.start();
  await must("docker", ["kill", container.id]);
  await must("docker", ["start", container.id]);
  const code = (await must("docker", ["wait", container.id])).trim();
  expect(code).toBe("0");
});

test("the control port and the agent come back when they end", async () => {
  await using container = await TestContainer.start();
  await container.until(async () => (await container.agent("core/version", {})).ok);
  await container.exec("kill -9 $(pidof rclone) $(grep -l '^busybox.httpd' /proc/[0-9]*/cmdline | cut -d/ -f3)");
  await container.until(async () => (await container.control("GET", "status")).status === 200);
  await container.until(async () => (await container.agent("core/version", {})).ok);
});

test("without an agent there is none, and without a state directory nothing to list", async () => {
  await using container = await TestContainer.start({ env: { BOILERHOUSE_AGENT: "off" } });
  await container.ready();
  expect((await container.exec("pidof rclone")).stdout).toBe("");
  expect(await container.control("GET", "manifest")).toMatchObject({ status: 409, body: { error: "no_state" } });
});

test("the keys of a boot are believed once, and nothing starts before them", async () => {
  await using container = await TestContainer.start({ keys: "later" });
  expect(await container.control("POST", "stop&graceMs=0")).toMatchObject({
    status: 503,
    body: { error: "not_booted" },
  });
  await new Promise((resolve) => setTimeout(resolve, 300));
  expect((await container.exec("find /proc -maxdepth 1 -uid 10001; pidof rclone")).stdout).toBe("");
  expect((await container.boot(["id", "with space", "x"])).status).toBe(400);
  expect((await container.boot(["only one"])).status).toBe(400);

  expect(await container.boot()).toMatchObject({
    status: 200,
    body: { bootId: container.bootId, workload: "running" },
  });
  await container.ready();
  expect(await container.boot()).toMatchObject({ status: 200 });
  expect(await container.boot([container.bootId, "another", container.accessKey])).toMatchObject({
    status: 409,
    body: { error: "already_booted" },
  });
  await container.until(async () => (await container.agent("core/version", {})).ok);
  expect((await container.exec("pidof rclone")).stdout).toMatch(/^\d+\n$/); // one, though the keys came twice
});

test("only the boot key opens the control port and the agent", async () => {
  await using container = await TestContainer.start();
  for (const authorization of [undefined, "Bearer wrong", "Bearer ", `Basic ${container.bootKey}`]) {
    const headers: Record<string, string> = authorization === undefined ? {} : { authorization };
    const response = await fetch(container.url(41800, "/cgi-bin/control?op=status"), { headers });
    expect(response.status).toBe(401);
    expect(await response.json()).toMatchObject({ bootId: container.bootId, error: "unauthorized" });
  }
  await container.until(async () => (await container.agent("core/version", {})).ok);
  expect((await fetch(container.url(41801, "/core/version"), { method: "POST" })).status).toBe(401);
  expect(await container.control("GET", "nothing")).toMatchObject({ status: 404, body: { error: "unknown_op" } });
  expect(await container.control("POST", "status")).toMatchObject({ status: 404 });
});
