import { parseArgs } from "node:util";
import { OPTIONS, type OptionName, optionOf } from "./command.ts";
import { UsageError } from "./exit.ts";

export interface Parsed {
  /** Everything that is no option: the command's words, then its arguments. */
  readonly words: readonly string[];
  readonly values: Readonly<Partial<Record<OptionName, string>>>;
  readonly flags: ReadonlySet<OptionName>;
}

/** Takes an argument vector apart, whatever the command is. @throws UsageError for an option that no command has */
export function parse(argv: readonly string[]): Parsed {
  const options = Object.fromEntries(
    Object.keys(OPTIONS).map((name) => {
      const { takes, short } = optionOf(name as OptionName);
      return [
        name,
        { type: takes === "value" ? ("string" as const) : ("boolean" as const), ...(short ? { short } : {}) },
      ];
    }),
  );
  try {
    const parsed = parseArgs({ args: [...argv], options, allowPositionals: true, strict: true });
    const given = Object.entries(parsed.values) as [OptionName, string | boolean][];
    return {
      words: parsed.positionals,
      values: Object.fromEntries(given.filter(([, value]) => typeof value === "string")),
      flags: new Set(given.filter(([, value]) => value === true).map(([name]) => name)),
    };
  } catch (cause) {
    const [message = ""] = (cause instanceof Error ? cause.message : String(cause)).split(". ");
    throw new UsageError(`${message}.`);
  }
}

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };

/** `500ms`, `90s`, `5m`, `2h` as ms. @throws UsageError */
export function durationOf(text: string): number {
  const found = /^(\d{1,9})(ms|s|m|h)$/.exec(text);
  if (!found) throw new UsageError(`${text} is no duration: write it as 500ms, 90s, 5m or 2h.`);
  return Number(found[1]) * (UNITS[found[2] ?? ""] ?? 1);
}

/** @throws UsageError */
export function wholeNumberOf(text: string, name: string): number {
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw new UsageError(`${name} is a whole number, not ${text}.`);
}
