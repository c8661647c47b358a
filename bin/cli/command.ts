/** What a command is: data from which it is parsed, explained, completed and run. */

export type IdKind = "workload" | "pool" | "tenant" | "key" | "container" | "sync-spec" | "domain" | "operation";

export interface Argument {
  /** The placeholder of the path that it fills, or a name for the body. */
  readonly name: string;
  /** Ids are completed by asking the API. */
  readonly kind: IdKind | "word";
  /** The words that it may be. */
  readonly values?: readonly string[];
}

export interface Option {
  readonly takes: "value" | "nothing";
  readonly about: string;
  readonly short?: string;
  readonly kind?: IdKind;
  readonly values?: readonly string[];
}

/** What was given to a command, checked for its form. */
export interface Input {
  readonly args: Readonly<Record<string, string>>;
  readonly value: (option: OptionName) => string | undefined;
  readonly is: (option: OptionName) => boolean;
  /** The JSON value of the file that an option names; `-` is standard input. @throws UsageError */
  readonly json: (option: OptionName) => Promise<unknown>;
  /** Text that must not be an argument, from the file that an option names or from standard input; without its last newline. */
  /** The bytes of the file that an option names, as they come. @throws UsageError */
  readonly stream: (option: OptionName) => Promise<ReadableStream<Uint8Array>>;
  readonly secretText: (option: OptionName) => Promise<string>;
}

export interface Column {
  readonly head: string;
  /** Members from the outside in, as `assignment` or `syncStatus.lastSync`. */
  readonly path: string;
}

/** A command that is one route of the API. */
export interface RouteCommand {
  /** As typed: `pools scale`. */
  readonly words: string;
  readonly about: string;
  readonly method: "GET" | "POST" | "PUT" | "DELETE";
  /** As in docs/openapi.json. */
  readonly path: string;
  readonly args?: readonly Argument[];
  readonly options?: readonly OptionName[];
  /** Options that must be given. */
  readonly required?: readonly OptionName[];
  /** Query parameters by the options that they come from. */
  readonly query?: Readonly<Partial<Record<OptionName, string>>>;
  /** Query parameters by the arguments that they come from. */
  readonly argumentQuery?: Readonly<Record<string, string>>;
  /** Query parameters that are `true` where an option is given. */
  readonly flags?: Readonly<Partial<Record<OptionName, string>>>;
  /** Query parameters that are always the same. */
  readonly fixed?: Readonly<Record<string, string>>;
  readonly body?: (input: Input) => Promise<unknown> | unknown;
  /** A list, and what people see of it. */
  readonly columns?: readonly Column[];
  /** The query parameter by which a list goes on; `cursor` when left out, null for one that always comes whole. */
  readonly cursor?: string | null;
  /** It may answer 202, and `--wait` follows the operation to its end. */
  readonly waits?: true;
  /** The answer is a file, passed on as it comes. */
  readonly raw?: true;
  /** The body is the file that `--file` names, passed on as it comes. */
  readonly sends?: "tar" | "file";
  /** What `--yes` has to confirm. */
  readonly confirm?: string;
}

export const OPTIONS = {
  url: { takes: "value", about: "where the API is (BOILERHOUSE_URL, else http://127.0.0.1:8787)" },
  "key-file": { takes: "value", about: "a file that holds the key (else BOILERHOUSE_KEY)" },
  json: { takes: "nothing", about: "print the API's answer as JSON" },
  help: { takes: "nothing", about: "explain", short: "h" },
  file: { takes: "value", about: "from a file, - for standard input", short: "f" },
  wait: { takes: "nothing", about: "wait for the end" },
  timeout: { takes: "value", about: "how long --wait waits, as 90s or 5m (default 5m)" },
  limit: { takes: "value", about: "how many at most" },
  cursor: { takes: "value", about: "go on where an earlier list ended" },
  all: { takes: "nothing", about: "all pages" },
  query: { takes: "value", about: "search", short: "q" },
  state: { takes: "value", about: "only of this state" },
  sort: { takes: "value", about: "in which order" },
  pool: { takes: "value", about: "which pool", kind: "pool" },
  tenant: { takes: "value", about: "which tenant", kind: "tenant" },
  name: { takes: "value", about: "what it is called" },
  host: { takes: "value", about: "a name in DNS" },
  role: { takes: "value", about: "what it may do", values: ["admin", "operator", "viewer", "tenant"] },
  expires: { takes: "value", about: "when it ends to be valid, as 2027-01-31T00:00:00Z" },
  "if-match": { takes: "value", about: "only if this is still its version" },
  scope: { takes: "value", about: "what is restarted", values: ["process", "container", "image"] },
  force: { takes: "nothing", about: "accept what a save guard refuses" },
  reason: { takes: "value", about: "why, for the record" },
  yes: { takes: "nothing", about: "yes, really", short: "y" },
  "delete-data": { takes: "nothing", about: "its saved state too" },
  config: { takes: "value", about: "a JSON file with its config" },
  secrets: { takes: "value", about: "a JSON file with its secrets, by name" },
  "allow-fresh": { takes: "nothing", about: "start with empty state where it cannot be restored" },
  generation: { takes: "value", about: "which save; the latest when left out" },
  with: { takes: "value", about: "which save to compare with; the latest when left out" },
  as: { takes: "value", about: "what kind of tar it is", values: ["auto", "export", "plain"] },
  owner: { takes: "value", about: "whom everything shall belong to, as 10001:10001" },
  "dry-run": { takes: "nothing", about: "say what would happen, and change nothing" },
  spec: { takes: "value", about: "of what this sync spec keeps", kind: "sync-spec" },
  repair: { takes: "nothing", about: "mend what can be mended without losing anything" },
  rebuild: { takes: "nothing", about: "make the index anew from what R2 has" },
  discard: { takes: "nothing", about: "of a rebuild: give up what the index has and R2 has not" },
  source: { takes: "value", about: "where to look", values: ["auto", "vault", "container"] },
  wake: { takes: "nothing", about: "wake it for this, if it sleeps" },
  recursive: { takes: "nothing", about: "with everything below" },
  "no-sync": { takes: "nothing", about: "give up what was not saved" },
  "value-file": { takes: "value", about: "a file with the value (else standard input)" },
  mode: { takes: "value", about: "when it runs", values: ["on-demand", "always-on", "scheduled"] },
  idle: { takes: "value", about: "without activity for how long it goes to sleep, as 15m" },
  "wake-at": { takes: "value", about: "times of day in UTC, as 08:00,13:30" },
  subject: { takes: "value", about: "of one subject, as tenant:alice" },
  action: { takes: "value", about: "of one action" },
  actor: { takes: "value", about: "by one actor" },
  request: { takes: "value", about: "of one request id" },
  result: { takes: "value", about: "that came to this: ok, or a problem's code" },
  from: { takes: "value", about: "from this time on, as 2027-01-31T00:00:00Z" },
  to: { takes: "value", about: "before this time" },
  since: { takes: "value", about: "after the event with this id" },
  format: { takes: "value", about: "of the file", values: ["ndjson", "csv"] },
  type: { takes: "value", about: "of one type" },
} as const satisfies Readonly<Record<string, Option>>;

export type OptionName = keyof typeof OPTIONS;

/** Every command has these. */
export const COMMON: readonly OptionName[] = ["url", "key-file", "json", "help"];
const PAGE: readonly OptionName[] = ["limit", "cursor", "all"];
const WAIT: readonly OptionName[] = ["wait", "timeout"];

export const optionOf = (name: OptionName): Option => OPTIONS[name];

/** All options that a command takes; pure. */
export function optionsOf(command: RouteCommand): OptionName[] {
  return [
    ...(command.options ?? []),
    ...(command.columns && command.cursor !== null ? PAGE : []),
    ...(command.waits ? WAIT : []),
    ...(command.confirm ? (["yes"] as const) : []),
    ...COMMON,
  ];
}
