import type { OptionName, RouteCommand } from "./command.ts";
import { COMMON, optionsOf } from "./command.ts";
import { fileCommands } from "./commands/files.ts";
import { recordCommands } from "./commands/records.ts";
import { registryCommands } from "./commands/registry.ts";
import { storageCommands } from "./commands/storage.ts";
import { tenantCommands } from "./commands/tenants.ts";

/** Every command that is one route of the API. */
export const ROUTES: readonly RouteCommand[] = [
  ...registryCommands,
  ...tenantCommands,
  ...fileCommands,
  ...storageCommands,
  ...recordCommands,
];

/** A command that is more than one route. */
export interface OwnCommand {
  readonly words:
    | "doctor"
    | "fsck"
    | "sweep"
    | "audit verify"
    | "admin rotate-secrets"
    | "admin rebuild"
    | "completion";
  readonly about: string;
  readonly args?: RouteCommand["args"];
  readonly options: readonly OptionName[];
}

export const OWN: readonly OwnCommand[] = [
  {
    words: "audit verify",
    about: "whether the record of a subject is whole, from its first entry to the last",
    args: [{ name: "subject", kind: "word" }],
    options: COMMON,
  },
  {
    words: "admin rotate-secrets",
    about: "wrap every data key under the present SECRETS_KEY",
    options: COMMON,
  },
  { words: "admin rebuild", about: "make the lists of tenants and containers anew from their owners", options: COMMON },
  {
    words: "fsck",
    about: "whether what a tenant saved is whole, in its vault and in R2",
    args: [{ name: "id", kind: "tenant" }],
    options: ["spec", "repair", "rebuild", "discard", "yes", ...COMMON],
  },
  {
    words: "sweep",
    about: "remove what is nobody's, and set going what has stopped; runs every day by itself",
    options: ["dry-run", ...COMMON],
  },
  { words: "doctor", about: "whether the API, the key and the pools are well", options: COMMON },
  {
    words: "completion",
    about: "a script for your shell that completes commands and ids",
    args: [{ name: "shell", kind: "word", values: ["bash", "zsh"] }],
    options: ["help"],
  },
];

export type AnyCommand = RouteCommand | OwnCommand;
export const COMMANDS: readonly AnyCommand[] = [...ROUTES, ...OWN];

export const isRoute = (command: AnyCommand): command is RouteCommand => "path" in command;
export const allOptionsOf = (command: AnyCommand): readonly OptionName[] =>
  isRoute(command) ? optionsOf(command) : command.options;

/** The command that these words begin with, the longest first, and what is left of them; null when there is none. Pure. */
export function find(words: readonly string[]): { command: AnyCommand; rest: readonly string[] } | null {
  for (let length = Math.min(3, words.length); length > 0; length -= 1) {
    const name = words.slice(0, length).join(" ");
    const command = COMMANDS.find((one) => one.words === name);
    if (command) return { command, rest: words.slice(length) };
  }
  return null;
}
