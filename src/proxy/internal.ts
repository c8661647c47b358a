import { type ContainerId, type Epoch, epoch, parseContainerId, parseTenantId, type TenantId } from "../ids.ts";

/**
 * What the Worker and the Instance tell each other beside the request itself: one header each way. Clients and
 * containers cannot forge either, because every `x-boilerhouse-*` is removed from what they send (headers.ts).
 */
export const ROUTE_HEADER = "x-boilerhouse-route";
export const VERDICT_HEADER = "x-boilerhouse-verdict";

/** `host`: the tenant's own host, an origin to itself. `path`: under `/t/{tenant}/` of the shared one. */
export type Exposure = "host" | "path";

/** How long whoever opened a socket may use it: until a time (ms since 1970), and while tokens of a version hold. */
export interface SessionBounds {
  expiresAt: number | null;
  tokenVersion: number | null;
}
export const UNBOUND: SessionBounds = { expiresAt: null, tokenVersion: null };

export interface Routed {
  tenantId: TenantId;
  epoch: Epoch;
  containerId: ContainerId;
  port: number;
  exposure: Exposure;
  /** Of an upgrade: what ends the socket. */
  session: SessionBounds;
  /** A stale Instance passed it on; no second one does. */
  forwarded: "no" | "once";
}

/**
 * Why an Instance did not answer with its container's own words.
 * - `stale`: it does not serve this tenant and epoch (any more).
 * - `absent`: the container is not there; the request did not reach it.
 * - `spent`: as `absent`, but the body was read, so that only the client can send it again.
 * - `lost`: the connection broke after the request was sent; it may have had its effect.
 */
export type Refusal = "stale" | "absent" | "spent" | "lost";
const REFUSALS: readonly Refusal[] = ["stale", "absent", "spent", "lost"];

/** `moved`: a real answer, but another Instance's, to which a stale one passed the request on. */
export type Verdict = Refusal | "moved";

export function encodeRoute(routed: Routed): string {
  const { containerId, port, exposure, forwarded, session, tenantId } = routed;
  const bounds = `${session.expiresAt ?? "-"} ${session.tokenVersion ?? "-"}`;
  return `${routed.epoch} ${containerId} ${port} ${exposure} ${forwarded} ${bounds} ${tenantId}`;
}

/** Null for what no Worker of ours wrote. */
export function decodeRoute(text: string | null): Routed | null {
  const [at, container, port, exposure, forwarded, expiresAt, version, tenant, ...rest] = text?.split(" ") ?? [];
  const tenantId = parseTenantId(tenant ?? "");
  const containerId = parseContainerId(container ?? "");
  if (!tenantId || !containerId || rest.length > 0) return null;
  if (exposure !== "host" && exposure !== "path") return null;
  if (forwarded !== "no" && forwarded !== "once") return null;
  if (!/^\d{1,15}$/.test(at ?? "") || !/^\d{1,5}$/.test(port ?? "")) return null;
  const session = boundsOf(expiresAt, version);
  if (!session) return null;
  return {
    tenantId,
    containerId,
    epoch: epoch(Number(at)),
    port: Number(port),
    exposure,
    session,
    forwarded,
  };
}

function boundsOf(expiresAt = "", tokenVersion = ""): SessionBounds | null {
  const isBound = (text: string) => text === "-" || /^\d{1,15}$/.test(text);
  if (!isBound(expiresAt) || !isBound(tokenVersion)) return null;
  const value = (text: string) => (text === "-" ? null : Number(text));
  return { expiresAt: value(expiresAt), tokenVersion: value(tokenVersion) };
}

/** An Instance's own answer, for the Worker only. */
export const verdictResponse = (verdict: Refusal): Response =>
  new Response(null, { status: 421, headers: { [VERDICT_HEADER]: verdict } });

export function verdictOf(response: Response): Verdict | null {
  const text = response.headers.get(VERDICT_HEADER);
  if (text === null || text === "moved") return text;
  return REFUSALS.find((verdict) => verdict === text) ?? "lost";
}

/** The same answer, marked as another Instance's. */
export function moved(response: Response): Response {
  const marked = copyOf(response);
  marked.headers.set(VERDICT_HEADER, "moved");
  return marked;
}

export function withoutVerdict(response: Response): Response {
  const plain = copyOf(response);
  plain.headers.delete(VERDICT_HEADER);
  return plain;
}

function copyOf({ status, statusText, headers, body, webSocket }: Response): Response {
  if (webSocket) return new Response(null, { status, headers, webSocket });
  const init = statusText === "" ? { status, headers } : { status, statusText, headers };
  return new Response(hasNoBody(status) ? null : body, init);
}

/** Statuses that exclude a body, whatever an empty stream says. */
export const hasNoBody = (status: number): boolean => status === 204 || status === 205 || status === 304;
