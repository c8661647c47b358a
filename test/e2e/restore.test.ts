import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { containerOf } from "../support/e2e-docker.ts";
import { onContainers, useSharedStack } from "../support/e2e-stack.ts";
import { listing, TREE } from "../support/e2e-tree.ts";

const TAR = { "content-type": "application/x-tar" };

onContainers("saved state that is moved by people", () => {
  const shared = useSharedStack();

  it("is restored to a chosen generation, with what ran saved first, and the workload runs on it", async () => {
    const { client } = shared;
    const { containerId } = await client.claimed("chooser", { poolId: "work" });
    const first = await containerOf(client, containerId);
    await first.output("workload", TREE);
    const before = await listing(first);
    const sync = async () => {
      const { status, body, text } = await client.api("POST", "/tenants/chooser/sync?wait=60s", {
        direction: "outward",
      });
      expect(status, text).toBe(200);
      return body.saved.generation as number;
    };
    const wanted = await sync();
    await first.output("workload", "cd /data; rm -rf deep; echo other > run.sh; echo later > later.txt");
    await client.put("chooser", "unsaved.txt", "unsaved");
    const answer = await client.api("POST", "/tenants/chooser/restore?wait=90s", { generation: wanted, force: true });
    expect(answer.status, answer.text).toBe(200);
    expect(answer.body).toMatchObject({ state: "active", restored: { generation: wanted } });
    const second = await containerOf(client, answer.body.containerId);
    expect(answer.body.containerId).not.toBe(containerId);
    expect(await listing(second)).toBe(before);
    expect((await client.at("chooser", "GET", "/healthz")).status).toBe(200);

    // Asleep: nothing starts, and the next request has it.
    await client.api("POST", "/tenants/chooser/stop?wait=60s", {});
    const still = await client.api("POST", "/tenants/chooser/restore?wait=60s", { generation: wanted });
    expect(still.body, still.text).toMatchObject({ state: "asleep", saved: null });
    expect((await client.get("chooser", "run.sh")).text).toContain("echo hi");
    await client.discard("chooser");
  });

  it("is exported, and imported by another tenant, with the same files, modes, owners, times and links", async () => {
    const { client } = shared;
    const first = await containerOf(client, (await client.claimed("giver", { poolId: "work" })).containerId);
    await first.output("workload", TREE);
    await client.put("giver", "big.bin", randomBytes(20_000_000));
    const before = await listing(first);
    await client.released("giver");
    const tar = await client.api("GET", "/tenants/giver/export");
    expect(tar.status).toBe(200);

    const dry = await client.send("POST", "/api/v1/tenants/taker/import?dryRun=true", {
      body: tar.bytes,
      headers: TAR,
    });
    expect(dry.body, dry.text).toMatchObject({ format: "export", refusals: 0, removed: 0, changed: 0 });
    expect((await client.status("taker")).status).toBe(404);
    const taken = await client.send("POST", "/api/v1/tenants/taker/import", { body: tar.bytes, headers: TAR });
    expect(taken.body, taken.text).toMatchObject({ state: "idle", generation: 1 });
    const second = await containerOf(client, (await client.claimed("taker", { poolId: "work" })).containerId);
    expect(await listing(second)).toBe(before);

    // A copy is the same again, and its own.
    const copied = await client.api("POST", "/tenants/giver/clone", { to: "copier" });
    expect(copied.body, copied.text).toMatchObject({ tenantId: "copier", state: "idle", generation: 1 });
    await client.api("POST", "/tenants/giver/destroy?wait=60s", { deleteData: true });
    const third = await containerOf(client, (await client.claimed("copier", { poolId: "work" })).containerId);
    expect(await listing(third)).toBe(before);
    await client.discard("taker", "copier");
  });

  it("comes from a plain tar of this machine's own tar, compressed or not, sent in pieces of no announced length", async () => {
    const { client } = shared;
    const dir = mkdtempSync(join(tmpdir(), "import-"));
    try {
      writeFileSync(join(dir, "hello.txt"), "hello");
      writeFileSync(join(dir, `${"long".repeat(40)}.txt`), "far");
      for (const [tenant, flags] of [
        ["plain-gnu", ["--format=gnu", "-cf", "-"]],
        ["plain-pax", ["--format=pax", "-cf", "-"]],
        ["plain-gzip", ["--format=gnu", "-czf", "-"]],
      ] as const) {
        const { stdout, status } = spawnSync("tar", ["-C", dir, ...flags, "."]);
        expect(status).toBe(0);
        const path = `/api/v1/tenants/${tenant}/import?owner=10001`;
        const answer = await client.send("POST", path, { body: stdout, headers: TAR, chunked: true });
        expect(answer.body, answer.text).toMatchObject({ imported: { generation: 1, files: 2, bytes: 8 } });
      }
      await client.claimed("plain-gzip", { poolId: "work" });
      expect((await client.get("plain-gzip", "hello.txt")).text).toBe("hello");
      await client.put("plain-gzip", "hello.txt", "writable");
      await client.discard("plain-gzip");
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
  });
});
