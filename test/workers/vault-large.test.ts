import { expect, it } from "vitest";
import { ByteSource } from "../../src/gateway/storage/source.ts";
import { readTar } from "../../src/gateway/storage/tar/read.ts";
import { aContainer, aManifest, expectOk, type Node, put } from "./vault-kit.ts";

const FILES = 50_000;
/** Of whole seconds, as a tar of that many files need not be twice as long for fractions. */
const SECONDS = "1767225600000000000";

const aFile = (index: number, content = `content ${index}`): Node => ({
  path: `folder-${index % 50}/file-${index}`,
  content,
  mtimeNs: SECONDS,
});

/** Path and content of every file in a restore, as it streams in. */
async function filesOf(response: Response): Promise<Map<string, string>> {
  const files = new Map<string, string>();
  const reader = (response.body as ReadableStream<Uint8Array>).getReader();
  const source = new ByteSource(async () => (await reader.read()).value ?? null);
  await readTar(source, async (entry, content) => {
    const bytes = await content.take(entry.size);
    if (entry.kind === "file" && entry.path.startsWith("tree/"))
      files.set(entry.path.slice("tree/".length), new TextDecoder().decode(bytes));
  });
  return files;
}

it("fifty thousand files are saved and restored whole, and a change of three of them is just that", async () => {
  const container = await aContainer();
  const folders = Array.from({ length: 50 }, (_, index): Node => ({ path: `folder-${index}`, kind: "directory" }));
  const files = Array.from({ length: FILES }, (_, index) => aFile(index));
  const saved = await expectOk(container.saveAll([...folders, ...files]));
  expect(saved).toMatchObject({ generation: 1, files: FILES, changed: FILES });

  const changed = aFile(7, "a new content");
  const added: Node = { path: "added", content: "new", mtimeNs: SECONDS };
  const now = [...folders, changed, added, ...files.filter((_, index) => index !== 7 && index !== 8)];
  const save = container.save();
  expect(await expectOk(container.vault.open(save, aManifest(now)))).toMatchObject({
    how: "incremental",
    send: { files: 2 },
  });
  for (const { path, content } of [changed, added]) {
    const sent = await put(container, path, content as string, { "x-amz-meta-mtime": "1767225600" });
    expect(sent.status).toBe(200);
  }
  expect((await container.fetch("/state/folder-8/file-8", { method: "DELETE" })).status).toBe(204);
  const next = await expectOk(container.vault.commit(save, { force: false }));
  expect(next).toMatchObject({ generation: 2, files: FILES, changed: 3 });

  const restored = await filesOf(await container.fetch("/.bundle/2.tar"));
  const expected = new Map(now.filter(({ kind }) => kind === undefined).map(({ path, content }) => [path, content]));
  expect(restored.size).toBe(FILES);
  for (const [path, content] of expected)
    if (restored.get(path) !== content) expect([path, restored.get(path)]).toEqual([path, content]);
}, 120_000);
