/**
 * The session's cookie on a tenant's own host. The prefix `__Host-` makes browsers refuse it unless it is Secure, for the
 * whole host and for no other; so neither another tenant's host nor the workload's pages can set or overwrite it, and no
 * script reads it. Chrome and Firefox take Secure cookies from `http://*.localhost` too.
 */
const NAME = "__Host-boilerhouse";
const ATTRIBUTES = "Path=/; Secure; HttpOnly; SameSite=Lax";

/** The session in a `Cookie` header; null when there is none. Pure. */
export function sessionCookie(header: string | null): string | null {
  if (header === null) return null;
  for (const pair of header.split(";")) {
    const [name, value] = pair.trim().split("=", 2);
    if (name === NAME && value) return value;
  }
  return null;
}

/** Both as `Set-Cookie`. Pure. @param maxAgeMs how long the browser keeps it */
export const settingCookie = (token: string, maxAgeMs: number): string =>
  `${NAME}=${token}; Max-Age=${Math.max(0, Math.floor(maxAgeMs / 1000))}; ${ATTRIBUTES}`;
export const clearingCookie = (): string => `${NAME}=; Max-Age=0; ${ATTRIBUTES}`;
