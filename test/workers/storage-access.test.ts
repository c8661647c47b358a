import { describe, expect, it } from "vitest";
import { textOf } from "../../src/gateway/storage/xml.ts";
import { ACCESS_KEY, aContainer, Container, errorOf, expectOk, put, r2Keys, random, saving } from "./vault-kit.ts";

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
