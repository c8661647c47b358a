import { BoilerhouseError } from "../../src/client/index.ts";
import { walk } from "./admin.ts";
import { verifyAudit } from "./audit.ts";
import { type Answered, call, pageOf } from "./call.ts";
import { type Input, type OptionName, optionOf, type RouteCommand } from "./command.ts";
import { type AnyCommand, allOptionsOf, find, isRoute } from "./commands.ts";
import { complete } from "./complete.ts";
import { clientOf, connectionOf, readable } from "./connection.ts";
import { doctor } from "./doctor.ts";
import { EXIT, exitCodeOf, UsageError } from "./exit.ts";
import { fsck } from "./fsck.ts";
import { helpOf, overview, placeholder, signature } from "./help.ts";
import type { Io } from "./io.ts";
import { type Parsed, parse } from "./parse.ts";
import { scriptOf } from "./shell.ts";
import { sweep } from "./sweep.ts";
import { recordOf, tableOf } from "./table.ts";

/** Runs one command to its end, and answers with its exit code. Never throws. */
export async function run(argv: readonly string[], io: Io): Promise<number> {
  const inJson = argv.includes("--json");
  try {
    if (argv[0] === "__complete") return await complete(argv.slice(1), io);
    return await runParsed(parse(argv), io);
  } catch (problem) {
    tell(problem, inJson, io);
    return exitCodeOf(problem);
  }
}

async function runParsed(parsed: Parsed, io: Io): Promise<number> {
  const [group = ""] = parsed.words;
  const found = find(parsed.words);
  if (!found) {
    const text = overview(group === "help" ? "" : group);
    const asked = parsed.flags.has("help") || group === "" || group === "help";
    if (asked) io.stdout(text);
    else throw new UsageError(`There is no command ${parsed.words.join(" ")}.\n${text}`);
    return EXIT.ok;
  }
  const { command, rest } = found;
  if (parsed.flags.has("help")) {
    io.stdout(helpOf(command));
    return EXIT.ok;
  }
  check(command, rest, parsed);
  const connection = () => connectionOf({ url: parsed.values.url, keyFile: parsed.values["key-file"] }, io);
  const report = parsed.flags.has("json") ? "json" : "text";
  if (isRoute(command)) {
    const client = clientOf(await connection(), io, command.raw ? { timeoutMs: FILE_TIMEOUT_MS } : {});
    await show(command, await call(client, command, inputOf(command, rest, parsed, io)), report, io);
    return EXIT.ok;
  }
  switch (command.words) {
    case "doctor":
      return doctor(await connection(), report, io);
    case "fsck": {
      const flags = (["repair", "rebuild", "discard"] as const).filter((name) => parsed.flags.has(name));
      if (parsed.flags.has("discard") && !parsed.flags.has("yes")) {
        throw new UsageError("What the index has and R2 has not is given up. Say --yes if that is meant.");
      }
      return fsck(
        clientOf(await connection(), io, { timeoutMs: FILE_TIMEOUT_MS }),
        rest[0] ?? "",
        { flags, spec: parsed.values.spec },
        report,
        io,
      );
    }
    case "sweep": {
      const body = parsed.flags.has("dry-run") ? { dryRun: true as const } : {};
      return sweep(clientOf(await connection(), io, { timeoutMs: FILE_TIMEOUT_MS }), body, report, io);
    }
    case "audit verify":
      return verifyAudit(clientOf(await connection(), io), subjectOf(rest[0] ?? ""), report, io);
    case "admin rotate-secrets":
    case "admin rebuild":
      return walk(clientOf(await connection(), io), command.words, report, io);
    case "completion":
      io.stdout(scriptOf(rest[0] === "zsh" ? "zsh" : "bash"));
      return EXIT.ok;
  }
}

/** @throws UsageError for arguments and options that do not fit the command */
function check(command: AnyCommand, rest: readonly string[], { values, flags }: Parsed): void {
  const usage = `Usage: boilerhouse ${signature(command)}`;
  const known = allOptionsOf(command);
  const strange = [...Object.keys(values), ...flags].find((name) => !known.includes(name as OptionName));
  if (strange !== undefined) throw new UsageError(`${command.words} takes no --${strange}.\n${usage}`);
  for (const [name, value] of Object.entries(values)) oneOf(optionOf(name as OptionName).values, value, `--${name}`);
  const args = command.args ?? [];
  if (rest.length !== args.length) {
    const what = rest.length < args.length ? "is missing" : "is more than it takes";
    const which =
      rest.length < args.length ? placeholder(args[rest.length] ?? { name: "", kind: "word" }) : rest[args.length];
    throw new UsageError(`${which} ${what}.\n${usage}`);
  }
  args.forEach((argument, index) => {
    oneOf(argument.values, rest[index] ?? "", placeholder(argument));
    if (rest[index] === "") throw new UsageError(`${placeholder(argument)} is empty.\n${usage}`);
  });
  if (!isRoute(command)) return;
  const missing = (command.required ?? []).find((name) => values[name] === undefined);
  if (missing) throw new UsageError(`--${missing} is missing.\n${usage}`);
  if (command.confirm && !flags.has("yes")) {
    throw new UsageError(`${command.words} ${rest.join(" ")}: ${command.confirm}. Say --yes if that is meant.`);
  }
}

function oneOf(values: readonly string[] | undefined, value: string, name: string): void {
  if (!values || values.includes(value)) return;
  throw new UsageError(`${name} is one of ${values.join(", ")}, not ${value}.`);
}

function inputOf(command: RouteCommand, rest: readonly string[], { values, flags }: Parsed, io: Io): Input {
  return {
    args: Object.fromEntries((command.args ?? []).map(({ name }, index) => [name, rest[index] ?? ""])),
    value: (option) => values[option],
    is: (option) => flags.has(option),
    json: async (option) => {
      const path = values[option] ?? "-";
      const text = await readable(io, path);
      try {
        return JSON.parse(text) as unknown;
      } catch (cause) {
        const where = path === "-" ? "Standard input" : path;
        throw new UsageError(`${where} is not JSON: ${cause instanceof Error ? cause.message : cause}`);
      }
    },
    stream: async (option) => {
      const path = values[option] ?? "-";
      try {
        return await io.open(path);
      } catch (cause) {
        throw new UsageError(`${path} cannot be read: ${cause instanceof Error ? cause.message : cause}`);
      }
    },
    secretText: async (option) => (await readable(io, values[option] ?? "-")).replace(/\r?\n$/, ""),
  };
}

/** A tenant, unless it says what else it is about: `alice` is `tenant:alice`. */
const subjectOf = (text: string): string =>
  /^(?:tenant|pool|workload|key|sync-spec|domain):/.test(text) ? text : `tenant:${text}`;

/** How long a file may take to come. */
const FILE_TIMEOUT_MS = 15 * 60_000;

/** The answer on standard output; what is said about it on standard error. */
async function show(
  command: RouteCommand,
  { status, value, location }: Answered,
  report: "json" | "text",
  io: Io,
): Promise<void> {
  if (command.raw) await pass(value as ReadableStream<Uint8Array>, io);
  else if (report === "json") io.stdout(`${JSON.stringify(value ?? null)}\n`);
  else if (value === undefined) io.stderr("Done.\n");
  else if (command.columns) {
    const { items, nextCursor } = pageOf(value);
    io.stdout(tableOf(items, command.columns));
    if (nextCursor !== null) io.stderr(`There is more: --all, or --cursor ${nextCursor}\n`);
  } else io.stdout(recordOf(value));
  if (status === 202) io.stderr(`It goes on${location === null ? "" : `: ${location}`}. --wait waits for its end.\n`);
}

async function pass(stream: ReadableStream<Uint8Array>, io: Io): Promise<void> {
  for await (const piece of stream) io.stdout(piece);
}

/** Failures go to standard error: as text, or with `--json` as one problem document. */
function tell(problem: unknown, inJson: boolean, io: Io): void {
  if (inJson) io.stderr(`${JSON.stringify(documentOf(problem))}\n`);
  else if (problem instanceof BoilerhouseError) io.stderr(`${explain(problem)}\n`);
  else if (problem instanceof UsageError) io.stderr(`${problem.message}\n`);
  else io.stderr(`${problem instanceof Error ? problem.stack : problem}\n`);
}

function documentOf(problem: unknown): Readonly<Record<string, unknown>> {
  if (problem instanceof UsageError) return { code: "usage", detail: problem.message };
  if (!(problem instanceof BoilerhouseError)) return { code: "internal", detail: String(problem) };
  const { code, detail, status, document } = problem;
  return { ...document, code, detail, status };
}

/** What went wrong, where, what to do, and the id under which whoever runs the API finds it. */
function explain({ code, detail, status, suggestion, requestId, retryAfterMs, errors }: BoilerhouseError): string {
  return [
    `${status === 0 ? "" : `${status} `}${code}: ${detail}`,
    ...errors.map((error) => `  ${error.pointer || "/"}: ${error.detail}`),
    ...(suggestion === null ? [] : [suggestion]),
    ...(retryAfterMs === null ? [] : [`Try again in ${Math.ceil(retryAfterMs / 1_000)} s.`]),
    ...(requestId === null ? [] : [`Request ${requestId}`]),
  ].join("\n");
}
