import type { Found } from "./find.ts";

const BEGIN = "<!-- mutants: written by `npm run simulate:mutants` -->";
const END = "<!-- /mutants -->";

/** What was found, as docs/simulation.md shows it. Pure. */
export function table(found: readonly Found[]): string {
  const rows = found.map(
    ({ mutant, rule, seeds }) =>
      `| \`${mutant.name}\` | ${mutant.does} | ${rule === null ? "**not found**" : `\`${rule}\``} | ${seeds} |`,
  );
  return ["| bug | what the code does then | rule that it breaks | seeds |", "|---|---|---|---|", ...rows].join("\n");
}

/** A page with the table in its place. @throws Error where it has none */
export function withTable(page: string, content: string): string {
  const [before, rest, more] = page.split(BEGIN);
  const after = rest?.split(END)[1];
  if (before === undefined || after === undefined || more !== undefined)
    throw new Error("The page has no place for the table.");
  return `${before}${BEGIN}\n${content}\n${END}${after}`;
}
