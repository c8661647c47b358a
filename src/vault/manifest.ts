import { createHash } from "node:crypto";
import type { Entry, Tree } from "./tree.ts";

/**
 * SHA-256 over every path of a tree with all that a restore must bring back: equal hashes mean equal trees.
 * One line of JSON per path, sorted, so that neither the order of the entries nor a name that imitates a line matters.
 */
export function treeHash(tree: Tree): string {
  return createHash("sha256").update(Array.from(tree.values(), lineOf).sort().join("\n")).digest("hex");
}

const lineOf = ({ path, kind, mode, uid, gid, mtimeNs, target, content }: Entry): string =>
  JSON.stringify([path, kind, mode, uid, gid, mtimeNs, target, content?.size, content?.sha256, content?.partSize]);
