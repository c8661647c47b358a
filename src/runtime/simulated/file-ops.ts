import { tagOf } from "../../files/etag.ts";
import { percentDecoded } from "../../files/path.ts";
import { sha256 } from "../../sha256.ts";
import { decodeName, encodeName } from "../../vault/names.ts";
import type { Owner, VirtualFile, VirtualFiles, VirtualNode } from "./files.ts";

/** How one operation ends: an error of docs/container.md, or the words of `X-File` and what follows them. */
export type FileReply =
  | { status: number; error: string; detail: string }
  | { status: 200; facts: string; body: Uint8Array<ArrayBuffer> };

class Refusal extends Error {
  readonly status: number;
  readonly error: string;
  constructor(status: number, error: string, detail: string) {
    super(detail);
    this.status = status;
    this.error = error;
  }
}

/** What the query says, by name. */
type FileQuery = ReadonlyMap<string, string>;

interface Call {
  files: VirtualFiles;
  user: Owner;
  query: FileQuery;
  body: Uint8Array<ArrayBuffer>;
}
/** Where a path leads: its directory, its last name, and what is there. */
interface Found {
  directory: string;
  path: string;
  node: VirtualNode | null;
}

const NOTHING = new Uint8Array(0);

/** `file-…` of the control port, as the scripts of containers/base do them: as the workload's user, never through a symlink. */
export function fileOperation(op: string, call: Call): FileReply {
  try {
    switch (op) {
      case "file-stat":
        return stat(call);
      case "file-read":
        return read(call);
      case "file-list":
        return list(call);
      case "file-write":
        return write(call);
      case "file-delete":
        return remove(call);
      case "file-commit":
        return commit(call);
      default:
        return { status: 404, error: "unknown_op", detail: "no such operation" };
    }
  } catch (error) {
    if (error instanceof Refusal) return { status: error.status, error: error.error, detail: error.message };
    throw error;
  }
}

const ok = (facts: string, body: Uint8Array<ArrayBuffer> = NOTHING): FileReply => ({ status: 200, facts, body });

function stat(call: Call): FileReply {
  const { node } = find(call, text(call.query, "path"));
  if (!node) throw new Refusal(404, "no_file", "there is no such file");
  if (node.kind === "symlink") return ok("symlink 0 777 0 - 0");
  if (node.kind === "directory") return ok(`directory 0 ${octal(node)} ${node.mtimeNs} - 0`);
  return ok(`file ${factsOf(node)} ${tag(node)} 0`);
}

function read(call: Call): FileReply {
  const found = find(call, text(call.query, "path"));
  const file = fileAt(found);
  if (!call.files.mayRead(found.path, call.user)) throw denied("may not read it");
  const offset = Number(call.query.get("offset") ?? 0);
  const length = Number(call.query.get("length") ?? file.body.length);
  const body = file.body.slice(offset, offset + length);
  return ok(`file ${factsOf(file)} - ${body.length}`, body);
}

function write(call: Call): FileReply {
  const { files, user, query, body } = call;
  const found = find(call, text(query, "path"), "make");
  if (found.path === found.directory) throw new Refusal(409, "is_directory", "it is a directory");
  onlyFile(found.node);
  if (!files.mayWrite(found.directory, user)) throw denied("may not do this");
  if (text(query, "size") !== String(body.length)) {
    throw new Refusal(400, "incomplete", `${body.length} bytes came instead of ${text(query, "size")}`);
  }
  check(found.node, query);
  const { node } = found;
  const mode = node?.kind === "file" ? node.mode : 0o644;
  const stage = text(query, "stage");
  const file: VirtualFile = { kind: "file", body, ...files.attributes(user, mode) };
  files.put(stage === "" ? found.path : `${found.directory}/${stage}`, file);
  return ok(`${node ? "replaced" : "created"} ${factsOf(file)} ${tag(file)} 0`);
}

function remove(call: Call): FileReply {
  const { files, user, query } = call;
  const found = find(call, text(query, "path"));
  const { node } = found;
  if (!node) throw new Refusal(404, "no_file", "there is no such file");
  const conditional = query.has("match") || query.has("noneMatch");
  if (node.kind !== "symlink" || conditional) fileAt(found);
  check(node, query);
  if (!files.mayWrite(found.directory, user)) throw denied("may not do this");
  files.remove(found.path);
  return ok("deleted 0 0 0 - 0");
}

function list(call: Call): FileReply {
  const { files, query } = call;
  const path = text(query, "path");
  const { directory } = find(call, path === "" ? "x" : `${path}/x`);
  const limit = Number(query.get("limit") ?? 1000);
  const after = text(query, "after");
  const names: [name: string, node: VirtualNode][] = [];
  for (const { path: name, node } of files.walk(directory)) {
    if (name === "" || (query.get("depth") !== "all" && name.includes("/"))) continue;
    names.push([node.kind === "directory" ? `${name}/` : name, node]);
  }
  const records = names
    .map(([name, node]) => ({ bytes: Buffer.from(encodeName(name)), node }))
    .filter(({ bytes }) => Buffer.compare(bytes, Buffer.from(encodeName(after))) > 0)
    .sort((a, b) => Buffer.compare(a.bytes, b.bytes))
    .slice(0, limit + 1)
    .flatMap(({ bytes, node }) => [Buffer.from("./"), bytes, Buffer.from(`\0${listed(node)}\0`)]);
  return ok("directory 0 0 0 - -", Uint8Array.from(Buffer.concat(records)));
}

function commit(call: Call): FileReply {
  const { files } = call;
  const lines = new TextDecoder().decode(call.body).split("\n").filter(Boolean);
  const changes = lines.map((line) => {
    const [how = "", path = "", stage = ""] = line.split(" ");
    const found = find(call, decodeName(percentDecoded(path) ?? NOTHING));
    return { how, found, staged: `${found.directory}/${stage}` };
  });
  try {
    for (const { how, found, staged } of changes) {
      onlyFile(found.node);
      if (how === "delete" && !found.node) throw new Refusal(404, "no_file", "there is no such file");
      if (how === "put" && files.lstat(staged)?.kind !== "file") {
        throw new Refusal(409, "changed", "what was staged is gone");
      }
    }
    for (const { how, found, staged } of changes) {
      const node = files.lstat(staged);
      if (how === "delete") files.remove(found.path);
      else if (node) files.put(found.path, node);
    }
  } finally {
    for (const { staged } of changes) files.remove(staged);
  }
  return ok("committed 0 0 0 - 0");
}

/** One name at a time; none of the directories on the way is a symlink. */
function find({ files, user, query }: Call, path: string, missing: "make" | "refuse" = "refuse"): Found {
  let directory = text(query, "volume");
  if (files.lstat(directory)?.kind !== "directory") throw new Refusal(404, "no_file", "the volume is not there");
  const names = path.split("/");
  const last = names.pop() ?? "";
  for (const name of names) {
    directory = `${directory}/${name}`;
    const node = files.lstat(directory);
    if (!node && missing === "make") {
      if (!files.mayWrite(directory.slice(0, directory.lastIndexOf("/")), user)) throw denied("may not do this");
      files.makeDirectory(directory, user);
      continue;
    }
    if (node?.kind === "symlink") throw new Refusal(409, "is_symlink", "a part of the path is a symlink");
    if (node?.kind === "directory") {
      if (!files.mayRead(directory, user)) throw denied("may not enter it");
      continue;
    }
    if (missing === "make") throw new Refusal(409, "not_directory", "a part of the path is no directory");
    throw new Refusal(404, "no_file", "a directory on the way is not there");
  }
  if (!files.mayRead(directory, user)) throw denied("may not enter it");
  if (last === "") return { directory, path: directory, node: files.lstat(directory) };
  const at = `${directory}/${last}`;
  return { directory, path: at, node: files.lstat(at) };
}

function onlyFile(node: VirtualNode | null): void {
  if (node?.kind === "symlink") throw new Refusal(409, "is_symlink", "it is a symlink");
  if (node?.kind === "directory") throw new Refusal(409, "is_directory", "it is a directory");
}

function fileAt({ node }: Found): VirtualFile {
  onlyFile(node);
  if (node?.kind !== "file") throw new Refusal(404, "no_file", "there is no such file");
  return node;
}

function check(node: VirtualNode | null, query: FileQuery): void {
  if (query.has("noneMatch") && node) throw new Refusal(412, "precondition", "it exists");
  const match = query.get("match");
  if (match === undefined) return;
  if (node?.kind !== "file") throw new Refusal(412, "precondition", "it does not exist");
  if (match !== "*" && match !== tag(node)) throw new Refusal(412, "precondition", "it changed");
}

const denied = (what: string) => new Refusal(403, "denied", `the user of the workload ${what}`);

const octal = ({ mode }: VirtualNode): string => (mode & 0o7777).toString(8);
const factsOf = (file: VirtualFile): string => `${file.body.length} ${octal(file)} ${file.mtimeNs}`;
const tag = ({ body, mtimeNs }: VirtualFile): string =>
  tagOf({ size: body.length, mtimeNs: String(mtimeNs), sha256: sha256(body) }) ?? "-";

const KINDS = { file: "regular file", directory: "directory", symlink: "symbolic link" } as const;

/** As stat(1) prints it: mod-times in seconds with nine decimals. */
function listed(node: VirtualNode): string {
  const size = node.kind === "file" ? node.body.length : 0;
  const seconds = `${node.mtimeNs / 1_000_000_000n}.${String(node.mtimeNs % 1_000_000_000n).padStart(9, "0")}`;
  return `${KINDS[node.kind]},${size},${octal(node)},${seconds}`;
}

const text = (query: FileQuery, name: string): string => query.get(name) ?? "";

/** A control port's query byte for byte: names need not be UTF-8, which URLSearchParams take for granted. */
export function fileQuery(search: string): FileQuery {
  const pairs = search.replace(/^\?/, "").split("&");
  return new Map(
    pairs.map((pair) => {
      const [name = "", value = ""] = pair.split("=");
      return [name, decodeName(percentDecoded(value) ?? NOTHING)];
    }),
  );
}
