import { afterAll, beforeAll, expect, test } from "vitest";
import { bundleOf } from "./support/bundle.ts";
import { TestContainer } from "./support/container.ts";
import { Sink } from "./support/sink.ts";

/** State and what is ours in the container share one small disk, as they do on the platform. */
const ENV = { BOILERHOUSE_STATE_DIR: "/run/state", BOILERHOUSE_START: "on-claim", DATA_DIR: "/run/state" };
const DISK = ["/run:size=4m,exec"];
let sink: Sink;

beforeAll(async () => {
  sink = await Sink.start();
});
afterAll(() => sink?.[Symbol.asyncDispose]());

test("what is on a full disk can be listed, sent and stopped", async () => {
  await using container = await TestContainer.start({ env: ENV, tmpfs: DISK, sink: sink.address });
  expect((await container.claim(1, { state: "fresh" })).status).toBe(200);
  await container.ready();
  expect((await container.workload("/files/precious", { method: "PUT", body: "precious" })).status).toBe(201);
  const full = await container.workload("/files/filler", { method: "PUT", body: new Uint8Array(5_000_000) });
  expect(full.status).toBe(507);
  await container.exec(
    "dd if=/dev/zero of=/run/state/rest bs=1 count=5000 2> /dev/null; df /run | tail -n 1 >&2",
    "root",
  );
  expect((await container.exec("echo x > /run/boilerhouse/private/x")).code).not.toBe(0);

  expect((await container.control("POST", "stop&graceMs=1000")).status).toBe(200);
  expect((await container.control("GET", "status")).body).toMatchObject({
    workload: "stopped",
    restarts: 0,
    lastExitCode: 0,
  });
  const { entries } = await container.manifest();
  expect(entries.map(({ path }) => path).sort()).toEqual(["", "filler", "precious", "rest"]);
  const names = Buffer.from(entries.map(({ path }) => `./${path}\0`).join(""));
  const sent = await container.control("POST", "bundle", Uint8Array.from(names));
  expect(sent).toMatchObject({ status: 200, body: { status: 200 } });
  const tar = await sink.get("/.bundle/staging.tar");
  expect(Buffer.from(tar).includes("precious")).toBe(true);
  expect(tar.length).toBeGreaterThan(3_000_000);
});

test("a restore for which there is no room says so, and starts nothing", async () => {
  const bundle = bundleOf([
    { path: "", kind: "directory", mode: 0o755 },
    { path: "large", kind: "file", content: Buffer.alloc(6_000_000, "x") },
  ]);
  await sink.put("/.bundle/9.tar", bundle.tar);
  await using container = await TestContainer.start({ env: ENV, tmpfs: DISK, sink: sink.address });
  const { files, bytes } = bundle;
  const claimed = await container.claim(1, { state: { restore: { path: ".bundle/9.tar", files, bytes } } });
  expect(claimed).toMatchObject({ status: 502, body: { error: "restore_failed" } });
  expect(claimed.body.detail).toContain("No space left on device");
  expect((await container.control("GET", "status")).body).toMatchObject({ workload: "waiting" });
  expect((await container.exec("ls -A /run/state; ls -A /run | grep restoring")).stdout).toBe("");
});
