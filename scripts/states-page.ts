import { openApiDocument } from "../src/app.ts";
import type { ErrorCode } from "../src/errors/codes.ts";
import { generate } from "./generated.ts";
import type { Answer } from "./states/answer.ts";
import { STANDINGS } from "./states/standings.ts";
import { gapsOf, nameOf, type Row, rows } from "./states/table.ts";

/** docs/states.md, from the plans that decide; and whether every route about a tenant is in it. */
const letters = new Map<ErrorCode, string>();

/** A letter for each code, in the order in which they come. */
function letter(code: ErrorCode): string {
  const known = letters.get(code) ?? String.fromCharCode("a".charCodeAt(0) + letters.size);
  letters.set(code, known);
  return known;
}

const cell = ({ status, code }: Answer): string => (code === undefined ? String(status) : `${status}${letter(code)}`);

/** Rows that are answered alike stand together. */
function table(): string {
  const alike = new Map<string, Row[]>();
  for (const row of rows) {
    const key = row.cells.map(({ answer }) => cell(answer)).join(" | ");
    alike.set(key, [...(alike.get(key) ?? []), row]);
  }
  const lines = [...alike].map(([cells, same]) => `| ${same.map(shortName).join("<br>")} | ${cells} |`);
  const head = STANDINGS.map(({ name }) => name.replaceAll("_", " ")).join(" | ");
  return `| call | ${head} |\n|---|${STANDINGS.map(() => "---|").join("")}\n${lines.join("\n")}\n`;
}

const shortName = ({ call }: Row): string =>
  `\`${nameOf(call).replace("/api/v1/tenants/{id}", "…").replace("/api/v1", "")}\``;

const body = table();
generate(
  "docs/states.md",
  `# Every call in every state

Made by \`npm run docs\` from the plans that decide (\`scripts/states/\`), and compared cell by cell with what the API answers by \`test/workers/states.test.ts\`.

An admin asks, with a right request, about a tenant that has saved generation 1 (but one never seen), and waits for nothing (\`?wait=0s\`): 202 is an operation that begins or is joined, 200 what was so already or is done at once, 207 a batch of which every operation has an answer of its own. \`…\` stands for \`/api/v1/tenants/{id}\`.

${body}
${[...letters].map(([code, mark]) => `${mark}: [\`${code}\`](errors.md#${code})`).join(" · ")}

The columns *importing*, *syncing* are of a tenant with such an operation under way; *release failed* is tried again by itself, *guarded* waits for \`force\`.
`,
);

const gaps = gapsOf(openApiDocument());
for (const gap of gaps) console.error(gap);
if (gaps.length > 0) process.exitCode = 1;
