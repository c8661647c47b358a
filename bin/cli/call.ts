import { type Boilerhouse, BoilerhouseError } from "../../src/client/index.ts";
import type { Input, RouteCommand } from "./command.ts";
import { UsageError } from "./exit.ts";
import { durationOf, wholeNumberOf } from "./parse.ts";

/** The answer to a route command. */
export interface Answered {
  readonly status: number;
  /** Of a `raw` command the stream as it comes; undefined for an answer without a body. */
  readonly value: unknown;
  /** A 202 that was not followed to its end: where to look. */
  readonly location: string | null;
}

interface Init {
  readonly params: { path: Record<string, string>; query: Record<string, string> };
  readonly headers: Record<string, string>;
  readonly body?: unknown;
  readonly parseAs?: "stream";
  readonly bodySerializer?: (body: unknown) => unknown;
}

/** The longest `?wait` that the API takes, in ms. */
const MAX_WAIT_MS = 300_000;
const MAX_PAGE = 1_000;

/** Does what a command says. @throws BoilerhouseError, UsageError */
export async function call(client: Boilerhouse, command: RouteCommand, input: Input): Promise<Answered> {
  const init = await initOf(command, input);
  if (command.sends === "tar") {
    // The one route whose body is no JSON; its query is what the command made of its options.
    const value = await client.importTar(input.args.id ?? "", await input.stream("file"), init.params.query);
    return { status: 200, value, location: null };
  }
  if (command.sends === "file") return request(client, command, await withFile(init, input));
  if (command.columns) return list(client, command, input, init);
  const startedAt = Date.now();
  const answered = await request(client, command, init);
  const operation = operationOf(answered.value);
  if (answered.status !== 202 || !command.waits || !input.is("wait")) return answered;
  const timeoutMs = Math.max(0, startedAt + timeoutOf(input) - Date.now());
  if (operation === null) throw new BoilerhouseError("timed_out", "It is not done yet, and goes on.");
  const { result } = await client.waitFor(operation, { timeoutMs });
  return { status: 200, value: result, location: null };
}

async function initOf(command: RouteCommand, input: Input): Promise<Init> {
  const query: Record<string, string> = { ...command.fixed };
  for (const [option, name] of Object.entries(command.query ?? {})) {
    const value = input.value(option as keyof typeof command.query);
    if (value !== undefined) query[name] = value;
  }
  for (const [argument, name] of Object.entries(command.argumentQuery ?? {})) {
    const value = input.args[argument];
    if (value !== undefined) query[name] = value;
  }
  for (const [option, name] of Object.entries(command.flags ?? {})) {
    if (input.is(option as keyof typeof command.flags)) query[name] = "true";
  }
  if (command.waits && input.is("wait")) query.wait = `${Math.min(timeoutOf(input), MAX_WAIT_MS)}ms`;
  const version = command.options?.includes("if-match") ? input.value("if-match") : undefined;
  const body = await command.body?.(input);
  return {
    params: { path: { ...input.args }, query },
    headers: version === undefined ? {} : { "if-match": version === "*" ? "*" : `"${version.replaceAll('"', "")}"` },
    ...(body === undefined ? {} : { body }),
    ...(command.raw ? { parseAs: "stream" } : {}),
  };
}

/** The same with a file as its body, byte for byte; whole, because it is sent with its length. */
async function withFile(init: Init, input: Input): Promise<Init> {
  const body = new Uint8Array(await new Response(await input.stream("file")).arrayBuffer());
  const headers = { ...init.headers, "content-type": "application/octet-stream" };
  return { ...init, headers, body, bodySerializer: (bytes) => bytes };
}

const timeoutOf = (input: Input): number => durationOf(input.value("timeout") ?? "5m");

/** One page, or with `--all` every page as one list. */
async function list(client: Boilerhouse, command: RouteCommand, input: Input, init: Init): Promise<Answered> {
  const [limit, cursor] = [input.value("limit"), input.value("cursor")];
  const size = limit === undefined ? null : wholeNumberOf(limit, "--limit");
  if (size !== null && (size < 1 || size > MAX_PAGE)) throw new UsageError(`--limit is from 1 to ${MAX_PAGE}.`);
  if (size !== null) init.params.query.limit = String(size);
  const goOn = command.cursor ?? "cursor";
  if (cursor !== undefined) init.params.query[goOn] = cursor;
  const first = await request(client, command, init);
  if (!input.is("all")) return first;
  const items: unknown[] = [];
  let page = pageOf(first.value);
  for (;;) {
    items.push(...page.items);
    if (page.nextCursor === null) return { ...first, value: { items, nextCursor: null } };
    init.params.query[goOn] = page.nextCursor;
    page = pageOf((await request(client, command, init)).value);
  }
}

export function pageOf(value: unknown): { items: readonly unknown[]; nextCursor: string | null } {
  const { items, nextCursor } = (value ?? {}) as { items?: unknown; nextCursor?: unknown };
  if (!Array.isArray(items)) throw new BoilerhouseError("unexpected_answer", "The answer is no list.");
  return { items, nextCursor: typeof nextCursor === "string" ? nextCursor : null };
}

/** The one place where a path is not known to the compiler: a test compares every command with docs/openapi.json. */
async function request(client: Boilerhouse, { method, path }: RouteCommand, init: Init): Promise<Answered> {
  const send = client.api.request as unknown as (
    method: string,
    path: string,
    init: Init,
  ) => Promise<{ data?: unknown; response: Response }>;
  const { data, response } = await send(method.toLowerCase(), path, init);
  return { status: response.status, value: data, location: response.headers.get("location") };
}

function operationOf(value: unknown): string | null {
  const { operation, operationId } = (value ?? {}) as { operation?: { id?: unknown }; operationId?: unknown };
  const id = operation?.id ?? operationId;
  return typeof id === "string" ? id : null;
}
