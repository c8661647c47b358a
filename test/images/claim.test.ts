import { afterAll, beforeAll, expect, test } from "vitest";
import { bundleOf, MTIME_NS } from "./support/bundle.ts";
import { TestContainer } from "./support/container.ts";
import { Sink } from "./support/sink.ts";

const ON_CLAIM = { BOILERHOUSE_STATE_DIR: "/data", BOILERHOUSE_START: "on-claim" };
let sink: Sink;

beforeAll(async () => {
  sink = await Sink.start();
});
afterAll(() => sink?.[Symbol.asyncDispose]());

test("a claim delivers config, environment and secrets, and starts the workload on an empty state directory", async () => {
  await using container = await TestContainer.start({ env: { ...ON_CLAIM, KEPT: "yes" } });
  const value = 'it\'s "quoted" $HOME `x` \\ and\nmore lines = fine';
  const claimed = await container.claim(7, {
    config: { a: [1, "ü"] },
    environment: { MULTI: value, EMPTY: "", HOME: "/tmp" },
    secrets: { API_KEY: "s3cret", "other.pem": "line\n" },
    gatewayToken: "g4teway",
    state: "fresh",
  });
  expect(claimed).toMatchObject({ status: 200, body: { bootId: container.bootId, epoch: 7, restored: null } });
  console.log(
    `claim with config, environment and secrets: ${JSON.stringify(claimed.body.timings)}, ${claimed.ms.toFixed(1)} ms outside`,
  );
  await container.ready();
  expect(await (await container.workload("/config")).json()).toEqual({
    config: { a: [1, "ü"] },
    secrets: ["API_KEY", "other.pem"],
  });

  const environ = await container.exec("tr '\\0' '~' < /proc/$(pidof node)/environ", "workload");
  for (const expected of [`MULTI=${value}~`, "EMPTY=~", "HOME=/tmp~", "KEPT=yes~"])
    expect(environ.stdout).toContain(expected);
  const paths =
    "/run/boilerhouse /run/boilerhouse/private /run/boilerhouse/config.json /run/boilerhouse/gateway-token /run/secrets /run/secrets/API_KEY /data";
  expect((await container.exec(`stat -c '%a %u %n' ${paths}`)).stdout).toBe(
    [
      "711 0 /run/boilerhouse",
      "700 0 /run/boilerhouse/private",
      "400 10001 /run/boilerhouse/config.json",
      "400 10001 /run/boilerhouse/gateway-token",
      "500 10001 /run/secrets",
      "400 10001 /run/secrets/API_KEY",
      "755 10001 /data\n",
    ].join("\n"),
  );
  expect((await container.exec("cat /run/boilerhouse/gateway-token", "workload")).stdout).toBe("g4teway");
  expect((await container.exec("cat /run/boilerhouse/gateway-token", "nobody")).code).not.toBe(0);
  expect((await container.exec("ls /run/boilerhouse/private/claim")).stdout).not.toContain("gateway-token");
  const written = await container.workload("/files/deep/er.txt", { method: "PUT", body: "hello" });
  expect(written.status).toBe(201);
});

test("the same epoch again gets the recorded answer, another one is refused", async () => {
  await using container = await TestContainer.start({ env: ON_CLAIM });
  const [first, second] = await Promise.all([
    container.claim(3, { state: "fresh" }),
    container.claim(3, { state: "fresh" }),
  ]);
  expect(second.body).toEqual(first.body);
  expect((await container.claim(3, {})).body).toEqual(first.body);
  expect(await container.claim(4, {})).toMatchObject({
    status: 409,
    body: { bootId: container.bootId, error: "already_claimed" },
  });
});

test("a baseline holds only as long as the clock was not set", async () => {
  await using container = await TestContainer.start({ env: ON_CLAIM });
  await container.claim(1, { state: "fresh" });
  const { listedAtNs, baselineNs } = await container.manifest();
  expect(baselineNs).toBeNull();
  expect((await container.control("POST", "baseline&at=soon")).status).toBe(400);
  expect((await container.control("POST", `baseline&at=${listedAtNs}`)).status).toBe(200);
  expect((await container.manifest()).baselineNs).toBe(listedAtNs);
  // As if it had been ten seconds ahead then.
  await container.exec(
    "cd /run/boilerhouse/private; read -r at ahead < baseline; echo $at $((ahead + 1000)) > baseline",
  );
  expect((await container.manifest()).baselineNs).toBeNull();
});

test("a claim that does not arrive whole changes nothing and can be sent again", async () => {
  await using container = await TestContainer.start({ env: ON_CLAIM });
  expect(await container.control("POST", "claim&epoch=1", new Uint8Array(700).fill(65))).toMatchObject({
    status: 400,
    body: { error: "bad_claim" },
  });
  expect((await container.control("POST", "claim&epoch=x")).status).toBe(400);
  expect((await container.control("POST", "claim&epoch=1&timeoutMs=soon")).status).toBe(400);
  expect((await container.claim(1, { state: "fresh" })).status).toBe(200);
});

test("an on-boot workload is restarted for a claim's environment and left alone without one", async () => {
  const pid = async (container: TestContainer) =>
    ((await (await container.workload("/whoami")).json()) as { pid: number }).pid;
  await using quiet = await TestContainer.start();
  await quiet.ready();
  const before = await pid(quiet);
  await quiet.claim(1, { config: { x: 1 } });
  expect(await pid(quiet)).toBe(before);

  await using restarted = await TestContainer.start();
  await restarted.ready();
  await restarted.claim(1, { environment: { NEW: "1" } });
  await restarted.until(async () => {
    const seen = (await (await restarted.workload("/whoami")).json()) as { env: string[] };
    return seen.env.includes("NEW");
  });
  expect((await restarted.control("GET", "status")).body).toMatchObject({ workload: "running", restarts: 0 });
});

const TREE = [
  { path: "", kind: "directory", mode: 0o2750 },
  { path: "empty", kind: "directory", mode: 0o700 },
  { path: "a.txt", kind: "file", content: "hello", mode: 0o640 },
  { path: "by root", kind: "file", content: "r", uid: 0 },
  { path: " odd\\name\nof two lines ", kind: "file", content: "odd" },
  { path: `${"long/".repeat(30)}file`, kind: "file", content: "x".repeat(70_000) },
  { path: "in parts", kind: "file", content: Buffer.alloc(2_500_000, "parts"), partSize: 1_000_000 },
  { path: "part\\s ", kind: "file", content: Buffer.alloc(1_000, "p"), partSize: 300 },
  { path: "link", kind: "symlink", target: "../etc/passwd", mode: 0o777 },
] as const;

test("a restore brings every file back as it was, and is whole before the workload starts", async () => {
  const bundle = bundleOf(TREE);
  await sink.put("/.bundle/1.tar", bundle.tar);
  await using container = await TestContainer.start({ env: ON_CLAIM, sink: sink.address });
  const claimed = await container.claim(2, {
    state: { restore: { path: ".bundle/1.tar", files: bundle.files, bytes: bundle.bytes } },
  });
  expect(claimed).toMatchObject({ status: 200, body: { restored: { files: bundle.files, bytes: bundle.bytes } } });
  const request = (await sink.requests()).find(
    ({ headers }) => headers["x-boilerhouse-access-key"] === container.accessKey,
  );
  expect(request).toMatchObject({ method: "GET", url: "/.bundle/1.tar" });

  const entries = (await container.manifest()).entries;
  expect(entries[0]).toMatchObject({ path: "", mode: 0o2750, uid: 10001 });
  for (const { path, kind, ...rest } of TREE) {
    const entry = entries.find((one) => one.path === path);
    expect(entry).toMatchObject({
      kind,
      mtimeNs: MTIME_NS,
      ...("mode" in rest ? { mode: rest.mode } : {}),
      ...("uid" in rest ? { uid: rest.uid } : {}),
    });
  }
  expect(entries.find(({ path }) => path === "link")?.target).toBe("../etc/passwd");
  await container.ready();
  expect(await (await container.workload("/files/a.txt")).text()).toBe("hello");
});

test.each([
  ["a truncated stream", { cut: true }],
  ["a stream that stalls until its caller is about to give up", { stall: true }],
  ["a bundle that is not there", { absent: true }],
  ["another number of files", { files: 1 }],
  ["another number of bytes", { bytes: 1 }],
  ["a file that does not match its sum", { spoil: "hello" }],
  ["a file that does not match its parts", { spoil: "partsparts" }],
])(
  "%s is a failed restore: nothing is kept, nothing starts, and it stays failed",
  async (_name, fault: Record<string, unknown>) => {
    const bundle = bundleOf(TREE);
    const tar = Buffer.from(bundle.tar);
    if (typeof fault.spoil === "string") tar.write("X", tar.indexOf(fault.spoil));
    const path = `.bundle/${crypto.randomUUID()}${fault.cut ? ".cut" : fault.stall ? ".stall" : ".tar"}`;
    if (!fault.absent) await sink.put(`/${path}`, new Uint8Array(tar));
    await using container = await TestContainer.start({ env: ON_CLAIM, sink: sink.address });
    const files = bundle.files + Number(fault.files ?? 0);
    const bytes = bundle.bytes + Number(fault.bytes ?? 0);
    const timeoutMs = fault.stall ? 4_000 : 30_000;
    const claimed = await container.claim(2, { state: { restore: { path, files, bytes } } }, timeoutMs);
    expect(claimed).toMatchObject({ status: 502, body: { bootId: container.bootId, error: "restore_failed" } });
    expect(claimed.ms).toBeLessThan(timeoutMs);
    expect((await container.exec("stat -c '%a %u' /data; ls -A /data; ls -d /data.*")).stdout).toBe("700 0\n");
    expect((await container.control("GET", "status")).body.workload).toBe("waiting");
    expect((await container.claim(2, {})).status).toBe(502);
  },
);

test("a bundle sends the state directory, and a restore of it is the same again", async () => {
  await using container = await TestContainer.start({ env: ON_CLAIM, sink: sink.address });
  await container.claim(1, { state: "fresh" });
  await container.ready();
  await container.exec(
    "cd /data && mkdir -p sub/empty && echo one > sub/one && ln sub/one sub/two && ln -s one sub/link && mkfifo sub/pipe",
    "workload",
  );
  const sent = await container.control("POST", "bundle");
  expect(sent).toMatchObject({ status: 200, body: { bootId: container.bootId, status: 200 } });
  expect(sent.body.body).toMatch(/^stored "\d+"\n$/);
  const request = (await sink.requests()).findLast(({ method }) => method === "PUT");
  expect(request).toMatchObject({
    url: "/.bundle/staging.tar",
    headers: { "x-boilerhouse-access-key": container.accessKey },
  });
  expect(request?.headers.expect).toBeUndefined();

  const tar = Buffer.from(await sink.get("/.bundle/staging.tar"));
  const names = Array.from({ length: tar.length / 512 }, (_, index) => tar.subarray(index * 512, index * 512 + 512))
    .filter((block) => block.subarray(257, 262).toString() === "ustar")
    .map((block) => `${block.subarray(0, block.indexOf(0)).toString()}:${String.fromCharCode(block[156] ?? 0)}`);
  expect(names.sort()).toEqual([
    "./:5",
    "./sub/:5",
    "./sub/empty/:5",
    "./sub/link:2",
    "./sub/one:0",
    "./sub/pipe:6",
    "./sub/two:0",
  ]);
});

test("a bundle that cannot be sent is an error, not an empty save", async () => {
  await using container = await TestContainer.start({ env: ON_CLAIM, sink: "127.0.0.1" });
  await container.claim(1, { state: "fresh" });
  expect(await container.control("POST", "bundle")).toMatchObject({ status: 502, body: { error: "bundle_failed" } });
});
