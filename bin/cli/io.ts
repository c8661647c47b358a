import { open, readFile } from "node:fs/promises";
import { Readable } from "node:stream";
import { text } from "node:stream/consumers";

/** Everything that the command takes from where it runs, so that tests can run it in a place of their own. */
export interface Io {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The answer alone goes to standard output; everything said to people goes to standard error. */
  stdout(content: string | Uint8Array): void;
  stderr(text: string): void;
  stdin(): Promise<string>;
  /** @throws when it cannot be read */
  readFile(path: string): Promise<string>;
  /** The bytes of a file as they come; `-` is standard input. @throws when it cannot be read */
  open(path: string): Promise<ReadableStream<Uint8Array>>;
  fetch(request: Request): Promise<Response>;
  now(): number;
}

export const processIo: Io = {
  env: process.env,
  stdout: (out) => void process.stdout.write(out),
  stderr: (out) => void process.stderr.write(out),
  stdin: () => text(process.stdin),
  readFile: (path) => readFile(path, "utf8"),
  open: async (path) => {
    const source = path === "-" ? process.stdin : (await open(path)).createReadStream();
    return Readable.toWeb(source) as unknown as ReadableStream<Uint8Array>;
  },
  fetch: (request) => fetch(request),
  now: () => Date.now(),
};
