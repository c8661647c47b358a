import { env } from "cloudflare:workers";
import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { elements, textOf } from "../../src/gateway/storage/xml.ts";
import { ACCESS_KEY, aContainer, aManifest, Container, expectOk, MTIME, type Node, random } from "./vault-kit.ts";

const md5 = (bytes: Uint8Array | string, as: "hex" | "base64" = "hex") => createHash("md5").update(bytes).digest(as);
const put = (container: Container, key: string, body: Uint8Array | string, headers: Record<string, string> = {}) =>
  container.fetch(`/state/${key}?x-id=PutObject`, { method: "PUT", body, headers });
const errorOf = async (response: Response) => [response.status, textOf(await response.text(), "Code")];

/** A container with an empty save open, ready for puts. */
async function saving(): Promise<Container> {
  const container = await aContainer();
  await expectOk(container.vault.open(container.save(), aManifest([{ path: "x", content: "x" }])));
  return container;
}

async function keysOf(container: Container, query = ""): Promise<string[]> {
  const response = await container.fetch(`/state?list-type=2&${query}`);
  return [...elements(await response.text(), "Contents")].map((content) => textOf(content, "Key") ?? "");
}

const r2Keys = async (container: Container) =>
  (await env.BUCKET.list({ prefix: `tenants/${container.tenantId}/` })).objects.map((object) => object.key);

describe("access", () => {
  it("needs the access key of this boot", async () => {
    const container = await aContainer();
    for (const key of [null, "AKOTHER", ""]) {
      const response = await container.fetch("/state?list-type=2", {}, key);
      expect(await errorOf(response)).toEqual([403, "AccessDenied"]);
    }
    const authorization = `AWS4-HMAC-SHA256 Credential=${ACCESS_KEY}/20260101/auto/s3/aws4_request, SignedHeaders=host, Signature=0`;
    expect((await container.fetch("/state?list-type=2", { headers: { authorization } }, null)).status).toBe(200);
    expect((await container.fetch("/.bundle/staging.tar", { method: "PUT", body: "x" }, null)).status).toBe(403);
    expect((await container.fetch("/.bundle/1.tar", {}, null)).status).toBe(403);
  });

  it("never reaches another tenant, by bucket, key or upload", async () => {
    const [mine, theirs] = [await saving(), await saving()];
    await put(theirs, "secret", "theirs");
    const created = await theirs.fetch("/state/big?uploads=", { method: "POST" });
    const uploadId = textOf(await created.text(), "UploadId");
    expect(await errorOf(await mine.fetch("/state/secret"))).toEqual([404, "NoSuchKey"]);
    expect(await errorOf(await mine.fetch(`/state/tenants/${theirs.tenantId}/objects/${uploadId}`))).toEqual([
      404,
      "NoSuchKey",
    ]);
    expect(await errorOf(await mine.fetch(`/${theirs.tenantId}/secret`))).toEqual([404, "NoSuchBucket"]);
    expect(await errorOf(await mine.fetch(`/state/big?uploadId=${uploadId}`))).toEqual([404, "NoSuchUpload"]);
    const copy = await mine.fetch("/state/copy", {
      method: "PUT",
      headers: { "x-amz-copy-source": `/${theirs.tenantId}/secret` },
    });
    expect(await errorOf(copy)).toEqual([404, "NoSuchBucket"]);
  });

  it("is refused to a superseded container, for reads and for writes", async () => {
    const old = await saving();
    await put(old, "x", "x");
    await expectOk(new Container(old.tenantId, 2).fence());
    expect(await errorOf(await old.fetch("/state/x"))).toEqual([403, "AccessDenied"]);
    expect(await errorOf(await put(old, "x", "y"))).toEqual([403, "AccessDenied"]);
    expect(await errorOf(await put(old, "x", random(100_000)))).toEqual([403, "AccessDenied"]);
    expect((await old.putBundle(new Uint8Array(1024))).status).toBe(403);
  });

  it("writes nothing while no save is open", async () => {
    const container = await aContainer();
    expect(await errorOf(await put(container, "x", "y"))).toEqual([409, "OperationAborted"]);
    expect(await errorOf(await put(container, "x", random(100_000)))).toEqual([409, "OperationAborted"]);
    expect(await r2Keys(container)).toEqual([]);
  });
});

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

  it("are decoded where a client frames them in chunks", async () => {
    const container = await saving();
    const framed = "5;chunk-signature=abc\r\nhello\r\n6\r\n world\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n";
    const headers = {
      "x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
      "content-encoding": "aws-chunked",
      "x-amz-decoded-content-length": "11",
    };
    const response = await put(container, "x", framed, headers);
    expect([response.status, response.headers.get("etag")]).toEqual([200, `"${md5("hello world")}"`]);
    const got = await container.fetch("/state/x");
    expect([await got.text(), got.headers.get("content-encoding")]).toEqual(["hello world", null]);
    const cut = await put(container, "y", framed.slice(0, 30), headers);
    expect(await errorOf(cut)).toEqual([400, "IncompleteBody"]);
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
    expect(await errorOf(await container.fetch("/state?delete", { method: "POST", body: "<nonsense" }))).toEqual([
      400,
      "MalformedXML",
    ]);
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

describe("multipart uploads", () => {
  const part = 5 * 1024 * 1024;
  const begin = async (container: Container, key: string, headers: Record<string, string> = {}) => {
    const response = await container.fetch(`/state/${key}?uploads=`, { method: "POST", headers });
    return textOf(await response.text(), "UploadId") ?? "";
  };
  const send = (container: Container, key: string, uploadId: string, number: number, body: Uint8Array) =>
    container.fetch(`/state/${key}?partNumber=${number}&uploadId=${uploadId}`, { method: "PUT", body });
  const complete = (container: Container, key: string, uploadId: string, parts: [number, string][]) => {
    const listed = parts
      .map(([number, etag]) => `<Part><PartNumber>${number}</PartNumber><ETag>"${etag}"</ETag></Part>`)
      .join("");
    return container.fetch(`/state/${key}?uploadId=${uploadId}`, {
      method: "POST",
      body: `<CompleteMultipartUpload>${listed}</CompleteMultipartUpload>`,
    });
  };

  it("become one object, with parts sent in any order and repeated", async () => {
    const container = await saving();
    const parts = [random(part), random(part), random(1000)];
    const [one, two, three] = parts as [Uint8Array, Uint8Array, Uint8Array];
    const uploadId = await begin(container, "big", { "x-amz-meta-mtime": "5.25" });
    await send(container, "big", uploadId, 3, three);
    await send(container, "big", uploadId, 1, random(part));
    const sent = await send(container, "big", uploadId, 1, one);
    expect(sent.headers.get("etag")).toBe(`"${md5(one)}"`);
    await send(container, "big", uploadId, 2, two);
    const listed = await (await container.fetch(`/state/big?uploadId=${uploadId}&max-parts=2`)).text();
    expect([textOf(listed, "IsTruncated"), [...elements(listed, "Size")]]).toEqual([
      "true",
      [String(part), String(part)],
    ]);
    expect(await keysOf(container)).toEqual([]);
    const done = await complete(container, "big", uploadId, [
      [1, md5(one)],
      [2, md5(two)],
      [3, md5(three)],
    ]);
    expect(textOf(await done.text(), "ETag")).toMatch(/^"[0-9a-f]{32}-3"$/);
    const got = await container.fetch("/state/big");
    expect(Buffer.from(await got.bytes()).equals(Buffer.concat(parts))).toBe(true);
    expect(got.headers.get("x-amz-meta-mtime")).toBe("5.25");
    expect(await errorOf(await complete(container, "big", uploadId, [[1, md5(one)]]))).toEqual([404, "NoSuchUpload"]);
  });

  it("are refused with missing, unsorted or too small parts, and end by abort", async () => {
    const container = await saving();
    const uploadId = await begin(container, "big");
    const body = random(1000);
    await send(container, "big", uploadId, 1, body);
    await send(container, "big", uploadId, 2, body);
    expect(await errorOf(await complete(container, "big", uploadId, [[7, md5(body)]]))).toEqual([400, "InvalidPart"]);
    expect(await errorOf(await complete(container, "big", uploadId, [[1, "0".repeat(32)]]))).toEqual([
      400,
      "InvalidPart",
    ]);
    expect(
      await errorOf(
        await complete(container, "big", uploadId, [
          [2, md5(body)],
          [1, md5(body)],
        ]),
      ),
    ).toEqual([400, "InvalidPartOrder"]);
    expect(
      await errorOf(
        await complete(container, "big", uploadId, [
          [1, md5(body)],
          [2, md5(body)],
        ]),
      ),
    ).toEqual([400, "EntityTooSmall"]);
    expect(await errorOf(await complete(container, "big", uploadId, []))).toEqual([400, "MalformedXML"]);
    expect(await errorOf(await send(container, "other", uploadId, 1, body))).toEqual([404, "NoSuchUpload"]);
    expect((await container.fetch(`/state/big?uploadId=${uploadId}`, { method: "DELETE" })).status).toBe(204);
    expect(await errorOf(await send(container, "big", uploadId, 1, body))).toEqual([404, "NoSuchUpload"]);
    expect(await keysOf(container)).toEqual([]);
  });

  it("that are open across a fence cannot be completed", async () => {
    const old = await saving();
    const uploadId = await begin(old, "big");
    const body = random(1000);
    await send(old, "big", uploadId, 1, body);
    const next = new Container(old.tenantId, 2);
    await expectOk(next.fence());
    expect(await errorOf(await complete(old, "big", uploadId, [[1, md5(body)]]))).toEqual([403, "AccessDenied"]);
    await expectOk(next.vault.open(next.save(), aManifest([])));
    expect(await errorOf(await complete(next, "big", uploadId, [[1, md5(body)]]))).toEqual([404, "NoSuchUpload"]);
    expect(await keysOf(next)).toEqual([]);
  });

  it("that are verified by parts are restored with the hash of their hashes", async () => {
    const container = await aContainer();
    const parts = [random(part), random(10)] as const;
    const save = container.save();
    await expectOk(container.vault.open(save, aManifest([{ path: "big", content: Buffer.concat(parts) }])));
    const uploadId = await begin(container, "big", { "x-amz-meta-mtime": "1767225600.123456789" });
    for (const [i, body] of parts.entries()) await send(container, "big", uploadId, i + 1, body);
    await complete(container, "big", uploadId, [
      [1, md5(parts[0])],
      [2, md5(parts[1])],
    ]);
    await expectOk(container.vault.commit(save, { force: false }));
    const tar = Buffer.from(await (await container.fetch("/.bundle/1.tar")).bytes());
    const sha = (bytes: Uint8Array | string) => createHash("sha256").update(bytes).digest("hex");
    const composite = sha(parts.map((body) => `${sha(body)}\n`).join(""));
    expect(tar.includes(`${part} ${composite} big\n`)).toBe(true);
    expect(tar.includes(Buffer.concat(parts))).toBe(true);
  });
});

it("an incremental save commits what rclone would have sent: puts, deletes, symlinks and touched files", async () => {
  const container = await aContainer();
  const nodes: Node[] = Array.from({ length: 6 }, (_, i) => ({ path: `f${i}`, content: `content ${i}` }));
  await expectOk(container.saveAll(nodes));
  const later = "1767229200000000001";
  const mtime = { "x-amz-meta-mtime": "1767229200.000000001" };
  const next: Node[] = [
    ...nodes.slice(2),
    { path: "f1", content: "content 1", mtimeNs: later },
    { path: "new/big", content: random(100), mtimeNs: later },
    { path: "link", kind: "symlink", target: "f1", mtimeNs: later },
  ];
  const save = container.save();
  const all = [...next, { path: "pad", content: "z".repeat(500), mtimeNs: MTIME }];
  expect(await expectOk(container.vault.open(save, aManifest(all)))).toMatchObject({ how: "bundle" });
  expect(await expectOk(container.vault.open(save, aManifest(next)))).toMatchObject({ how: "bundle" });
  const small = next.map((node) => (node.path === "new/big" ? { ...node, content: "12" } : node));
  expect(await expectOk(container.vault.open(save, aManifest(small)))).toEqual({
    how: "incremental",
    send: { files: 3, bytes: 11 },
  });
  await put(container, "new/big", "12", mtime);
  await put(container, "link.rclonelink", "f1", { ...mtime, "x-amz-meta-mode": "120777" });
  const touch = { ...mtime, "x-amz-copy-source": "state/f1", "x-amz-metadata-directive": "REPLACE" };
  await container.fetch("/state/f1", { method: "PUT", headers: touch });
  await container.fetch("/state?delete", { method: "POST", body: "<Delete><Object><Key>f0</Key></Object></Delete>" });
  expect(await container.vault.commit(save, { force: false })).toMatchObject({
    ok: true,
    value: { generation: 2, files: 7, changed: 3 },
  });
  expect(await keysOf(container)).toEqual(["f1", "f2", "f3", "f4", "f5", "link.rclonelink", "new/big"]);
});

it("a put that belongs to an earlier moment of a file cannot be committed in its place", async () => {
  const container = await aContainer();
  const save = container.save();
  const many: Node[] = Array.from({ length: 4 }, (_, i) => ({ path: `f${i}`, content: "same size" }));
  await expectOk(container.vault.open(save, aManifest(many)));
  for (const node of many)
    await put(container, node.path, "same size", {
      "x-amz-meta-mtime": node.path === "f2" ? "1767225599" : "1767225600.123456789",
    });
  expect(await container.vault.commit(save, { force: false })).toMatchObject({
    ok: false,
    failure: { code: "save_failed", detail: expect.stringContaining("f2 was modified") },
  });
});
