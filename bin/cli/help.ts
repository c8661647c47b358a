import { type Argument, type OptionName, optionOf } from "./command.ts";
import { type AnyCommand, allOptionsOf, COMMANDS, isRoute } from "./commands.ts";

/** Texts that explain commands. Pure. */

const HEAD = `boilerhouse: run a Boilerhouse from the command line

Where: --url or BOILERHOUSE_URL; http://127.0.0.1:8787 otherwise.
Key:   BOILERHOUSE_KEY, or --key-file FILE; on localhost also ADMIN_KEY of ./.dev.vars. Never an argument.
Exit:  0 ok · 1 refused · 2 usage · 3 not found · 4 not allowed · 5 conflict · 6 unavailable or not in time · 7 no connection
`;

/** All commands whose words begin like this. */
export function overview(group = ""): string {
  const listed = COMMANDS.filter(({ words }) => group === "" || words.startsWith(`${group} `));
  const left = listed.map((command) => `  ${signature(command)}`);
  const width = Math.max(...left.map((text) => text.length));
  const lines = listed.map(({ about }, index) => `${(left[index] ?? "").padEnd(width)}  ${about}`);
  return `${group === "" ? `${HEAD}\n` : ""}${lines.join("\n")}\n\nMore about one: boilerhouse COMMAND --help\n`;
}

export function helpOf(command: AnyCommand): string {
  const names = allOptionsOf(command);
  const left = names.map((name) => `  ${spelled(name)}`);
  const width = Math.max(...left.map((text) => text.length));
  const lines = names.map((name, index) => `${(left[index] ?? "").padEnd(width)}  ${aboutOf(name)}`);
  return `boilerhouse ${signature(command)}\n${command.about}\n\n${lines.join("\n")}\n`;
}

/** `pools scale POOL TARGET`. */
export function signature(command: AnyCommand): string {
  const args = (command.args ?? []).map(placeholder);
  const required = isRoute(command) ? (command.required ?? []).map(long) : [];
  return [command.words, ...args, ...required].join(" ");
}

/** How an argument is named to people. */
export const placeholder = ({ name, kind, values }: Argument): string =>
  kind !== "word" ? kind.toUpperCase() : values && values.length <= 3 ? values.join("|") : name.toUpperCase();

function spelled(name: OptionName): string {
  const { short } = optionOf(name);
  return `${short === undefined ? "" : `-${short}, `}${long(name)}`;
}

const long = (name: OptionName): string =>
  `--${name}${optionOf(name).takes === "value" ? ` ${name.toUpperCase()}` : ""}`;

function aboutOf(name: OptionName): string {
  const { about, values } = optionOf(name);
  return values ? `${about}: ${values.join(", ")}` : about;
}
