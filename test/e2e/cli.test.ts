import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { command } from "../../scripts/command.ts";
import { ROOT } from "../../scripts/paths.ts";
import { useOwnStack } from "../support/e2e-stack.ts";

/** The command as people run it: a process of its own against a running system, on simulated containers. */
describe("npx boilerhouse", () => {
  const own = useOwnStack("cli", { simulated: true });
  const directory = mkdtempSync(join(tmpdir(), "boilerhouse-cli-"));
  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  const run = async (line: string, { input = "", key = own.stack.adminKey } = {}) => {
    const env = { ...process.env, BOILERHOUSE_URL: own.stack.url, BOILERHOUSE_KEY: key };
    const args = [`${ROOT}/bin/boilerhouse.mjs`, ...line.split(" ")];
    return command(process.execPath, args, { cwd: directory, env, input, timeoutMs: 120_000 });
  };
  /** What it printed as JSON; anything but exit code 0 fails the test. */
  const json = async (line: string, input = "") => {
    const { code, stdout, stderr } = await run(`${line} --json`, { input });
    expect(code, `${line}: ${stderr}`).toBe(0);
    return JSON.parse(stdout);
  };
  const file = (name: string, value: unknown): string => {
    const path = join(directory, name);
    writeFileSync(path, JSON.stringify(value));
    return path;
  };

  it("registers, changes and removes a workload and its pool", async () => {
    const spec = { id: "cli-w", image: "sandbox", readiness: { path: "/healthz" } };
    expect(await json(`workloads validate -f ${file("w.json", spec)}`)).toMatchObject({ valid: true });
    expect(await json(`workloads create -f ${file("w.json", spec)}`)).toMatchObject({ id: "cli-w", version: 1 });
    const { id: _, ...rest } = spec;
    const replacement = file("w2.json", { ...rest, name: "Second" });
    expect(await json(`workloads update cli-w -f ${replacement} --if-match 1`)).toMatchObject({ version: 2 });
    expect((await run(`workloads update cli-w -f ${replacement} --if-match 1`)).code).toBe(5);
    expect((await json("workloads versions cli-w")).items).toHaveLength(2);

    const pool = { id: "cli-p", workloadId: "cli-w", minSize: 0, maxSize: 5 };
    expect(await json("pools create -f -", JSON.stringify(pool))).toMatchObject({ id: "cli-p" });
    expect(await json("pools pause cli-p")).toMatchObject({ paused: true });
    expect(await json("pools resume cli-p")).toMatchObject({ paused: false });
    expect(await json("pools scale cli-p 1")).toMatchObject({ id: "cli-p" });
    expect(await json("pools breaker-reset cli-p")).toMatchObject({ id: "cli-p" });
    expect(await json("pools containers cli-p")).toHaveProperty("items");
    expect(await json(`pools update cli-p -f ${file("p2.json", { maxSize: 6 })}`)).toMatchObject({ maxSize: 6 });
    expect((await run("workloads delete cli-w")).code).toBe(5);
    await json("pools delete cli-p --wait --timeout 60s");
    expect((await run("pools get cli-p")).code).toBe(3);
    expect((await run("workloads delete cli-w")).code).toBe(0);
  });

  it("takes a tenant through its life", async () => {
    expect(await json("claim cli-alice --pool work --wait")).toMatchObject({ state: "active", epoch: 1 });
    expect(await json("status cli-alice")).toMatchObject({ state: "active" });
    expect(await json("tenants sync cli-alice outward --wait")).toMatchObject({ tenantId: "cli-alice" });
    expect(await json("tenants restart cli-alice --scope container --wait")).toMatchObject({ state: "active" });
    expect(await json("tenants stop cli-alice --wait")).toMatchObject({ state: "asleep" });
    expect(await json("tenants start cli-alice --wait")).toMatchObject({ state: "active" });
    expect((await json("tenants list -q cli-ali")).items).toMatchObject([{ tenantId: "cli-alice" }]);
    expect((await json("containers list --tenant cli-alice")).items).toHaveLength(1);
    expect((await json("tenants generations cli-alice")).items.length).toBeGreaterThan(0);
    expect((await run("tenants export cli-alice")).stdout).toContain("tree/");
    expect(await json("pin cli-alice 1")).toMatchObject({ generation: 1, pinned: true });
    expect(await json("unpin cli-alice 1")).toMatchObject({ pinned: false });
    expect(await json("diff cli-alice 1")).toHaveProperty("items");
    expect(await json("restore cli-alice 1 --wait")).toMatchObject({ state: "active", restored: { generation: 1 } });
    expect(await json("clone cli-alice cli-twin --generation 1")).toMatchObject({
      tenantId: "cli-twin",
      generation: 1,
    });
    expect(await json("release cli-alice --wait")).toMatchObject({ state: "idle" });
    expect(await json("tenants suspend cli-alice --reason tried --wait")).toMatchObject({ state: "suspended" });
    expect((await run("claim cli-alice")).code).toBe(4);
    expect(await json("tenants resume cli-alice --wait")).toMatchObject({ state: "idle" });
    expect((await run("tenants destroy cli-alice")).code).toBe(2);
    expect(await json("tenants destroy cli-alice --yes --wait")).toMatchObject({ state: "destroyed" });
  });

  it("sets what a tenant is given, and shows no secret", async () => {
    await json("claim cli-bob --pool work --wait");
    expect(await json("tenants tier cli-bob basic")).toMatchObject({ tier: "basic" });
    expect(await json("tenants tier cli-bob default")).toMatchObject({ tier: null });
    const lifecycle = await json("tenants lifecycle cli-bob --mode scheduled --idle 10m --wake-at 08:00,13:30");
    expect(lifecycle.lifecycle).toEqual({ mode: "scheduled", idleTimeoutMs: 600_000, wakeTimes: ["08:00", "13:30"] });
    await json(`tenants config set cli-bob -f ${file("c1.json", { color: "red" })}`);
    await json(`tenants config set cli-bob -f ${file("c2.json", { color: "blue" })}`);
    const { version } = (await json("tenants config versions cli-bob")).items.at(-1);
    await json(`tenants config rollback cli-bob ${version}`);
    expect(await json("tenants config get cli-bob")).toMatchObject({ config: { color: "red" } });

    await json("tenants secrets put cli-bob API_KEY", "a-very-secret-value\n");
    const secrets = await run("tenants secrets list cli-bob");
    expect(secrets.stdout).toContain("API_KEY");
    await json(`tenants secrets set cli-bob -f ${file("s.json", { OTHER: "another-secret-value" })}`);
    expect((await json("tenants secrets list cli-bob")).items).toMatchObject([{ name: "OTHER" }]);
    expect((await json("tenants secrets delete cli-bob OTHER")).items).toEqual([]);
    for (const { stdout, stderr } of [secrets, await run("audit list"), await run("events")]) {
      expect(stdout + stderr).not.toMatch(/a-very-secret-value|another-secret-value/);
    }
    expect(await json("tenants revoke-tokens cli-bob")).toMatchObject({ tenantId: "cli-bob" });
    await json("release cli-bob --no-sync --wait");
  });

  it("makes, exchanges and revokes keys, and each opens what its role may", async () => {
    const viewer = await json("keys create --name cli-viewer --role viewer");
    expect((await run("pools list", { key: viewer.key })).code).toBe(0);
    expect((await run("pools pause work", { key: viewer.key })).code).toBe(4);
    expect((await run("doctor", { key: viewer.key })).stdout).toContain("role viewer");
    const rotated = await json(`keys rotate ${viewer.id}`);
    expect(rotated.key).not.toBe(viewer.key);
    expect((await run("keys list")).stdout).not.toContain(rotated.key);
    await json(`keys revoke ${viewer.id}`);
    expect((await run("pools list", { key: rotated.key })).code).toBe(4);
  });

  it("records who did what, whole", async () => {
    await json("claim cli-carol --pool work --wait");
    await json("release cli-carol --wait");
    const { items } = await json("audit list --tenant cli-carol --limit 5");
    expect(items.length).toBeGreaterThan(1);
    expect((await run("audit export --tenant cli-carol")).stdout.trim().split("\n").length).toBeGreaterThan(1);
    expect(await json("audit verify cli-carol")).toMatchObject({ subject: "tenant:cli-carol", valid: true });
    expect((await json("events --tenant cli-carol")).items.length).toBeGreaterThan(1);
  });

  it("walks over everyone as an admin", async () => {
    expect(await json("admin rotate-secrets")).toMatchObject({ failed: [] });
    expect(await json("admin rebuild")).toMatchObject({ failed: [] });
  });

  it("says how the system is, and completes its ids", async () => {
    const { code, stdout } = await run("doctor");
    expect(code, stdout).toBe(0);
    expect((await run("__complete pools get wo")).stdout).toBe("work\n");
    expect((await run("__complete status cli-c")).stdout).toBe("cli-carol\n");
  });

  it("ends with 7 where nothing listens", async () => {
    expect((await run("status anyone --url http://127.0.0.1:9")).code).toBe(7);
  });
});
