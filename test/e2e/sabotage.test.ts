import { readdirSync, renameSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { expect, it } from "vitest";
import { command } from "../../scripts/command.ts";
import { eventually } from "../support/e2e-client.ts";
import { containersNamed } from "../support/e2e-docker.ts";
import { onContainers, useOwnStack } from "../support/e2e-stack.ts";

const RESTORE_TIMEOUT_MS = 6_000;
const CONTENT = "x".repeat(200_000);

onContainers("a restore on a real container", () => {
  const own = useOwnStack("sabotage", { vars: { RESTORE_TIMEOUT_MS: String(RESTORE_TIMEOUT_MS) } });

  /** The one file that R2 keeps a content of this size in, on this machine. */
  const blobOf = (bytes: number): string => {
    const root = `${own.stateDir}/state/v3/r2/boilerhouse/blobs`;
    const found = readdirSync(root, { withFileTypes: true }).map(({ name }) => `${root}/${name}`);
    const [blob, ...others] = found.filter((path) => statSync(path).size === bytes);
    expect([blob !== undefined, others.length], `a file of ${bytes} bytes among ${found.length}`).toEqual([true, 0]);
    return blob as string;
  };

  it("that breaks off, or finds a content missing, starts nothing; nothing is lost by it", async () => {
    const { client } = own;
    await client.claimed("breaking", { poolId: "work" });
    await client.put("breaking", "large.txt", CONTENT);
    await client.put("breaking", "small.txt", "small");
    const saved = await client.released("breaking");
    const blob = blobOf(CONTENT.length);
    for (const harm of [() => truncateSync(blob, CONTENT.length / 2), () => renameSync(blob, `${blob}.gone`)]) {
      harm();
      const refused = await client.claim("breaking");
      expect(refused.status, refused.text).toBeGreaterThanOrEqual(400);
      expect(refused.body).toMatchObject({ code: "restore_failed" });
      const { body } = await client.status("breaking");
      expect(body).toMatchObject({ state: "error", generation: saved.generation });
      expect((await client.get("breaking", "small.txt")).status, "nothing serves").toBeGreaterThanOrEqual(400);
    }
    writeFileSync(blob, CONTENT);
    expect((await client.claimed("breaking")).restored).toMatchObject({ generation: saved.generation });
    expect((await client.get("breaking", "large.txt")).text).toBe(CONTENT);
    await client.discard("breaking");
  });

  it("that stalls ends by its deadline, and another container brings everything back", async () => {
    const { client } = own;
    await client.claimed("stalling", { poolId: "work" });
    await client.put("stalling", "a.txt", "still here");
    const saved = await client.released("stalling");
    await client.pool({ id: "work", minSize: 2 });
    const warm = await containersNamed(own.stack.worker);
    expect((await command("docker", ["pause", ...warm])).code).toBe(0);
    try {
      const { body } = await client.claim("stalling", {}, "1s");
      expect(body).toMatchObject({ state: "claiming" });
      await eventually(async () => {
        const { body: now } = await client.status("stalling");
        expect(now.epoch > body.epoch || now.state !== "claiming", JSON.stringify(now)).toBe(true);
      }, 3 * RESTORE_TIMEOUT_MS);
    } finally {
      // Those that were given up are gone by now.
      for (const name of warm) await command("docker", ["unpause", name]);
    }
    await eventually(async () => {
      const { restored, state } = await client.claimed("stalling");
      expect({ restored, state }).toMatchObject({ state: "active", restored: { generation: saved.generation } });
    }, 60_000);
    expect((await client.get("stalling", "a.txt")).text).toBe("still here");
    await client.discard("stalling");
  });
});
