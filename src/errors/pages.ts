import { type Entry, ERROR_CODES, type ErrorCode, entryOf } from "./codes.ts";

/** The page of every problem, from the catalogue: what `type` leads to, and docs/errors.md. Pure. */

/** A problem document's `type`: a reference that is resolved against the API's own address (RFC 9457, 3.1.1). */
export const pageOf = (code: ErrorCode): string => `/docs/errors/${code}`;

const again = ({ retry }: Entry): string =>
  retry ? "Yes: it certainly did not happen." : "No, not before something has changed.";

const rowsOf = (code: ErrorCode): readonly (readonly [string, string])[] => {
  const entry = entryOf(code);
  return [
    ["Status", String(entry.status)],
    ["Meaning", entry.meaning],
    ["May the same request be sent again?", again(entry)],
    ["What to do", entry.suggestion],
  ];
};

export function errorHtml(code: ErrorCode): string {
  const rows = rowsOf(code).map(([name, text]) => `<dt>${name}</dt><dd>${html(text)}</dd>`);
  return page(
    entryOf(code).title,
    `<p><code>${code}</code></p><dl>${rows.join("")}</dl><p><a href="/docs/errors">All problems</a></p>`,
  );
}

export function errorsHtml(): string {
  const items = ERROR_CODES.map((code) => {
    const { status, title } = entryOf(code);
    return `<li><a href="${pageOf(code)}"><code>${code}</code></a> ${status}: ${html(title)}</li>`;
  });
  return page("Problems", `<ul>${items.join("")}</ul><p><a href="/docs">API reference</a></p>`);
}

export function errorsMarkdown(): string {
  const sections = ERROR_CODES.map((code) => {
    const rows = rowsOf(code).map(([name, text]) => `| ${name} | ${text.replaceAll("|", "\\|")} |`);
    return `## ${code}\n${entryOf(code).title}.\n\n| | |\n|---|---|\n${rows.join("\n")}\n`;
  });
  return `${HEAD}\n${sections.join("\n")}`;
}

const HEAD = `# Problems

Made by \`npm run docs\` from \`src/errors/codes.ts\`. Every refusal is \`application/problem+json\` (RFC 9457):
\`{type, title, status, code, detail, suggestion, requestId, retryAfterMs?, …}\`. \`code\` is what a program looks at, \`detail\`
what happened this time, \`type\` the page of the code on the same host, \`requestId\` what to name when you ask for help.
`;

/** Catalogue text is ours, and is escaped all the same; words between backticks are code. */
const html = (text: string): string =>
  text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll('"', "&quot;")
    .replace(/`([^`]+)`/g, "<code>$1</code>");

const page = (title: string, body: string): string => `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,">
<title>${html(title)} · Boilerhouse</title>
<h1>${html(title)}</h1>
${body}
</html>
`;
