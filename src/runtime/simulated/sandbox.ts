import { FileError, type Owner, parent, type VirtualFiles } from "./files.ts";
import type { Host } from "./supervisor.ts";

interface SandboxOptions {
  user: Owner;
  environment: Readonly<Record<string, string>>;
  secretsDir: string;
  /** Ends the process. */
  exit: (code: number) => void;
}

const CONFIG = "/run/boilerhouse/config.json";
const STATUS = { ENOENT: 404, ENOTDIR: 404, EISDIR: 409, EACCES: 403, ELOOP: 500 } as const;

/** The sandbox workload (containers/sandbox) over virtual files: the same routes and answers. */
export class Sandbox {
  hung = false;
  readonly port: number;
  readonly #host: Host;
  readonly #options: SandboxOptions;
  readonly #root: string;
  readonly #sockets = new Set<WebSocket>();

  constructor(host: Host, options: SandboxOptions) {
    this.#host = host;
    this.#options = options;
    this.#root = options.environment.DATA_DIR ?? "/data";
    this.port = Number(options.environment.PORT ?? 8080);
  }

  async serve(request: Request): Promise<Response> {
    const url = new URL(request.url);
    if (url.pathname.startsWith("/files/")) return await this.#files(request, url);
    if (request.headers.get("upgrade")?.toLowerCase() === "websocket") return this.#upgrade(url);
    switch (`${request.method} ${url.pathname}`) {
      case "GET /healthz":
        return Response.json({ ok: true });
      case "GET /whoami":
        return Response.json(this.#whoami(request));
      case "GET /config":
        return Response.json(this.#config());
      case "POST /crash":
        this.#options.exit(1);
        return Response.json({ crashing: true }, { status: 202 });
      case "POST /hang":
        this.hung = true;
        return await new Promise<never>(() => {});
      case "POST /burn":
        return Response.json({ heldMb: Number(url.searchParams.get("mb") ?? 0) });
      default:
        return Response.json({ error: "not_found" }, { status: 404 });
    }
  }

  get hasSockets(): boolean {
    return this.#sockets.size > 0;
  }

  closeSockets(code = 1001, reason = "the workload ended"): void {
    for (const socket of this.#sockets) socket.close(code, reason);
    this.#sockets.clear();
  }

  #upgrade(url: URL): Response {
    if (url.pathname !== "/echo") return new Response(null, { status: 404 });
    const { 0: client, 1: server } = new WebSocketPair();
    server.binaryType = "arraybuffer"; // a Blob could not be sent back
    server.accept();
    this.#sockets.add(server);
    server.addEventListener("message", ({ data }) => {
      if (this.#sockets.has(server)) server.send(data); // what was under way when it was closed is not answered
    });
    server.addEventListener("close", ({ code }) => {
      this.#sockets.delete(server);
      server.close(code === 1005 || code === 1006 ? 1000 : code);
    });
    return new Response(null, { status: 101, webSocket: client });
  }

  #whoami(request: Request) {
    const { user, environment } = this.#options;
    return {
      headers: Object.fromEntries(request.headers),
      env: Object.keys(environment).sort(),
      uid: user.uid,
      gid: user.gid,
      groups: [user.gid],
      pid: 7,
      user: user.uid === 10001 ? "workload" : null,
      cwd: "/",
    };
  }

  #config() {
    const { secretsDir } = this.#options;
    const directory = this.#host.files.stat(secretsDir);
    return {
      config: this.#host.files.stat(CONFIG) ? JSON.parse(this.#host.files.readText(CONFIG)) : null,
      secrets: directory?.kind === "directory" ? [...directory.children.keys()].sort() : [],
    };
  }

  async #files(request: Request, url: URL): Promise<Response> {
    let path: string;
    try {
      path = decodeURIComponent(url.pathname.slice("/files/".length));
    } catch {
      return Response.json({ error: "bad_path" }, { status: 400 });
    }
    if (path.includes("\0") || path.split("/").includes("..")) {
      return Response.json({ error: "bad_path" }, { status: 400 });
    }
    const target = path === "" ? this.#root : `${this.#root}/${path}`;
    try {
      if (request.method === "GET") return this.#read(target);
      if (request.method === "PUT") return this.#write(target, await request.arrayBuffer());
      if (request.method === "DELETE") return this.#remove(target);
    } catch (error) {
      if (!(error instanceof FileError)) throw error;
      return Response.json({ error: error.code, detail: error.message }, { status: STATUS[error.code] });
    }
    return Response.json({ error: "method_not_allowed" }, { status: 405 });
  }

  #read(target: string): Response {
    const { files } = this.#host;
    const node = files.stat(target);
    if (!node) throw new FileError("ENOENT", target);
    if (!files.mayRead(target, this.#options.user)) throw new FileError("EACCES", target);
    if (node.kind === "directory") return Response.json({ files: list(files, this.#root, target) });
    return new Response(files.read(target), {
      headers: {
        "content-type": "application/octet-stream",
        "last-modified": new Date(Number(node.mtimeNs / 1_000_000n)).toUTCString(),
      },
    });
  }

  #write(target: string, body: ArrayBuffer): Response {
    const { files } = this.#host;
    const { user } = this.#options;
    let above = parent(target);
    while (!files.stat(above)) above = parent(above);
    if (!files.mayWrite(above, user)) throw new FileError("EACCES", target);
    files.makeDirectory(parent(target), user);
    files.write(target, new Uint8Array(body), user);
    return Response.json({ path: relative(this.#root, target), bytes: body.byteLength }, { status: 201 });
  }

  #remove(target: string): Response {
    const { files } = this.#host;
    const { user } = this.#options;
    const node = files.lstat(target);
    if (!node) throw new FileError("ENOENT", target);
    const isRoot = target.replace(/\/+$/, "") === this.#root;
    if (!files.mayWrite(isRoot ? target : parent(target), user)) throw new FileError("EACCES", target);
    if (!isRoot) files.remove(target);
    else if (node.kind === "directory") for (const name of [...node.children.keys()]) files.remove(`${target}/${name}`);
    return new Response(null, { status: 204 });
  }
}

function list(files: VirtualFiles, root: string, target: string) {
  const prefix = relative(root, target);
  return [...files.walk(target)]
    .filter(({ path }) => path !== "")
    .map(({ path, node }) => ({
      path: prefix === "" ? path : `${prefix}/${path}`,
      type: node.kind,
      bytes: node.kind === "file" ? node.body.length : 0,
      mode: node.mode,
      mtimeMs: Number(node.mtimeNs) / 1e6,
    }))
    .sort((a, b) => (a.path < b.path ? -1 : 1));
}

const relative = (root: string, target: string): string => target.slice(root.length).replace(/^\/+|\/+$/g, "");
