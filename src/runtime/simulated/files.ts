/** The file system of one simulated container: enough of POSIX for init, the agent and a workload to be told apart by it. */
interface Attributes {
  mode: number;
  uid: number;
  gid: number;
  mtimeNs: bigint;
  ctimeNs: bigint;
  inode: number;
}
export interface VirtualFile extends Attributes {
  kind: "file";
  body: Uint8Array<ArrayBuffer>;
}
export interface VirtualDirectory extends Attributes {
  kind: "directory";
  children: Map<string, VirtualNode>;
}
export interface VirtualSymlink extends Attributes {
  kind: "symlink";
  target: string;
}
export type VirtualNode = VirtualFile | VirtualDirectory | VirtualSymlink;

export interface Owner {
  uid: number;
  gid: number;
}
export const ROOT: Owner = { uid: 0, gid: 0 };

export class FileError extends Error {
  readonly code: "ENOENT" | "ENOTDIR" | "EISDIR" | "EACCES" | "ELOOP";
  constructor(code: FileError["code"], path: string) {
    super(`${code}: ${path}`);
    this.name = "FileError";
    this.code = code;
  }
}

const MAX_LINKS = 20;

export class VirtualFiles {
  readonly #now: () => number;
  readonly #root: VirtualDirectory;
  #lastNs = 0n;
  #lastInode = 1;

  constructor(now: () => number) {
    this.#now = now;
    this.#root = { kind: "directory", children: new Map(), ...this.#fresh(ROOT, 0o755) };
  }

  /** The node at a path, or null. The last component is followed only by `stat`. */
  lstat(path: string): VirtualNode | null {
    return this.#find(path, false, 0);
  }
  stat(path: string): VirtualNode | null {
    return this.#find(path, true, 0);
  }

  read(path: string): Uint8Array<ArrayBuffer> {
    const node = this.stat(path);
    if (!node) throw new FileError("ENOENT", path);
    if (node.kind !== "file") throw new FileError("EISDIR", path);
    return node.body;
  }

  readText(path: string): string {
    return new TextDecoder().decode(this.read(path));
  }

  /** Replaces the content of a file, or creates it; an existing file keeps its inode, mode and owner, as with O_TRUNC. */
  write(path: string, body: Uint8Array | string, owner: Owner = ROOT, mode = 0o644): VirtualFile {
    const bytes = new Uint8Array(typeof body === "string" ? new TextEncoder().encode(body) : body);
    const existing = this.stat(path);
    if (existing && existing.kind !== "file") throw new FileError("EISDIR", path);
    if (existing) {
      existing.body = bytes;
      existing.mtimeNs = existing.ctimeNs = this.tick();
      return existing;
    }
    const file: VirtualFile = { kind: "file", body: bytes, ...this.#fresh(owner, mode) };
    this.put(path, file);
    return file;
  }

  /** Creates a directory and those above it; one that exists stays as it is. */
  makeDirectory(path: string, owner: Owner = ROOT, mode = 0o755): VirtualDirectory {
    const existing = this.stat(path);
    if (existing?.kind === "directory") return existing;
    if (existing) throw new FileError("ENOTDIR", path);
    const above = parent(path);
    if (!this.stat(above)) this.makeDirectory(above, owner, mode);
    const directory: VirtualDirectory = { kind: "directory", children: new Map(), ...this.#fresh(owner, mode) };
    this.put(path, directory);
    return directory;
  }

  symlink(path: string, target: string, owner: Owner = ROOT): void {
    this.put(path, { kind: "symlink", target, ...this.#fresh(owner, 0o777) });
  }

  /** Puts a node where a path leads; the directory above must exist. */
  put(path: string, node: VirtualNode): void {
    const directory = this.#directory(parent(path));
    directory.children.set(base(path), node);
    directory.mtimeNs = directory.ctimeNs = this.tick();
  }

  /** Removes a node and all below it; false when there is none. */
  remove(path: string): boolean {
    const directory = this.stat(parent(path));
    if (directory?.kind !== "directory" || !directory.children.delete(base(path))) return false;
    directory.mtimeNs = directory.ctimeNs = this.tick();
    return true;
  }

  /** What `chmod`, `chown` and `touch` do: the change time moves with every one of them. */
  change(path: string, attributes: Partial<Pick<Attributes, "mode" | "uid" | "gid" | "mtimeNs">>): void {
    const node = this.lstat(path);
    if (!node) throw new FileError("ENOENT", path);
    Object.assign(node, attributes, { ctimeNs: this.tick() });
  }

  /** A new node's attributes, with an inode of its own. */
  attributes(owner: Owner, mode: number, mtimeNs?: bigint): Attributes {
    return { ...this.#fresh(owner, mode), ...(mtimeNs !== undefined && { mtimeNs }) };
  }

  /** The node itself (with the empty path) and all below it, parents first, names in order. */
  *walk(path: string): Generator<{ path: string; node: VirtualNode }> {
    const start = this.stat(path);
    if (start) yield* below("", start);
  }

  /** Whether a user may create and remove entries of a directory. */
  mayWrite(path: string, user: Owner): boolean {
    const node = this.stat(path);
    return node?.kind === "directory" && allows(node, user, 0o3);
  }
  mayRead(path: string, user: Owner): boolean {
    const node = this.stat(path);
    return node !== null && allows(node, user, node.kind === "directory" ? 0o5 : 0o4);
  }

  #find(path: string, follow: boolean, links: number): VirtualNode | null {
    let node: VirtualNode = this.#root;
    const names = components(path);
    for (const [index, name] of names.entries()) {
      if (node.kind !== "directory") return null;
      const child: VirtualNode | undefined = node.children.get(name);
      if (!child) return null;
      const last = index === names.length - 1;
      if (child.kind !== "symlink" || (last && !follow)) {
        node = child;
        continue;
      }
      if (links >= MAX_LINKS) throw new FileError("ELOOP", path);
      const at = `/${names.slice(0, index).join("/")}`;
      const target = child.target.startsWith("/") ? child.target : `${at}/${child.target}`;
      return this.#find([target, ...names.slice(index + 1)].join("/"), follow, links + 1);
    }
    return node;
  }

  #directory(path: string): VirtualDirectory {
    const node = this.stat(path);
    if (!node) throw new FileError("ENOENT", path);
    if (node.kind !== "directory") throw new FileError("ENOTDIR", path);
    return node;
  }

  #fresh(owner: Owner, mode: number): Attributes {
    const now = this.tick();
    this.#lastInode += 1;
    return { mode, uid: owner.uid, gid: owner.gid, mtimeNs: now, ctimeNs: now, inode: this.#lastInode };
  }

  /**
   * Nanoseconds that never repeat: a clock that stands still while code runs must not hide a change.
   * @param than what else it is to be later than
   */
  tick(than = 0n): bigint {
    const now = BigInt(Math.round(this.#now() * 1000)) * 1000n;
    const last = than > this.#lastNs ? than : this.#lastNs;
    this.#lastNs = now > last ? now : last + 1n;
    return this.#lastNs;
  }
}

export const parent = (path: string): string => path.replace(/\/+$/, "").replace(/\/[^/]*$/, "") || "/";
const base = (path: string): string => path.replace(/\/+$/, "").replace(/^.*\//, "");

/** The names of a path; `..` takes back the name before it. */
function components(path: string): string[] {
  const names: string[] = [];
  for (const name of path.split("/")) {
    if (name === "..") names.pop();
    else if (name !== "" && name !== ".") names.push(name);
  }
  return names;
}

function* below(path: string, node: VirtualNode): Generator<{ path: string; node: VirtualNode }> {
  yield { path, node };
  if (node.kind !== "directory") return;
  for (const name of [...node.children.keys()].sort()) {
    const child = node.children.get(name);
    if (child) yield* below(path === "" ? name : `${path}/${name}`, child);
  }
}

function allows(node: VirtualNode, user: Owner, bits: number): boolean {
  if (user.uid === 0) return true;
  const shift = node.uid === user.uid ? 6 : node.gid === user.gid ? 3 : 0;
  return ((node.mode >> shift) & bits) === bits;
}
