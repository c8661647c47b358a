import { z } from "zod";
import type { ErrorCode } from "../errors/codes.ts";
import { UNCONDITIONAL, type WriteCondition } from "../files/etag.ts";
import { type Located, percentEncoded } from "../files/path.ts";
import type { ByteRange, FileFacts, FileKind, ListedFile, ListQuery } from "../files/types.ts";
import { done, failed, type Outcome } from "../outcome.ts";
import { withDeadline } from "../runtime/deadline.ts";
import { failedBy } from "../runtime/failure.ts";
import type { ContainerRuntime } from "../runtime/port.ts";
import { decodeName } from "../vault/names.ts";
import { type BootKeys, CONTROL_PORT } from "./control.ts";

/** What the container's own error codes (docs/container.md, files) mean outside, and of what kind the trouble is. */
const CODES: Readonly<Record<string, { code: ErrorCode; kind?: string }>> = {
  no_file: { code: "not_found" },
  is_symlink: { code: "not_a_file", kind: "symlink" },
  is_directory: { code: "not_a_file", kind: "directory" },
  is_special: { code: "not_a_file", kind: "special" },
  not_directory: { code: "not_a_file", kind: "file" },
  denied: { code: "forbidden" },
  precondition: { code: "version_mismatch" },
  disk_full: { code: "storage_full" },
  name_too_long: { code: "bad_request" },
  incomplete: { code: "bad_request" },
  changed: { code: "container_unavailable" },
  unauthorized: { code: "container_unavailable" },
  not_booted: { code: "container_unavailable" },
  unknown_op: { code: "unsupported" },
};

const refusal = z.object({ bootId: z.string(), error: z.string(), detail: z.string() });
/** `X-File`: kind (of a write: what it did), size, mode, mod-time in ns, hash or size-mtime or `-`, bytes that follow or `-`. */
const FACTS = /^([a-z]+) (\d+) ([0-7]+) (-?\d+) (\S+) (?:\d+|-)$/;
const HASH = /^[0-9a-f]{64}$/;
const KINDS: Readonly<Record<string, FileKind>> = {
  "regular file": "file",
  "regular empty file": "file",
  directory: "directory",
  "symbolic link": "symlink",
};

interface Call {
  method: "GET" | "POST";
  op: string;
  query: Record<string, string | number>;
  timeoutMs: number;
  body?: ReadableStream<Uint8Array> | Uint8Array<ArrayBuffer>;
}

/** What is written, and how many bytes it has: what is shorter or longer is refused. */
export interface Sent {
  size: number;
  body: ReadableStream<Uint8Array> | Uint8Array<ArrayBuffer>;
}
/** One line of a commit. */
export interface Placement {
  how: "put" | "delete";
  path: string;
  stage: string;
}

/** The file operations of a container's control port; every call has a deadline, and acts as the workload's user. */
export class FileControl {
  readonly #runtime: Pick<ContainerRuntime, "fetch">;
  readonly #keys: BootKeys;

  constructor(runtime: Pick<ContainerRuntime, "fetch">, keys: BootKeys) {
    this.#runtime = runtime;
    this.#keys = keys;
  }

  async stat(at: Located, timeoutMs: number): Promise<Outcome<FileFacts>> {
    return this.#exchange({ method: "GET", op: "stat", query: placeOf(at), timeoutMs }, async (_, facts) =>
      done(facts.facts),
    );
  }

  /** The deadline is that of the head; the body comes for as long as `signal` lets it. */
  async read(
    at: Located,
    range: ByteRange | null,
    timeoutMs: number,
  ): Promise<Outcome<{ facts: FileFacts; sent: number; body: ReadableStream<Uint8Array> | null }>> {
    const query = { ...placeOf(at), ...(range ?? {}) };
    return this.#exchange({ method: "GET", op: "read", query, timeoutMs }, async (response, { facts }) => {
      const sent = Number(response.headers.get("content-length") ?? 0);
      return done({ facts, sent, body: response.body });
    });
  }

  async write(
    at: Located,
    { size, body }: Sent,
    condition: WriteCondition,
    stage: string | undefined,
    timeoutMs: number,
  ): Promise<Outcome<{ how: "created" | "replaced"; facts: FileFacts }>> {
    const query = { ...placeOf(at), size, ...conditionOf(condition), ...(stage === undefined ? {} : { stage }) };
    return this.#exchange({ method: "POST", op: "write", query, timeoutMs, body }, async (_, { word, facts }) =>
      done({ how: word === "created" ? "created" : "replaced", facts }),
    );
  }

  async remove(at: Located, condition: WriteCondition = UNCONDITIONAL, timeoutMs: number): Promise<Outcome<null>> {
    const query = { ...placeOf(at), ...conditionOf(condition) };
    return this.#exchange({ method: "POST", op: "delete", query, timeoutMs }, async () => done(null));
  }

  async commit(containerPath: string, changes: readonly Placement[], timeoutMs: number): Promise<Outcome<null>> {
    const lines = changes.map(({ how, path, stage }) => `${how} ${percentEncoded(path)} ${stage}\n`).join("");
    const body = Uint8Array.from(Buffer.from(lines));
    const query = { volume: percentEncoded(containerPath) };
    return this.#exchange({ method: "POST", op: "commit", query, timeoutMs, body }, async () => done(null));
  }

  /** At most `limit` entries, and whether there are more. */
  async list(
    at: Located,
    query: ListQuery,
    timeoutMs: number,
  ): Promise<Outcome<{ entries: ListedFile[]; more: boolean }>> {
    const { recursive, limit, after } = query;
    const depth = recursive ? "all" : "one";
    const asked = { ...placeOf(at), depth, limit, ...(after === "" ? {} : { after: percentEncoded(after) }) };
    return this.#exchange({ method: "GET", op: "list", query: asked, timeoutMs }, async (response) => {
      const entries = parseListing(new Uint8Array(await response.arrayBuffer()));
      return done({ entries: entries.slice(0, limit), more: entries.length > limit });
    });
  }

  async #exchange<T>(
    call: Call,
    read: (response: Response, head: { word: string; facts: FileFacts }) => Promise<Outcome<T>>,
  ): Promise<Outcome<T>> {
    const query = Object.entries(call.query).map(([name, value]) => `&${name}=${value}`);
    const url = `http://container/cgi-bin/control?op=file-${call.op}${query.join("")}`;
    try {
      return await withDeadline(call.timeoutMs, async (signal) => {
        const request = new Request(url, {
          method: call.method,
          headers: { authorization: `Bearer ${this.#keys.bootKey}` },
          signal,
          ...(call.body && { body: call.body }),
        });
        const response = await this.#runtime.fetch(CONTROL_PORT, request);
        if (response.status !== 200) return await this.#refused(call.op, response);
        const head = headOf(response.headers.get("x-file") ?? "");
        const isOurs = response.headers.get("x-boot-id") === this.#keys.bootId;
        if (head !== null && isOurs) return await read(response, head);
        await response.body?.cancel();
        return isOurs ? failed("internal", `${call.op}: an answer of another form`) : anotherBoot();
      });
    } catch (error) {
      return failedBy(error, call.op);
    }
  }

  async #refused(op: string, response: Response): Promise<Outcome<never>> {
    const answer = refusal.safeParse(await response.json().catch(() => null));
    if (!answer.success) return failed("operation_interrupted", `${op}: an answer that is not the control port's`);
    const { bootId, error, detail } = answer.data;
    if (bootId !== this.#keys.bootId) return anotherBoot();
    const { code, kind } = CODES[error] ?? { code: "operation_interrupted" as const }; // it ended without its own word
    return failed(code, sentence(detail), kind === undefined ? {} : { extra: { kind } });
  }
}

const anotherBoot = () =>
  failed("container_unavailable", "Another boot of the container answers: the one that was meant has ended.");

const sentence = (detail: string): string => `${detail.charAt(0).toUpperCase()}${detail.slice(1)}.`;

const placeOf = ({ containerPath, path }: Located) => ({
  volume: percentEncoded(containerPath),
  path: percentEncoded(path),
});

const conditionOf = ({ match, noneMatch }: WriteCondition) => ({
  ...(match === null ? {} : { match: match === "*" ? "%2A" : percentEncoded(match) }),
  ...(noneMatch === null ? {} : { noneMatch: "%2A" }),
});

function headOf(text: string): { word: string; facts: FileFacts } | null {
  const found = FACTS.exec(text);
  if (!found) return null;
  const [, word = "", size, mode = "", mtimeNs = "", tag = ""] = found;
  const kind = word === "directory" || word === "symlink" || word === "special" ? word : "file";
  const sha256 = HASH.test(tag) ? tag : null;
  return { word, facts: { kind, size: Number(size), mode: Number.parseInt(mode, 8), mtimeNs, sha256 } };
}

/** Records `./NAME\0KIND,SIZE,MODE,SECONDS\0`; the name of a directory ends with a slash. Exported for tests. @throws SyntaxError */
export function parseListing(bytes: Uint8Array): ListedFile[] {
  const entries: ListedFile[] = [];
  for (let at = 0; at < bytes.length; ) {
    const nameEnd = bytes.indexOf(0, at);
    const end = bytes.indexOf(0, nameEnd + 1);
    if (nameEnd === -1 || end === -1) throw new SyntaxError("a listing ends in the middle");
    const name = decodeName(bytes.subarray(at, nameEnd));
    const [what = "", size, mode = "", seconds = ""] = new TextDecoder()
      .decode(bytes.subarray(nameEnd + 1, end))
      .split(",");
    const kind = KINDS[what] ?? "special";
    entries.push({
      path: name.replace(/^\.\//, "").replace(/\/$/, ""),
      kind,
      size: kind === "file" ? Number(size) : 0,
      mode: Number.parseInt(mode, 8),
      mtimeNs: String(BigInt(seconds.replace(".", ""))),
      sha256: null,
    });
    at = end + 1;
  }
  return entries;
}
