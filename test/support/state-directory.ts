import type { VirtualFiles } from "../../src/runtime/simulated/files.ts";
import { directoryText } from "./directory-text.ts";
import type { Random } from "./random.ts";

export const ROOT = "/data";
const OWNER = { uid: 10001, gid: 10001 };
/** What the Vault keeps in its own rows, and what it sends to R2 (INLINE_LIMIT is 64 KiB). */
const SMALL = 400;
const LARGE = 70_000;

/** The state directory of one simulated container, as its workload would change it. */
export class StateDirectory {
  readonly #find: () => VirtualFiles;
  readonly #random: Random;

  /** `find`: the files of the container, whatever became of it. */
  constructor(find: () => VirtualFiles, random: Random) {
    this.#find = find;
    this.#random = random;
  }

  get #files() {
    return this.#find();
  }

  /** As `generationOf` tells a saved one. */
  get text(): string {
    return directoryText(this.#files, ROOT);
  }

  get paths(): string[] {
    return this.#leaves().map(({ path }) => path);
  }

  fill(files: number): void {
    for (let n = 0; n < files; n += 1) this.write(this.#name(), this.#random() < 0.15 ? LARGE : SMALL);
  }

  write(path: string, most: number): void {
    const above = path.includes("/") ? `/${path.slice(0, path.lastIndexOf("/"))}` : "";
    this.#files.makeDirectory(`${ROOT}${above}`, OWNER, 0o755);
    this.#files.write(`${ROOT}/${path}`, this.#content(most), OWNER, 0o644);
  }

  /** One change of those that workloads make. */
  change(): string {
    const known = this.#leaves();
    const file = this.#random.pick(known.filter(({ node }) => node.kind === "file"));
    const leaf = this.#random.pick(known);
    const choices: Record<string, () => void> = {
      "new file": () => this.write(this.#name(), SMALL),
      "new large file": () => this.write(this.#name(), LARGE),
      "new directory": () => void this.#files.makeDirectory(`${ROOT}/${this.#name()}-dir`, OWNER, 0o700),
      "new link": () => this.#link(),
      ...(file && {
        append: () => this.grow(file.path),
        rewritten: () => this.write(file.path, this.#random.pick([SMALL, LARGE])),
        "rewritten unseen": () => this.rewriteUnseen(file.path),
        mode: () => this.#files.change(`${ROOT}/${file.path}`, { mode: this.#random.pick([0o600, 0o640, 0o755]) }),
        touched: () => this.#files.change(`${ROOT}/${file.path}`, { mtimeNs: this.#mtime() }),
      }),
      ...(leaf && {
        removed: () => void this.#files.remove(`${ROOT}/${leaf.path}`),
      }),
    };
    const name = this.#random.pick(Object.keys(choices));
    choices[name]?.();
    return name;
  }

  grow(path: string): void {
    const before = this.#files.read(`${ROOT}/${path}`);
    this.#files.write(`${ROOT}/${path}`, Buffer.concat([before, this.#content(SMALL)]), OWNER);
  }

  /** Another content of the same size, and the mod-time put back: nothing but the change time tells. */
  rewriteUnseen(path: string): void {
    const node = this.#files.lstat(`${ROOT}/${path}`);
    if (node?.kind !== "file" || node.body.length === 0) return;
    const { mtimeNs } = node;
    const body = Uint8Array.from(node.body, (byte) => byte ^ 0x55);
    this.#files.write(`${ROOT}/${path}`, body, OWNER);
    this.#files.change(`${ROOT}/${path}`, { mtimeNs });
  }

  /** Removes this part of all files and links. */
  remove(part: number): void {
    for (const { path } of this.#leaves()) if (this.#random() < part) this.#files.remove(`${ROOT}/${path}`);
  }

  #link(): void {
    const path = `${this.#name()}-link`;
    const above = path.includes("/") ? `/${path.slice(0, path.lastIndexOf("/"))}` : "";
    this.#files.makeDirectory(`${ROOT}${above}`, OWNER, 0o755);
    this.#files.symlink(`${ROOT}/${path}`, this.#random.pick(["a", "../elsewhere", "/etc/passwd", "ünïcode"]), OWNER);
  }

  #leaves() {
    return [...this.#files.walk(ROOT)].filter(({ node }) => node.kind !== "directory");
  }

  #name(): string {
    const { pick, int } = this.#random;
    const name = `${pick(["a", "b c", "日本", "x+y%z", ".hidden", "long".repeat(20)])}-${int(1_000_000)}`;
    return this.#random() < 0.4 ? `${pick(["dir", "deep/er", "ö"])}/${name}` : name;
  }

  #content(most: number): Uint8Array {
    const bytes = new Uint8Array(most > SMALL ? most + this.#random.int(SMALL) : this.#random.int(most) + 1);
    for (let at = 0; at < bytes.length; at += 1) bytes[at] = (at * 31 + bytes.length) & 0xff;
    const mark = new TextEncoder().encode(String(this.#random.int(2 ** 30)));
    bytes.set(mark.subarray(0, bytes.length));
    return bytes;
  }

  #mtime(): bigint {
    return BigInt(1_700_000_000 + this.#random.int(100_000_000)) * 1_000_000_000n + BigInt(this.#random.int(1_000_000));
  }
}
