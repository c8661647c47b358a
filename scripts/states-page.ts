import { openApiDocument } from "../src/app.ts";
import type { ErrorCode } from "../src/errors/codes.ts";
import { generate } from "./generated.ts";
import type { Answer } from "./states/answer.ts";
import { containers } from "./states/containers.ts";
import { pools } from "./states/pools.ts";
import { gapsOf, nameOf, type Table } from "./states/table.ts";
import { tenants } from "./states/tenants.ts";

/** docs/states.md, from the plans that decide; and whether every route about a tenant, a pool or a container is in it. */
const letters = new Map<ErrorCode, string>();

/** A letter for each code, in the order in which they come. */
function letter(code: ErrorCode): string {
  const known = letters.get(code) ?? String.fromCharCode("a".charCodeAt(0) + letters.size);
  letters.set(code, known);
  return known;
}

const cell = ({ status, code }: Answer): string => (code === undefined ? String(status) : `${status}${letter(code)}`);

/** Rows that are answered alike stand together. */
function tableText({ about, columns, rows }: Table): string {
  const alike = new Map<string, string[]>();
  for (const { call, cells } of rows) {
    const key = cells.map(({ answer }) => cell(answer)).join(" | ");
    const name = `\`${nameOf(call).replace(about, "…").replace("/api/v1", "")}\``;
    alike.set(key, [...(alike.get(key) ?? []), name]);
  }
  const lines = [...alike].map(([cells, names]) => `| ${names.join("<br>")} | ${cells} |`);
  const head = columns.map((name) => name.replaceAll("_", " ")).join(" | ");
  return `| call | ${head} |\n|---|${columns.map(() => "---|").join("")}\n${lines.join("\n")}`;
}

const tables = [tenants, pools, containers] as unknown as readonly Table[];
const [ofTenants, ofPools, ofContainers] = tables.map(tableText);
generate(
  "docs/states.md",
  `# Every call in every state

Made by \`npm run docs\` from the plans that decide (\`scripts/states/\`), and compared cell by cell with what the API answers by \`test/workers/states.test.ts\` and \`states-pools.test.ts\`.

An admin asks, with a right request, and waits for nothing (\`?wait=0s\`): 202 is an operation that begins or is joined, 200 what was so already or is done at once, 207 a batch of which every operation has an answer of its own.

## Tenants
All but the one never seen have saved generation 1. \`…\` stands for \`${tenants.about}\`. *Importing* and *syncing* have such an operation under way; *release failed* is tried again by itself, *guarded* waits for \`force\`.

${ofTenants}

## Pools
\`…\` stands for \`${pools.about}\`.

${ofPools}

## Containers
\`…\` stands for \`${containers.about}\`. The one that is *draining* does not end, whatever its engine is asked.

${ofContainers}

${[...letters].map(([code, mark]) => `${mark}: [\`${code}\`](errors.md#${code})`).join(" · ")}
`,
);

const gaps = tables.flatMap((table) => gapsOf(openApiDocument(), table));
for (const gap of gaps) console.error(gap);
if (gaps.length > 0) process.exitCode = 1;
