import { expect, it } from "vitest";
import { aContainer, aManifest, expectOk, keysOf, md5, type Node, put } from "./vault-kit.ts";

it("an incremental save commits what rclone would have sent: puts, deletes, symlinks and touched files", async () => {
  const container = await aContainer();
  const nodes: Node[] = Array.from({ length: 6 }, (_, i) => ({ path: `f${i}`, content: `content ${i}` }));
  await expectOk(container.saveAll(nodes));
  const later = "1767229200000000001";
  const mtime = { "x-amz-meta-mtime": "1767229200.000000001" };
  const next: Node[] = [
    ...nodes.slice(2),
    { path: "f1", content: "content 1", mtimeNs: later },
    { path: "new/big", content: "12", mtimeNs: later },
    { path: "link", kind: "symlink", target: "f1", mtimeNs: later },
  ];
  const save = container.save();
  expect(await expectOk(container.vault.open(save, aManifest(next)))).toEqual({
    how: "incremental",
    send: { files: 3, bytes: 11 },
    suspects: [],
    paths: next.slice(-3).map(({ path }) => path),
  });
  await put(container, "new/big", "12", mtime);
  await put(container, "link.rclonelink", "f1", { ...mtime, "x-amz-meta-mode": "120777" });
  const touch = { ...mtime, "x-amz-copy-source": "state/f1", "x-amz-metadata-directive": "REPLACE" };
  await container.fetch("/state/f1", { method: "PUT", headers: touch });
  const removal = "<Delete><Object><Key>f0</Key></Object></Delete>";
  await container.fetch("/state?delete", {
    method: "POST",
    body: removal,
    headers: { "content-md5": md5(removal, "base64") },
  });
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

it("a save that rclone could not bring over is asked for as one tar the next time, a lost answer is not", async () => {
  const container = await aContainer();
  const nodes: Node[] = Array.from({ length: 4 }, (_, i) => ({ path: `f${i}`, content: "12345678" }));
  await expectOk(container.saveAll(nodes));
  const next = [...nodes, { path: "new", content: "1" }];
  const save = container.save();
  const incremental = { how: "incremental", send: { files: 1, bytes: 1 }, suspects: [], paths: ["new"] };
  expect(await expectOk(container.vault.open(save, aManifest(next)))).toEqual(incremental);
  expect(await expectOk(container.vault.open(save, aManifest(next)))).toEqual(incremental);
  await put(container, "another", "1");
  expect(await container.vault.commit(save, { force: false })).toMatchObject({ failure: { code: "save_failed" } });
  expect(await expectOk(container.vault.open(save, aManifest(next)))).toEqual({ how: "bundle" });
  const aborted = container.save();
  await expectOk(container.vault.open(aborted, aManifest(next)));
  await expectOk(container.vault.abort(aborted));
  expect(await container.saveAll(next, { force: false, saveId: aborted.saveId })).toMatchObject({
    value: { generation: 2, changed: 1 },
  });
});
