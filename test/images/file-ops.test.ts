import { type ClientRequest, request } from "node:http";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { UNCONDITIONAL } from "../../src/files/etag.ts";
import type { Located } from "../../src/files/path.ts";
import { FileControl } from "../../src/instance/file-control.ts";
import { CONTROL, TestContainer } from "./support/container.ts";

/** File operations on a real container, against what only a real one has: pipes, devices, races, a full disk, other users' processes. */
const DATA = "/data";
const LIMIT_MS = 20_000;
const at = (path: string, containerPath = DATA): Located => ({ volume: "state", containerPath, path });
const bytes = (content: string): Uint8Array<ArrayBuffer> => Uint8Array.from(Buffer.from(content));

let container: TestContainer;
let control: FileControl;

beforeAll(async () => {
  container = await TestContainer.start({
    env: { BOILERHOUSE_START: "on-claim", BOILERHOUSE_STATE_DIR: DATA, BOILERHOUSE_AGENT: "off" },
  });
  await container.claim(1, { state: "fresh" });
  control = controlOf(container);
});
afterAll(() => container?.[Symbol.asyncDispose]());

function controlOf(of: TestContainer): FileControl {
  const fetchIt = async (_: number, { url, method, headers, body, signal }: Request) => {
    const { pathname, search } = new URL(url);
    const content = body && new Uint8Array(await new Response(body).arrayBuffer()); // sent with its length
    return fetch(of.url(CONTROL, pathname + search), { method, headers, signal, body: content });
  };
  return new FileControl({ fetch: fetchIt }, { bootId: of.bootId, bootKey: of.bootKey, accessKeyId: of.accessKey });
}

/** A write of a thousand bytes of which some never come. */
function unfinished(path: string): ClientRequest {
  const sending = request(
    container.url(CONTROL, `/cgi-bin/control?op=file-write&volume=${DATA}&path=${path}&size=1000`),
    {
      method: "POST",
      headers: { authorization: `Bearer ${container.bootKey}`, "content-length": "1000" },
    },
  );
  sending.on("error", () => {}); // it is ended by us
  sending.write("never ends");
  return sending;
}

const put = (path: string, content: string) =>
  control.write(at(path), { size: bytes(content).length, body: bytes(content) }, UNCONDITIONAL, undefined, LIMIT_MS);
const get = async (path: string, containerPath = DATA) => {
  const found = await control.read(at(path, containerPath), null, LIMIT_MS);
  return found.ok ? await new Response(found.value.body).text() : found.failure;
};
const sh = async (script: string, user = "root") => {
  const { code, stdout, stderr } = await container.exec(script, user);
  expect(code, stderr).toBe(0);
  return stdout;
};

test("pipes, sockets and devices are refused at once", async () => {
  await sh(`cd ${DATA}; mkfifo pipe; mknod null c 1 3; chmod 666 pipe null; chown 10001 pipe null`);
  const since = performance.now();
  for (const name of ["pipe", "null"]) {
    expect(await get(name)).toMatchObject({ code: "not_a_file", extra: { kind: "special" } });
    expect(await put(name, "x")).toMatchObject({ failure: { code: "not_a_file" } });
    expect(await control.remove(at(name), UNCONDITIONAL, LIMIT_MS)).toMatchObject({ failure: { code: "not_a_file" } });
  }
  expect(performance.now() - since).toBeLessThan(5_000);
});

test("what acts is the workload's user, without the platform's keys in its environment", async () => {
  await put("mine", "x");
  expect(await sh(`stat -c '%u:%g %a' ${DATA}/mine`)).toBe("10001:10001 644\n");
  const upload = unfinished("slow");
  let seen = "";
  await container.until(async () => {
    // As the workload, which may look into every process of its user's.
    seen = await sh(
      `for p in /proc/[0-9]*; do tr '\\0' '\\n' < $p/environ; tr '\\0' ' ' < $p/cmdline; done 2> /dev/null; true`,
      "workload",
    );
    return seen.includes("files/write");
  });
  for (const secret of [container.bootKey, container.accessKey, container.bootId]) expect(seen).not.toContain(secret);
  upload.destroy();
  // Its client gone, it ends and leaves nothing behind.
  await container.until(async () => !(await sh(`ls -A ${DATA}`)).includes(".boilerhouse"));
  expect(await get("slow")).toMatchObject({ code: "not_found" });
});

test("the control port answers while an operation hangs", async () => {
  const uploads = Array.from({ length: 8 }, (_, index) => unfinished(`hanging-${index}`));
  await container.until(async () => (await sh(`ls -A ${DATA}`)).split(".boilerhouse").length > 8);
  const answer = await container.control("GET", "status");
  expect(answer.status).toBe(200);
  expect(answer.ms).toBeLessThan(1_000);
  for (const upload of uploads) upload.destroy();
  await container.until(async () => !(await sh(`ls -A ${DATA}`)).includes(".boilerhouse"));
});

test("a workload that keeps swapping directories and symlinks gets nobody out of the volume", async () => {
  await sh("mkdir -p /outside && echo outside > /outside/a && chmod -R a+rwX /outside");
  await sh(`cd ${DATA} && mkdir -p honest && echo inside > honest/a`, "workload");
  const race = container.exec(
    `cd ${DATA}; end=$(($(date +%s) + 6)); while [ $(date +%s) -lt $end ]; do
       mv honest honest.away 2>/dev/null; ln -s /outside honest 2>/dev/null; rm -f honest; mv honest.away honest 2>/dev/null; done`,
    "workload",
  );
  const seen = new Set<string>();
  const until = Date.now() + 5_000;
  for (let n = 0; Date.now() < until; n += 1) {
    const read = await get("honest/a");
    seen.add(typeof read === "string" ? read : read.code);
    const written = await put(`honest/new-${n}`, "x");
    if (!written.ok) seen.add(written.failure.code);
  }
  await race;
  expect([...seen]).not.toContain("outside\n");
  expect(seen).toContain("inside\n");
  expect(await sh("ls /outside")).toBe("a\n");
});

test("a hard link of a foreign file is as readable as that file is to the workload", async () => {
  await sh(`echo secret > /root-only && chmod 600 /root-only && ln /root-only ${DATA}/linked`);
  expect(await get("linked")).toMatchObject({ code: "forbidden" });
});

test("a full disk is said, and the file that was there stays", async () => {
  await using full = await TestContainer.start({
    env: { BOILERHOUSE_START: "on-boot", BOILERHOUSE_AGENT: "off" },
    tmpfs: ["/small:size=1m,mode=1777"],
  });
  const small = controlOf(full);
  const write = (content: Uint8Array<ArrayBuffer>) =>
    small.write(at("a", "/small"), { size: content.length, body: content }, UNCONDITIONAL, undefined, LIMIT_MS);
  expect(await write(bytes("kept"))).toMatchObject({ ok: true });
  expect(await write(new Uint8Array(3_000_000))).toMatchObject({ failure: { code: "storage_full" } });
  expect((await full.exec("cat /small/a; ls -A /small")).stdout).toBe("kepta\n");
});

describe("a volume that lies behind a symlink", () => {
  test("is one where the image made it, and none where the workload did", async () => {
    await sh("mkdir -p /real/deep && echo image > /real/deep/a && chmod -R a+rX /real && ln -s /real /alias");
    expect(await get("a", "/alias/deep")).toBe("image\n");
    await sh(
      `mkdir -p ${DATA}/own/deep && echo own > ${DATA}/own/deep/a && ln -s ${DATA}/own ${DATA}/alias`,
      "workload",
    );
    expect(await get("a", `${DATA}/alias/deep`)).toMatchObject({ code: "not_a_file" });
  });
});

test("queries that no Instance sends are refused", async () => {
  for (const query of [
    "op=file-read&volume=/data&path=../etc/passwd",
    "op=file-read&volume=/data&path=a/../../etc/passwd",
    "op=file-read&volume=/data&path=%2e%2e/etc/passwd",
    "op=file-read&volume=/data&path=a%00b",
    "op=file-read&volume=/data&path=a%zz",
    "op=file-read&volume=/data&path=a%",
    "op=file-read&volume=/data&path=/etc/passwd",
    "op=file-read&volume=data&path=a",
    "op=file-read&path=a",
    "op=file-read&volume=/data&path=mine&offset=-1",
    "op=file-read&volume=/data&path=mine&offset=1;id",
  ]) {
    const { status, body } = await container.control("GET", query.slice(3));
    expect([status, body.error], query).toEqual([400, "bad_request"]);
  }
});

test("a small file is read in a few times the time of the shortest answer, a large one as a stream", async () => {
  await put("small.json", '{"a":1}');
  const timed = async (call: () => Promise<unknown>) => {
    const took: number[] = [];
    for (let n = 0; n < 40; n += 1) {
      const since = performance.now();
      await call();
      took.push(performance.now() - since);
    }
    return took.toSorted((a, b) => a - b)[20] ?? 0;
  };
  const shortest = await timed(() => container.control("GET", "status"));
  const small = await timed(async () => expect(await get("small.json")).toBe('{"a":1}'));
  await sh(`head -c 100000000 /dev/zero > ${DATA}/large`, "workload");
  const since = performance.now();
  const found = await control.read(at("large"), null, LIMIT_MS);
  let length = 0;
  if (found.ok) for await (const chunk of found.value.body ?? []) length += chunk.length;
  const rate = length / 1e3 / (performance.now() - since);
  console.log(
    `status ${shortest.toFixed(1)} ms, a small file ${small.toFixed(1)} ms, 100 MB at ${rate.toFixed(0)} MB/s`,
  );
  expect(length).toBe(100_000_000);
  expect(small).toBeLessThan(8 * shortest); // 12 ms and 3 ms on a machine that does little else
});
