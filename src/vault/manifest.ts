import { createHash } from "node:crypto";
import { type Entry, keyOf, type Tree } from "./tree.ts";

/**
 * SHA-256 over every path of a tree with all that a restore must bring back: equal hashes mean equal trees.
 * Sorted by key in code units, each value as JSON, so that no name can imitate another line.
 */
export function treeHash(tree: Tree): string {
  const hash = createHash("sha256");
  const lines: [string, Entry][] = [...tree.values()].map((entry) => [keyOf(entry.path, entry.kind), entry]);
  lines.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  const text = lines.map(([key, e]) =>
    JSON.stringify([
      key,
      e.kind,
      e.mode,
      e.uid,
      e.gid,
      e.mtimeNs,
      e.target,
      e.content?.size,
      e.content?.sha256,
      e.content?.partSize,
    ]),
  );
  return hash.update(text.join("\n")).digest("hex");
}
