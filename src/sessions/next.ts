/**
 * Where a browser goes after it got its cookie: a path on the same host, as a browser would read it, or null for whatever
 * could lead elsewhere (`//host`, `/\host`, `/.//host`, a scheme). Pure.
 */
export function localPath(next: string, origin: string): string | null {
  if (!next.startsWith("/") || !URL.canParse(next, origin)) return null;
  const url = new URL(next, origin);
  if (url.origin !== new URL(origin).origin || url.pathname.startsWith("//")) return null;
  return url.pathname + url.search + url.hash;
}
