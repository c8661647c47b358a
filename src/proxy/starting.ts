import { problemResponse } from "../errors/problem.ts";
import type { Failure } from "../outcome.ts";
import type { Exposure } from "./internal.ts";
import { escapeHtml, htmlPage } from "./page.ts";
import { STARTING } from "./pages.ts";

/** What is known of a container that cannot answer yet. Times in ms since 1970. */
export interface Starting {
  phase: string;
  startedAt: number | null;
  lastError: string | null;
  retryAfterMs: number;
}

/** A page that a person gets while their container starts; it looks again by itself. */
export function startingPage(starting: Starting, exposure: Exposure, requestId: string, now: number): Response {
  const retryS = String(Math.max(1, Math.ceil(starting.retryAfterMs / 1000)));
  const headers = { "retry-after": retryS, "x-request-id": requestId };
  // `STARTING` is a page of tenants' own hosts; under the shared origin the browser itself looks again.
  const own = exposure === "host" ? headers : { ...headers, refresh: retryS };
  return htmlPage(503, "Starting…", body(starting, exposure, now), own);
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

function body({ phase, startedAt, lastError, retryAfterMs }: Starting, exposure: Exposure, now: number): string {
  const elapsedMs = startedAt === null ? 0 : Math.max(0, now - startedAt);
  const times = `data-elapsed-ms="${elapsedMs}" data-retry-ms="${Math.max(1_000, retryAfterMs)}"`;
  const error = lastError === null ? "" : `\n  <p class="error">Last error: ${escapeHtml(lastError)}</p>`;
  const script = `\n  <noscript><p>Reload this page in a few seconds.</p></noscript>\n  <script src="${STARTING}" defer></script>`;
  return `<h1>Your container is starting</h1>
  <p role="status">${escapeHtml(phase)} · <span id="elapsed" ${times}>${Math.round(elapsedMs / 1000)}</span> s</p>${error}${exposure === "host" ? script : ""}`;
}
