import { createHash, randomBytes } from "node:crypto";
import { expect, it } from "vitest";
import { containerOf } from "../support/e2e-docker.ts";
import { onContainers, useSharedStack } from "../support/e2e-stack.ts";

const OCTETS = { "content-type": "application/octet-stream" };
const RAW = { accept: "application/octet-stream" };

onContainers("the file API", () => {
  const shared = useSharedStack();
  const url = (tenant: string, path: string) => `/api/v1/tenants/${tenant}/files/${path}`;
  const read = (tenant: string, path: string, headers: Record<string, string> = {}) =>
    shared.client.send("GET", url(tenant, path), { headers });
  const write = (tenant: string, path: string, body: string | Buffer, headers: Record<string, string> = {}) =>
    shared.client.send("PUT", url(tenant, path), { body, headers: { ...OCTETS, ...headers } });
  const stop = async (tenant: string) => {
    const stopped = await shared.client.api("POST", `/tenants/${tenant}/stop?wait=60s`, {});
    expect(stopped.status, stopped.text).toBe(200);
  };

  it("reads and writes a running tenant in its container, and a stopped one as it was saved, without waking it", async () => {
    const { client } = shared;
    const claimed = await client.claimed("files-life", { poolId: "work" });
    const container = await containerOf(client, claimed.containerId);
    await container.output("workload", "mkdir -p /data/notes && printf inside > /data/notes/a.txt");
    expect((await read("files-life", "notes/a.txt")).body).toMatchObject({
      content: "inside",
      source: "container",
      stale: false,
    });

    const written = await write("files-life", "notes/a.txt", "from outside");
    expect([written.status, written.body.created]).toEqual([200, false]);
    expect(
      await container.output("workload", "cat /data/notes/a.txt; ls -A /data/notes; stat -c %u:%a /data/notes/a.txt"),
    ).toBe("from outsidea.txt\n10001:644\n");
    await client.api("POST", "/tenants/files-life/sync?wait=60s", { direction: "outward" });
    await write("files-life", "notes/a.txt", "newer content");
    expect((await read("files-life", "notes/a.txt?source=vault")).body).toMatchObject({
      content: "from outside",
      stale: true,
    });
    const etag = String((await read("files-life", "notes/a.txt")).headers.etag);
    await stop("files-life");

    const saved = await read("files-life", "notes/a.txt");
    expect(saved.body).toMatchObject({ content: "newer content", source: "vault", generation: 2, stale: false });
    expect(saved.headers.etag, "the same content has the same tag").toBe(etag);
    expect((await read("files-life", "notes/a.txt?generation=1")).body).toMatchObject({
      content: "from outside",
      generation: 1,
    });
    const listed = await client.api("GET", "/tenants/files-life/files?path=notes");
    expect(listed.body).toMatchObject({ source: "vault", items: [{ path: "notes/a.txt", kind: "file", size: 13 }] });
    expect(await write("files-life", "notes/a.txt", "x")).toMatchObject({ status: 409, body: { code: "not_running" } });
    expect(await read("files-life", "nope")).toMatchObject({ status: 404, body: { lookedIn: ["vault"] } });
    expect((await client.status("files-life")).body).toMatchObject({ state: "asleep", epoch: 1 });

    const woken = await write("files-life", "notes/a.txt?wake=true", "awake", { "if-match": etag });
    expect(woken).toMatchObject({ status: 200, body: { woke: true } });
    expect((await read("files-life", "notes/a.txt")).body).toMatchObject({ content: "awake", source: "container" });
    await client.discard("files-life");
  });

  it("refuses what is not as it was, and what leads out of the volumes", async () => {
    const { client } = shared;
    const claimed = await client.claimed("files-guard", { poolId: "work" });
    const container = await containerOf(client, claimed.containerId);
    await container.output("workload", "cd /data; ln -s / out; ln -s /etc/passwd passwd; mkfifo pipe");
    const first = await write("files-guard", "a", "one");
    const etag = String(first.headers.etag);
    expect((await write("files-guard", "a", "two", { "if-match": '"another"' })).status).toBe(412);
    expect((await write("files-guard", "a", "two", { "if-none-match": "*" })).status).toBe(412);
    expect((await write("files-guard", "a", "two", { "if-match": etag })).status).toBe(200);
    expect((await read("files-guard", "a", { "if-none-match": etag })).status).toBe(200);
    for (const path of ["out/etc/passwd", "passwd", "out/tmp/new", "pipe"]) {
      expect((await read("files-guard", path)).body, path).toMatchObject({ code: "not_a_file" });
      expect((await write("files-guard", path, "x")).status, path).toBe(409);
    }
    for (const path of ["/etc/passwd", "%2e%2e%2fetc%2fpasswd", "a%00b", "/run/boilerhouse/gateway-token"]) {
      expect((await read("files-guard", path)).body, path).toMatchObject({ code: "bad_request" });
    }
    await client.discard("files-guard");
  });

  it("streams a large file in both directions, and parts of it, from the container and from what is saved", async () => {
    const { client } = shared;
    await client.claimed("files-large", { poolId: "work" });
    const large = randomBytes(40_000_000);
    const hash = createHash("sha256").update(large).digest("hex");
    const written = await write("files-large", "big.bin", large);
    expect(written, written.text).toMatchObject({ status: 201, body: { size: large.length } });
    expect((await read("files-large", "big.bin")).body).toMatchObject({ code: "file_too_large" });
    for (const source of ["container", "vault"]) {
      const whole = await read("files-large", "big.bin", RAW);
      expect(whole.headers["x-boilerhouse-source"]).toBe(source);
      expect(createHash("sha256").update(whole.bytes).digest("hex")).toBe(hash);
      const part = await read("files-large", "big.bin", { ...RAW, range: "bytes=39999990-" });
      expect([part.status, part.bytes.equals(large.subarray(39_999_990))]).toEqual([206, true]);
      expect(whole.headers.etag).toBe(written.headers.etag);
      if (source === "container") await stop("files-large");
    }
    await client.discard("files-large");
  });

  it("does a batch of fifty, with names of any kind, and says of each what came of it", async () => {
    const { client } = shared;
    const claimed = await client.claimed("files-batch", { poolId: "work" });
    const names = ["two words", "new\nline", "quote\"'$(touch /tmp/pwned)", "ünï", "-rf"];
    const operations = [
      ...names.map((path) => ({ op: "write", path: `n/${path}`, content: path })),
      ...names.map((path) => ({ op: "read", path: `n/${path}` })),
      ...Array.from({ length: 38 }, (_, index) => ({ op: "write", path: `f${index}`, content: String(index) })),
      { op: "list", path: "n" },
      { op: "read", path: "nope" },
    ];
    const answer = await client.api("POST", "/tenants/files-batch/files/batch", { operations });
    expect(answer.status, answer.text).toBe(207);
    expect(answer.body).toMatchObject({ completed: 50, succeeded: 49, failed: 1 });
    expect(answer.body.results.slice(5, 10).map((result: { content: string }) => result.content)).toEqual(names);
    expect(answer.body.results[49]).toMatchObject({ error: { code: "not_found", lookedIn: ["container"] } });
    const container = await containerOf(client, claimed.containerId);
    expect(await container.output("root", "ls /tmp")).not.toContain("pwned");

    const atomic = (more: object[]) => [
      { op: "write", path: "f0", content: "new" },
      { op: "write", path: "g", content: "g" },
      ...more,
    ];
    const spoilt = await client.api("POST", "/tenants/files-batch/files/batch", {
      atomic: true,
      operations: atomic([{ op: "delete", path: "nope" }]),
    });
    expect(spoilt).toMatchObject({ status: 207, body: { succeeded: 0 } });
    expect(await container.output("workload", "cat /data/f0; ls -A /data | grep -c boilerhouse || true")).toBe("00\n");
    const whole = await client.api("POST", "/tenants/files-batch/files/batch", {
      atomic: true,
      operations: atomic([{ op: "delete", path: "f1" }]),
    });
    expect(whole, whole.text).toMatchObject({ status: 200, body: { succeeded: 3 } });
    expect(
      await container.output("workload", "cat /data/f0 /data/g; ls -A /data | grep -cE 'boilerhouse|^f1$' || true"),
    ).toBe("newg0\n");
    await client.discard("files-batch");
  });

  it("reads a small file in a few milliseconds beyond the way to the container", async () => {
    const { client } = shared;
    await client.claimed("files-quick", { poolId: "work" });
    await write("files-quick", "a.json", '{"a":1}');
    const median = async (call: () => Promise<unknown>) => {
      const took: number[] = [];
      for (let n = 0; n < 40; n += 1) {
        const since = performance.now();
        await call();
        took.push(performance.now() - since);
      }
      return took.toSorted((a, b) => a - b)[20] ?? 0;
    };
    const proxied = await median(() => client.at("files-quick", "GET", "/healthz"));
    const file = await median(() => read("files-quick", "a.json"));
    console.log(`through the proxy ${proxied.toFixed(1)} ms, a small file ${file.toFixed(1)} ms`);
    expect(file).toBeLessThan(10 * proxied);
    await client.discard("files-quick");
  });
});
