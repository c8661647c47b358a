import { runInside } from "./engine.ts";

export interface Tree {
  readonly files: number;
  /** Of every file; random, so that nothing can be compressed or found twice. */
  readonly bytes: number;
}

/** Where benches have the state of their workloads. */
export const STATE = "/data";

/** 1,000 × 10 kB (contract: How numbers are measured). */
export const SMALL_TREE: Tree = { files: 1_000, bytes: 10_000 };
/** 2,000 files, 21 MB. */
export const LARGE_TREE: Tree = { files: 2_000, bytes: 10_500 };
export const ONE_FILE: Tree = { files: 1, bytes: 10_000_000 };

/** Writes a tree into a directory of a container as its workload would, a hundred files to a folder. */
export async function writeTree(container: string, directory: string, { files, bytes }: Tree): Promise<void> {
  await runInside(container, "workload", script(directory, `for (let i = 0; i < ${files}; i++) write(i, ${bytes});`));
}

/** Rewrites `count` files of a tree, spread over its folders. */
export async function changeFiles(container: string, directory: string, tree: Tree, count: number): Promise<void> {
  const step = Math.max(1, Math.floor(tree.files / count));
  const loop = `for (let i = 0; i < ${count}; i++) write((i * ${step}) % ${tree.files}, ${tree.bytes});`;
  await runInside(container, "workload", script(directory, loop));
}

const script = (directory: string, body: string) => `
const fs = require("node:fs");
const { randomFillSync } = require("node:crypto");
const write = (i, bytes) => {
  const folder = ${JSON.stringify(directory)} + "/folder-" + String(Math.floor(i / 100)).padStart(2, "0");
  fs.mkdirSync(folder, { recursive: true });
  const file = fs.openSync(folder + "/file-" + String(i).padStart(4, "0"), "w");
  for (let left = bytes; left > 0; ) {
    left -= fs.writeSync(file, randomFillSync(Buffer.allocUnsafe(Math.min(left, 8 * 1024 * 1024))));
  }
  fs.closeSync(file);
};
${body}
`;
