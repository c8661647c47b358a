import { VARIABLES } from "../src/environment.ts";
import { generate } from "./generated.ts";

/** docs/configuration.md and .dev.vars.example, from the table of variables. */
type Variable = (typeof VARIABLES)[number];

const groups = new Map<string, Variable[]>();
for (const variable of VARIABLES) groups.set(variable.group, [...(groups.get(variable.group) ?? []), variable]);

generate(
  "docs/configuration.md",
  `# Configuration

Made by \`npm run docs\` from \`src/environment.ts\`. Variables are set in wrangler.jsonc (\`vars\`) or the dashboard, secrets with
\`wrangler secret put NAME\`; on your own machine both are lines of \`.dev.vars\`, which \`npm start\` writes. Empty counts as unset.

A value that is out of range is never used and never guessed at: \`GET /ready\` names the variable (never its value), and
until it is right the Worker serves nothing but \`/health\` and \`/ready\`.
${[...groups].map(([group, members]) => `\n## ${group}\n${table(members)}`).join("")}`,
);

generate(
  ".dev.vars.example",
  `# Made by \`npm run docs\` from src/environment.ts; docs/configuration.md says more. Copy to .dev.vars (\`npm start\` writes one
# with fresh random secrets). Empty counts as unset.
${[...groups].map(([group, members]) => `\n# ${group}\n${members.map(lines).join("")}`).join("")}`,
);

function table(members: readonly Variable[]): string {
  const rows = members.map((variable) => {
    const { name, about, range, secret, required } = variable;
    const initial = required ? "required" : code(defaultOf(variable)) || "unset";
    return `| \`${name}\` | ${about} | ${cell(range)} | ${initial} | ${secret ? "yes" : "no"} |\n`;
  });
  return `| variable | what it is | right values | default | secret |\n|---|---|---|---|---|\n${rows.join("")}`;
}

function lines(variable: Variable): string {
  const { name, about, range, required } = variable;
  const value = name === "ENVIRONMENT" ? "development" : defaultOf(variable).replace(/^[[{].*$/, "");
  return `# ${required ? "Required. " : ""}${about.replaceAll("`", "").replace(/\.$/, "")}: ${range}.\n${name}=${value}\n`;
}

function defaultOf({ fallback }: Variable): string {
  if (fallback === undefined) return "";
  return typeof fallback === "object" ? JSON.stringify(fallback) : String(fallback);
}

function code(text: string): string {
  return text === "" ? "" : `\`${cell(text)}\``;
}

function cell(text: string): string {
  return text.replaceAll("|", "\\|");
}
