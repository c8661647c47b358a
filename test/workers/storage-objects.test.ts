import { describe, expect, it } from "vitest";
import { elements, textOf } from "../../src/gateway/storage/xml.ts";
import {
  aContainer,
  aManifest,
  errorOf,
  expectOk,
  keysOf,
  md5,
  type Node,
  put,
  r2Keys,
  random,
  saving,
} from "./vault-kit.ts";

describe("objects", () => {
  it("come back as they were put, small and large, with their metadata", async () => {
    const container = await saving();
    for (const body of [new Uint8Array(0), random(10), random(64 * 1024), random(64 * 1024 + 1), random(700_000)]) {
      const response = await put(container, "a b+c%25ü", body, {
        "x-amz-meta-mtime": "1700000000.5",
        "x-amz-meta-note": "hi",
        "content-type": "text/plain",
      });
      expect([response.status, response.headers.get("etag")]).toEqual([200, `"${md5(body)}"`]);
      const got = await container.fetch("/state/a%20b%2Bc%25%C3%BC".replace("%2B", "+"));
      expect(Buffer.from(await got.bytes()).equals(body)).toBe(true);
      expect(Object.fromEntries(got.headers)).toMatchObject({
        etag: `"${md5(body)}"`,
        "content-type": "text/plain",
        "content-length": String(body.length),
        "last-modified": "Tue, 14 Nov 2023 22:13:20 GMT",
        "x-amz-meta-mtime": "1700000000.5",
        "x-amz-meta-note": "hi",
      });
      const head = await container.fetch("/state/a%20b+c%25%C3%BC", { method: "HEAD" });
      expect([head.status, head.headers.get("content-length"), await head.text()]).toEqual([
        200,
        String(body.length),
        "",
      ]);
    }
    expect(await keysOf(container)).toEqual(["a b+c%ü"]);
  });

  it("answer ranges and conditions, from the Vault and from R2", async () => {
    const container = await saving();
    for (const size of [1000, 200_000]) {
      const body = random(size);
      await put(container, "x", body);
      const part = await container.fetch("/state/x", { headers: { range: "bytes=10-19" } });
      expect([part.status, part.headers.get("content-range")]).toEqual([206, `bytes 10-19/${size}`]);
      expect(Buffer.from(await part.bytes()).equals(body.subarray(10, 20))).toBe(true);
      const tail = await container.fetch("/state/x", { headers: { range: "bytes=-5" } });
      expect(Buffer.from(await tail.bytes()).equals(body.subarray(-5))).toBe(true);
      expect(await errorOf(await container.fetch("/state/x", { headers: { range: `bytes=${size}-` } }))).toEqual([
        416,
        "InvalidRange",
      ]);
      const same = await container.fetch("/state/x", { headers: { "if-none-match": `"${md5(body)}"` } });
      expect([same.status, await same.text()]).toEqual([304, ""]);
      expect(await errorOf(await container.fetch("/state/x", { headers: { "if-match": '"nope"' } }))).toEqual([
        412,
        "PreconditionFailed",
      ]);
    }
  });

  it("are not stored when their MD5, their SHA-256 or their length is wrong", async () => {
    const container = await saving();
    for (const body of [random(100), random(200_000)]) {
      const wrong = md5("other", "base64");
      expect(await errorOf(await put(container, "x", body, { "content-md5": wrong }))).toEqual([400, "BadDigest"]);
      expect(await errorOf(await put(container, "x", body, { "content-md5": "nonsense" }))).toEqual([
        400,
        "InvalidDigest",
      ]);
      const signed = { "x-amz-content-sha256": "0".repeat(64) };
      expect(await errorOf(await put(container, "x", body, signed))).toEqual([400, "XAmzContentSHA256Mismatch"]);
      expect((await put(container, "y", body, { "content-md5": md5(body, "base64") })).status).toBe(200);
    }
    expect(await keysOf(container)).toEqual(["y"]);
    expect(await r2Keys(container)).toHaveLength(1);
  });

  it("that are empty are answered only after a client has given up waiting for 100 Continue, which the platform never sends", async () => {
    const container = await saving();
    const sent = async (body: string) => {
      const before = Date.now();
      await put(container, "x", body, { expect: "100-continue" });
      return Date.now() - before;
    };
    expect(await sent("")).toBeGreaterThanOrEqual(1_200);
    expect(await sent("x")).toBeLessThan(1_200);
  });

  it("can be copied and touched without their bytes moving, and removed one by one or together", async () => {
    const container = await saving();
    const body = random(200_000);
    await put(container, "a/x", body, { "x-amz-meta-mtime": "1.5" });
    const source = { "x-amz-copy-source": "/state/a%2Fx" };
    expect((await container.fetch("/state/b", { method: "PUT", headers: source })).status).toBe(200);
    const copied = await container.fetch("/state/b");
    expect([copied.headers.get("x-amz-meta-mtime"), Buffer.from(await copied.bytes()).equals(body)]).toEqual([
      "1.5",
      true,
    ]);
    const touch = { ...source, "x-amz-metadata-directive": "REPLACE", "x-amz-meta-mtime": "2.5" };
    expect((await container.fetch("/state/a/x", { method: "PUT", headers: touch })).status).toBe(200);
    expect((await container.fetch("/state/a/x", { method: "HEAD" })).headers.get("x-amz-meta-mtime")).toBe("2.5");
    expect(await errorOf(await container.fetch("/state/a/x", { method: "PUT", headers: source }))).toEqual([
      400,
      "InvalidRequest",
    ]);
    const missing = { "x-amz-copy-source": "/state/none" };
    expect(await errorOf(await container.fetch("/state/c", { method: "PUT", headers: missing }))).toEqual([
      404,
      "NoSuchKey",
    ]);
    expect(await r2Keys(container)).toHaveLength(1);

    expect((await container.fetch("/state/b", { method: "DELETE" })).status).toBe(204);
    expect((await container.fetch("/state/b", { method: "DELETE" })).status).toBe(204);
    await put(container, "c&d", "x");
    const request =
      "<Delete><Object><Key>a/x</Key></Object><Object><Key>c&amp;d</Key></Object><Object><Key>never</Key></Object></Delete>";
    const deleted = await container.fetch("/state?delete", {
      method: "POST",
      body: request,
      headers: { "content-md5": md5(request, "base64") },
    });
    expect([...elements(await deleted.text(), "Deleted")].map((one) => textOf(one, "Key"))).toEqual([
      "a/x",
      "c&d",
      "never",
    ]);
    expect(await keysOf(container)).toEqual([]);
  });
});

describe("listing", () => {
  it("shows the open save over what it began from, with each file's own nanoseconds", async () => {
    const container = await aContainer();
    const nodes: Node[] = [
      { path: "a", content: "a" },
      { path: "d", kind: "directory" },
      { path: "d/b", content: "b" },
      { path: "l", kind: "symlink", target: "a" },
    ];
    await expectOk(container.saveAll(nodes));
    expect(await keysOf(container)).toEqual(["a", "d/b", "l.rclonelink"]);
    const listed = await (await container.fetch("/state?list-type=2")).text();
    expect([...elements(listed, "LastModified")]).toEqual(Array(3).fill("2026-01-01T00:00:00.123456789Z"));
    const head = await container.fetch("/state/d/b", { method: "HEAD" });
    expect(head.headers.get("x-amz-meta-mtime")).toBe("1767225600.123456789");
    expect(head.headers.get("x-amz-meta-mode")).toBe("100644");
    expect(await (await container.fetch("/state/l.rclonelink")).text()).toBe("a");

    await expectOk(container.vault.open(container.save(), aManifest([...nodes, { path: "new", content: "n" }])));
    await put(container, "new", "n");
    await container.fetch("/state/a", { method: "DELETE" });
    expect(await keysOf(container)).toEqual(["d/b", "l.rclonelink", "new"]);
    expect(await errorOf(await container.fetch("/state/a"))).toEqual([404, "NoSuchKey"]);
  });

  it("goes in pages, with delimiter, prefix, start-after and both versions", async () => {
    const container = await saving();
    for (const key of ["a", "b/1", "b/2", "b/3", "c", "d/1", "é"]) await put(container, encodeURIComponent(key), "x");
    const seen: string[] = [];
    let token: string | null = "";
    let pages = 0;
    while (token !== null) {
      const query = `list-type=2&max-keys=2&delimiter=%2F${token === "" ? "" : `&continuation-token=${encodeURIComponent(token)}`}`;
      const text: string = await (await container.fetch(`/state?${query}`)).text();
      seen.push(...[...elements(text, "Contents")].map((one) => textOf(one, "Key") ?? ""));
      seen.push(...[...elements(text, "CommonPrefixes")].map((one) => textOf(one, "Prefix") ?? ""));
      token = textOf(text, "NextContinuationToken");
      pages += 1;
    }
    expect([seen.sort(), pages]).toEqual([["a", "b/", "c", "d/", "é"].sort(), 3]);
    expect(await keysOf(container, "prefix=b%2F&start-after=b%2F1")).toEqual(["b/2", "b/3"]);
    expect(await keysOf(container, "prefix=%C3%A9&encoding-type=url")).toEqual(["%C3%A9"]);
    const first = await (await container.fetch("/state?delimiter=%2F&max-keys=2")).text();
    expect([textOf(first, "IsTruncated"), textOf(first, "NextMarker")]).toEqual(["true", "b/"]);
    const second = await (await container.fetch("/state?delimiter=%2F&marker=b%2F")).text();
    expect([...elements(second, "Contents")].map((one) => textOf(one, "Key"))).toEqual(["c", "é"]);
    for (const query of ["max-keys=x", "max-keys=-1", "encoding-type=xml", "continuation-token=!"]) {
      expect(await errorOf(await container.fetch(`/state?list-type=2&${query}`)), query).toEqual([
        400,
        "InvalidArgument",
      ]);
    }
  });
});
