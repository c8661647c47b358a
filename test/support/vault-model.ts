import { createHash } from "node:crypto";
import { generation as asGeneration, type Epoch, type Generation } from "../../src/ids.ts";
import type { PageCursor } from "../../src/vault/storage.ts";
import type { FsckProblem } from "../../src/vault/types.ts";
import type { Container, Node } from "../workers/vault-kit.ts";
import { aManifest, bytesOf, expectOk } from "../workers/vault-kit.ts";

/** One line per path with all that a restore brings back. */
const line = (path: string, kind: string, mode: number, mtimeNs: string, target: string, sha256: string): string =>
  JSON.stringify([path, kind, mode, mtimeNs, target, sha256]);
const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

/** What a generation of these files must be. */
export const modelOf = (nodes: readonly Node[]): string[] =>
  aManifest(nodes)
    .map((entry) => {
      const node = nodes.find(({ path }) => path === entry.path);
      const content = entry.kind === "file" && node ? sha256(bytesOf(node)) : "";
      return line(entry.path, entry.kind, entry.mode, entry.mtimeNs, entry.target ?? "", content);
    })
    .sort();

/** What it is, by its bytes. */
export async function readBack(container: Container, bucket: R2Bucket, generation: number): Promise<string[]> {
  const lines: string[] = [];
  let after: PageCursor | null = null;
  do {
    const page: Awaited<ReturnType<typeof next>> = await next(after);
    let at = 0;
    for (const { path, kind, mode, mtimeNs, target, content } of page.entries) {
      let hash = "";
      if (content !== null && content.object !== null) {
        const object = await bucket.get(content.object);
        if (object === null) throw new Error(`${path}: ${content.object} is missing`);
        hash = sha256(await object.bytes());
      } else if (content !== null) {
        hash = sha256(page.packed.subarray(at, at + content.size));
        at += content.size;
      }
      lines.push(line(path, kind, mode, mtimeNs, target, hash));
    }
    after = page.next;
  } while (after !== null);
  return lines.sort();

  function next(from: PageCursor | null) {
    return expectOk(container.vault.exported(asGeneration(generation), from));
  }
}

/** All that a whole check finds. */
export async function fsckAll(container: Container, options = { repair: false }): Promise<FsckProblem[]> {
  const problems: FsckProblem[] = [];
  let cursor: string | null = null;
  do {
    const page: Awaited<ReturnType<typeof look>> = await look(cursor);
    problems.push(...page.problems);
    cursor = page.next;
  } while (cursor !== null);
  return problems;

  function look(from: string | null) {
    return expectOk(container.vault.fsck(from, options));
  }
}

/** A whole rebuild. */
export async function rebuildAll(
  container: Container,
  epoch: Epoch,
  discard = false,
): Promise<{ restored: number[]; problems: string[]; head: number | null }> {
  const restored: number[] = [];
  const problems: string[] = [];
  for (let after: Generation | null = null; ; ) {
    const page: Awaited<ReturnType<typeof step>> = await step(after);
    restored.push(...page.restored);
    problems.push(...page.problems);
    if (page.next === null) return { restored, problems, head: page.head };
    after = page.next;
  }

  function step(from: Generation | null) {
    return expectOk(container.vault.rebuild(epoch, { after: from, discard }));
  }
}
