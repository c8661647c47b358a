/**
 * What every answer of the platform's own host says to a browser (F118). An answer of the API is data: nothing in it may
 * run, load, be framed or be kept. Pages under /docs bring a policy of their own, which stays.
 */
const ALWAYS: Readonly<Record<string, string>> = {
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
  "referrer-policy": "no-referrer",
  "cross-origin-resource-policy": "same-origin",
};

const UNLESS_SAID: Readonly<Record<string, string>> = {
  "content-security-policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  "cache-control": "no-store",
};

/** A year; only over https, where it is not ignored (RFC 6797, 7.2), and for this host alone. */
const HSTS = "max-age=31536000";

/** Puts them on an answer's headers, which must not be immutable. */
export function secure(headers: Headers, url: string): void {
  for (const [name, value] of Object.entries(ALWAYS)) headers.set(name, value);
  for (const [name, value] of Object.entries(UNLESS_SAID)) if (!headers.has(name)) headers.set(name, value);
  if (url.startsWith("https:")) headers.set("strict-transport-security", HSTS);
}
