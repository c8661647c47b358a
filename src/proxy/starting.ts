import { problemResponse } from "../errors/problem.ts";
import type { Failure } from "../outcome.ts";
import type { Exposure } from "./internal.ts";

/** What is known of a container that cannot answer yet. Times in ms since 1970. */
export interface Starting {
  phase: string;
  startedAt: number | null;
  lastError: string | null;
  retryAfterMs: number;
}

/** A page that a person gets while their container starts; it looks again by itself, but not while it is hidden. */
export function startingPage(starting: Starting, exposure: Exposure, requestId: string, now: number): Response {
  const nonce = crypto.randomUUID();
  const policy = `default-src 'none'; style-src 'nonce-${nonce}'; script-src 'nonce-${nonce}'; base-uri 'none'; frame-ancestors 'none'`;
  return new Response(html(starting, nonce, now), {
    status: 503,
    headers: {
      "content-type": "text/html; charset=utf-8",
      "content-security-policy": exposure === "path" ? "sandbox" : policy,
      "cache-control": "no-store",
      "retry-after": String(Math.max(1, Math.ceil(starting.retryAfterMs / 1000))),
      "x-request-id": requestId,
    },
  });
}

/** The same for everything that is not a browser's page. */
export function startingProblem(starting: Starting, requestId: string): Response {
  const failure: Failure = {
    code: "starting",
    detail: `The container is being prepared: ${starting.phase}.`,
    retryAfterMs: starting.retryAfterMs,
    extra: { phase: starting.phase, ...(starting.lastError === null ? {} : { lastError: starting.lastError }) },
  };
  return problemResponse(failure, requestId);
}

function html({ phase, startedAt, lastError, retryAfterMs }: Starting, nonce: string, now: number): string {
  const elapsed = startedAt === null ? 0 : Math.max(0, Math.round((now - startedAt) / 1000));
  const error = lastError === null ? "" : `<p class="error">Last error: ${escapeHtml(lastError)}</p>`;
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>Starting…</title>
<style nonce="${nonce}">
  :root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
  body { display: grid; place-content: center; min-height: 90vh; margin: 1rem; text-align: center; }
  .error { color: #b42318; max-width: 40rem; overflow-wrap: anywhere; }
</style>
<main>
  <h1>Your container is starting</h1>
  <p role="status">${escapeHtml(phase)} · <span id="elapsed">${elapsed}</span> s</p>
  ${error}
  <noscript><p>Reload this page in a few seconds.</p></noscript>
</main>
<script nonce="${nonce}">
  const shown = document.getElementById("elapsed");
  const from = Date.now() - ${elapsed} * 1000;
  let due = Date.now() + ${Math.max(1_000, retryAfterMs)};
  setInterval(() => {
    if (document.hidden) return;
    shown.textContent = Math.round((Date.now() - from) / 1000);
    if (Date.now() >= due) { due = Infinity; location.reload(); }
  }, 500);
</script>
</html>
`;
}

const ENTITIES: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };
const escapeHtml = (text: string): string => text.replace(/[&<>"']/g, (character) => ENTITIES[character] ?? "");
