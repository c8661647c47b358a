import assert from "node:assert/strict";
import { ControlClient } from "../../../src/instance/control.ts";
import type { Listing } from "../../../src/instance/manifest.ts";
import { readTar } from "../../../src/runtime/simulated/tar.ts";
import {
  boot,
  bootStateful,
  type Contract,
  failureOf,
  get,
  PORT,
  ready,
  STATE_DIR,
  sh,
  text,
  until,
  value,
} from "./harness.ts";
import { aBundle, claim, claimFresh, orderOf } from "./parcels.ts";

const FILES = [
  { path: "a.txt", body: "alpha" },
  { path: "run.sh", body: "#!/bin/sh\n", mode: 0o4750 },
];

export const control: Contract = {
  "the control port opens with this boot's key only": async (harness) => {
    const { keys } = await boot(harness);
    const stranger = new ControlClient(harness.runtime, { ...keys, bootKey: "guessed" });
    assert.equal(failureOf(await stranger.status()).code, "container_unavailable");
    const older = new ControlClient(harness.runtime, { ...keys, bootId: "another" });
    assert.equal(failureOf(await older.status()).code, "container_unavailable");
  },

  "keys are believed once, and the same ones again": async (harness) => {
    const { keys, control } = await boot(harness);
    assert.equal((await control.boot(1_000)).ok, true);
    for (const key of ["bootId", "bootKey", "accessKeyId"]) {
      const other = new ControlClient(harness.runtime, { ...keys, [key]: "guessed" });
      assert.equal(failureOf(await other.boot(1_000)).code, "container_unavailable", key);
    }
  },

  "nothing of the keys is seen by what is executed in a container": async (harness) => {
    const { keys } = await boot(harness);
    const { stdout } = await harness.runtime.exec(["env"], { timeoutMs: 10_000 });
    for (const secret of Object.values(keys)) assert.ok(!text(stdout).includes(secret));
  },

  "a workload that starts on claim waits for it, over an empty directory of root's": async (harness) => {
    const { control } = await bootStateful(harness);
    assert.deepEqual(value(await control.status()), { workload: "waiting", restarts: 0, lastExitCode: null });
    const [top] = value(await control.manifest(5_000)).entries;
    assert.deepEqual([top?.path, top?.kind, top?.mode, top?.uid], ["", "directory", 0o700, 0]);
  },

  "a claim delivers config, environment and secrets to the workload's user": async (harness) => {
    const booted = await bootStateful(harness);
    const parcel = {
      config: { model: "small" },
      environment: { COLOUR: "red" },
      secrets: { TOKEN: "s3cret" },
      gatewayToken: "g4teway",
      state: "fresh",
    } as const;
    const claimed = value(await claim(booted, parcel));
    assert.deepEqual([claimed.epoch, claimed.restored], [1, null]);
    await ready(harness.runtime);
    assert.deepEqual(await (await get(harness.runtime, "/config")).json(), {
      config: { model: "small" },
      secrets: ["TOKEN"],
    });
    const whoami = (await (await get(harness.runtime, "/whoami")).json()) as { env: string[]; uid: number };
    assert.equal(whoami.uid, 10001);
    assert.ok(whoami.env.includes("COLOUR"));
    assert.deepEqual(
      whoami.env.filter((name) => name.startsWith("BOILERHOUSE_")),
      [],
    );
    assert.equal(await sh(harness.runtime, "cat /run/secrets/TOKEN"), "s3cret");
    assert.equal(await sh(harness.runtime, "cat /run/boilerhouse/gateway-token"), "g4teway");
  },

  "a running workload is started again for a claim's environment": async (harness) => {
    const booted = await boot(harness);
    await ready(harness.runtime);
    value(await claim(booted, { environment: { COLOUR: "red" } }));
    await until(async () => {
      try {
        const { env } = (await (await get(harness.runtime, "/whoami")).json()) as { env: string[] };
        return env.includes("COLOUR");
      } catch {
        return false; // between the two
      }
    });
    assert.equal(value(await booted.control.status()).restarts, 0);
  },

  "the same epoch is answered as recorded, another one is refused": async (harness) => {
    const booted = await bootStateful(harness);
    const first = value(await claim(booted, { state: "fresh" }, 7));
    assert.deepEqual(value(await claim(booted, { state: "fresh" }, 7)), first);
    assert.equal(failureOf(await claim(booted, { state: "fresh" }, 8)).code, "stale_epoch");
  },

  "a restore brings back contents, modes, owners, mod-times, symlinks and empty directories": async (harness) => {
    const booted = await bootStateful(harness);
    harness.sink.bundles.set("1.tar", aBundle(FILES));
    const claimed = value(await claim(booted, { state: orderOf(FILES) }));
    assert.deepEqual(claimed.restored, { files: 3, bytes: 15 });
    const { entries } = value(await booted.control.manifest(5_000));
    const seen = new Map(entries.map((entry) => [entry.path, entry]));
    assert.deepEqual([...seen.keys()].sort(), ["", "a.txt", "empty", "link", "run.sh"]);
    assert.deepEqual(
      entries.map((entry) => entry.uid),
      [10001, 10001, 10001, 10001, 10001],
    );
    assert.equal(seen.get("")?.mode, 0o750);
    assert.equal(seen.get("empty")?.mode, 0o700);
    assert.equal(seen.get("run.sh")?.mode, 0o4750);
    assert.equal(seen.get("a.txt")?.mtimeNs, "981173106000000000");
    assert.equal(seen.get("link")?.target, "a.txt");
    await ready(harness.runtime);
    assert.equal(await (await get(harness.runtime, "/files/a.txt")).text(), "alpha");
  },

  "a restore that does not verify starts nothing and leaves nothing": async (harness) => {
    const whole = aBundle(FILES);
    const bundles = {
      truncated: whole.slice(0, whole.length - 2048),
      damaged: aBundle(FILES, { sum: "0".repeat(64) }),
      short: aBundle(FILES.slice(0, 1)),
    };
    for (const [name, bundle] of Object.entries(bundles)) {
      const booted = await bootStateful(harness);
      harness.sink.bundles.set("1.tar", bundle);
      assert.equal(failureOf(await claim(booted, { state: orderOf(FILES) })).code, "restore_failed", name);
      assert.equal(value(await booted.control.status()).workload, "waiting", name);
      const { entries } = value(await booted.control.manifest(5_000));
      assert.deepEqual(
        entries.map(({ path, mode, uid }) => [path, mode, uid]),
        [["", 0o700, 0]],
        name,
      );
      await harness.runtime.destroy(name);
    }
    const booted = await bootStateful(harness);
    assert.equal(failureOf(await claim(booted, { state: orderOf(FILES, ".bundle/none.tar") })).code, "restore_failed");
  },

  "a stopped workload can be started again": async (harness) => {
    const booted = await bootStateful(harness);
    await claimFresh(booted);
    await ready(harness.runtime);
    assert.equal(value(await booted.control.stop(5_000)).exitCode, 0);
    assert.equal(value(await booted.control.status()).workload, "stopped");
    assert.deepEqual(value(await booted.control.stop(1_000)).exitCode, 0, "stopping twice is fine");
    assert.equal(value(await booted.control.start()).workload, "running");
    await ready(harness.runtime);
  },

  "a workload that does not listen to SIGTERM is killed after its grace": async (harness) => {
    const booted = await boot(harness);
    await ready(harness.runtime);
    const hang = harness.runtime
      .fetch(PORT, new Request("http://container/hang", { method: "POST" }))
      .catch(() => null);
    await new Promise((resolve) => setTimeout(resolve, 100));
    assert.equal(value(await booted.control.stop(200)).exitCode, 137);
    await Promise.race([hang, new Promise((resolve) => setTimeout(resolve, 100))]);
  },

  "the manifest and the bundle show what the workload wrote": async (harness) => {
    const booted = await bootStateful(harness);
    await claimFresh(booted);
    await ready(harness.runtime);
    const name = 'ünï code, spaces & "quotes"\nand a newline.txt';
    const path = `/files/sub/${encodeURIComponent(name)}`;
    await harness.runtime.fetch(PORT, new Request(`http://container${path}`, { method: "PUT", body: "contents" }));
    await sh(harness.runtime, `ln -s sub ${STATE_DIR}/link`);
    const { entries } = value(await booted.control.manifest(5_000));
    const file = entries.find((entry) => entry.path === `sub/${name}`);
    assert.deepEqual([file?.kind, file?.size, file?.uid, file?.mode], ["file", 8, 10001, 0o644]);
    assert.equal(entries.find((entry) => entry.path === "link")?.target, "sub");
    value(await booted.control.bundle(10_000));
    const tar = harness.sink.bundles.get("staging.tar");
    assert.ok(tar);
    const sent = new Map(readTar(tar).map((entry) => [entry.name, entry]));
    assert.deepEqual([...sent.keys()].sort(), ["./", "./link", "./sub/", `./sub/${name}`]);
    assert.equal(new TextDecoder().decode(sent.get(`./sub/${name}`)?.body), "contents");
  },

  "a listing says since when files may differ from what was restored or saved": async (harness) => {
    const booted = await bootStateful(harness);
    harness.sink.bundles.set("1.tar", aBundle(FILES));
    value(await claim(booted, { state: orderOf(FILES) }));
    await ready(harness.runtime);
    const list = async () => value(await booted.control.manifest(5_000));
    const later = ({ entries }: Listing, since: string | null) =>
      entries
        .filter(({ kind, ctimeNs }) => kind === "file" && BigInt(ctimeNs) > BigInt(since ?? 0))
        .map(({ path }) => path);
    const restored = await list();
    assert.ok(restored.baselineNs !== null && BigInt(restored.baselineNs) <= BigInt(restored.listedAtNs));
    assert.deepEqual(later(restored, restored.baselineNs), []);
    await sh(harness.runtime, `chmod 600 ${STATE_DIR}/a.txt`);
    const changed = await list();
    assert.equal(changed.baselineNs, restored.baselineNs);
    assert.deepEqual(later(changed, changed.baselineNs), ["a.txt"]);
    await new Promise((resolve) => setTimeout(resolve, 50));
    const saved = await list();
    value(await booted.control.baseline(saved.listedAtNs));
    await sh(harness.runtime, `chmod 600 ${STATE_DIR}/run.sh`);
    const again = await list();
    assert.equal(again.baselineNs, saved.listedAtNs);
    assert.deepEqual(later(again, again.baselineNs), ["run.sh"]);
  },

  "without a restore nobody knows since when": async (harness) => {
    const booted = await bootStateful(harness);
    await claimFresh(booted);
    assert.equal(value(await booted.control.manifest(5_000)).baselineNs, null);
  },

  "a bundle of named paths has those alone, and none when one is gone": async (harness) => {
    const booted = await bootStateful(harness);
    harness.sink.bundles.set("1.tar", aBundle(FILES));
    value(await claim(booted, { state: orderOf(FILES) }));
    value(await booted.control.bundle(10_000, ["", "empty", "a.txt"]));
    const tar = harness.sink.bundles.get("staging.tar");
    assert.ok(tar);
    assert.deepEqual(
      readTar(tar).map(({ name }) => name),
      ["./", "./empty/", "./a.txt"],
    );
    // Whole seconds, or all of what the listing says.
    const { entries } = value(await booted.control.manifest(5_000));
    const listed = entries.map(({ path, mtimeNs }) => [path, mtimeNs]).find(([path]) => path === "")?.[1] ?? "";
    assert.equal(readTar(tar)[0]?.mtimeNs, (BigInt(listed) / 1_000_000_000n) * 1_000_000_000n);
    value(await booted.control.bundle(10_000, ["", "empty", "a.txt"], "exact"));
    const exact = harness.sink.bundles.get("staging.tar");
    assert.ok(exact);
    assert.deepEqual(
      readTar(exact).map(({ name, mtimeNs }) => [name, String(mtimeNs)]),
      ["", "empty", "a.txt"].map((path) => {
        const entry = entries.find((one) => one.path === path);
        return [`./${path}${entry?.kind === "directory" && path !== "" ? "/" : ""}`, entry?.mtimeNs];
      }),
    );
    const failure = failureOf(await booted.control.bundle(10_000, ["", "gone.txt"]));
    assert.equal(failure.code, "save_failed");
    assert.match(failure.detail, /gone\.txt/);
  },

  "a bundle that the gateway refuses is a failure with its reason": async (harness) => {
    const booted = await bootStateful(harness);
    await claimFresh(booted);
    harness.sink.refuse = { status: 403, code: "AccessDenied" };
    const failure = failureOf(await booted.control.bundle(10_000));
    assert.deepEqual([failure.code, failure.extra], ["save_failed", { problem: "permission_denied" }]);
  },
};
