import assert from "node:assert/strict";
import { listCall, type Transfer, uploadCall } from "../../../src/sync/transfer.ts";
import { boot, bootStateful, type Contract, failureOf, ready, STATE_DIR, sh, until, value } from "./harness.ts";
import { claim, claimFresh } from "./parcels.ts";

/** Places of sync specs in a container, and the agent's calls about them. */

const transfer = (more: Partial<Transfer["mapping"]> = {}): Transfer => ({
  mapping: { containerPath: "/data", sinkPath: "x/", direction: "upload", mode: "copy", exclude: [], ...more },
  sink: { specId: "spec", prefix: "x/", backend: "s3" },
  extra: { config: {}, filter: {}, remote: {}, rate: null },
});

export const directories: Contract = {
  "a directory that is missing is created, the workload's; one that is there stays": async (harness) => {
    const booted = await bootStateful(harness);
    await claimFresh(booted);
    for (const path of ["/config/sub", `${STATE_DIR}/sub`]) {
      assert.equal(value(await booted.control.directory(path)).created, true);
      assert.equal(value(await booted.control.directory(path)).created, false);
    }
    const [, sub] = value(await booted.control.manifest(5_000)).entries;
    assert.deepEqual([sub?.path, sub?.uid, sub?.mode], ["sub", 10001, 0o755]);
  },

  "no symlink is followed into or through a directory": async (harness) => {
    const booted = await bootStateful(harness);
    await claimFresh(booted);
    await sh(harness.runtime, `ln -s /etc ${STATE_DIR}/out; touch ${STATE_DIR}/file`);
    for (const path of [`${STATE_DIR}/out`, `${STATE_DIR}/out/deeper`, `${STATE_DIR}/file`]) {
      assert.equal(failureOf(await booted.control.directory(path)).code, "save_failed", path);
    }
    assert.equal(failureOf(await booted.control.place(`${STATE_DIR}/out`, 0, ["passwd"], 5_000)).code, "save_failed");
    value(await booted.control.status());
  },

  "an agent that was left out is started when it is asked for": async (harness) => {
    const { control, agent } = await boot(harness);
    assert.equal((await agent.version()).ok, false);
    value(await control.agent());
    value(await control.agent());
    await until(async () => (await agent.version()).ok);
  },

  "a claim that holds the workload leaves it to be started": async (harness) => {
    const booted = await bootStateful(harness);
    value(await claim(booted, { state: "fresh", hold: true }));
    assert.equal(value(await booted.control.status()).workload, "waiting");
    value(await booted.control.start());
    await ready(harness.runtime);
  },

  "a mapping's files are listed as its globs say, symlinks not among them": async (harness) => {
    const booted = await bootStateful(harness);
    await claimFresh(booted);
    await until(async () => (await booted.agent.version()).ok);
    const at = STATE_DIR;
    await sh(harness.runtime, `mkdir -p ${at}/sub ${at}/tmp; echo 1 > ${at}/a.pt; echo 12 > ${at}/sub/b.pt`);
    await sh(harness.runtime, `echo 3 > ${at}/c.txt; echo 4 > ${at}/tmp/d.pt; ln -s a.pt ${at}/l.pt`);
    const call = listCall(transfer({ pattern: "*.pt", exclude: ["tmp/**"] }), { directory: STATE_DIR });
    const files = value(await booted.agent.list(call, 5_000));
    assert.deepEqual(files.map(({ path, size }) => [path, size]).sort(), [
      ["a.pt", 2],
      ["sub/b.pt", 3],
    ]);
  },

  "an upload of a mapping sends its files under its prefix": async (harness) => {
    const booted = await bootStateful(harness);
    await claimFresh(booted);
    await until(async () => (await booted.agent.version()).ok);
    await sh(harness.runtime, `echo 1 > ${STATE_DIR}/a.pt; ln -s a.pt ${STATE_DIR}/l.pt`);
    const upload = {
      directory: STATE_DIR,
      deletes: false,
      versions: null,
      maxDelete: null,
      send: { files: 1, bytes: 2 },
    };
    const job = value(await booted.agent.start(uploadCall(transfer(), upload)));
    const stats = value(await booted.agent.finish(job, Date.now() + 20_000));
    assert.deepEqual([stats.transfers, stats.errors], [1, 0]);
    assert.deepEqual([...harness.sink.objects.keys()], ["x/a.pt"]);
  },

  "what was fetched is placed as the workload's user, and what is named is deleted": async (harness) => {
    const booted = await bootStateful(harness);
    await claimFresh(booted);
    const incoming = "/run/boilerhouse/private/incoming/3";
    await sh(
      harness.runtime,
      `mkdir -p ${incoming}/sub; echo new > ${incoming}/sub/a.txt; echo old > ${STATE_DIR}/b.txt`,
    );
    value(await booted.control.place(STATE_DIR, 3, ["b.txt"], 5_000));
    const entries = value(await booted.control.manifest(5_000)).entries.slice(1);
    assert.deepEqual(
      entries.map(({ path, uid, size, kind }) => [path, uid, kind === "file" ? size : 0]),
      [
        ["sub", 10001, 0],
        ["sub/a.txt", 10001, 4],
      ],
    );
    // It is taken, not copied.
    value(await booted.control.place(STATE_DIR, 3, ["sub/a.txt"], 5_000));
    assert.equal(value(await booted.control.manifest(5_000)).entries.length, 2);
  },
};
