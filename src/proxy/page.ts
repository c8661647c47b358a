/** Pages of ours on tenants' hosts: nothing in them runs, loads or is styled but what is served from here, and nobody frames them. */
const POLICY = "default-src 'none'; script-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/** What every answer of ours there says to a browser. A code in the address goes nowhere as a referrer. */
export const PAGE_HEADERS = {
  "content-security-policy": POLICY,
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
  "cache-control": "no-store",
} as const;

/** The one style of a page, let in by name. */
const withStyle = (nonce: string): string => POLICY.replace("base-uri", `style-src 'nonce-${nonce}'; base-uri`);

interface Page {
  status: number;
  title: string;
  text: string;
  requestId: string;
}

/** A page of a heading and a sentence. */
export function page({ status, title, text, requestId }: Page): Response {
  return htmlPage(status, title, `<h1>${escapeHtml(title)}</h1>\n  <p>${escapeHtml(text)}</p>`, {
    "x-request-id": requestId,
  });
}

/** `body` is HTML; everything in it is escaped already. */
export function htmlPage(status: number, title: string, body: string, headers: Record<string, string>): Response {
  const nonce = crypto.randomUUID();
  return new Response(html(title, body, nonce), {
    status,
    headers: {
      ...PAGE_HEADERS,
      "content-type": "text/html; charset=utf-8",
      "content-security-policy": withStyle(nonce),
      ...headers,
    },
  });
}

const html = (title: string, body: string, nonce: string): string => `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>${escapeHtml(title)}</title>
<style nonce="${nonce}">
  :root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
  body { display: grid; place-content: center; min-height: 90vh; margin: 1rem; text-align: center; }
  .error { color: #b42318; max-width: 40rem; overflow-wrap: anywhere; }
</style>
<main>
  ${body}
</main>
</html>
`;

/** Served at `STARTING`; looks again by itself, but not while nobody looks at the page. */
export const STARTING_SCRIPT = `const shown = document.getElementById("elapsed");
const from = Date.now() - Number(shown.dataset.elapsedMs);
let due = Date.now() + Number(shown.dataset.retryMs);
setInterval(() => {
  if (document.hidden) return;
  shown.textContent = Math.round((Date.now() - from) / 1000);
  if (Date.now() >= due) {
    due = Infinity;
    location.reload();
  }
}, 500);
`;

const ENTITIES: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };
export const escapeHtml = (text: string): string => text.replace(/[&<>"']/g, (character) => ENTITIES[character] ?? "");
