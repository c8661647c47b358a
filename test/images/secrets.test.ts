import { expect, test } from "vitest";
import { command } from "../../scripts/command.ts";
import { TestContainer } from "./support/container.ts";

/**
 * Everything of every process and every file that the user can read, searched for what only root may know. What is searched
 * for comes by standard input: as an argument it would be found in the search itself.
 */
const SCAN = `
cat > /tmp/needles
env | grep -af /tmp/needles
for p in /proc/[0-9]*; do cat $p/environ $p/cmdline 2> /dev/null | tr '\\0' '\\n' | grep -af /tmp/needles; done
find / -xdev \\( -path /proc -o -path /sys -o -path /tmp/needles \\) -prune -o -type f -size -1000k -print0 2> /dev/null |
  xargs -0 grep -alf /tmp/needles 2> /dev/null
true
`;

test("as the workload's user nothing secret of the platform can be read, neither idle nor during a claim", async () => {
  await using container = await TestContainer.start({
    env: { BOILERHOUSE_STATE_DIR: "/data", BOILERHOUSE_START: "on-claim" },
  });
  await container.claim(1, {
    config: {},
    secrets: { MINE: "a-secret-of-the-tenant" },
    environment: { A: "1" },
    state: "fresh",
  });
  await container.ready();
  const needles = `${container.bootKey}\n${container.accessKey}\n`;
  const found = await command("docker", ["exec", "-i", "-u", "workload", container.id, "sh", "-c", SCAN], {
    input: needles,
  });
  expect(found).toMatchObject({ code: 0, stdout: "" });
  // The same search finds what may be found.
  const own = await command("docker", ["exec", "-i", "-u", "workload", container.id, "sh", "-c", SCAN], {
    input: "a-secret-of-the-tenant\n",
  });
  expect(own.stdout).toContain("/run/secrets/MINE");
  expect((await container.exec("cat /run/secrets/MINE", "workload")).stdout).toBe("a-secret-of-the-tenant");
  expect((await container.exec("cat /run/secrets/MINE", "nobody")).code).not.toBe(0);
  expect((await container.exec("ls /run/boilerhouse; ls /run/boilerhouse/private", "workload")).stdout).toBe("");
});

test("no argument of any process is a secret", async () => {
  await using container = await TestContainer.start({ env: { BOILERHOUSE_STATE_DIR: "/data" } });
  await container.until(async () => (await container.agent("core/version", {})).ok);
  const { stdout } = await container.exec("cat /proc/[0-9]*/cmdline | tr '\\0' '\\n'");
  expect(stdout).toContain("rclone");
  expect(stdout).not.toContain(container.bootKey);
  expect(stdout).not.toContain(container.accessKey);
});
