import type { Column } from "./command.ts";

/** Answers as text for people. Pure. */

/** One line for every item, one column for every member that matters. */
export function tableOf(items: readonly unknown[], columns: readonly Column[]): string {
  const rows = [columns.map(({ head }) => head), ...items.map((item) => columns.map(({ path }) => cell(item, path)))];
  const widths = columns.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows
    .map(
      (row) =>
        `${row
          .map((text, column) => text.padEnd(widths[column] ?? 0))
          .join("  ")
          .trimEnd()}\n`,
    )
    .join("");
}

/** A line for every member of an object; what is nested stays JSON. */
export function recordOf(value: unknown): string {
  if (typeof value !== "object" || value === null) return `${shown(value)}\n`;
  const entries = Object.entries(value);
  const width = Math.max(0, ...entries.map(([name]) => name.length));
  return entries.map(([name, member]) => `${name.padEnd(width)}  ${shown(member)}\n`).join("");
}

function cell(item: unknown, path: string): string {
  let value = item;
  for (const name of path.split(".")) {
    value = typeof value === "object" && value !== null ? (value as Record<string, unknown>)[name] : undefined;
  }
  return value === undefined || value === null ? "-" : shown(value);
}

/** What could move the cursor or look like another line is made visible: ids and reasons come from others. */
function shown(value: unknown): string {
  const text = typeof value === "string" ? value : (JSON.stringify(value) ?? "-");
  return text.replace(
    /[\p{Cc}\u2028\u2029]/gu,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
