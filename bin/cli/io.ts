import { readFile } from "node:fs/promises";
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
  fetch(request: Request): Promise<Response>;
  now(): number;
}

export const processIo: Io = {
  env: process.env,
  stdout: (out) => void process.stdout.write(out),
  stderr: (out) => void process.stderr.write(out),
  stdin: () => text(process.stdin),
  readFile: (path) => readFile(path, "utf8"),
  fetch: (request) => fetch(request),
  now: () => Date.now(),
};
