import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { newChecksum } from "../../src/gateway/storage/checksum.ts";
import { elements, textOf } from "../../src/gateway/storage/xml.ts";
import { aContainer, aManifest, Container, errorOf, expectOk, keysOf, md5, put, random, saving } from "./vault-kit.ts";

describe("multipart uploads", () => {
  const part = 5 * 1024 * 1024;
  const begin = async (container: Container, key: string, headers: Record<string, string> = {}) => {
    const response = await container.fetch(`/state/${key}?uploads=`, { method: "POST", headers });
    return textOf(await response.text(), "UploadId") ?? "";
  };
  const send = (
    container: Container,
    key: string,
    uploadId: string,
    number: number,
    body: Uint8Array,
    headers: Record<string, string> = {},
  ) => container.fetch(`/state/${key}?partNumber=${number}&uploadId=${uploadId}`, { method: "PUT", body, headers });
  const complete = (
    container: Container,
    key: string,
    uploadId: string,
    parts: [number, string][],
    headers: Record<string, string> = {},
  ) => {
    const listed = parts
      .map(([number, etag]) => `<Part><PartNumber>${number}</PartNumber><ETag>"${etag}"</ETag></Part>`)
      .join("");
    return container.fetch(`/state/${key}?uploadId=${uploadId}`, {
      method: "POST",
      headers,
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

  it("are compared with the checksums of their parts and of the whole, and with its size", async () => {
    const container = await saving();
    const crc = (...bodies: Uint8Array[]) => {
      const checksum = newChecksum("crc64nvme");
      for (const body of bodies) checksum.update(body);
      return checksum.digest().toString("base64");
    };
    const [one, two] = [random(part), random(10)] as const;
    const created = await container.fetch("/state/big?uploads=", {
      method: "POST",
      headers: { "x-amz-checksum-algorithm": "CRC64NVME", "x-amz-checksum-type": "FULL_OBJECT" },
    });
    expect(created.headers.get("x-amz-checksum-algorithm")).toBe("CRC64NVME");
    const uploadId = textOf(await created.text(), "UploadId") ?? "";
    const sent = await send(container, "big", uploadId, 1, one, { "x-amz-checksum-crc64nvme": crc(one) });
    expect([sent.status, sent.headers.get("x-amz-checksum-crc64nvme")]).toEqual([200, crc(one)]);
    const wrong = { "x-amz-checksum-crc64nvme": crc(one) };
    expect(await errorOf(await send(container, "big", uploadId, 2, two, wrong))).toEqual([400, "BadDigest"]);
    expect(await errorOf(await complete(container, "big", uploadId, [[2, md5(two)]]))).toEqual([400, "InvalidPart"]);
    await send(container, "big", uploadId, 2, two);
    const listed: [number, string][] = [
      [1, md5(one)],
      [2, md5(two)],
    ];
    const size = { "x-amz-mp-object-size": String(part) };
    expect(await errorOf(await complete(container, "big", uploadId, listed, size))).toEqual([400, "InvalidRequest"]);
    const right = { "x-amz-checksum-crc64nvme": crc(one, two), "x-amz-mp-object-size": String(part + 10) };
    expect((await complete(container, "big", uploadId, listed, right)).status).toBe(200);
    expect(await keysOf(container)).toEqual(["big"]);

    const again = await begin(container, "worse");
    await send(container, "worse", again, 1, one);
    expect(await errorOf(await complete(container, "worse", again, [[1, md5(one)]], right))).toEqual([
      400,
      "InvalidRequest",
    ]);
    expect(
      await errorOf(
        await complete(container, "worse", again, [[1, md5(one)]], { "x-amz-checksum-crc64nvme": crc(two) }),
      ),
    ).toEqual([400, "BadDigest"]);
    expect(await keysOf(container)).toEqual(["big"]);
  });

  it("ask what they replace", async () => {
    const container = await saving();
    await put(container, "big", "there");
    const uploadId = await begin(container, "big");
    const body = random(1000);
    await send(container, "big", uploadId, 1, body);
    const spare = { "if-none-match": "*" };
    expect(await errorOf(await complete(container, "big", uploadId, [[1, md5(body)]], spare))).toEqual([
      412,
      "PreconditionFailed",
    ]);
    expect(await (await container.fetch("/state/big")).text()).toBe("there");
    const replace = { "if-match": `"${md5("there")}"` };
    expect((await complete(container, "big", uploadId, [[1, md5(body)]], replace)).status).toBe(200);
  });

  it("can be copied from what is there, small and large, by ranges", async () => {
    const container = await saving();
    const [large, small] = [random(part + 1000), random(500)];
    await put(container, "large", large);
    await put(container, "small", small);
    const uploadId = await begin(container, "big");
    const copy = (number: number, headers: Record<string, string>) =>
      container.fetch(`/state/big?partNumber=${number}&uploadId=${uploadId}`, { method: "PUT", headers });
    const first = { "x-amz-copy-source": "/state/large", "x-amz-copy-source-range": `bytes=0-${part - 1}` };
    const done = await (await copy(1, first)).text();
    expect(textOf(done, "ETag")).toBe(`"${md5(large.subarray(0, part))}"`);
    await copy(2, { "x-amz-copy-source": "/state/small", "x-amz-copy-source-range": "bytes=100-499" });
    for (const range of ["bytes=0-", "bytes=5-1", "0-4", "bytes=0-500"])
      expect(
        await errorOf(await copy(3, { "x-amz-copy-source": "/state/small", "x-amz-copy-source-range": range })),
        range,
      ).toEqual([400, "InvalidArgument"]);
    expect(await errorOf(await copy(3, { "x-amz-copy-source": "/state/none" }))).toEqual([404, "NoSuchKey"]);
    const unless = { "x-amz-copy-source": "/state/small", "x-amz-copy-source-if-match": '"x"' };
    expect(await errorOf(await copy(3, unless))).toEqual([412, "PreconditionFailed"]);
    const parts: [number, string][] = [
      [1, md5(large.subarray(0, part))],
      [2, md5(small.subarray(100))],
    ];
    expect((await complete(container, "big", uploadId, parts)).status).toBe(200);
    const got = Buffer.from(await (await container.fetch("/state/big")).bytes());
    expect(got.equals(Buffer.concat([large.subarray(0, part), small.subarray(100)]))).toBe(true);
  });

  it("are listed by key and by part while they are under way", async () => {
    const container = await saving();
    const ids: Record<string, string> = {};
    for (const key of ["b/1", "a", "b/2", "c"]) ids[key] = await begin(container, key);
    const list = async (query = "") => {
      const text = await (await container.fetch(`/state?uploads&${query}`)).text();
      return {
        text,
        uploads: [...elements(text, "Upload")].map((one) => [textOf(one, "Key"), textOf(one, "UploadId")]),
        prefixes: [...elements(text, "CommonPrefixes")].map((one) => textOf(one, "Prefix")),
      };
    };
    const all = ["a", "b/1", "b/2", "c"].map((key) => [key, ids[key]]);
    expect((await list()).uploads).toEqual(all);
    expect((await list("prefix=b")).uploads).toEqual(all.slice(1, 3));
    const rolled = await list("delimiter=%2F");
    expect([rolled.uploads, rolled.prefixes]).toEqual([[all[0], all[3]], ["b/"]]);
    const page = await list("max-uploads=2");
    expect([page.uploads, textOf(page.text, "IsTruncated")]).toEqual([all.slice(0, 2), "true"]);
    const marker = `key-marker=${textOf(page.text, "NextKeyMarker")}&upload-id-marker=${textOf(page.text, "NextUploadIdMarker")}`;
    expect((await list(marker)).uploads).toEqual(all.slice(2));
    expect(await errorOf(await container.fetch("/state?uploads&max-uploads=x"))).toEqual([400, "InvalidArgument"]);

    for (const number of [3, 1, 7]) await send(container, "a", ids.a ?? "", number, random(number));
    const parts = async (query: string) => {
      const text = await (await container.fetch(`/state/a?uploadId=${ids.a}&${query}`)).text();
      return [
        [...elements(text, "PartNumber")].map(Number),
        textOf(text, "IsTruncated"),
        textOf(text, "NextPartNumberMarker"),
      ];
    };
    expect(await parts("")).toEqual([[1, 3, 7], "false", "7"]);
    expect(await parts("max-parts=2")).toEqual([[1, 3], "true", "3"]);
    expect(await parts("part-number-marker=3")).toEqual([[7], "false", "7"]);
    expect(await errorOf(await container.fetch(`/state/a?uploadId=${ids.a}&max-parts=x`))).toEqual([
      400,
      "InvalidArgument",
    ]);
    expect(await errorOf(await container.fetch("/state/a?uploadId=nope"))).toEqual([404, "NoSuchUpload"]);
    await container.fetch(`/state/a?uploadId=${ids.a}`, { method: "DELETE" });
    expect((await list()).uploads).toEqual(all.slice(1));
  });

  it("whose parts are of several sizes are refused before anything is put together: a restore could not verify them", async () => {
    const container = await saving();
    const uploadId = await begin(container, "big");
    const [one, two, three] = [random(part), random(part + 1), random(10)];
    for (const [i, body] of [one, two, three].entries()) await send(container, "big", uploadId, i + 1, body);
    const tags = [one, two, three].map((body, i): [number, string] => [i + 1, md5(body)]);
    expect(await errorOf(await complete(container, "big", uploadId, tags))).toEqual([400, "InvalidPart"]);
    await send(container, "big", uploadId, 2, one);
    expect(
      (
        await complete(container, "big", uploadId, [
          [1, md5(one)],
          [2, md5(one)],
          [3, md5(three)],
        ])
      ).status,
    ).toBe(200);
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
