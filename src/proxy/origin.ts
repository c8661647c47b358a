const SAFE_METHODS = new Set(["GET", "HEAD", "OPTIONS"]);

/**
 * Whether a page of another origin is behind this request, where that matters: upgrades and methods that change things.
 * Pure. Schemes are not compared, since TLS may have been taken off before us.
 */
export function isForeign(method: string, isUpgrade: boolean, origin: string | null, host: string): boolean {
  if (origin === null || (SAFE_METHODS.has(method) && !isUpgrade)) return false;
  return !URL.canParse(origin) || new URL(origin).host !== host;
}
