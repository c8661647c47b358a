import type { TenantId } from "../ids.ts";
import type { Exposure } from "./internal.ts";

/** Which headers pass the proxy, in either direction (design §7). Pure: headers in, fresh headers out. */

export interface Identity {
  tenantId: TenantId;
  requestId: string;
  exposure: Exposure;
  /** Whether `Authorization` was a credential of ours, or is the workload's own business. */
  authorization: "ours" | "foreign";
  /** What the client used, before TLS was taken off. */
  scheme: string;
}

/** RFC 9110 §7.6.1 and what only concerns one connection. */
const HOP_BY_HOP = new Set([
  "connection",
  "expect",
  "http2-settings",
  "keep-alive",
  "proxy-authenticate",
  "proxy-authorization",
  "proxy-connection",
  "sec-websocket-extensions",
  "sec-websocket-key",
  "sec-websocket-accept",
  "sec-websocket-version",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);
const OURS = /^(?:x-boilerhouse-|cf-access-)/;
const CLIENT_MAY_NOT_CLAIM = new Set(["x-request-id", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-prefix"]);
const CONTAINER_MAY_NOT_SET = new Set(["clear-site-data", "strict-transport-security", "alt-svc", "x-request-id"]);
/** Cookies that only the platform reads and writes; browsers compare such prefixes without regard to case. */
const OUR_COOKIE = /^(?:__host-boilerhouse|cf_authorization|cf_appsession)/i;

/** What the container gets to see of a client's headers. An upgrade keeps being one. */
export function toContainer(from: Headers, identity: Identity): Headers {
  const to = new Headers();
  const named = connectionTokens(from);
  for (const [name, value] of from) {
    if (HOP_BY_HOP.has(name) || named?.has(name) || isOurs(name) || CLIENT_MAY_NOT_CLAIM.has(name)) continue;
    if (name === "authorization" && identity.authorization === "ours") continue;
    if (name === "cookie") {
      const cookies = identity.exposure === "path" ? null : foreignCookies(value);
      if (cookies !== null) to.set(name, cookies);
      continue;
    }
    to.append(name, value);
  }
  if (isUpgrade(from)) to.set("upgrade", "websocket");
  to.set("x-boilerhouse-tenant", identity.tenantId);
  to.set("x-request-id", identity.requestId);
  to.set("x-forwarded-proto", identity.scheme);
  if (identity.exposure === "path") to.set("x-forwarded-prefix", `/t/${encodeURIComponent(identity.tenantId)}`);
  return to;
}

/** What a client gets to see of a container's headers. */
export function toClient(from: Headers, exposure: Exposure, requestId: string | null): Headers {
  const to = new Headers();
  const named = connectionTokens(from);
  for (const [name, value] of from) {
    if (HOP_BY_HOP.has(name) || named?.has(name) || isOurs(name) || CONTAINER_MAY_NOT_SET.has(name)) continue;
    if (name === "set-cookie" && (exposure === "path" || !mayBeSet(value))) continue;
    to.append(name, value);
  }
  // What runs under a shared origin must not be able to act as that origin.
  if (exposure === "path") to.set("content-security-policy", "sandbox");
  if (requestId !== null) to.set("x-request-id", requestId);
  return to;
}

export const isUpgrade = (headers: Headers): boolean => headers.get("upgrade")?.toLowerCase() === "websocket";

/** Servers that speak CGI read `_` as `-`, so both spellings are ours. */
const isOurs = (name: string): boolean => OURS.test(name.includes("_") ? name.replaceAll("_", "-") : name);

function connectionTokens(headers: Headers): Set<string> | null {
  const value = headers.get("connection");
  if (value === null) return null;
  return new Set(value.split(",").map((token) => token.trim().toLowerCase()));
}

/** The workload's own cookies; null when there are none. */
function foreignCookies(value: string): string | null {
  const pairs = value.split(";").map((pair) => pair.trim());
  const foreign = pairs.filter((pair) => pair !== "" && !OUR_COOKIE.test(cookieText(pair)));
  return foreign.length === 0 ? null : foreign.join("; ");
}

function mayBeSet(setCookie: string): boolean {
  const [pair = "", ...attributes] = setCookie.split(";");
  if (OUR_COOKIE.test(cookieText(pair))) return false;
  return !attributes.some((attribute) => /^\s*domain\s*(?:=|$)/i.test(attribute));
}

/** A cookie without a name is sent as its bare value, so `=name=value` counts as `name=value`. */
const cookieText = (pair: string): string => pair.replace(/^[\s=]+/, "");
