const WELL_FORMED = /^[A-Za-z0-9._-]{1,128}$/;

/** One id from the client to the container and back: the client's own where it is well-formed, else a new one. */
export function requestIdOf(headers: Headers): string {
  const given = headers.get("x-request-id");
  return given !== null && WELL_FORMED.test(given) ? given : crypto.randomUUID();
}
