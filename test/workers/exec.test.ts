import { describe, expect, it } from "vitest";
import { instanceOf } from "../../src/durable/stubs.ts";
import type { ContainerId } from "../../src/ids.ts";
import { EXECS_AT_ONCE, MAX_OUTPUT } from "../../src/instance/exec.ts";
import { aPool, call, claim, env, eventually, simulation } from "../support/fleet.ts";

const exec = (id: string, body: unknown) => call("POST", `/api/v1/containers/${id}/exec`, body);
const aTenant = async (name: string, workload: object = {}) => {
  const id = await aPool(name, { minSize: 1, maxSize: 3 }, { ...workload });
  const { body } = await claim(name, id);
  return { pool: id, container: body.containerId as ContainerId };
};
const recorded = async (pool: string) => {
  const rows = env.DB.prepare(
    "SELECT actor, detail FROM audit WHERE subject = ? AND action = 'container.exec' ORDER BY seq",
  );
  const { results } = await rows.bind(`pool:${pool}`).all<{ actor: string; detail: string }>();
  return results;
};

describe("a command", () => {
  it("answers what it printed and how it ended; an exit code is no error", async () => {
    const { container } = await aTenant("exec-simple");
    const said = await exec(container, { command: ["sh", "-c", "echo out; echo err >&2; exit 3"] });
    expect(said).toMatchObject({ status: 200, body: { exitCode: 3, stdout: "out\n", stderr: "err\n" } });
    expect(said.body.durationMs).toEqual(expect.any(Number));
    expect(said.body.truncated).toBeUndefined();
    const echoed = await exec(container, { command: ["cat"], stdin: "from stdin" });
    expect(echoed.body).toMatchObject({ exitCode: 0, stdout: "from stdin" });
    expect((await exec(container, { command: ["no-such-program"] })).body).toMatchObject({ exitCode: 127 });
  });

  it("runs as the workload's user, never as root, whatever is asked for", async () => {
    const { container } = await aTenant("exec-user");
    expect((await exec(container, { command: ["id", "-u"] })).body.stdout).toBe("10001\n");
    expect((await exec(container, { command: ["id", "-u"], user: "workload" })).body.stdout).toBe("10001\n");
    for (const user of ["root", "0", "node"]) {
      const refused = await exec(container, { command: ["id"], user });
      expect(refused).toMatchObject({ status: 422, body: { errors: [{ pointer: "/user" }] } });
    }
    const own = await aTenant("exec-own-user", { user: "1000:1000" });
    expect((await exec(own.container, { command: ["id", "-u"] })).body.stdout).toBe("1000\n");
  });

  it("is killed at its deadline, and what it printed until then is in the problem", async () => {
    const { container } = await aTenant("exec-late");
    const late = await exec(container, { command: ["sh", "-c", "echo begun; sleep 5; echo done"], timeoutMs: 150 });
    expect(late).toMatchObject({ status: 504, body: { code: "deadline_exceeded", stdout: "begun\n" } });
    expect((await exec(container, { command: ["true"], timeout: 1_000 })).status).toBe(200);
  });

  it("that prints more than a megabyte is cut, and says so", async () => {
    const { container } = await aTenant("exec-long");
    simulation.for(container).container.files.write("/tmp/long", "0123456789abcde\n".repeat(MAX_OUTPUT / 16 + 1));
    const { body } = await exec(container, { command: ["cat", "/tmp/long"] });
    expect(body).toMatchObject({ exitCode: 0, truncated: true });
    expect((body.stdout as string).length).toBe(MAX_OUTPUT);
  });

  it("shows no secret that the redactor knows, also far into what it printed", async () => {
    const { container } = await aTenant("exec-secret");
    const filler = "nothing to see here\n".repeat(10_000);
    const text = `${filler}API_TOKEN=abcdefghijklmnop\nAuthorization: Bearer abcdefghijklmnop\n`;
    simulation.for(container).container.files.write("/tmp/secrets", text);
    const { stdout } = (await exec(container, { command: ["cat", "/tmp/secrets"] })).body;
    expect(stdout).not.toContain("abcdefghijklmnop");
    expect((stdout as string).startsWith(filler)).toBe(true);
  });

  it("is recorded with its program and a hash, never with its arguments", async () => {
    const { pool, container } = await aTenant("exec-audit");
    await exec(container, { command: ["echo", "very-private"] });
    await exec(container, { command: ["false"] });
    await eventually(async () => expect(await recorded(pool)).toHaveLength(2));
    const rows = await recorded(pool);
    expect(rows.map(({ actor }) => actor)).toEqual(["admin-key", "admin-key"]);
    const details = rows.map(({ detail }) => JSON.parse(detail));
    expect(details[0]).toMatchObject({ containerId: container, tenantId: "exec-audit", program: "echo" });
    expect(details[0].commandHash).toMatch(/^[0-9a-f]{64}$/);
    expect(JSON.stringify(rows)).not.toContain("very-private");
  });

  it("keeps its container awake", async () => {
    const { container } = await aTenant("exec-active");
    const instance = instanceOf(env, container);
    const before = (await instance.observe()).lastActivityAt;
    const running = exec(container, { command: ["sh", "-c", "sleep 0.2"] });
    await eventually(async () => expect((await instance.observe()).openRequests).toBe(1), 1_000);
    await running;
    const after = await instance.observe();
    expect(after.openRequests).toBe(0);
    expect(after.lastActivityAt).toBeGreaterThan(before);
  });

  it("waits for nobody: a fifth one at a time is refused, and one that hangs holds up no other", async () => {
    const { container } = await aTenant("exec-many");
    const hanging = Array.from({ length: EXECS_AT_ONCE - 1 }, () => exec(container, { command: ["sleep", "1"] }));
    await eventually(async () =>
      expect((await instanceOf(env, container).observe()).openRequests).toBe(EXECS_AT_ONCE - 1),
    );
    expect((await exec(container, { command: ["true"] })).status).toBe(200);
    const last = exec(container, { command: ["sleep", "1"] });
    await eventually(async () => expect((await instanceOf(env, container).observe()).openRequests).toBe(EXECS_AT_ONCE));
    expect(await exec(container, { command: ["true"] })).toMatchObject({ status: 429, body: { code: "rate_limited" } });
    for (const one of await Promise.all([...hanging, last])) expect(one.status).toBe(200);
  });

  it("that lacks something, or asks for too much, is refused before it is recorded", async () => {
    const { pool, container } = await aTenant("exec-refused");
    for (const body of [
      {},
      { command: [] },
      { command: ["true"], timeoutMs: 300_001 },
      { command: ["true"], timeout: 1e9 },
    ]) {
      expect(await exec(container, body)).toMatchObject({ status: 400, body: { code: "bad_request" } });
    }
    const tooMany = { command: Array(65).fill("x") };
    const tooLong = { command: ["echo", "x".repeat(65_536)] };
    for (const body of [
      { command: "ls" },
      tooMany,
      tooLong,
      { command: [""] },
      { command: ["a\0"] },
      { command: ["true"], env: {} },
    ]) {
      expect((await exec(container, body)).status).toBe(422);
    }
    for (const body of [{ command: ["true"], timeoutMs: 0 }, [], 7])
      expect((await exec(container, body)).status).toBe(422);
    expect((await exec("c-aaaaaaaaaaaaaaaaaaaa", {})).status).toBe(404);
    expect((await exec("nonsense", {})).status).toBe(404);
    expect(await recorded(pool)).toEqual([]);
  });

  it("in a container that ended is refused, and not run again anywhere", async () => {
    const { container } = await aTenant("exec-dead");
    simulation.for(container).crash();
    expect((await exec(container, { command: ["true"] })).status).toBeGreaterThanOrEqual(404);
  });
});
