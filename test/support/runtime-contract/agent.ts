import assert from "node:assert/strict";
import type { SyncJob } from "../../../src/sync/options.ts";
import {
  type Booted,
  bootStateful,
  type Contract,
  failureOf,
  type Harness,
  PORT,
  ready,
  STATE_DIR,
  sh,
  until,
  value,
} from "./harness.ts";
import { claimFresh } from "./parcels.ts";

const JOB: SyncJob = { directory: STATE_DIR, mode: "sync", backend: "vault", send: { files: 3, bytes: 30 } };
const LIMIT_MS = 20_000;

/** A claimed container with three files, whose agent answers. */
async function withFiles(harness: Harness): Promise<Booted> {
  const booted = await bootStateful(harness);
  await claimFresh(booted);
  await ready(harness.runtime);
  for (const name of ["a.txt", "b.txt", "sub/c%20d.txt"]) {
    const request = new Request(`http://container/files/${name}`, { method: "PUT", body: `contents of ${name}` });
    assert.equal((await harness.runtime.fetch(PORT, request)).status, 201);
  }
  await sh(harness.runtime, `ln -s a.txt ${STATE_DIR}/link`);
  await until(async () => (await booted.agent.version()).ok);
  return booted;
}

const asked = ({ sink }: Harness, from: number): string[] =>
  sink.requests.slice(from).map(({ method, target }) => `${method} ${target.replace(/\?.*$/, "")}`);

export const agent: Contract = {
  "the agent is rclone 1.75 or later": async (harness) => {
    const { agent } = await withFiles(harness);
    const [, major, minor] = /^v(\d+)\.(\d+)/.exec(value(await agent.version())) ?? [];
    assert.ok(Number(major) === 1 && Number(minor) >= 75);
  },

  "a first sync sends every file and symlink with its attributes, under this boot's access key": async (harness) => {
    const { agent, accessKeyId } = await withFiles(harness);
    const stats = value(await agent.sync(JOB, LIMIT_MS));
    assert.deepEqual([stats.transfers, stats.errors], [4, 0]);
    assert.deepEqual([...harness.sink.objects.keys()].sort(), ["a.txt", "b.txt", "link.rclonelink", "sub/c d.txt"]);
    const { headers = {}, body } = harness.sink.objects.get("a.txt") ?? {};
    assert.equal(new TextDecoder().decode(body), "contents of a.txt");
    assert.deepEqual([headers["x-amz-meta-mode"], headers["x-amz-meta-uid"]], ["100644", "10001"]);
    assert.match(headers["x-amz-meta-mtime"] ?? "", /^\d+\.\d{1,9}$/);
    assert.ok(headers["content-md5"]);
    const link = harness.sink.objects.get("link.rclonelink");
    assert.equal(new TextDecoder().decode(link?.body), "a.txt");
    assert.equal(link?.headers["x-amz-meta-mode"], "120777");
    assert.deepEqual([...new Set(harness.sink.requests.map((request) => request.accessKey))], [accessKeyId]);
  },

  "an unchanged sync is one listing": async (harness) => {
    const { agent } = await withFiles(harness);
    value(await agent.sync(JOB, LIMIT_MS));
    const before = harness.sink.requests.length;
    value(await agent.sync(JOB, LIMIT_MS));
    assert.deepEqual(asked(harness, before), ["GET /state"]);
  },

  "a later sync sends what changed and deletes what is gone": async (harness) => {
    const { agent } = await withFiles(harness);
    value(await agent.sync(JOB, LIMIT_MS));
    await sh(
      harness.runtime,
      `echo more > ${STATE_DIR}/a.txt; rm ${STATE_DIR}/b.txt; touch ${STATE_DIR}/sub/'c d.txt'`,
    );
    const before = harness.sink.requests.length;
    value(await agent.sync(JOB, LIMIT_MS));
    const expected = [
      "DELETE /state/b.txt",
      "GET /state",
      "HEAD /state/sub/c%20d.txt",
      "PUT /state/a.txt",
      "PUT /state/sub/c%20d.txt",
    ];
    assert.deepEqual(asked(harness, before).sort(), expected);
    assert.equal(new TextDecoder().decode(harness.sink.objects.get("a.txt")?.body), "more\n");
    assert.equal(new TextDecoder().decode(harness.sink.objects.get("sub/c d.txt")?.body), "contents of sub/c%20d.txt");
  },

  "copy deletes nothing, and what is excluded stays here": async (harness) => {
    const { agent } = await withFiles(harness);
    harness.sink.objects.set("old.txt", { body: new Uint8Array(1), headers: { "x-amz-meta-mtime": "1" } });
    value(await agent.sync({ ...JOB, mode: "copy", exclude: ["/sub/**", "*.rclonelink"] }, LIMIT_MS));
    assert.deepEqual([...harness.sink.objects.keys()].sort(), ["a.txt", "b.txt", "old.txt"]);
  },

  "what is left out from now on goes there as well": async (harness) => {
    const { agent } = await withFiles(harness);
    value(await agent.sync(JOB, LIMIT_MS));
    value(await agent.sync({ ...JOB, exclude: ["/sub/", "b.*"], deleteExcluded: true }, LIMIT_MS));
    assert.deepEqual([...harness.sink.objects.keys()].sort(), ["a.txt", "link.rclonelink"]);
  },

  "named files are sent although they look the same, and no others": async (harness) => {
    const { agent } = await withFiles(harness);
    value(await agent.sync(JOB, LIMIT_MS));
    await sh(harness.runtime, `chmod 600 ${STATE_DIR}/a.txt`);
    const before = harness.sink.requests.length;
    value(await agent.sync({ ...JOB, mode: "copy", include: ["/a.txt", "/sub/c d.txt"], ignoreTimes: true }, LIMIT_MS));
    assert.deepEqual(asked(harness, before).sort(), ["GET /state", "PUT /state/a.txt", "PUT /state/sub/c%20d.txt"]);
  },

  "a listing of many pages is read to its end": async (harness) => {
    const { agent } = await withFiles(harness);
    for (let i = 0; i < 2500; i++) {
      harness.sink.objects.set(`old/${i}`, { body: new Uint8Array(1), headers: { "x-amz-meta-mtime": "1" } });
    }
    value(await agent.sync({ ...JOB, mode: "copy" }, LIMIT_MS));
    assert.equal(asked(harness, 0).filter((line) => line === "GET /state").length, 3);
  },

  "a refused upload ends the sync with the reason, and nothing is deleted": async (harness) => {
    const { agent } = await withFiles(harness);
    harness.sink.objects.set("old.txt", { body: new Uint8Array(1), headers: { "x-amz-meta-mtime": "1" } });
    harness.sink.refuse = { status: 403, code: "AccessDenied" };
    const failure = failureOf(await agent.sync(JOB, LIMIT_MS));
    assert.deepEqual([failure.code, failure.extra], ["save_failed", { problem: "permission_denied" }]);
    assert.ok(harness.sink.objects.has("old.txt"));
    harness.sink.refuse = { status: 409, code: "StaleEpoch" };
    assert.equal(failureOf(await agent.sync(JOB, LIMIT_MS)).code, "conflict");
    harness.sink.refuse = null;
    value(await agent.sync(JOB, LIMIT_MS));
    assert.ok(!harness.sink.objects.has("old.txt"), "an earlier failure must not keep a later sync from deleting");
  },

  "a sync that outlives its deadline is cancelled": async (harness) => {
    const { agent } = await withFiles(harness);
    harness.sink.delayMs = 5_000;
    const before = Date.now();
    assert.equal(failureOf(await agent.sync(JOB, 400)).code, "deadline_exceeded");
    assert.ok(Date.now() - before < 3_000);
  },

  "a job can be waited for by who did not begin it": async (harness) => {
    const { agent } = await withFiles(harness);
    const job = value(await agent.begin(JOB));
    assert.equal(value(await agent.finish(job, Date.now() + LIMIT_MS)).transfers, 4);
    assert.equal((await agent.finish({ ...job, jobid: 4711 }, Date.now() + LIMIT_MS)).ok, false);
  },
};
