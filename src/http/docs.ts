import { ERROR_CODES } from "../errors/codes.ts";
import { errorHtml, errorsHtml } from "../errors/pages.ts";
import { Problem } from "../errors/problem.ts";
import { resource } from "./context.ts";

/**
 * What can be read about the API without a key: its reference (Scalar on /openapi.json) and a page for every problem.
 * No page loads anything from elsewhere or has a script in it; tenants' hosts serve none of this.
 */
const PAGE = "default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/** Scalar sets styles from its script; what it runs, asks and shows is ours alone. */
const REFERENCE = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'unsafe-inline'",
  "img-src 'self' data:",
  "font-src data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");

/** Whatever Scalar would fetch from its makers' servers is off: fonts, telemetry, request proxy, assistants. */
const SCALAR = {
  withDefaultFonts: false,
  telemetry: false,
  hideClientButton: true,
  showDeveloperTools: "never",
  agent: { disabled: true },
  mcp: { disabled: true },
  persistAuth: false,
  metaData: { title: "Boilerhouse API" },
};

const attribute = (text: string): string => text.replaceAll("&", "&amp;").replaceAll('"', "&quot;");

const reference = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>Boilerhouse API</title>
</head>
<body>
<noscript>The API in words: <a href="/openapi.json">/openapi.json</a> and <a href="/docs/errors">its problems</a>.</noscript>
<script id="api-reference" type="application/json" data-url="/openapi.json" data-configuration="${attribute(JSON.stringify(SCALAR))}"></script>
<script src="/docs/scalar.js"></script>
</body>
</html>
`;

export const docs = resource();

docs.get("/docs", (c) => c.html(reference, 200, { "content-security-policy": REFERENCE }));

docs.get("/docs/scalar.js", async (c) => {
  const asset = await c.env.ASSETS.fetch(c.req.raw);
  return new Response(asset.body, asset); // the binding's own headers cannot be added to
});

docs.get("/docs/errors", (c) => c.html(errorsHtml(), 200, { "content-security-policy": PAGE }));

docs.get("/docs/errors/:code", (c) => {
  const code = ERROR_CODES.find((known) => known === c.req.param("code"));
  if (!code) throw new Problem("not_found", "There is no such problem.");
  return c.html(errorHtml(code), 200, { "content-security-policy": PAGE });
});
