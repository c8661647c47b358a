import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { elements, textOf } from "../../src/gateway/storage/xml.ts";
import { aContainer, aManifest, Container, errorOf, expectOk, keysOf, md5, random, saving } from "./vault-kit.ts";

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
