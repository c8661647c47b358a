import { createBoilerhouse } from "../../src/client/index.ts";
import { pageOf } from "./call.ts";
import { type IdKind, OPTIONS, type OptionName, optionOf } from "./command.ts";
import { allOptionsOf, COMMANDS, find } from "./commands.ts";
import { connectionOf } from "./connection.ts";
import { EXIT } from "./exit.ts";
import type { Io } from "./io.ts";

/** What may stand where the cursor is. */
export type Candidates =
  | { readonly kind: "words"; readonly words: readonly string[] }
  | { readonly kind: "ids"; readonly of: IdKind }
  /** Something that the shell knows better: a file, a number. */
  | { readonly kind: "unknown" };

const UNKNOWN: Candidates = { kind: "unknown" };
const CUT_OFF_MS = 2_000;

/** Of the last of these words, which may be empty. Pure. */
export function candidates(words: readonly string[]): Candidates {
  const before = words.slice(0, -1);
  const current = words.at(-1) ?? "";
  const named = optionNamed(before.at(-1) ?? "");
  if (named !== null && optionOf(named).takes === "value") {
    const { values, kind } = optionOf(named);
    return values ? { kind: "words", words: values } : kind ? { kind: "ids", of: kind } : UNKNOWN;
  }
  const plain = withoutOptions(before);
  const found = find(plain);
  if (!found) return { kind: "words", words: next(plain) };
  if (current.startsWith("-")) {
    return { kind: "words", words: allOptionsOf(found.command).map((name) => `--${name}`) };
  }
  const argument = found.command.args?.[found.rest.length];
  if (!argument) return UNKNOWN;
  if (argument.values) return { kind: "words", words: argument.values };
  return argument.kind === "word" || argument.kind === "operation" ? UNKNOWN : { kind: "ids", of: argument.kind };
}

/** Prints a line for every candidate. Never an error: a shell would show it in the middle of a line. */
export async function complete(words: readonly string[], io: Io): Promise<number> {
  const current = words.at(-1) ?? "";
  const may = candidates(words);
  const all = may.kind === "words" ? may.words : may.kind === "ids" ? await idsOf(may.of, words, io) : [];
  const lines = all.filter((word) => word.startsWith(current));
  if (lines.length > 0) io.stdout(`${lines.join("\n")}\n`);
  return EXIT.ok;
}

/** The words that can follow these on the way to a command. */
function next(plain: readonly string[]): string[] {
  const following = COMMANDS.map(({ words }) => words.split(" "))
    .filter((words) => words.length > plain.length && plain.every((word, index) => words[index] === word))
    .map((words) => words[plain.length] ?? "");
  return [...new Set(following)];
}

function withoutOptions(words: readonly string[]): string[] {
  return words.filter((word, index) => {
    const before = optionNamed(words[index - 1] ?? "");
    return !word.startsWith("-") && !(before !== null && optionOf(before).takes === "value");
  });
}

function optionNamed(word: string): OptionName | null {
  const names = Object.keys(OPTIONS) as OptionName[];
  return names.find((name) => word === `--${name}` || word === `-${optionOf(name).short ?? name}`) ?? null;
}

const LISTS: Readonly<Record<Exclude<IdKind, "operation">, { path: string; id: string }>> = {
  workload: { path: "/api/v1/workloads", id: "id" },
  pool: { path: "/api/v1/pools", id: "id" },
  key: { path: "/api/v1/keys", id: "id" },
  container: { path: "/api/v1/containers", id: "id" },
  "sync-spec": { path: "/api/v1/sync-specs", id: "id" },
  domain: { path: "/api/v1/domains", id: "host" },
  tenant: { path: "/api/v1/tenants", id: "tenantId" },
};

async function idsOf(kind: IdKind, words: readonly string[], io: Io): Promise<string[]> {
  if (kind === "operation") return [];
  try {
    const { url, key } = await connectionOf({ url: after(words, "--url"), keyFile: after(words, "--key-file") }, io);
    if (key === null) return [];
    const fetch = (request: Request) => io.fetch(request);
    const { api } = createBoilerhouse({ baseUrl: url, key, fetch, attempts: 1, timeoutMs: CUT_OFF_MS });
    const { path, id } = LISTS[kind];
    const current = words.at(-1) ?? "";
    const query = { limit: "200", ...(kind === "tenant" && current !== "" ? { q: current } : {}) };
    const { data } = await api.GET(path as "/api/v1/workloads", { params: { query: query as never } });
    return pageOf(data).items.map((item) => String((item as Record<string, unknown>)[id] ?? ""));
  } catch {
    return []; // no connection, no key, no right: nothing to offer
  }
}

function after(words: readonly string[], option: string): string | undefined {
  const index = words.indexOf(option);
  return index === -1 ? undefined : words[index + 1];
}
