import { readFileSync } from "node:fs";
import { beforeAll, expect, it } from "vitest";
import type { Outcome } from "../../scripts/command.ts";
import { readVars } from "../../scripts/stack/dev-vars.ts";
import { type Container, containerOf, unique } from "../support/e2e-docker.ts";
import { onContainers, SHARED_VARS, useSharedStack } from "../support/e2e-stack.ts";

onContainers("what is inside a container", () => {
  const shared = useSharedStack();
  const others = { secret: unique("secret"), config: unique("config"), content: unique("content") };
  let alice: Container;
  let bob: Container;

  beforeAll(async () => {
    const { client } = shared;
    const forBob = { poolId: "work", config: { note: others.config }, secrets: { TOKEN: others.secret } };
    bob = await containerOf(client, (await client.claimed("secrecy-bob", forBob)).containerId);
    await client.put("secrecy-bob", "private.txt", others.content);
    await client.put("secrecy-bob", "second.txt", others.content);
    await client.released("secrecy-bob");
    bob = await containerOf(client, (await client.claimed("secrecy-bob")).containerId);
    const forAlice = { poolId: "work", config: { note: "alice's" }, secrets: { TOKEN: "alice's secret" } };
    alice = await containerOf(client, (await client.claimed("secrecy-alice", forAlice)).containerId);
    await client.put("secrecy-alice", "a.txt", "alice's file");
  }, 60_000);

  /** Values of the platform and of another tenant, by name; each would be a leak anywhere in alice's container. */
  const foreign = async (): Promise<Record<string, string>> => {
    return { ...readVars(SHARED_VARS), ...others, ...(await bob.keys()) };
  };

  it("shows its workload no credential of ours: neither in its environment nor in the headers that reach it", async () => {
    const { client } = shared;
    const { body, headers } = await client.at("secrecy-alice", "GET", "/whoami", {
      headers: {
        cookie: "__Host-boilerhouse=session; own=1",
        "cf-access-jwt-assertion": "someone's",
        "x-boilerhouse-tenant": "secrecy-bob",
        "x-boilerhouse-anything": "forged",
        x_boilerhouse_tenant: "secrecy-bob",
        "x-kept": "yes",
      },
    });
    expect(body.uid).not.toBe(0);
    expect(body.env.filter((name: string) => /BOILERHOUSE|RCLONE|ADMIN_KEY|SECRETS_KEY/.test(name))).toEqual([]);
    expect(body.headers).toMatchObject({ "x-kept": "yes", "x-boilerhouse-tenant": "secrecy-alice" });
    const names = Object.keys(body.headers);
    for (const gone of ["authorization", "cookie", "x_boilerhouse_tenant"]) expect(names).not.toContain(gone);
    expect(names.filter((name) => /^(cf-access-|x-boilerhouse-(?!tenant$))/.test(name))).toEqual([]);
    expect(JSON.stringify(body)).not.toContain(client.adminKey);
    expect(headers["content-security-policy"], "pages under the shared origin").toBe("sandbox");
    expect(Object.keys(headers).filter((name) => name.startsWith("x-boilerhouse-"))).toEqual([]);
  });

  it("holds nothing of the platform or of another tenant, in any file or process, even for root", async () => {
    const values = await foreign();
    expect(
      Object.values(values).every((value) => value.length >= 16),
      Object.keys(values).join(),
    ).toBe(true);
    expect(await found(alice, "root", Object.values(values))).toEqual([]);
    // The search finds what is there.
    expect(await found(alice, "root", ["alice's file"])).toContain("/data/a.txt");
    expect(await found(bob, "root", [others.content])).toContain("/data/private.txt");
  });

  it("keeps even this boot's own values from the workload's user", async () => {
    const values = Object.values(await alice.keys());
    expect(await found(alice, "workload", values)).toEqual([]);
    expect(await found(alice, "root", values)).not.toEqual([]);
    expect((await alice.run("workload", "cat /run/boilerhouse/private/* || ls /run/boilerhouse/private")).stdout).toBe(
      "",
    );
    const inspected = JSON.stringify(await alice.inspect());
    for (const value of values) expect(inspected.includes(value), "shown by the engine").toBe(false);
  });

  it("has values of this boot that open nothing outside it", async () => {
    const { bootKey, accessKeyId } = await alice.keys();
    for (const key of [bootKey, accessKeyId]) {
      const headers = { authorization: `Bearer ${key}` };
      expect((await shared.client.send("GET", "/api/v1/pools", { headers })).status).toBe(401);
      expect((await shared.client.send("GET", "/t/secrecy-alice/whoami", { headers })).status).toBe(401);
      expect((await sink(bob, key, "/state?list-type=2")).status).toBe(403);
    }
  });

  it("reaches its own tenant's storage only, and only with this boot's access key", async () => {
    const { accessKeyId: key } = await bob.keys();
    const { accessKeyId: mine } = await alice.keys();
    const own = await sink(bob, key, "/state?list-type=2");
    expect([own.status, own.body.includes("private.txt")], own.body).toEqual([200, true]);
    expect((await sink(bob, key, "/state/private.txt")).body).toBe(others.content);

    expect((await sink(alice, "", "/state?list-type=2")).status).toBe(403);
    expect((await sink(alice, "wrong", "/state?list-type=2")).status).toBe(403);
    expect((await sink(alice, key, "/state?list-type=2")).status).toBe(403); // bob's key, alice's container
    for (const path of [
      "/state?list-type=2",
      "/state?list-type=2&prefix=../",
      "/state?list-type=2&prefix=tenants/secrecy-bob/",
      "/state/private.txt",
      "/state/../secrecy-bob/private.txt",
      "/state/%2e%2e/%2e%2e/tenants/secrecy-bob/objects/",
      "/tenants/secrecy-bob/private.txt",
      "/secrecy-bob/private.txt",
      "/secrecy-bob?list-type=2",
      "/.bundle/1.tar",
      "/.bundle/1.tar?tenant=secrecy-bob",
      "/",
    ]) {
      const answer = await sink(alice, mine, path, ["x-boilerhouse-tenant: secrecy-bob"]);
      expect(answer.body, path).not.toContain(others.content);
      expect(answer.body, path).not.toContain("private.txt</Key>");
      if (!path.startsWith("/state?") && path !== "/") expect(answer.status, path).toBeGreaterThanOrEqual(400);
    }
  });

  it("refuses its control port and its agent to whoever has no boot key, from inside and through the proxy", async () => {
    for (const url of ["http://127.0.0.1:41800/cgi-bin/control?op=status", "http://127.0.0.1:41801/core/version"]) {
      const { stdout } = await alice.run("workload", `curl -s -o /dev/null -w '%{http_code}' -m 10 -X POST '${url}'`);
      expect(Number(stdout), url).toBe(401);
    }
    const { client } = shared;
    for (const port of [41800, 41801]) {
      const reserved = { id: `reserved-${port}`, image: "sandbox", port };
      const answer = await client.api("POST", "/workloads", reserved);
      expect([answer.status, answer.body.errors?.[0]?.pointer]).toEqual([422, "/port"]);
    }
  });

  it("leaves no secret in the log", async () => {
    const log = readFileSync(shared.stack.logFile, "utf8");
    for (const [name, value] of Object.entries(await foreign())) expect(log.includes(value), name).toBe(false);
  });
});

/** Files of the root file system, and environments and arguments of processes, that contain one of the values. */
async function found(container: Container, user: "root" | "workload", values: readonly string[]): Promise<string[]> {
  // The values come by standard input and stay in a shell's variable, so that the search does not find itself.
  const { stdout } = await container.run(
    user,
    `values=$(cat)
     search() { printf '%s\\n' "$values" | LC_ALL=C grep -D skip -laFf - "$@" 2> /dev/null; }
     for top in /* /dev/shm; do
       case $top in /proc | /sys | /dev) ;; *) search -r "$top" ;; esac
     done
     search /proc/[0-9]*/environ /proc/[0-9]*/cmdline
     true`,
    values.join("\n"),
  );
  return [...new Set(stdout.split("\n").filter(Boolean))];
}

/** A request to the storage gateway from inside, as root. */
async function sink(
  container: Container,
  key: string,
  path: string,
  headers: string[] = [],
): Promise<{ status: number; body: string }> {
  const all = [...headers, ...(key === "" ? [] : [`x-boilerhouse-access-key: ${key}`])]
    .map((header) => `-H '${header}'`)
    .join(" ");
  const { stdout }: Outcome = await container.run(
    "root",
    `curl -s --path-as-is -m 20 -w '\\n%{http_code}' ${all} 'http://sink.internal${path}'`,
  );
  const end = stdout.lastIndexOf("\n");
  return { status: Number(stdout.slice(end + 1)), body: stdout.slice(0, end) };
}
