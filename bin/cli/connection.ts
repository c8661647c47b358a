import { type Boilerhouse, createBoilerhouse, type Sending } from "../../src/client/index.ts";
import { UsageError } from "./exit.ts";
import type { Io } from "./io.ts";

/** Where the API is and who asks. The key comes from the environment or a file: arguments can be read by everybody. */
export interface Connection {
  readonly url: string;
  /** Null: none was found, which is enough for `doctor` to say so. */
  readonly key: string | null;
}

const DEFAULT_URL = "http://127.0.0.1:8787";
const LOCAL = /^(?:localhost|.+\.localhost|127\.\d+\.\d+\.\d+|\[::1\])$/;

/** @throws UsageError where the key file cannot be read, or the key would travel in the clear */
export async function connectionOf(
  given: { readonly url: string | undefined; readonly keyFile: string | undefined },
  io: Io,
): Promise<Connection> {
  const url = given.url ?? io.env.BOILERHOUSE_URL ?? DEFAULT_URL;
  const parsed = URL.canParse(url) ? new URL(url) : null;
  if (!parsed || !/^https?:$/.test(parsed.protocol)) throw new UsageError(`${url} is no URL of an API.`);
  if (parsed.username || parsed.password || parsed.search) {
    throw new UsageError("The URL must not carry a key: use BOILERHOUSE_KEY or --key-file.");
  }
  const isLocal = LOCAL.test(parsed.hostname);
  const key = await keyOf(given.keyFile, isLocal, io);
  if (key !== null && !isLocal && parsed.protocol === "http:") {
    throw new UsageError(`The key would travel in the clear to ${parsed.host}: use https://.`);
  }
  return { url: parsed.href.replace(/\/+$/, ""), key };
}

async function keyOf(file: string | undefined, isLocal: boolean, io: Io): Promise<string | null> {
  if (file !== undefined) {
    const key = (await readable(io, file)).trim();
    if (key === "") throw new UsageError(`${file} is empty.`);
    return key;
  }
  if (io.env.BOILERHOUSE_KEY) return io.env.BOILERHOUSE_KEY;
  return isLocal ? keyOfCheckout(io) : null;
}

/** The admin key of the checkout that this is run in: a convenience for the system on one's own machine, nowhere else. */
async function keyOfCheckout(io: Io): Promise<string | null> {
  const vars = await io.readFile(".dev.vars").catch(() => "");
  return /^\s*ADMIN_KEY\s*=\s*"?([^"\s]+)"?\s*$/m.exec(vars)?.[1] ?? null;
}

/** @throws UsageError */
export async function readable(io: Io, path: string): Promise<string> {
  try {
    return path === "-" ? await io.stdin() : await io.readFile(path);
  } catch (cause) {
    throw new UsageError(`${path} cannot be read: ${cause instanceof Error ? cause.message : cause}`);
  }
}

/** @throws UsageError without a key */
export function clientOf({ url, key }: Connection, io: Io, sending: Omit<Sending, "fetch"> = {}): Boilerhouse {
  if (key !== null) return createBoilerhouse({ ...sending, baseUrl: url, key, fetch: (request) => io.fetch(request) });
  throw new UsageError(`There is no key for ${url}: set BOILERHOUSE_KEY, or name a file that holds it by --key-file.`);
}
