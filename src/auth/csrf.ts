const SAFE = new Set(["GET", "HEAD", "OPTIONS"]);

/**
 * Whether a page of somebody else may be behind a request whose credential the browser sent by itself: it changes
 * something (or opens a WebSocket, which no same-origin policy protects), and what the browser says of its page is
 * neither ours nor listed. Browsers send `Origin` with every such request; one without it that names a site is a
 * browser's all the same. Pure.
 */
export function isForged(request: { method: string; headers: Headers }, ownOrigins: readonly string[]): boolean {
  const { method, headers } = request;
  const upgrades = headers.get("upgrade")?.toLowerCase() === "websocket";
  if (SAFE.has(method) && !upgrades) return false;
  const origin = headers.get("origin");
  if (origin !== null) return !ownOrigins.includes(origin);
  const site = headers.get("sec-fetch-site");
  return site !== null && site !== "same-origin" && site !== "none";
}
